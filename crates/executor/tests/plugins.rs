//! Which plugins are loaded and which are refused, and what the host makes of the odder ones. The plugins here are
//! written in C, against the header that authors get.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use queuectl_core::ExecutorName;
use queuectl_core::OutcomeKind::{Cancelled, Failed, Succeeded, SystemFailure};
use queuectl_executor::{Finished, Offline, PluginError, RunKey, SearchPath, inspect};
use serde_json::json;
use support::{Bench, HEADERS, compile_plugin, compile_plugin_with, plugin_file, plugins, shell, text, told};

fn name(name: &str) -> ExecutorName {
    name.parse().unwrap()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a job on the executor `odd` in a fresh host with that folder.
fn report(folder: &Path, executor: &str) -> Finished {
    let mut bench = Bench::with_folders([folder.to_owned()]);
    let mut run = bench.line("true");
    run.executor = name(executor);
    bench.finish(run)
}

fn refusal(folder: &Path, executor: &str) -> String {
    let report = report(folder, executor);
    assert_eq!(report.outcome.kind, SystemFailure);
    report.outcome.message
}

#[test]
fn the_shell_plugin_describes_itself() {
    let path = SearchPath::new([plugins().to_owned()]);
    let info = inspect(&path.find(&name("shell")).unwrap()).unwrap();
    assert_eq!((info.name.as_str(), info.version.is_empty()), ("shell", false));
    let list = path.list();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].name.as_str(), &list[0].refused), ("shell", &None));
}

#[test]
fn what_others_could_have_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(plugin_file("shell"));
    std::fs::copy(plugins().join(plugin_file("shell")), &file).unwrap();
    let path = SearchPath::new([folder.path().to_owned()]);
    mode(&file, 0o757);
    assert!(matches!(
        path.find(&name("shell")),
        Err(PluginError::Untrusted { .. })
    ));
    assert!(path.list()[0].refused.is_some());
    assert!(refusal(folder.path(), "shell").contains("chmod go-w"));
    mode(&file, 0o755);
    mode(folder.path(), 0o777);
    assert!(refusal(folder.path(), "shell").contains("writable by everybody"));
    mode(folder.path(), 0o755);
    assert_eq!(report(folder.path(), "shell").outcome.kind, Succeeded);
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(plugin_file(name));
    std::fs::write(file("text"), "just text").unwrap();
    assert!(refusal(folder.path(), "text").contains("cannot be loaded"));
    std::fs::write(file("empty"), "").unwrap();
    assert!(refusal(folder.path(), "empty").contains("cannot be loaded"));
    let whole = std::fs::read(plugins().join(plugin_file("shell"))).unwrap();
    for part in [whole.len() - 1, whole.len() / 2, 5000, 100] {
        let cut = folder.path().join(plugin_file(&format!("cut{part}")));
        std::fs::write(&cut, &whole[..part]).unwrap();
        assert!(
            refusal(folder.path(), &format!("cut{part}")).contains("cannot be loaded"),
            "{part}"
        );
    }
}

