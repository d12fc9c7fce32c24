//! What a server or libpq refuses is told apart: a mistake in the location, a missing right, a server that takes no changes.
//! No such refusal is a fault of queuectl (status 70).

use super::server::own_server;
use crate::support::{Queue, finish, wait_until};

#[test]
fn what_a_server_refuses_has_a_status_and_says_what_to_do() {
    let name = "postgres::refused::what_a_server_refuses_has_a_status_and_says_what_to_do";
    let Some(server) = own_server(name, &[]) else {
        return;
    };
    let queue = Queue::new().with_server(server.location.clone());
    queue.enqueue(["true"]);
    let sql = |statements: &str| server.sql("postgres", statements).unwrap();
    sql(
        "CREATE ROLE stranger LOGIN PASSWORD 'x'; CREATE SCHEMA given; GRANT USAGE ON SCHEMA given TO stranger",
    );
    sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    sql(
        "CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA queuectl TO reader; \
         GRANT SELECT ON queuectl.store TO reader",
    );
    let (front, place) = server.location.split_once('@').unwrap();
    let (address, _) = place.split_once(':').unwrap();
    let said = |location: &str, line: &str, status: i32, words: &str| {
        let mut command = queue.bare();
        command.env("QUEUECTL_DB", location).args(line.split(' '));
        let said = finish(command, None).fails(status);
        assert!(said.contains(words), "{location} {line}: {said}");
        assert!(!said.contains("permissions of the file"), "{said}");
    };
    let own = |rest: &str| format!("{}{rest}", server.location);
    // Mistakes in the location.
    said(
        &format!("{front}@{address}:99999/postgres"),
        "list",
        2,
        "the port",
    );
    said(&own("?sslmode=odd"), "list", 2, "sslmode");
    said(&own("?connect_timeout=soon"), "list", 2, "connect_timeout");
    said(&own("?service=nowhere"), "list", 2, "nowhere");
    said(&own("?options=-cnonsense%3D1"), "list", 2, "nonsense");
    // What is not there, or cannot be used.
    said(
        &server.location.replace("/postgres", "/nowhere"),
        "list",
        5,
        "createdb",
    );
    said(
        &server.location.replace("/postgres", "/latin"),
        "db:migrate",
        5,
        "UTF8",
    );
    // Who may not.
    let stranger = |schema: &str| format!("postgres://stranger:x@{place}?schema={schema}");
    said(&stranger("queuectl"), "list", 6, "USAGE on the schema");
    said(&stranger("given"), "enqueue true", 6, "user, password and rights");
    said(&stranger("other"), "enqueue true", 6, "user, password and rights");
    said(
        &format!("postgres://reader:x@{place}"),
        "list",
        6,
        "user, password and rights",
    );
    said(
        &format!("postgres://reader:wrong@{place}"),
        "list",
        6,
        "user, password and rights",
    );
    // The control.
    assert_eq!(queue.jobs().len(), 1);
    // As on a standby.
    sql("ALTER SYSTEM SET default_transaction_read_only = on");
    sql("SELECT pg_reload_conf()");
    let setting = "SHOW default_transaction_read_only";
    wait_until("the setting to be heard of", || sql(setting).trim() == "on");
    for command in ["enqueue true", "worker:start --drain", "config:set lease 6s"] {
        said(
            &server.location,
            command,
            6,
            "takes no changes, as a standby does",
        );
    }
    said(
        &own("?schema=other"),
        "db:migrate",
        6,
        "takes no changes, as a standby does",
    );
    assert_eq!(queue.jobs().len(), 1, "what reads works");
}
