//! Commits whose answer is lost on its way: what they did is found out, and nothing is done twice or not at all.

use super::proxy::{Loss, Mode, Proxy};
use super::server::{hold_back_log, own_server};
use super::{by_proxy, start};
use crate::support::{Queue, finish, history, wait_until};

/// A gate for jobs, and their start.
const GATED: &str = crate::support::GATED;

/// By the proxy, whatever the way to the server is else.
fn enqueue(queue: &Queue, location: &str, words: &[&str], input: &str) -> crate::support::Done {
    let mut command = queue.bare();
    command.env("QUEUECTL_DB", location).arg("enqueue").args(words);
    finish(command, Some(input.as_bytes()))
}

#[test]
fn an_enqueue_whose_commit_is_not_answered_is_stored_once_or_fails() {
    let name = "postgres::lost::an_enqueue_whose_commit_is_not_answered_is_stored_once_or_fails";
    let Some((queue, proxy)) = by_proxy(name, &[]) else {
        return;
    };
    let location = proxy.location(queue.location().to_str().unwrap());
    let bystander = queue.enqueue(["true"]);
    proxy.lose(Loss::Answer);
    let id = enqueue(&queue, &location, &["echo once"], "").ok();
    assert!(proxy.has_lost());
    assert_eq!(queue.state(&id), "pending");
    assert_eq!(queue.jobs().len(), 2, "and no other");

    // Sure to be not there, so that trying again doubles nothing.
    proxy.lose(Loss::Commit);
    let said = enqueue(&queue, &location, &["--id", "late", "echo no"], "").fails(6);
    assert!(proxy.has_lost());
    assert!(said.contains("cannot be reached"), "{said}");
    assert_eq!(queue.jobs().len(), 2);
    assert_eq!(
        enqueue(&queue, &location, &["--id", "late", "true"], "").ok(),
        "late"
    );

    // Many at once: the first batch is there already.
    proxy.lose(Loss::Answer);
    let ids = enqueue(&queue, &location, &["--from", "-"], &"\"true\"\n".repeat(1500)).ok();
    assert!(proxy.has_lost());
    assert_eq!(ids.lines().count(), 1500);
    assert_eq!(queue.json(["status"])["total"]["pending"], 1503);
    assert_eq!(queue.state(&bystander), "pending");
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// A server can crash at any statement, also at those that only prepare a new session. None of that is a mistake in the
/// location (status 2) or a fault of queuectl (70).
#[test]
fn a_connection_that_breaks_while_it_is_being_set_up_is_an_outage() {
    let name = "postgres::lost::a_connection_that_breaks_while_it_is_being_set_up_is_an_outage";
    let Some((queue, proxy)) = by_proxy(name, &[]) else {
        return;
    };
    let location = proxy.location(queue.location().to_str().unwrap());
    let bystander = queue.enqueue(["true"]);
    let statements: [&[u8]; 4] = [
        b"SET TIME ZONE",
        b"SET CLIENT_ENCODING",
        b"SET queuectl.session",
        b"SELECT schema_version",
    ];
    for statement in statements {
        for loss in [Loss::Commit, Loss::Answer] {
            let what = format!("{loss:?} at {}", String::from_utf8_lossy(statement));
            proxy.lose_at(statement, loss);
            let done = enqueue(&queue, &location, &["--id", "late", "true"], "");
            assert!(proxy.has_lost(), "{what}");
            assert_eq!(done.status, 6, "{what}: {}", done.err);
            assert!(done.err.contains("cannot be reached"), "{what}: {}", done.err);
            assert_eq!(queue.jobs().len(), 1, "{what}");
        }
    }
    // The control: nothing is lost any more.
    assert_eq!(
        enqueue(&queue, &location, &["--id", "late", "true"], "").ok(),
        "late"
    );
    assert_eq!(queue.state(&bystander), "pending");
}

/// A server that crashed gives numbers out again that it had given to what was not committed. That another has been
/// committed under one of them does not make anybody believe that it was theirs.
#[test]
fn an_enqueue_whose_number_went_to_another_is_not_taken_for_stored() {
    let name = "postgres::lost::an_enqueue_whose_number_went_to_another_is_not_taken_for_stored";
    let Some(server) = own_server(name, &["bgwriter_lru_maxpages=0"]) else {
        return;
    };
    let queue = Queue::new().with_server(server.location.clone());
    let bystander = queue.enqueue(["true"]);
    let proxy = Proxy::new(&server.location);
    let location = proxy.location(&server.location);
    // The number is given out again only if nothing of the transaction reaches the disk.
    hold_back_log(&server);
    proxy.lose(Loss::Way);
    let mut late = queue.bare();
    late.env("QUEUECTL_DB", &location)
        .args(["enqueue", "--id", "late", "echo no"]);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| finish(late, None));
        wait_until("the loss", || proxy.has_lost());
        server.crash().unwrap();
        server.go_on().unwrap();
        let other = queue.enqueue(["true"]);
        proxy.set(Mode::Open);
        let said = late.join().unwrap().fails(8);
        assert!(said.contains("look with `queuectl list`"), "{said}");
        let ids: Vec<String> = queue.jobs().iter().map(|job| job["id"].to_string()).collect();
        assert_eq!(ids, [format!("{bystander:?}"), format!("{other:?}")]);
    });
    assert_eq!(queue.ok(["enqueue", "--id", "late", "true"]), "late");
}