#[test]
fn what_is_no_plugin_or_for_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let magic = "#include <stdint.h>\nuint64_t queuectl_plugin_magic(void) { return UINT64_C(0x5143544c504c5547); }\n";
    let cases = [
        (
            "plain",
            "int something;\n".to_owned(),
            "no function queuectl_plugin_magic",
        ),
        (
            "magic",
            magic.replace("5547", "5548"),
            "instead of 0x5143544c504c5547",
        ),
        ("bare", magic.to_owned(), "no function queuectl_plugin_v1"),
        (
            "newer",
            format!("{magic}void *queuectl_plugin_v2(uint32_t m) {{ (void)m; return 0; }}\n"),
            "needs ABI 2, this queuectl speaks 1",
        ),
        (
            "unwilling",
            format!("{magic}void *queuectl_plugin_v1(uint32_t m) {{ (void)m; return 0; }}\n"),
            "does not work with ABI 1.3",
        ),
        (
            "short",
            format!(
                "{magic}static uint32_t v[2] = {{8, 0}};\nvoid *queuectl_plugin_v1(uint32_t m) {{ (void)m; return v; }}\n"
            ),
            "lacks the required slot 'describe'",
        ),
    ];
    for (name, source, message) in cases {
        if !compile_plugin(folder.path(), name, &source) {
            return;
        }
        let text = refusal(folder.path(), name);
        assert!(
            text.contains(message) && text.contains(&plugin_file(name)),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_plugin_is_only_the_executor_that_it_says_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(plugin_file("other_one"));
    std::fs::copy(plugins().join(plugin_file("shell")), &file).unwrap();
    let mut bench = Bench::with_folders([folder.path().to_owned()]);
    let job = |bench: &mut Bench| {
        let mut run = bench.run(json!({"command": "echo ran", "payload": {"do": "at-once"}}));
        run.executor = name("other-one");
        bench.finish(run)
    };
    let refused = job(&mut bench);
    assert_eq!(told(&refused).0, SystemFailure);
    assert!(
        told(&refused)
            .1
            .contains("not the executor 'other_one': it describes itself as 'shell'"),
        "{}",
        told(&refused).1
    );
    assert_eq!(text(&refused), "");
    assert!(matches!(inspect(&file), Err(PluginError::Misnamed { .. })));
    // The right file in its place is enough, also for a process that had the wrong one loaded.
    let right = include_str!("odd.c").replace("\\\"odd\\\"", "\\\"other-one\\\"");
    let new = tempfile::tempdir_in(folder.path()).unwrap();
    if !compile_plugin(new.path(), "other_one", &right) {
        return;
    }
    std::fs::rename(new.path().join(plugin_file("other_one")), &file).unwrap();
    let deadline = Instant::now() + support::PATIENCE;
    let ended = loop {
        let ended = job(&mut bench);
        if ended.outcome.kind != SystemFailure {
            break ended;
        }
        assert!(Instant::now() < deadline, "{:?}", ended.outcome);
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(text(&ended), "printed by the plugin\n");
}

#[test]
fn a_failure_to_load_is_forgotten_soon() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path(), "shell").contains("none of the folders"));
    std::fs::copy(
        plugins().join(plugin_file("shell")),
        folder.path().join(plugin_file("shell")),
    )
    .unwrap();
    // A fresh host remembers nothing; within one host it is a matter of seconds.
    assert_eq!(report(folder.path(), "shell").outcome.kind, Succeeded);
}

#[test]
fn a_plugin_in_c_does_everything_the_header_says() {
    for header in HEADERS {
        let folder = tempfile::tempdir().unwrap();
        if compile_plugin_with(folder.path(), "odd", include_str!("odd.c"), header) {
            a_plugin_in_c_works(folder.path());
        }
    }
}

#[test]
fn a_plugin_in_c_limits_its_process() {
    let folder = tempfile::tempdir().unwrap();
    if !compile_plugin_with(folder.path(), "odd", include_str!("odd.c"), HEADERS[0]) {
        return;
    }
    let mut bench = Bench::with_folders([folder.path().to_owned()]);
    let mut odd = |what: &str| {
        let mut run = bench.run(json!({"payload": {"do": what}}));
        run.executor = name("odd");
        bench.finish(run)
    };
    let limited = odd("limited");
    assert_eq!(told(&limited), (Succeeded, ""));
    assert_eq!(text(&limited), "0123\n50\nfrom the plugin\n");
    // What is asked for and cannot be read, or is not known, is not ignored.
    let short = odd("too-short");
    assert_eq!(
        told(&short),
        (Failed, "the process description is too short for its flags")
    );
    let new = odd("too-new");
    assert_eq!(
        told(&new),
        (Failed, "the process description has unknown flags 0x100114")
    );
}

