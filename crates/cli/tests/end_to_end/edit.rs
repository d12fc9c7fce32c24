//! Changing jobs that are stored: by options, to another priority or queue, and in an editor.

use serde_json::json;

use crate::support::Queue;
use crate::support::jobs::variable;

#[test]
fn jobs_are_changed_by_options() {
    let queue = Queue::quick();
    queue.enqueue(["--env", "WHO=ann", "exit 3"]);
    queue.enqueue(["--queue", "mail", "echo bystander"]);
    queue.enqueue(["--queue", "mail", "--hold", "echo held"]);
    let command = format!("echo {} {}", variable("WHO"), variable("WHERE"));
    let words = [
        "edit",
        "--command",
        &command,
        "--env",
        "WHERE=here",
        "--timeout",
        "1h",
        "1",
    ];
    assert_eq!(queue.ok(words), "1 changed");
    assert_eq!(queue.ok(["edit", "1", "--timeout", "1h"]), "1 unchanged");
    let job = queue.job("1");
    assert_eq!(
        (&job["timeout_ms"], &job["env"]["WHERE"]),
        (&json!(3_600_000), &json!("here"))
    );
    assert_eq!(queue.ok(["edit", "1", "--unset", "timeout"]), "1 changed");
    assert_ne!(queue.job("1")["timeout_ms"], json!(3_600_000));
    assert_eq!(
        queue.ok(["priority", "-7", "last", "1"]),
        "last changed\n1 changed"
    );
    assert_eq!(
        queue.ok(["move", "post", "queue=mail", "state=blocked", "--yes"]),
        "1 job moved"
    );
    assert_eq!(
        (
            queue.job("3")["queue"].clone(),
            queue.job("3")["priority"].clone()
        ),
        (json!("post"), json!(-7))
    );
    assert_eq!(
        queue.json(["edit", "1", "--max-retries", "0"]),
        json!({"id": "1", "result": "changed"})
    );
    assert_eq!(
        queue.json(["priority", "1", "queue=post", "--dry-run"]),
        json!({"jobs": 1, "first": ["3"]})
    );
    let bystander = queue.job("2");
    assert_eq!(
        (&bystander["queue"], &bystander["priority"]),
        (&json!("mail"), &json!(0))
    );
    queue.drain(&[]);
    assert_eq!(queue.ok(["logs", "1"]), "ann here");
    for (status, words, said) in [
        (4, &["edit", "1", "--priority", "1"][..], "is completed"),
        (2, &["edit", "3", "2"], "an editor takes one job"),
        (2, &["edit", "3", "--dry-run"], "--dry-run needs options"),
        (2, &["edit", "3", "--unset", "id"], "expected command"),
        (2, &["edit", "3", "--id", "x"], "unexpected argument '--id'"),
        (2, &["priority", "high", "3"], "expected a whole number"),
        (
            2,
            &["move", "post", "state=completed", "--yes"],
            "cannot be moved",
        ),
        (3, &["edit", "3", "--limit", "none"], "there is no limit 'none'"),
        (3, &["move", "post", "77"], "there is no job '77'"),
        (4, &["edit", "3", "--unset", "command"], "needs a \"command\""),
    ] {
        let error = queue.fails(status, words);
        assert!(error.contains(said), "{words:?}: {error}");
    }
}

#[test]
fn a_dead_job_is_changed_before_it_runs_again() {
    let queue = Queue::quick();
    queue.enqueue(["--max-retries", "0", "exit 3"]);
    queue.enqueue(["--max-retries", "0", "exit 4"]);
    queue.drain(&[]);
    assert_eq!(
        queue.ok(["edit", "state=dead", "exit=3", "--command", "exit 0", "--yes"]),
        "1 job changed"
    );
    let refused = queue.fails(4, ["edit", "1", "--delay", "1h"]);
    assert!(refused.contains("a dead job has no time to start"), "{refused}");
    queue.ok(["dlq:retry", "1", "2"]);
    queue.drain(&[]);
    assert_eq!(
        (queue.state("1"), queue.state("2")),
        ("completed".into(), "dead".into())
    );
}

#[cfg(unix)]
mod editor {
    use std::os::unix::fs::PermissionsExt as _;

