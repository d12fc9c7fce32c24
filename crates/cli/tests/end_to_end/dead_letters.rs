//! Dead jobs by what they died of: `dlq:causes`, and `--cause` of the commands about dead jobs.

use serde_json::Value;

use crate::support::Queue;

/// Two jobs died of one thing, one of another; one waits.
fn dead() -> Queue {
    let queue = Queue::quick();
    let once = ["--max-retries", "0"];
    for (id, in_queue, line) in [
        ("ann", "mail", "echo user 17 was refused && exit 3"),
        ("bob", "video", "echo user 4711 was refused && exit 3"),
        ("full", "mail", "echo disk full && exit 4"),
    ] {
        queue.enqueue([&["--id", id, "--queue", in_queue][..], &once, &[line]].concat());
    }
    queue.enqueue(["--id", "waits", "--hold", "exit 0"]);
    assert_eq!(queue.drain(&[]), 1);
    queue
}

fn key(queue: &Queue, number: usize) -> String {
    let causes = queue.json(["dlq:causes"]);
    causes[number - 1]["cause"].as_str().unwrap().to_owned()
}

fn states(queue: &Queue) -> Vec<String> {
    ["ann", "bob", "full", "waits"].map(|id| queue.state(id)).into()
}

const NOTHING_HAPPENED: [&str; 4] = ["dead", "dead", "dead", "blocked"];

#[test]
fn jobs_are_counted_by_what_they_died_of() {
    let queue = dead();
    let causes = queue.json(["dlq:causes"]);
    let [refused, full] = causes.as_array().unwrap().as_slice() else {
        panic!("two causes: {causes}");
    };
    assert_eq!((&refused["number"], &refused["jobs"]), (&1.into(), &2.into()));
    assert_eq!(refused["error"], "exit status <n>: user <n> was refused");
    assert_eq!(
        (&refused["exit_code"], &refused["program"]),
        (&3.into(), &"echo".into())
    );
    assert_eq!(
        (&refused["outcome"], &refused["signal"]),
        (&"failed".into(), &Value::Null)
    );
    assert_eq!(refused["queues"], serde_json::json!(["mail", "video"]));
    assert!(
        ["ann", "bob"].map(Value::from).contains(&refused["example"]),
        "{refused}"
    );
    assert!(refused["first_died_at"].as_str() <= refused["last_died_at"].as_str());
    assert_eq!((&full["number"], &full["example"]), (&2.into(), &"full".into()));
    // A key is the same however the list is narrowed, a number is not.
    let mail = queue.json(["dlq:causes", "--queue", "mail"]);
    let find = |key: &Value| {
        mail.as_array()
            .unwrap()
            .iter()
            .find(|one| one["cause"] == *key)
            .cloned()
    };
    assert_eq!(find(&refused["cause"]).unwrap()["jobs"], 1);
    assert_eq!(find(&full["cause"]).unwrap()["jobs"], 1);
    assert_eq!(queue.json(["dlq:causes", "--older", "2d"]), serde_json::json!([]));
    let table = queue.ok(["dlq:causes"]);
    assert!(table.contains("echo: user <n> was refused"), "{table}");
    // From a job to its cause, and back.
    let letters = queue.json(["dlq:list", "--cause", &key(&queue, 1)]);
    let ids: Vec<&str> = letters
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["ann", "bob"]);
    assert_eq!(letters[0]["cause"], refused["cause"]);
    assert_eq!(queue.json(["dlq:list"])[2]["cause"], full["cause"]);
    assert_eq!(queue.json(["dlq:list", "--cause", "2"])[0]["id"], "full");
    assert_eq!(queue.ok(["dlq:list", "--cause", "2", "--ids"]), "full");
    assert_eq!(
        queue.json(["dlq:list", "--older-than", "1h"]),
        serde_json::json!([])
    );
    // What is printed can be given to `enqueue`.
    let renamed = letters.to_string().replace("\"ann\"", "\"eva\"");
    queue.write("letters.json", renamed.replace("\"bob\"", "\"leo\""));
    queue.ok(["enqueue", "--from", "letters.json"]);
    assert_eq!(queue.state("eva"), "pending");
    assert_eq!(queue.state("leo"), "pending");
}

#[test]
fn jobs_of_a_cause_are_retried() {
    let queue = dead();
    let key = key(&queue, 1);
    let said = queue.ok(["dlq:retry", "--cause", &key, "--dry-run"]);
    assert_eq!(said, "2 jobs would run again: ann, bob");
    for input in [&b""[..], b"y\n"] {
        let said = queue.run_with(["dlq:retry", "--cause", &key], input).fails(2);
        assert!(
            said.contains("2 dead jobs of this cause (echo: exit status <n>: user <n> was refused)"),
            "{said}"
        );
        assert!(
            said.contains("needs --yes without a terminal; nothing was retried"),
            "{said}"
        );
    }
    assert_eq!(
        queue.json(["dlq:retry", "--cause", &key, "--older-than", "1h", "--yes"])["jobs"],
        0
    );
    // Filters narrow what is named.
    let done = queue.run(["dlq:retry", "full", "--cause", &key]);
    assert_eq!((done.status, done.text().as_str()), (4, ""), "{}", done.err);
    assert!(
        done.err.contains("job 'full' died of another cause, "),
        "{}",
        done.err
    );
    let done = queue.run(["dlq:retry", "ann", "--cause", &key, "--older", "1h"]);
    assert_eq!((done.status, done.text().as_str()), (4, ""), "{}", done.err);
    assert_eq!(states(&queue), NOTHING_HAPPENED);
    assert_eq!(
        queue.ok(["dlq:retry", "--cause", &key, "--queue", "mail", "--yes"]),
        "1 job will run again"
    );
    assert_eq!(states(&queue), ["pending", "dead", "dead", "blocked"]);
    assert_eq!(queue.ok(["dlq:retry", "bob", "--cause", &key]), "bob pending");
    assert_eq!(states(&queue), ["pending", "pending", "dead", "blocked"]);
    // Repeated, it finds nothing more to do.
    assert_eq!(queue.json(["dlq:retry", "--cause", &key])["jobs"], 0);
    // They die of the same again.
    assert_eq!(queue.drain(&[]), 1);
    assert_eq!(queue.json(["dlq:retry", "--cause", &key, "--dry-run"])["jobs"], 2);
}

#[test]
fn jobs_of_a_cause_are_purged() {
    let queue = dead();
    let said = queue.fails(3, ["dlq:purge", "--cause", "3", "--yes"]);
    assert!(said.contains("there is no cause 3, only 1 to 2"), "{said}");
    let said = queue.fails(2, ["dlq:purge", "--cause", "nonsense", "--yes"]);
    assert!(said.contains("'nonsense' is not the key of a cause"), "{said}");
    let said = queue.fails(2, ["dlq:purge", "--cause", "1"]);
    assert!(said.contains("nothing was removed"), "{said}");
    assert_eq!(
        queue.json(["dlq:purge", "--cause", "1", "--dry-run"]),
        serde_json::json!({"jobs": 2, "first": ["ann", "bob"]})
    );
    assert_eq!(
        queue.json(["dlq:purge", "--all", "--older", "1h", "--dry-run"])["jobs"],
        0
    );
    assert_eq!(states(&queue), NOTHING_HAPPENED);
    assert_eq!(queue.ok(["dlq:purge", "--cause", "1", "--yes"]), "2 jobs purged");
    assert_eq!(queue.state("full"), "dead");
    assert_eq!(queue.state("waits"), "blocked");
    queue.fails(3, ["show", "ann"]);
    assert_eq!(queue.json(["db:check"])["ok"], true);
}
