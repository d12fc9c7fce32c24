//! Schedules: from the command that adds one to the jobs that it makes.

#[cfg(unix)]
use std::collections::BTreeMap;

use serde_json::Value;

#[cfg(unix)]
use crate::support::wait_until;
use crate::support::{Queue, wait_for};

/// Writes a line with what the job knows of its tick.
#[cfg(unix)]
const SAY: &str = "echo $QUEUECTL_SCHEDULE $QUEUECTL_SCHEDULED_AT $QUEUECTL_TICK >> ticks";

fn ticks(queue: &Queue, schedule: &str) -> Vec<Value> {
    let shown = queue.json(["schedule:show", schedule]);
    let mut ticks = shown["ticks"].as_array().unwrap().clone();
    ticks.reverse();
    ticks
}

#[cfg(unix)]
fn ran(tick: &Value) -> bool {
    !tick["result"].as_str().unwrap().starts_with("skipped")
}

#[cfg(unix)]
#[test]
fn a_schedule_makes_jobs_that_know_their_tick() {
    let queue = Queue::quick();
    let added = queue.ok(["schedule:add", "often", "@every 1s", "--tz", "UTC", SAY]);
    assert!(added.starts_with("schedule often added; next "), "{added}");
    let bystander = queue.ok(["schedule:add", "yearly", "@yearly", "--", "false"]);
    assert!(bystander.contains("next "), "{bystander}");
    let node = queue.start(&[]);
    queue.wait_lines("ticks", 2);
    queue.ok(["schedule:pause", "often", "--reason", "enough"]);
    drop(node);
    let lines = queue.lines("ticks");
    let made: Vec<Value> = ticks(&queue, "often").into_iter().filter(ran).collect();
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[0], words.len()), ("often", 3), "{line}");
        let tick = made.iter().find(|tick| {
            let at = tick["at"].as_str().unwrap();
            at.replace(".000Z", "Z") == words[1]
        });
        assert_eq!(tick.unwrap()["result"], words[2], "{line}");
    }
    // The job says so, too, and a job without a schedule does not.
    let id = made[0]["job"].to_string();
    let job = queue.job(&id);
    assert_eq!(
        (job["schedule"].as_str(), &job["scheduled_at"]),
        (Some("often"), &made[0]["at"])
    );
    assert!(queue.ok(["show", &id]).contains("schedule      often, for "));
    let plain = queue.enqueue(["true"]);
    assert_eq!(queue.job(&plain)["schedule"], Value::Null);
    assert!(ticks(&queue, "yearly").is_empty());
    let listed = queue.ok(["schedule:list"]);
    assert!(
        listed.contains("enough") && listed.lines().count() == 3,
        "{listed}"
    );
}