    use crate::support::{Queue, binary, finish};

    /// An editor that runs these lines; the file is `$1`.
    fn editor(queue: &Queue, lines: &str) -> String {
        let path = queue.write("editor", format!("#!/bin/sh\n{lines}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn edit(queue: &Queue, editor: &str) -> crate::support::Done {
        let mut command = queue.command(["edit", "1"]);
        command
            .env("LOCATION", queue.location())
            .env("TMPDIR", queue.path("."))
            .env_remove("VISUAL")
            .env("EDITOR", editor);
        finish(command, None)
    }

    fn drafts(queue: &Queue) -> Vec<String> {
        let files = std::fs::read_dir(queue.path(".")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("queuectl-edit-")).collect()
    }

    #[test]
    fn a_job_is_changed_in_an_editor() {
        let queue = Queue::quick();
        queue.enqueue(["--env", "TOKEN=secret", "--id", "mine", "echo a"]);
        let script = editor(
            &queue,
            "cp \"$1\" seen; sed -i 's/echo a/echo b/; s/^{/{ \"priority\": 4,/; /\"priority\": 0/d' \"$1\"",
        );
        assert_eq!(edit(&queue, &script).ok(), "mine changed");
        let job = queue.job("mine");
        assert_eq!((&job["command"], &job["priority"]), (&"echo b".into(), &4.into()));
        let seen = queue.read("seen");
        assert!(
            seen.contains("\"TOKEN\": \"secret\"") && !seen.contains("\"id\""),
            "{seen}"
        );
        // One that fails, with nothing to keep.
        let said = edit(&queue, "false").fails(2);
        assert!(said.contains("failed") && !said.contains("your text"), "{said}");
        // With arguments of its own; and one that changes nothing.
        assert_eq!(edit(&queue, "sed -i s/4/5/").ok(), "mine changed");
        assert_eq!(queue.job("mine")["priority"], 5);
        assert_eq!(edit(&queue, "true").ok(), "mine unchanged");
        assert_eq!(drafts(&queue), <[String; 0]>::default());
    }

    #[test]
    fn a_text_that_is_not_taken_stays_in_its_file() {
        let queue = Queue::quick();
        queue.enqueue(["echo a"]);
        // Right at the second time: it is told what was wrong.
        let script = editor(
            &queue,
            "if grep -q 'must be a whole' \"$1\"; then sed -i 's/\"many\"/8/' \"$1\"; else sed -i 's/: 0/: \"many\"/' \"$1\"; fi",
        );
        let done = edit(&queue, &script);
        assert!(done.err.contains("this was not taken"), "{}", done.err);
        assert_eq!(
            (done.ok(), queue.job("1")["priority"].clone()),
            ("1 changed".into(), 8.into())
        );
        let script = editor(&queue, "sed -i 's/: 8/: \"many\"/' \"$1\"");
        let said = edit(&queue, &script).fails(2);
        assert!(said.contains("your text is in"), "{said}");
        let [kept] = &drafts(&queue)[..] else {
            panic!("one file: {:?}", drafts(&queue))
        };
        assert!(queue.read(kept).contains("many"));
        assert_eq!(queue.job("1")["priority"], 8);
    }

    #[test]
    fn a_job_that_changed_meanwhile_stays_as_it_is() {
        let queue = Queue::quick();
        queue.enqueue(["echo a"]);
        let other = format!(
            "'{}' --db \"$LOCATION\" priority 3 1 && sed -i 's/echo a/echo b/' \"$1\"",
            binary().display()
        );
        let script = editor(&queue, &other);
        let said = edit(&queue, &script).fails(4);
        assert!(
            said.contains("started or changed while it was being edited"),
            "{said}"
        );
        assert_eq!(drafts(&queue).len(), 1, "{said}");
        let job = queue.job("1");
        assert_eq!((&job["command"], &job["priority"]), (&"echo a".into(), &3.into()));
        // The control: nothing comes between.
        assert_eq!(edit(&queue, "sed -i 's/echo a/echo b/'").ok(), "1 changed");
        queue.drain(&[]);
        let said = edit(&queue, "true").fails(4);
        assert!(said.contains("is completed"), "{said}");
    }
}
