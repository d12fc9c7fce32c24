//! Jobs that were written into the tables by hand, and cannot be read.

use super::server::own_server;
use crate::support::{Queue, history};

/// A node ends them as dead, with the reason, and runs the others; every list and look names them.
#[test]
fn a_job_that_cannot_be_read_is_listed_and_dies_and_the_others_run() {
    let name = "postgres::unreadable::a_job_that_cannot_be_read_is_listed_and_dies_and_the_others_run";
    let Some(server) = own_server(name, &[]) else {
        return;
    };
    let queue = Queue::new().with_server(server.location.clone());
    for line in ["echo one", "echo two", "echo three"] {
        queue.enqueue([line]);
    }
    let by_hand = "UPDATE queuectl.jobs SET sum = NULL WHERE id < 3; \
                   UPDATE queuectl.payloads SET payload = '{\"command\":[null,\"a\"]}' WHERE job_id = 1; \
                   DELETE FROM queuectl.payloads WHERE job_id = 2";
    server.sql("postgres", by_hand).unwrap();
    let named = |text: &str| {
        assert!(text.contains("(unreadable: its payload"), "{text}");
        assert!(text.contains("(unreadable: its payload is missing"), "{text}");
    };
    named(&queue.ok(["list"]));
    assert!(queue.ok(["show", "1"]).contains("(unreadable: its payload"));
    assert_eq!(queue.jobs().len(), 3);
    assert_eq!(queue.drain(&[]), 1, "not all of them completed");
    named(&queue.ok(["dlq:list"]));
    for id in ["1", "2"] {
        let job = queue.job(id);
        assert_eq!(
            (history(&job), job["state"].as_str()),
            (vec!["1 failed".to_owned()], Some("dead")),
            "{job}"
        );
        let error = job["error"].as_str().unwrap();
        assert!(
            error.starts_with("the job cannot be read: its payload"),
            "{error}"
        );
        assert!(job["unreadable"].is_string(), "{job}");
    }
    let bystander = queue.job("3");
    assert_eq!(
        (bystander["state"].as_str(), bystander["unreadable"].as_str()),
        (Some("completed"), None)
    );
}
