//! Settings: kept with the queue, checked, and taken up by running nodes.

use crate::support::Queue;

#[test]
fn settings_are_set_read_and_given_back() {
    let queue = Queue::new();
    assert_eq!(queue.ok(["config:set", "max-retries", "7"]), "max_retries = 7");
    assert_eq!(queue.ok(["config:get", "MAX_RETRIES"]), "7");
    assert_eq!(
        queue.ok(["config:set", "kill_grace", "90s"]),
        "kill_grace = 1 m 30 s"
    );
    let all = queue.json(["config:list"]);
    let of = |key: &str| {
        let mut all = all.as_array().unwrap().iter();
        all.find(|setting| setting["key"] == key).unwrap().clone()
    };
    assert_eq!(
        (&of("max_retries")["value"], &of("max_retries")["set"]),
        (&"7".into(), &true.into())
    );
    assert_eq!(
        (&of("backoff_base")["value"], &of("backoff_base")["set"]),
        (&"2".into(), &false.into())
    );
    assert_eq!(queue.json(["config:get", "max_retries"])["default"], "4");
    assert_eq!(
        queue.ok(["config:unset", "max_retries"]),
        "max_retries = 4 (default)"
    );
    assert_eq!(queue.ok(["config:get", "max_retries"]), "4");
    assert_eq!(
        queue.ok(["config:get", "kill_grace"]),
        "1 m 30 s",
        "the bystander"
    );
}

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    let queue = Queue::new();
    let said = queue.fails(2, ["config:set", "max_retry", "3"]);
    assert!(said.contains("did you mean 'max_retries'?"), "{said}");
    assert!(
        !queue
            .fails(2, ["config:set", "zzz", "3"])
            .contains("did you mean")
    );
    for (key, value, range) in [
        ("max_retries", "many", "a whole number from 0 to 1000"),
        ("max_retries", "-1", "a whole number from 0 to 1000"),
        ("max_retries", "1001", "a whole number from 0 to 1000"),
        ("backoff_base", "0.9", "a number from 1 to 3600"),
        ("kill_grace", "5 6", "such as 500ms, 30s or 1h 5m"),
        ("lease", "1s", "a time from 5 s to 1 h"),
        ("job_timeout", "0", "or none"),
        ("output_limit", "1TB", "a size up to 16MiB"),
        ("leftovers", "keep", "one of: kill, leave"),
        ("shell", "", "a program name or path"),
    ] {
        let said = queue.fails(2, ["config:set", key, value]);
        assert!(
            said.contains(&format!("invalid value '{value}' for {key}: expected ")),
            "{said}"
        );
        assert!(said.contains(range), "{key}={value}: {said}");
    }
    assert!(!queue.exists(), "a mistake makes no queue");
    queue.ok(["config:set", "max_retries", "3"]);
    queue.fails(2, ["config:set", "max_retries", "many"]);
    assert_eq!(queue.ok(["config:get", "max_retries"]), "3");
}

#[test]
fn executors_have_their_say_about_their_own_settings() {
    let queue = Queue::new();
    for (executor, name, value, why) in [
        ("shell", "nise", "5", "nice"),
        ("shell", "memory", "much", "memory"),
        #[cfg(unix)]
        ("http", "alow_private", "true", "allow_private"),
        #[cfg(unix)]
        ("http", "max_output", "much", "max_output"),
    ] {
        let key = &format!("{executor}.{name}");
        let said = queue.fails(2, ["config:set", key, value]);
        assert!(
            said.contains(&format!("the executor '{executor}' refuses {key}")),
            "{said}"
        );
        assert!(said.contains(why), "{said}");
    }
    assert!(!queue.db().exists(), "a mistake makes no queue");
    assert_eq!(
        queue.ok(["config:set", "shell.memory", "200MiB"]),
        "shell.memory = 200MiB"
    );
    queue.fails(2, ["config:set", "shell.memory", "much"]);
    assert_eq!(queue.ok(["config:get", "shell.memory"]), "200MiB");
    #[cfg(unix)]
    assert_eq!(
        queue.ok(["config:set", "http.max-output", "2MiB"]),
        "http.max_output = 2MiB"
    );
    let done = queue.run(["config:set", "elsewhere.key", "value"]);
    done.expect(0);
    assert!(
        done.err.contains("elsewhere.key is stored unchecked"),
        "{}",
        done.err
    );
}

#[test]
fn a_running_node_takes_changes_up() {
    let queue = Queue::quick();
    let node = queue.start(&[]);
    let before = queue.enqueue(["exit 1"]);
    let job = queue.wait_state(&before, "dead");
    assert_eq!(job["attempts"], 5);
    queue.ok(["config:set", "max_retries", "1"]);
    node.wait_log("settings changed");
    let after = queue.enqueue(["exit 1"]);
    assert_eq!(queue.wait_state(&after, "dead")["attempts"], 2);
    // The shell is a setting that the plugin itself has to take up.
    #[cfg(unix)]
    {
        queue.write("shell", "#!/bin/sh\necho mine: \"$2\"\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(queue.path("shell"), mode).unwrap();
        queue.ok(["config:set", "shell", queue.path("shell").to_str().unwrap()]);
        crate::support::wait_until("the second change in the log", || {
            node.log().matches("settings changed").count() == 2
        });
        let mine = queue.enqueue(["whatever"]);
        queue.wait_state(&mine, "completed");
        assert_eq!(queue.ok(["logs", &mine]), "mine: whatever");
    }
}
