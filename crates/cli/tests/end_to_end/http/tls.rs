//! Requests over TLS, to a server with a certificate that the machine trusts, or does not.
//!
//! The certificate is for `localhost`, self-signed and valid for 100 years; only these tests trust it.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::json;

use super::server::{Seen, Server, answer};
use super::{open_queue, request, why};
use crate::support::Node;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins/http/testdata")
        .join(name)
}

fn server() -> Server {
    let certificate = CertificateDer::from_pem_file(file("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    Server::start_with(move |stream, note| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = Stream::new(&mut connection, stream);
        if let Some(seen) = Seen::read(&mut BufReader::new(&mut tls)) {
            note(seen);
            answer(&mut tls, "200 OK", "", "in private");
            tls.conn.send_close_notify();
            let _ = tls.conn.complete_io(tls.sock);
        }
    })
}

#[test]
fn a_certificate_must_be_trusted_and_for_that_name() {
    let server = server();
    let queue = open_queue();
    let by_name = format!("https://localhost:{}/", server.port());
    let by_address = format!("https://127.0.0.1:{}/", server.port());
    {
        let node = Node::start_command(&queue, &["worker:start"], |command| {
            command.env("SSL_CERT_FILE", file("certificate.pem"));
        });
        node.wait_log("node started");
        let good = request(&queue, &by_name, json!({}));
        queue.wait_state(&good, "completed");
        assert_eq!(queue.ok(["logs", &good]), "in private");
        let other_name = request(&queue, &by_address, json!({}));
        let error = why(&queue, &other_name);
        assert!(
            error.contains("cannot reach 127.0.0.1:") && error.contains("certificate"),
            "{error}"
        );
        queue.ok(["worker:stop", "--wait"]);
    }
    let _node = queue.start(&[]);
    let unknown = request(&queue, &by_name, json!({}));
    let error = why(&queue, &unknown);
    assert!(
        error.contains("cannot reach localhost:") && error.contains("UnknownIssuer"),
        "{error}"
    );
    assert_eq!(
        server.seen().len(),
        1,
        "nothing is sent before the certificate is checked"
    );
}