#[test]
fn schedules_are_changed_and_mistakes_are_named() {
    let queue = Queue::new();
    let said = queue.fails(2, ["schedule:add", "x", "61 * * * *", "true"]);
    assert!(said.contains("invalid minute '61': expected 0 to 59"), "{said}");
    let said = queue.fails(2, ["schedule:add", "x", "@daily", "--tz", "Mars/Olympus", "true"]);
    assert!(said.contains("unknown time zone 'Mars/Olympus'"), "{said}");
    let said = queue.fails(2, ["schedule:add", "x", "@daily", "--delay", "5s", "true"]);
    assert!(said.contains("leave --delay and --run-at out"), "{said}");
    assert!(!queue.exists(), "a mistake makes no queue");

    let berlin = [
        "schedule:add",
        "backup",
        "30 2 * * *",
        "--tz",
        "Europe/Berlin",
        "--",
        "echo",
        "full",
    ];
    queue.ok(berlin);
    let said = queue.fails(4, berlin);
    assert!(said.contains("already a schedule 'backup'"), "{said}");
    let next = queue.json(["schedule:next", "backup", "--count", "400"]);
    let next = next.as_array().unwrap();
    assert_eq!(next.len(), 400);
    let gap = next
        .iter()
        .filter(|time| time["local"].as_str().unwrap().contains(" 03:00:00 +02:00"));
    assert!(gap.count() >= 1, "the night without 02:30 is among these");
    let changed = queue.ok([
        "schedule:edit",
        "backup",
        "--when",
        "@every 1h",
        "--overlap",
        "allow",
        "--jitter",
        "5m",
    ]);
    assert!(changed.starts_with("schedule backup changed; next "), "{changed}");
    let shown = queue.json(["schedule:show", "backup"]);
    assert_eq!(
        (
            shown["when"].as_str(),
            shown["tz"].as_str(),
            shown["overlap"].as_str(),
            shown["command"].as_str()
        ),
        (
            Some("@every 1h"),
            Some("Europe/Berlin"),
            Some("allow"),
            Some("echo full")
        )
    );
    assert_eq!(shown["jitter_ms"], 300_000);
    let by_hand = queue.ok(["schedule:run", "backup"]);
    assert_eq!(queue.job(&by_hand)["argv"][1], "full");
    queue.ok(["schedule:edit", "backup", "--when", "0 * * * *"]);
    let fill = |more: &[&str]| {
        let (from, to) = (["--from", "2020-01-01 00:00"], ["--to", "2020-01-01 05:00"]);
        queue.ok([&["schedule:backfill", "backup"], &from[..], &to, more].concat())
    };
    let would = fill(&["--dry-run"]);
    assert!(
        would.lines().count() == 6 && would.starts_with("a job for Wed 2020-01-01"),
        "{would}"
    );
    assert_eq!(queue.jobs().len(), 1, "none of them is stored");
    let filled = fill(&[]);
    assert_eq!(filled.lines().count(), 6, "{filled}");
    assert_eq!(fill(&[]), "");
    assert_eq!(fill(&["--dry-run"]), "", "they have their jobs");
    // Missed ticks come at once.
    let edit = |args: &[&str]| queue.run([&["schedule:edit", "backup"], args].concat()).err;
    let said = edit(&["--missed", "all", "--overlap", "skip"]);
    assert!(
        said.contains("runs one of them") && said.contains("--overlap queue"),
        "{said}"
    );
    assert_eq!(edit(&["--overlap", "queue"]), "", "the control");
    assert_eq!(queue.ok(["schedule:remove", "backup"]), "schedule backup removed");
    let said = queue.fails(3, ["schedule:show", "backup"]);
    assert!(said.contains("no schedule 'backup'"), "{said}");
    assert_eq!(queue.jobs().len(), 7, "its jobs stay");
}

