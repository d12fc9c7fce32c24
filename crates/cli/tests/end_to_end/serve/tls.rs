//! `serve --tls-cert`: requests over TLS, with a certificate that changes, and with certificates of clients.
//!
//! All certificates are for `localhost` or of a client, and valid for 100 years; only these tests trust them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{Answer, Server, read};
use crate::support::{Queue, wait_until};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/end_to_end/serve/testdata")
        .join(name)
}

/// Asks for the status over TLS, trusting one certificate, with one of a client's if there is one.
fn ask(server: &Server, trusted: &str, own: Option<&str>, token: &str) -> Result<Answer, String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(file(trusted)).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let certificate = CertificateDer::from_pem_file(file(&format!("{own}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(file(&format!("{own}-key.pem"))).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, server.connect());
    let head = format!(
        "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream
        .write_all(head.as_bytes())
        .map_err(|error| error.to_string())?;
    // A certificate of the client is refused after the handshake.
    let mut first = [0];
    match stream.read(&mut first) {
        Ok(1) => Ok(read(first.chain(stream))),
        Ok(_) => Err("closed".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Puts a certificate where the server reads it.
fn put(queue: &Queue, name: &str) {
    for (from, to) in [
        (format!("{name}.pem"), "cert.pem"),
        (format!("{name}-key.pem"), "key.pem"),
    ] {
        std::fs::copy(file(&from), queue.path(to)).unwrap();
    }
}

fn start(queue: &Queue, more: &[&str]) -> Server {
    let (cert, key) = (queue.path("cert.pem"), queue.path("key.pem"));
    let options = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    Server::start_on("0.0.0.0:0", queue, &[&options[..], more].concat())
}

fn token(queue: &Queue) -> String {
    queue
        .ok(["token:add", "reader", "--role", "read"])
        .trim()
        .to_owned()
}

#[test]
fn requests_come_over_tls_and_a_certificate_can_be_replaced() {
    let queue = Queue::quick();
    let token = token(&queue);
    put(&queue, "one");
    let server = start(&queue, &[]);
    assert!(
        server.process.log().contains("https://0.0.0.0:"),
        "{}",
        server.process.log()
    );
    ask(&server, "one.pem", None, &token).unwrap().json(200);
    assert_eq!(ask(&server, "one.pem", None, "qctl_0").unwrap().status, 401);
    let refused = ask(&server, "two.pem", None, &token).unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    // Without TLS there is no answer.
    let mut plain = TcpStream::connect(&server.host).unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");

    // A key that does not fit changes nothing, until its certificate comes.
    std::fs::copy(file("two-key.pem"), queue.path("key.pem")).unwrap();
    server
        .process
        .wait_log("the certificate that was read before stays in use");
    ask(&server, "one.pem", None, &token).unwrap().json(200);
    put(&queue, "two");
    wait_until("the new certificate", || {
        ask(&server, "two.pem", None, &token).is_ok()
    });
    assert!(ask(&server, "one.pem", None, &token).is_err());
}

#[test]
fn clients_can_need_a_certificate() {
    let queue = Queue::quick();
    let token = token(&queue);
    put(&queue, "one");
    let ca = file("clients.pem");
    let server = start(&queue, &["--client-ca", ca.to_str().unwrap()]);
    ask(&server, "one.pem", Some("client"), &token).unwrap().json(200);
    assert_eq!(
        ask(&server, "one.pem", Some("client"), "qctl_0").unwrap().status,
        401,
        "a token, too"
    );
    ask(&server, "one.pem", None, &token).unwrap_err();
    ask(&server, "one.pem", Some("two"), &token).unwrap_err();
    let wrong = queue.fails(
        1,
        [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            ca.to_str().unwrap(),
            "--tls-key",
            ca.to_str().unwrap(),
        ],
    );
    assert!(wrong.contains("clients.pem has no private key"), "{wrong}");
    queue.fails(
        2,
        [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            ca.to_str().unwrap(),
        ],
    );
}
