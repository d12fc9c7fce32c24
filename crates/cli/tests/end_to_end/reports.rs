//! What the commands of jobs say about their jobs: progress, checkpoints, results.

use serde_json::{Value, json};

use crate::support::{Queue, binary, wait_until};

/// Reports, says so in a file, and waits for a file that is called by its attempt. Only the second attempt succeeds.
fn reporting(queue: &Queue) -> String {
    let log = queue.path("log");
    format!(
        "echo start=$QUEUECTL_CHECKPOINT >> log; '{program}' job progress 40 --message 'page 4' && \
         '{program}' job checkpoint page=$QUEUECTL_ATTEMPT && \
         echo '{{\"attempt\": '$QUEUECTL_ATTEMPT'}}' | '{program}' job:result - && echo reported >> {log}; \
         while [ ! -e go-$QUEUECTL_ATTEMPT ]; do sleep 0.05; done; [ $QUEUECTL_ATTEMPT = 2 ]",
        program = binary().display(),
        log = log.display()
    )
}

#[test]
fn a_job_reports_and_its_next_attempt_goes_on_from_the_checkpoint() {
    let queue = Queue::quick();
    queue.enqueue(["--max-retries", "1", &reporting(&queue)]);
    queue.enqueue(["echo up >> bystander; while [ ! -e go-2 ]; do sleep 0.05; done"]);
    let _node = queue.start(&["--count", "2"]);
    assert_eq!(queue.wait_lines("log", 2), ["start=", "reported"]);
    queue.wait_lines("bystander", 1);
    let shown = queue.json(["show", "1"]);
    let progress = &shown["progress"];
    assert_eq!(
        (&progress["percent"], &progress["message"]),
        (&json!(40), &json!("page 4"))
    );
    assert_eq!(
        (&shown["result"], &shown["checkpoint"]),
        (&json!({"attempt": 1}), &json!("page=1"))
    );
    let listed = queue.ok(["list", "--state", "processing"]);
    assert!(listed.contains("PROGRESS") && listed.contains("40 %"), "{listed}");
    let text = queue.ok(["show", "1"]);
    assert!(
        text.contains("40 %, page 4") && text.contains("{\"attempt\":1}"),
        "{text}"
    );
    assert_eq!(queue.job("2")["progress"], Value::Null);
    assert_eq!(queue.json(["show", "2"])["result"], Value::Null);

    queue.write("go-1", "");
    assert_eq!(queue.wait_lines("log", 4)[2..], ["start=page=1", "reported"]);
    // A process of the first attempt that is still there is refused. The control: one of the second is not.
    let as_attempt = |fence: &str, text: &str| {
        let mut command = queue.command(["job", "checkpoint", text]);
        command.env("QUEUECTL_JOB_ID", "1").env("QUEUECTL_FENCE", fence);
        crate::support::finish(command, None)
    };
    let refused = as_attempt("1", "stale").fails(4);
    assert!(refused.contains("a later attempt has begun"), "{refused}");
    assert_eq!(queue.json(["show", "1"])["checkpoint"], "page=2");
    as_attempt("2", "fresh").ok();
    assert_eq!(queue.json(["show", "1"])["checkpoint"], "fresh");

    queue.write("go-2", "");
    queue.wait_state("1", "completed");
    let shown = queue.json(["show", "1"]);
    assert_eq!(
        (&shown["result"], &shown["checkpoint"]),
        (&json!({"attempt": 2}), &json!("fresh"))
    );
    let refused = as_attempt("2", "late").fails(4);
    assert!(refused.contains("this attempt has ended"), "{refused}");
    wait_until("the bystander ends", || queue.state("2") == "completed");
}

#[test]
fn many_reports_wait_for_their_turn_and_the_last_counts() {
    let queue = Queue::quick();
    let program = binary();
    queue.enqueue([format!(
        "for n in 1 2 3 4 5 6 7 8 9; do '{}' job progress $n$n || exit 1; done; echo done >> log; \
         while [ ! -e go ]; do sleep 0.05; done",
        program.display()
    )]);
    let _node = queue.start(&[]);
    queue.wait_lines("log", 1);
    assert_eq!(queue.job("1")["progress"]["percent"], 99);
    queue.write("go", "");
    queue.wait_state("1", "completed");
    assert_eq!(queue.jobs()[0]["progress"], Value::Null);
    assert_eq!(queue.json(["show", "1"])["progress"]["percent"], 99);
}

#[test]
fn what_is_no_report_is_refused() {
    let queue = Queue::quick();
    queue.enqueue(["true"]);
    let said = queue.fails(2, ["job", "progress", "40"]);
    assert!(said.contains("QUEUECTL_JOB_ID"), "{said}");
    for (words, why) in [
        (vec!["progress", "101"], "from 0 to 100"),
        (vec!["progress"], "required"),
        (vec!["checkpoint"], "required"),
        (vec!["result", "{"], "not valid JSON"),
        (vec!["result", "{\"a\":1,\"a\":2}"], "given twice"),
    ] {
        let mut command = queue.command([&["job"], words.as_slice()].concat());
        command.env("QUEUECTL_JOB_ID", "1").env("QUEUECTL_FENCE", "1");
        let said = crate::support::finish(command, None).fails(2);
        assert!(said.contains(why), "{words:?}: {said}");
    }
}