#[test]
fn a_crontab_is_imported_whole_or_not_at_all() {
    let queue = Queue::new();
    let crontab = "MAILTO=ann\nCRON_TZ=Europe/Berlin\nGREETING=hello\n\
                   */5 * * * * /opt/bin/poll.sh --all\n0 3 * * 1 cat > letter%Dear $GREETING%bye\n";
    queue.write("crontab", crontab);
    let shown = queue.ok(["schedule:import", "crontab", "--dry-run"]);
    assert!(shown.contains("poll.sh") && shown.contains("2016"), "{shown}");
    assert!(!queue.exists(), "a dry run makes nothing");
    queue.ok(["schedule:import", "crontab"]);
    let listed = queue.json(["schedule:list"]);
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["schedule"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["cat", "poll.sh"]);
    assert_eq!(
        (listed[0]["tz"].as_str(), listed[0]["missed"].as_str()),
        (Some("Europe/Berlin"), Some("skip"))
    );
    let job = queue.ok(["schedule:run", "cat"]);
    let job = queue.run(["--json", "show", &job, "--secrets"]).json();
    assert_eq!(
        (job["stdin"].as_str(), job["env"]["GREETING"].as_str()),
        (Some("Dear $GREETING\nbye\n"), Some("hello"))
    );
    queue.write("broken", "0 4 * * * fine\n@reboot x\n99 * * * * y\n");
    let said = queue.fails(2, ["schedule:import", "broken"]);
    assert!(
        said.contains("nothing was stored: line 2: '@reboot'")
            && said.contains("line 3: invalid minute '99'"),
        "{said}"
    );
    assert_eq!(queue.json(["schedule:list"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_file_is_applied_to_the_schedules_of_its_owner() {
    let queue = Queue::quick();
    queue.ok(["schedule:add", "mine", "@daily", "true"]);
    let apply = |text: &str, more: &[&str]| {
        queue.write("file.json", text);
        queue.ok([&["schedule:apply", "file.json", "--owner", "web"], more].concat())
    };
    let first = r#"[{"name":"a","when":"@hourly","job":"true"},{"name":"b","when":"@daily","job":{"command":"date","queue":"mail"},"jitter":"5m"}]"#;
    assert!(apply(first, &["--dry-run"]).contains("schedule a would be added"));
    assert_eq!(apply(first, &[]), "schedule a added\nschedule b added");
    assert_eq!(apply(first, &[]), "schedule a unchanged\nschedule b unchanged");
    let second = r#"[{"name":"b","when":"@weekly","job":{"command":"date","queue":"mail"},"jitter":"5m"},{"name":"c","when":"@daily","job":"true"}]"#;
    assert_eq!(
        apply(second, &[]),
        "schedule b changed\nschedule c added\nschedule a removed"
    );
    queue.write(
        "file.json",
        r#"[{"name":"mine","when":"@daily","job":"true"},{"name":"d","when":"@daily","job":"true"}]"#,
    );
    let said = queue.fails(4, ["schedule:apply", "file.json", "--owner", "web"]);
    assert!(said.contains("'mine'"), "{said}");
    let left = queue.json(["schedule:list", "--owner", "web"]);
    assert_eq!(left.as_array().unwrap().len(), 2, "nothing was changed");
    assert_eq!(queue.json(["schedule:list"]).as_array().unwrap().len(), 3);
}

/// Nodes that are killed again and again, also while they make a tick: each tick has one row, and each that ran one job.
#[cfg(unix)]
#[test]
fn killed_nodes_neither_double_nor_lose_a_tick() {
    let queue = Queue::quick();
    let words = [
        "schedule:add",
        "often",
        "@every 1s",
        "--overlap",
        "allow",
        "--missed",
        "all",
        "--",
        "true",
    ];
    queue.ok(words);
    let begun = queue.json(["schedule:show", "often"])["next_due"].clone();
    let mut nodes = [queue.start(&[]), queue.start(&[])];
    for round in 0..8 {
        let before = ticks(&queue, "often").len();
        wait_until("the next tick", || ticks(&queue, "often").len() > before);
        let node = &mut nodes[round % 2];
        node.kill_dispatcher();
        *node = queue.start(&[]);
    }
    queue.ok(["schedule:pause", "often"]);
    let next = queue.json(["schedule:show", "often"])["next_due"].clone();
    let ms = |value: &Value| crate::support::time_ms(value);
    let rows = ticks(&queue, "often");
    // Without a gap, from the first to the last.
    let mut expected = ms(&begun);
    for row in &rows {
        assert_eq!(ms(&row["at"]), expected, "{row}");
        expected = ms(&row["last_at"]) + 1000;
    }
    assert_eq!(expected, ms(&next));
    let mut by_tick: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for job in queue.jobs() {
        let id = job["id"].as_str().unwrap().to_owned();
        let at = queue.job(&id)["scheduled_at"].as_str().unwrap().to_owned();
        by_tick.entry(at).or_default().push(id);
    }
    for row in rows.iter().filter(|row| ran(row)) {
        let jobs = &by_tick[row["at"].as_str().unwrap()];
        assert_eq!(jobs, &[row["job"].to_string()]);
    }
    assert_eq!(by_tick.len(), rows.iter().filter(|row| ran(row)).count());
    assert!(rows.len() >= 8, "{}", rows.len());
}

/// A node that has no slot free makes ticks all the same, and one without anything to do sleeps until the next.
#[test]
fn ticks_are_made_on_time_by_a_full_node() {
    let queue = Queue::quick();
    let node = queue.start(&[]);
    let blocker = queue.enqueue([crate::support::jobs::FOREVER]);
    queue.wait_state(&blocker, "processing");
    queue.ok(["schedule:add", "often", "@every 1s", "--overlap", "allow", "true"]);
    let made = wait_for("two ticks", || {
        let made = ticks(&queue, "often");
        (made.len() >= 2).then_some(made)
    });
    assert_eq!(made[0]["result"], "on-time", "{made:?}");
    queue.ok(["cancel", &blocker]);
    drop(node);
}