/// What the plugin in that folder has done since the first version of the ABI.
fn a_plugin_in_c_works(folder: &Path) {
    let mut bench = Bench::with_folders([folder.to_owned()]);
    let mut odd = |what: &str| {
        let mut run = bench.run(json!({"payload": {"do": what}}));
        run.executor = name("odd");
        bench.finish(run)
    };
    let at_once = odd("at-once");
    assert_eq!(
        (told(&at_once), text(&at_once).as_str()),
        ((Succeeded, ""), "printed by the plugin\n")
    );
    let thread = odd("thread");
    assert_eq!(
        (told(&thread), thread.outcome.exit_code),
        ((Failed, "from a thread"), Some(5))
    );
    // The second report, and the one for a run that does not exist, are ignored.
    assert_eq!(told(&odd("twice")), (Failed, "first"));
    let spawned = odd("spawn");
    assert_eq!(
        (told(&spawned), text(&spawned).as_str()),
        ((Succeeded, ""), "spawned\n")
    );
    assert_eq!(told(&odd("exited")), (Failed, "the plugin saw status 9"));
    assert_eq!(
        told(&odd("not-started")),
        (
            Failed,
            "cannot start 'no-such-program': No such file or directory"
        )
    );
    assert_eq!(
        told(&odd("two-processes")),
        (Failed, "the run has a process already")
    );
    assert_eq!(told(&odd("bad-argv")), (Failed, "the command is empty"));
    assert_eq!(told(&odd("invalid")), (Failed, "not for me"));
    assert_eq!(
        told(&odd("broken")),
        (
            SystemFailure,
            "the executor 'odd' could not run the job: out of order"
        )
    );
    // Reported while its process still runs: the process is stopped first.
    assert_eq!(told(&odd("early")), (Succeeded, ""));

    // A run without a process ends when the plugin stops it.
    let mut run = bench.run(json!({"payload": {"do": "wait"}}));
    run.executor = name("odd");
    let key = run.key;
    bench.host().start(run);
    bench.stop(key);
    assert_eq!(bench.next().outcome.kind, Cancelled);
    assert_eq!(bench.shut_down(), []);
}

#[test]
fn what_came_with_the_third_minor_version() {
    let folder = tempfile::tempdir().unwrap();
    if compile_plugin(folder.path(), "odd", include_str!("odd.c")) {
        third_minor_version_works(folder.path());
    }
}

