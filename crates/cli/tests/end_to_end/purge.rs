//! Removing ended jobs: `purge`, `retention`, and giving the space back.

use std::fs;

use crate::support::Queue;

/// One job completed, with an output that is kept in a file; one dead, one cancelled, one waits.
fn ended() -> Queue {
    let queue = Queue::quick();
    queue.ok(["config:set", "output_limit", "0"]);
    queue.enqueue(["--id", "good", "--queue", "mail", "echo long"]);
    queue.enqueue(["--id", "bad", "--max-retries", "0", "exit 3"]);
    queue.enqueue(["--id", "given-up", "--delay", "1day", "exit 0"]);
    queue.ok(["cancel", "given-up"]);
    assert_eq!(queue.drain(&[]), 1);
    queue.enqueue(["--id", "waits", "exit 0"]);
    queue
}

fn ids(queue: &Queue) -> Vec<String> {
    let jobs = queue.jobs();
    let id = |job: &serde_json::Value| job["id"].as_str().unwrap().to_owned();
    jobs.iter().map(id).collect()
}

#[test]
fn ended_jobs_are_purged_by_state_queue_and_age() {
    let queue = ended();
    let all = ["good", "bad", "given-up", "waits"];
    assert_eq!(queue.json(["purge", "--dry-run"])["jobs"], 2);
    assert_eq!(queue.json(["purge", "--yes", "--older-than", "1h"])["jobs"], 0);
    assert_eq!(queue.json(["purge", "--yes", "--queue", "nowhere"])["jobs"], 0);
    assert_eq!(ids(&queue), all, "nothing was removed yet");
    for state in ["pending", "processing", "failed", "scheduled"] {
        let done = queue.run(["purge", "--state", state]);
        assert_eq!(done.status, 2, "{}", done.err);
        assert!(done.err.contains("have not ended"), "{}", done.err);
    }
    let output = queue.beside().join("output/1");
    assert!(output.exists());
    assert_eq!(
        queue.ok(["purge", "--queue", "mail", "--yes"]).trim(),
        "1 job purged"
    );
    assert!(!output.exists(), "its output goes along");
    assert_eq!(ids(&queue), ["bad", "given-up", "waits"]);
    let both = ["purge", "--state", "dead", "--state", "cancelled", "--dry-run"];
    assert_eq!(queue.ok(both).trim(), "2 jobs would be purged");
    assert_eq!(queue.json(["purge", "--yes", "--state", "dead"])["jobs"], 1);
    assert_eq!(ids(&queue), ["given-up", "waits"]);
    let check = queue.json(["db:check"]);
    assert_eq!((&check["ok"], &check["miscounted"]), (&true.into(), &0.into()));
}

#[test]
fn without_a_terminal_nothing_is_removed_unasked() {
    let queue = ended();
    for args in [
        &["purge"][..],
        &["purge", "--state", "dead"],
        &["purge", "--json"],
        &["dlq:purge", "--all"],
        &["dlq:purge", "--all", "--queue", "default"],
    ] {
        // No input, a piped answer and an empty line are not a terminal.
        for input in [&b""[..], b"y\n", b"\n"] {
            let said = queue.run_with(args, input).fails(2);
            assert!(
                said.contains("needs --yes without a terminal; nothing was removed"),
                "{args:?}: {said}"
            );
            assert!(said.contains("--yes"), "{args:?}: {said}");
        }
        assert_eq!(ids(&queue), ["good", "bad", "given-up", "waits"], "{args:?}");
    }
}

#[test]
fn filters_beside_ids_are_heeded() {
    let queue = ended();
    queue.enqueue(["--id", "other", "--queue", "mail", "--max-retries", "0", "exit 3"]);
    assert_eq!(queue.drain(&["--queue", "mail"]), 1);
    let both = ["bad", "other"];
    for filter in [
        &["dlq:purge", "--older-than", "90days"][..],
        &["dlq:purge", "--queue", "nonsense"],
        &["dlq:purge", "--queue", "nonsense", "--yes"],
        &["dlq:retry", "--queue", "nonsense"],
    ] {
        let done = queue.run([filter, &both].concat());
        assert_eq!(
            (done.status, done.text().as_str()),
            (4, ""),
            "{filter:?}: {}",
            done.err
        );
        for id in both {
            assert!(
                done.err.contains(&format!("job '{id}' ")),
                "{filter:?}: {}",
                done.err
            );
            assert_eq!(queue.state(id), "dead", "{filter:?}");
        }
    }
    // Of those that are named, the ones that fit.
    let done = queue.run(["dlq:retry", "--queue", "mail", "bad", "other"]);
    assert_eq!(
        (done.status, done.text().as_str()),
        (4, "other pending\n"),
        "{}",
        done.err
    );
    let done = queue.run(["dlq:purge", "bad", "--queue", "default", "--older-than", "0s"]);
    assert_eq!(
        (done.status, done.text().as_str()),
        (0, "bad purged\n"),
        "{}",
        done.err
    );
}

#[test]
fn a_node_cleans_up_as_soon_as_it_starts() {
    let queue = ended();
    // The control: with the default retention it leaves them alone.
    assert_eq!(queue.drain(&["--queue", "mail"]), 0);
    assert_eq!(ids(&queue), ["good", "bad", "given-up", "waits"]);
    queue.ok(["config:set", "retention", "0s"]);
    assert_eq!(queue.drain(&["--queue", "mail"]), 0);
    assert_eq!(ids(&queue), ["bad", "waits"], "dead jobs stay");
}

#[test]
fn compacting_is_refused_while_a_node_runs() {
    let queue = ended();
    let node = queue.start(&[]);
    let done = queue.run(["db:compact"]);
    assert_eq!(done.status, 4, "{}", done.err);
    assert!(done.err.contains("worker:stop"), "{}", done.err);
    queue.ok(["worker:stop", "--wait"]);
    drop(node);
    let sizes = queue.json(["db:compact"]);
    assert_eq!(sizes["bytes"], queue.json(["status"])["bytes"]);
    if !crate::support::on_postgres() {
        let file = fs::metadata(queue.db()).unwrap().len();
        assert_eq!(sizes["bytes"], file);
    }
    assert_eq!(queue.state("bad"), "dead");
}
