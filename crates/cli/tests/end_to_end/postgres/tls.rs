//! Connections that are encrypted, to a server that is the right one, or is not.

use std::path::Path;

use crate::support::{Queue, finish};

/// The certificate of the server that `cargo xtask test` starts. It is for `localhost`, and only these tests trust it.
fn certificate() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/http/testdata/certificate.pem");
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn tls_is_used_and_the_server_is_checked() {
    let name = "postgres::tls::tls_is_used_and_the_server_is_checked";
    let Some(queue) = Queue::postgres(name) else {
        return;
    };
    let location = queue.location().into_string().unwrap();
    let with = |host: &str, parameters: &str| {
        let mut list = queue.bare();
        let location = location.replace("@127.0.0.1:", &format!("@{host}:"));
        list.env("QUEUECTL_DB", format!("{location}&{parameters}"))
            .args(["enqueue", "true"]);
        finish(list, None)
    };
    let first = with("127.0.0.1", "sslmode=require");
    if first.err.contains("server does not support SSL") {
        queuectl_testkit::skipped(name, "the PostgreSQL server for tests does not support TLS");
        return;
    }
    assert_eq!(first.ok(), "1");
    let trusted = format!("sslmode=verify-full&sslrootcert={}", certificate());
    assert_eq!(with("localhost", &trusted).ok(), "2");
    // Not the name in the certificate.
    let said = with("127.0.0.1", &trusted).fails(6);
    assert!(said.contains("does not match host name"), "{said}");
    // No trusted authority has signed it.
    let said = with("localhost", "sslmode=verify-full&sslrootcert=/dev/null").fails(6);
    assert!(
        said.contains("cannot be reached") || said.contains("certificate"),
        "{said}"
    );
    assert_eq!(queue.jobs().len(), 2);
}