/// A node does not hear that its claim was stored. It has the job and must not keep it from everybody.
#[test]
fn a_claim_whose_commit_is_not_answered_is_given_back_and_made_again() {
    let name = "postgres::lost::a_claim_whose_commit_is_not_answered_is_given_back_and_made_again";
    let Some((queue, proxy)) = by_proxy(name, &[("poll_interval", "50ms")]) else {
        return;
    };
    let node = start(&queue, &proxy);
    let before = queue.enqueue(["true"]);
    queue.wait_state(&before, "completed");
    for loss in [Loss::Answer, Loss::Commit] {
        proxy.lose(loss);
        let id = queue.enqueue(["echo $QUEUECTL_JOB_ID >> ran"]);
        let job = queue.wait_state(&id, "completed");
        assert!(proxy.has_lost());
        assert_eq!(history(&job), ["1 succeeded"], "it cost no attempt: {job}");
        assert_eq!(queue.lines("ran").iter().filter(|ran| **ran == id).count(), 1);
    }
    node.wait_log("the last cycle was committed although its reply was lost");
    assert!(!node.log().contains("stale"), "{}", node.log());
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// A node does not hear that the end of a job was stored.
#[test]
fn an_outcome_whose_commit_is_not_answered_is_recorded_once() {
    let name = "postgres::lost::an_outcome_whose_commit_is_not_answered_is_recorded_once";
    let Some((queue, proxy)) = by_proxy(name, &[("poll_interval", "50ms"), ("max_retries", "0")]) else {
        return;
    };
    let gate = queue.gate("gate");
    let node = start(&queue, &proxy);
    for (round, loss) in [Loss::Answer, Loss::Commit].into_iter().enumerate() {
        let id = queue.enqueue([GATED]);
        queue.wait_lines("started", round + 1);
        proxy.lose(loss);
        gate.open();
        let job = queue.wait_state(&id, "completed");
        assert!(proxy.has_lost());
        assert_eq!(history(&job), ["1 succeeded"], "{job}");
        assert_eq!(queue.lines("started").len(), round + 1, "it ran once");
    }
    assert!(!node.log().contains("stale"), "{}", node.log());
    // The node is as it was.
    let next = queue.enqueue(["true"]);
    queue.wait_state(&next, "completed");
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// Those who only look on wait for a server that is restarted, and see the end.
/// Each question that is asked while a job is followed may be the one that gets no answer.
#[test]
fn whichever_question_is_lost_the_output_is_followed() {
    let name = "postgres::lost::whichever_question_is_lost_the_output_is_followed";
    let Some((queue, proxy)) = by_proxy(name, &[("max_retries", "0")]) else {
        return;
    };
    let location = proxy.location(queue.location().to_str().unwrap());
    let id = queue.enqueue(["echo said"]);
    assert_eq!(queue.drain(&[]), 0);
    let questions: [&[u8]; 3] = [
        b"pg_current_snapshot",
        b"SELECT identity FROM store",
        b"FROM \"attempts\"",
    ];
    for question in questions {
        for loss in [Loss::Commit, Loss::Answer] {
            let what = format!("{loss:?} at {}", String::from_utf8_lossy(question));
            proxy.lose_at(question, loss);
            let mut follow = queue.bare();
            follow.env("QUEUECTL_DB", &location).args(["logs", "-f", &id]);
            let done = finish(follow, None);
            assert!(proxy.has_lost(), "{what}");
            assert_eq!(
                (done.status, done.text().as_str()),
                (0, "said\n"),
                "{what}: {}",
                done.err
            );
            assert!(done.err.contains("waiting for it"), "{what}: {}", done.err);
        }
    }
}

#[test]
fn who_waits_for_a_job_outlives_a_restart_of_the_server() {
    let name = "postgres::lost::who_waits_for_a_job_outlives_a_restart_of_the_server";
    let Some((queue, proxy)) = by_proxy(name, &[]) else {
        return;
    };
    let location = proxy.location(queue.location().to_str().unwrap());
    let gate = queue.gate("gate");
    let node = queue.start(&[]);
    let id =
        queue.enqueue(["echo $QUEUECTL_JOB_ID >> started; echo before; read x < gate; echo after; exit 7"]);
    queue.ok(["config:set", "max_retries", "0"]);
    queue.wait_lines("started", 1);
    let watch = |words: &[&str]| {
        let mut command = queue.bare();
        command.env("QUEUECTL_DB", &location).args(words);
        command
    };
    let (wait, follow) = (watch(&["wait", &id]), watch(&["logs", "-f", &id]));
    let late = watch(&["wait", "--timeout", "300ms", &id]);
    std::thread::scope(|scope| {
        let wait = scope.spawn(|| finish(wait, None));
        let follow = scope.spawn(|| finish(follow, None));
        wait_until("both to watch", || proxy.watchers() == 2);
        proxy.set(Mode::Closed);
        // The control: it does not wait for a node that never existed.
        let said = finish(late, None).fails(6);
        assert!(said.contains("cannot be reached"), "{said}");
        gate.open();
        queue.wait_state(&id, "dead");
        proxy.set(Mode::Open);
        let wait = wait.join().unwrap();
        let said = wait.fails(7);
        assert!(said.contains("waiting for it"), "{said}");
        let follow = follow.join().unwrap();
        follow.expect(0);
        assert_eq!(follow.text(), "before\nafter\n");
        assert!(follow.err.contains("waiting for it"), "{}", follow.err);
    });
    drop(node);
}
