//! Storing many jobs from lines of JSON: each batch completely or not at all.

use std::fmt::Write as _;

use crate::support::Queue;

#[test]
fn lines_are_objects_or_command_lines() {
    let queue = Queue::new();
    let file = "{\"id\":\"a\",\"command\":\"one\",\"priority\":3}\n\n\"two words\"\r\n{\"command\":[\"three\"],\"queue\":\"own\"}";
    queue.write("jobs", file);
    assert_eq!(
        queue.ok(["enqueue", "--from", "jobs", "--queue", "given"]),
        "a\n2\n3"
    );
    let jobs = queue.jobs();
    let commands: Vec<_> = jobs.iter().map(|job| job["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["one", "two words", "three"]);
    assert_eq!(jobs[0]["priority"], 3);
    // Options win over fields.
    assert!(jobs.iter().all(|job| job["queue"] == "given"), "{jobs:?}");
    let piped = queue.run_with(["enqueue", "--from", "-", "--json"], b"\"x\"\n\"y\"\n");
    let line = |id: u32| format!("{{\"id\":\"{id}\",\"existing\":false,\"replaced\":null}}");
    assert_eq!(piped.ok(), format!("{}\n{}", line(4), line(5)));
    queue.fails(2, ["enqueue", "--from", "missing"]);
    queue.fails(2, ["enqueue", "--from", "jobs", "echo"]);
    assert_eq!(queue.jobs().len(), 5);
}

#[test]
fn bad_lines_are_all_named_and_nothing_is_stored() {
    let queue = Queue::new();
    let mut file = Vec::new();
    file.extend(
        b"\"good\"\n{\"comand\":\"x\"}\n\"good\"\nnonsense\n{\"command\":\"x\",\"priority\":9999999}\n",
    );
    file.extend(b"\"\xff\"\n");
    file.extend(vec![b'a'; 2_000_000]);
    file.extend(b"\n{\"command\":\"\"}\n");
    queue.write("jobs", file);
    let said = queue.fails(2, ["enqueue", "--from", "jobs"]);
    for wanted in [
        "line 2: there is no field \"comand\"; did you mean \"command\"?",
        "line 4: \"nonsense\" is not JSON; put a command line in double quotes, as `jq -R .` does",
        "line 5: ",
        "line 6: the line is not valid UTF-8",
        "line 7: the job is longer than",
        "line 8: ",
        "6 bad lines; no job was stored",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    assert!(!said.contains("line 1:") && !said.contains("line 3:"), "{said}");
    assert_eq!(queue.jobs().len(), 0);
}

#[test]
fn a_byte_order_mark_is_passed_over_and_wide_text_is_named() {
    let queue = Queue::new();
    // Two files put together, each with a mark.
    queue.write("jobs", "\u{feff}{\"command\":\"a\"}\n\u{feff}\"b\"\n");
    queue.ok(["enqueue", "--from", "jobs"]);
    queue.ok(["enqueue", "\u{feff}{\"command\":\"c\"}"]);
    queue.ok(["enqueue", "\u{feff}d"]);
    let jobs = queue.jobs();
    let commands: Vec<_> = jobs.iter().map(|job| job["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["a", "b", "c", "d"]);
    let text = "{\"command\":\"a\"}\n".encode_utf16();
    let wide: Vec<u8> = text.flat_map(u16::to_le_bytes).collect();
    for mark in [&b"\xff\xfe"[..], b""] {
        let said = queue
            .run_with(["enqueue", "--from", "-"], &[mark, &wide].concat())
            .fails(2);
        assert!(said.contains("line 1: the text is UTF-16"), "{said}");
    }
    assert_eq!(queue.jobs().len(), 4);
}

#[test]
fn earlier_batches_stay_and_the_message_says_where_to_go_on() {
    let queue = Queue::new();
    let mut file = String::new();
    for line in 1..=1500 {
        let command = if line == 1200 { "{}" } else { "\"true\"" };
        writeln!(file, "{command}").unwrap();
    }
    queue.write("jobs", &file);
    let done = queue.run(["enqueue", "--from", "jobs"]);
    assert_eq!(done.text().lines().count(), 1000);
    let said = done.fails(2);
    assert!(said.contains("line 1200: "), "{said}");
    assert!(
        said.contains("1000 jobs were stored, from lines 1 to 1000; nothing from line 1001 on"),
        "{said}"
    );
    assert_eq!(queue.jobs().len(), 1000);
    // What the hint says, with the line corrected.
    let rest: Vec<&str> = file
        .lines()
        .skip(1000)
        .map(|line| if line == "{}" { "\"fixed\"" } else { line })
        .collect();
    queue
        .run_with(["enqueue", "--from", "-"], rest.join("\n").as_bytes())
        .ok();
    assert_eq!(queue.jobs().len(), 1500);
}

#[test]
fn a_taken_id_refuses_its_batch_and_names_its_line() {
    let queue = Queue::new();
    queue.enqueue(["--id", "taken", "first"]);
    let lines = b"\"a\"\n\n{\"id\":\"taken\",\"command\":\"b\"}\n\"c\"\n";
    let said = queue.run_with(["enqueue", "--from", "-"], lines).fails(4);
    assert!(said.contains("line 3") && said.contains("'taken'"), "{said}");
    let twice = b"{\"id\":\"new\",\"command\":\"b\"}\n{\"id\":\"new\",\"command\":\"c\"}\n";
    let said = queue.run_with(["enqueue", "--from", "-"], twice).fails(4);
    assert!(said.contains("line 2") && said.contains("'new'"), "{said}");
    let jobs = queue.jobs();
    assert_eq!((jobs.len(), jobs[0]["command"].as_str()), (1, Some("first")));
}

/// What an enqueue has said to be stored is stored, even if it is killed in the middle.
#[test]
fn a_killed_enqueue_has_stored_what_it_said() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;

    let queue = Queue::new();
    let mut enqueue = queue
        .command(["enqueue", "--from", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = enqueue.stdin.take().unwrap();
    to.write_all("\"exit 0\"\n".repeat(1500).as_bytes()).unwrap();
    let said = BufReader::new(enqueue.stdout.take().unwrap());
    let said: Vec<String> = said.lines().take(1000).map(Result::unwrap).collect();
    // The second batch is not full, so it waits for the rest of its lines.
    enqueue.kill().unwrap();
    enqueue.wait().unwrap();
    let stored: Vec<String> = queue
        .jobs()
        .iter()
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(stored, said);
}