fn third_minor_version_works(folder: &Path) {
    let mut bench = Bench::with_folders([folder.to_owned()]);
    let odd = |bench: &mut Bench, what: &str| {
        let mut run = bench.run(json!({"payload": {"do": what}}));
        run.executor = name("odd");
        bench.finish(run)
    };
    let last = odd(&mut bench, "final");
    assert_eq!(
        told(&last),
        (Failed, "final, another attempt could not succeed: never")
    );
    assert!(last.advice.is_final);
    assert!(!odd(&mut bench, "busy").advice.is_final);
    bench
        .host()
        .discard(name("odd"), vec![b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(text(&odd(&mut bench, "discarded")), " one two");
    assert_eq!(bench.shut_down(), []);
}

#[test]
fn what_came_with_the_fourth_minor_version() {
    let folder = tempfile::tempdir().unwrap();
    if compile_plugin_with(folder.path(), "odd", include_str!("odd.c"), HEADERS[4]) {
        fourth_minor_version_works(folder.path());
    }
}

fn fourth_minor_version_works(folder: &Path) {
    let mut bench = Bench::with_folders([folder.to_owned()]);
    let odd = |bench: &mut Bench, what: &str| {
        let mut run = bench.run(json!({"payload": {"do": what}}));
        run.executor = name("odd");
        bench.finish(run)
    };
    let taken = odd(&mut bench, "taken");
    assert_eq!(told(&taken), (Failed, "in use"));
    assert!(taken.advice.is_busy);
    assert_eq!(taken.advice.wait, Some(Duration::from_millis(2500)));
    assert!(!odd(&mut bench, "busy").advice.is_busy, "it only asks to wait");
    assert_eq!(bench.shut_down(), []);
}

#[test]
fn what_came_with_the_second_minor_version() {
    let folder = tempfile::tempdir().unwrap();
    if compile_plugin_with(folder.path(), "odd", include_str!("odd.c"), HEADERS[2]) {
        second_minor_version_works(folder.path());
    }
}

fn second_minor_version_works(folder: &Path) {
    let offline = Offline::open(&folder.join(plugin_file("odd")), &shell("sh")).unwrap();
    assert_eq!(offline.info().minor, 1);
    assert!(offline.info().slots.iter().any(|slot| slot == "reattach"));
    assert_eq!(offline.fingerprint(), Err("the engine is away".to_owned()));
    assert_eq!(offline.validate(r#"{"payload":{"do":"x"}}"#), Ok(()));
    assert_eq!(offline.validate("{}"), Err("nothing to do".to_owned()));
    drop(offline);

    let mut bench = Bench::with_folders([folder.to_owned()]);
    bench
        .host()
        .alive(vec!["store.a".to_owned(), "store.bench".to_owned()]);
    let run = |bench: &mut Bench, what: &str| {
        let mut run = bench.run(json!({"payload": {"do": what}}));
        run.executor = name("odd");
        run
    };
    let reaped = run(&mut bench, "reaped");
    assert_eq!(
        text(&bench.finish(reaped)),
        "store store.a store.bench",
        "before the first run"
    );
    let busy = run(&mut bench, "busy");
    assert_eq!(bench.finish(busy).advice.wait, Some(Duration::from_millis(1500)));

    // Saved, and taken over by what could be another process.
    let kept = run(&mut bench, "keep");
    bench.host().start(kept.clone());
    let (key, handle) = bench.handles.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!((key, handle.as_slice()), (kept.key, b"over there".as_slice()));
    bench.host().signal(kept.key, 10);
    let signalled = bench.next();
    assert_eq!(
        (told(&signalled), signalled.outcome.exit_code),
        ((Failed, "signalled"), Some(10))
    );
    bench.host().adopt(kept.clone(), handle);
    let adopted = bench.next();
    assert_eq!(text(&adopted), "over therestore.bench");
    assert!(adopted.confirm);
    // Told once per run, and only for runs that ended here.
    for (keys, told_so_far) in [
        (vec![], 0),
        (vec![kept.key, RunKey { fence: 1, ..kept.key }], 1),
        (vec![kept.key], 1),
    ] {
        bench.host().recorded(keys);
        let asked = run(&mut bench, "recorded");
        assert_eq!(bench.finish(asked).outcome.exit_code, Some(told_so_far));
    }
    assert_eq!(bench.shut_down(), []);
}

/// Not compiled here: only such a file shows a change of the ABI that the compiler would hide.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[test]
fn plugins_built_for_each_minor_version_still_work() {
    let built = |bytes: &[u8], minor: u32| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(plugin_file("odd"));
        std::fs::write(&file, bytes).unwrap();
        let offline = Offline::open(&file, &shell("sh")).unwrap();
        assert_eq!(offline.info().minor, minor);
        drop(offline);
        a_plugin_in_c_works(folder.path());
        folder
    };
    let first = built(include_bytes!("frozen/odd-1.0.so"), 0);
    let offline = Offline::open(&first.path().join(plugin_file("odd")), &shell("sh")).unwrap();
    assert!(!offline.info().slots.iter().any(|slot| slot == "reattach"));
    drop(offline);
    let second = built(include_bytes!("frozen/odd-1.1.so"), 1);
    second_minor_version_works(second.path());
    let third = built(include_bytes!("frozen/odd-1.2.so"), 2);
    third_minor_version_works(third.path());
    let fourth = built(include_bytes!("frozen/odd-1.3.so"), 3);
    fourth_minor_version_works(fourth.path());
}
