//! Tests of reading and checking a payload.

use super::*;

fn plan_with(request: serde_json::Value, chosen: &Chosen) -> Result<Plan, String> {
    let request: Request = serde_json::from_value(request).unwrap();
    Plan::new(&request, chosen).map_err(|error| error.to_string())
}

fn plan(request: serde_json::Value) -> Result<Plan, String> {
    plan_with(request, &Chosen::default())
}

fn of_payload(payload: serde_json::Value) -> Result<Plan, String> {
    plan(serde_json::json!({"payload": payload, "cwd": "/srv"}))
}

#[test]
fn nothing_is_granted_that_was_not_asked_for() {
    let plan = of_payload(serde_json::json!({"module": "a.wasm"})).unwrap();
    let expected = Plan {
        module: PathBuf::from("/srv/a.wasm"),
        argv: vec!["a.wasm".to_owned()],
        env: Vec::new(),
        stdin: String::new(),
        dirs: Vec::new(),
        fuel: None,
        deadline: None,
        memory: 256 << 20,
    };
    assert_eq!(plan, expected);
}

#[test]
fn everything_can_be_asked_for() {
    let plan = plan(serde_json::json!({
        "cwd": "/srv", "env": {"A": "job", "B": "job"}, "stdin": "in",
        "payload": {
            "module": "/m.wasm", "args": ["x"], "env": {"A": "own"},
            "dirs": [{"host": "out", "guest": "/out", "read_only": false}, {"host": "/in", "guest": "/in"}],
            "fuel": 7, "deadline": "1s 500ms", "memory": "1MiB",
        },
    }))
    .unwrap();
    let text = |text: &str| text.to_owned();
    assert_eq!(plan.argv, ["/m.wasm", "x"]);
    assert_eq!(plan.env, [(text("A"), text("own")), (text("B"), text("job"))]);
    let dir = |host: &str, guest: &str, read_only| Dir {
        host: host.into(),
        guest: text(guest),
        read_only,
    };
    assert_eq!(
        plan.dirs,
        [dir("/srv/out", "/out", false), dir("/in", "/in", true)]
    );
    assert_eq!((plan.fuel, plan.memory), (Some(7), 1 << 20));
    assert_eq!(plan.deadline, Some(Duration::from_millis(1500)));
    assert_eq!(plan.stdin, "in");
}

#[test]
fn a_bare_number_is_seconds() {
    for (value, ms) in [
        (serde_json::json!(5), 5000),
        (serde_json::json!(0.25), 250),
        (serde_json::json!("5"), 5000),
        (serde_json::json!("5ms"), 5),
    ] {
        let plan = of_payload(serde_json::json!({"module": "a", "deadline": value})).unwrap();
        assert_eq!(plan.deadline, Some(Duration::from_millis(ms)), "{value}");
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    for (payload, wanted) in [
        (serde_json::json!({}), "missing field `module`"),
        (serde_json::json!({"module": ""}), "module is not a path"),
        (
            serde_json::json!({"module": "a", "modul": 1}),
            "unknown field `modul`",
        ),
        (
            serde_json::json!({"module": "a", "memory": "much"}),
            "'much' is not a size",
        ),
        (
            serde_json::json!({"module": "a", "memory": -1}),
            "a number of bytes, or text",
        ),
        (serde_json::json!({"module": "a", "memory": 100}), "64KiB or more"),
        (
            serde_json::json!({"module": "a", "memory": "8GiB"}),
            "wasm.max_memory allows, which is 4.0 GiB",
        ),
        (serde_json::json!({"module": "a", "fuel": 0}), "fuel 0"),
        (
            serde_json::json!({"module": "a", "deadline": "soon"}),
            "a number of seconds",
        ),
        (
            serde_json::json!({"module": "a", "deadline": true}),
            "a number of seconds",
        ),
        (
            serde_json::json!({"module": "a", "deadline": -5}),
            "-5 is not a length of time",
        ),
        (
            serde_json::json!({"module": "a", "deadline": "0s"}),
            "a deadline of 0",
        ),
        (
            serde_json::json!({"module": "a", "env": {"A=B": ""}}),
            "'A=B' cannot be set",
        ),
        (
            serde_json::json!({"module": "a", "args": ["\0"]}),
            "an argument has a NUL",
        ),
        (
            serde_json::json!({"module": "a", "dirs": [{"host": "x"}]}),
            "missing field `guest`",
        ),
        (
            serde_json::json!({"module": "a", "dirs": [{"host": "x", "guest": ""}]}),
            "needs a name in guest",
        ),
        (
            serde_json::json!({"module": "a", "dirs": [{"host": "x", "guest": "/"}, {"host": "y", "guest": "/"}]}),
            "two dirs have the guest name '/'",
        ),
    ] {
        let said = of_payload(payload.clone()).unwrap_err();
        assert!(said.contains(wanted), "{payload}\n{said}");
    }
    let said = plan(serde_json::json!({"payload": {"module": "a"}})).unwrap_err();
    assert!(said.contains("the job has no cwd"), "{said}");
    let said = plan(serde_json::json!({"command": "x"})).unwrap_err();
    assert!(said.contains("takes no command"), "{said}");
}

#[test]
fn settings_limit_what_jobs_may_ask_for() {
    let chosen = Chosen {
        allow_dirs: false,
        max_memory: Size(1 << 20),
        ..Chosen::default()
    };
    let try_it = |payload| plan_with(serde_json::json!({"payload": payload, "cwd": "/"}), &chosen);
    let said = try_it(serde_json::json!({"module": "a", "dirs": [{"host": "x", "guest": "/"}]})).unwrap_err();
    assert!(said.contains("wasm.allow_dirs is false"), "{said}");
    let said = try_it(serde_json::json!({"module": "a", "memory": "2MiB"})).unwrap_err();
    assert!(said.contains("1.0 MiB"), "{said}");
    // The default gives way to the cap: a job that asks for nothing always runs.
    assert_eq!(
        try_it(serde_json::json!({"module": "a"})).unwrap().memory,
        1 << 20
    );
}

#[test]
fn the_schema_has_the_fields_that_are_read() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let full = serde_json::json!({
        "module": "a", "args": [], "env": {}, "dirs": [], "fuel": 1, "deadline": "1s", "memory": 65536,
    });
    let names =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<HashSet<_>>();
    assert_eq!(names(&schema["properties"]), names(&full));
    of_payload(full).unwrap();
}
