//! The SDK's side of the boundary, driven through the C ABI by a host that only takes notes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use queuectl_plugin_api::abi::*;
use queuectl_plugin_api::{
    Description, Error, Executor, Exit, ExitKind, Handled, Host, Outcome, Request, Resource, Rlimit, Run,
    RunHandle, Settings, Spawn, StartError, StopMode, export_executor,
};

/// Does what the job's command line says.
struct Parrot {
    kept: Mutex<Vec<Run>>,
}

impl Executor for Parrot {
    const DESCRIPTION: Description = Description {
        name: "parrot",
        version: "1.2.3",
        about: "Does as told",
        capabilities: &["command"],
        ..Description::EMPTY
    };

    const KEEPS: bool = true;

    fn create(_host: Host, settings: &Settings) -> Result<Self, Error> {
        match settings.shell.as_str() {
            "panic" => panic!("no settings like that"),
            "refuse" => Err(Error::new("refused")),
            _ => Ok(Parrot {
                kept: Mutex::default(),
            }),
        }
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let queuectl_plugin_api::Command::Line(line) = run.request().command().unwrap().clone() else {
            return Err(StartError::Invalid("a line, please".to_owned()));
        };
        match line.as_str() {
            "panic" => panic!("told to"),
            "invalid" => return Err(StartError::Invalid("ä".repeat(100))),
            "final" => return Err(StartError::Final("never".to_owned())),
            "forget" => drop(run),
            "save" => {
                run.handle().save_handle(b"where").unwrap();
                assert!(run.handle().save_handle(&[b'x'; HANDLE_BYTES + 1]).is_err());
                run.output(run.mark().as_bytes());
                run.finish(Outcome::succeeded());
            }
            "keep" => self.kept.lock().unwrap().push(run),
            "spawn" => run.spawn(
                &Spawn::argv(["a", "b"])
                    .env("K", "V")
                    .cwd(run.request().cwd())
                    .stdin(run.request().stdin()),
            )?,
            "limits" => run.spawn(
                &Spawn::argv(["a"])
                    .inherit_only(["PATH", "LC_*"])
                    .umask(0o27)
                    .nice(-3)
                    .rlimit(
                        Resource::Core,
                        Rlimit {
                            soft: Some(1),
                            hard: Some(1),
                        },
                    )
                    .rlimit(
                        Resource::Core,
                        Rlimit {
                            soft: Some(0),
                            hard: None,
                        },
                    )
                    .memory(1 << 20)
                    .pids(9)
                    .user("me:us")
                    .file("script"),
            )?,
            "payload" => {
                let numbers: Vec<u32> = run
                    .request()
                    .payload()
                    .map_err(|error| StartError::Invalid(error.to_string()))?;
                run.output(format!("{numbers:?}").as_bytes());
                run.finish(Outcome::succeeded());
            }
            _ => run.finish(Outcome::failed("unknown").with_exit_code(2)),
        }
        Ok(())
    }

    fn exited(&self, run: RunHandle, exit: Exit) -> Handled {
        match exit.kind {
            ExitKind::Code(0) => Handled::ByHost,
            ExitKind::Code(_) => {
                run.finish(Outcome::failed("exited"));
                Handled::ByPlugin
            }
            _ => panic!("no signals here"),
        }
    }

    fn fingerprint(&self) -> Result<(), Error> {
        Err(Error::new("no crackers"))
    }

    fn validate(&self, request: &Request) -> Result<(), Error> {
        match request.payload::<Vec<u32>>() {
            Ok(numbers) if numbers.is_empty() => panic!("an empty list"),
            other => other.map(drop),
        }
    }

    fn signal(&self, _run: RunHandle, signal: i32) -> Handled {
        assert!(signal > 0, "no such signal");
        Handled::ByPlugin
    }

    fn reattach(&self, run: Run, handle: &[u8]) -> Result<(), StartError> {
        run.output(handle);
        run.finish(Outcome::failed("later").with_retry_after(std::time::Duration::from_secs(3)));
        Ok(())
    }

    fn recorded(&self, run: RunHandle) {
        run.event("recorded", "by the store");
    }

    fn discard(&self, handle: &[u8]) {
        assert!(!handle.is_empty(), "no handle");
        note(format!("discard {}", String::from_utf8_lossy(handle)));
    }

    fn reap(&self, store: &str, alive: &[String]) {
        assert!(!alive.is_empty(), "nobody lives");
        note(format!("reap {store} {alive:?}"));
    }

    fn stats(&self) -> BTreeMap<String, u64> {
        BTreeMap::from([("runs".to_owned(), 3)])
    }

    fn shutdown(&self) {
        panic!("not yet");
    }

    fn stop(&self, _run: RunHandle, mode: StopMode) -> Handled {
        self.kept.lock().unwrap().clear();
        if mode == StopMode::Kill {
            Handled::ByPlugin
        } else {
            Handled::ByHost
        }
    }
}

export_executor!(Parrot);

/// What the host was told, in order. Tests take turns.
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static TURN: Mutex<()> = Mutex::new(());

fn note(text: String) {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

fn notes() -> Vec<String> {
    std::mem::take(&mut NOTES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn text(value: qc_str) -> String {
    // SAFETY: the SDK passes bytes that are valid for the call.
    String::from_utf8(unsafe { value.bytes() }.unwrap_or_default().to_vec()).unwrap()
}

unsafe extern "C" fn log(_: *mut c_void, level: u32, line: qc_str) {
    note(format!("log {level} {}", text(line)));
}

unsafe extern "C" fn output(_: *mut c_void, run: u64, stream: u32, bytes: qc_str) {
    note(format!("output {run} {stream} {}", text(bytes)));
}

unsafe extern "C" fn spawn(
    _: *mut c_void,
    run: u64,
    spawn: *const qc_spawn_v1,
    error: *mut qc_error,
) -> qc_status {
    // SAFETY: the SDK passes a whole description and an error buffer.
    let (spawn, error) = unsafe { (&*spawn, &mut *error) };
    assert!(error.cap > 100 && error.len == 0);
    // SAFETY: pointers and lengths belong together.
    let (argv, env) = unsafe {
        (
            slice(spawn.argv, spawn.argv_len).unwrap(),
            slice(spawn.env, spawn.env_len).unwrap(),
        )
    };
    let argv: Vec<String> = argv.iter().map(|word| text(*word)).collect();
    if spawn.flags != 0 {
        // SAFETY: as above.
        let (keep, rlimits) = unsafe {
            (
                slice(spawn.env_keep, spawn.env_keep_len).unwrap(),
                slice(spawn.rlimits, spawn.rlimits_len).unwrap(),
            )
        };
        let keep: Vec<String> = keep.iter().map(|name| text(*name)).collect();
        let rlimits: Vec<_> = rlimits.iter().map(|l| (l.resource, l.soft, l.hard)).collect();
        note(format!(
            "limited {} {keep:?} {:o} {} {rlimits:?} {} {} {} {}",
            spawn.flags,
            spawn.umask,
            spawn.nice,
            spawn.memory_bytes,
            spawn.pids,
            text(spawn.user),
            text(spawn.file_bytes)
        ));
        return QC_OK;
    }
    note(format!(
        "spawn {run} {argv:?} {}={} cwd {}",
        text(env[0].name),
        text(env[0].value),
        text(spawn.cwd)
    ));
    QC_OK
}

unsafe extern "C" fn finished(_: *mut c_void, run: u64, outcome: *const qc_outcome_v1) {
    // SAFETY: the SDK passes a whole outcome.
    let outcome = unsafe { &*outcome };
    note(format!(
        "finished {run} {} {}{}",
        outcome.kind,
        text(outcome.message),
        match outcome.fields & (QC_HAS_RETRY_AFTER | QC_IS_FINAL) {
            0 => String::new(),
            QC_IS_FINAL => " for good".to_owned(),
            _ => format!(" after {}", outcome.retry_after_ms),
        }
    ));
}

const PRESENT: qc_host_v1 = qc_host_v1 {
    size: size_of::<qc_host_v1>() as u32,
    minor: MINOR,
    log: Some(log),
    output: Some(output),
    spawn: Some(spawn),
    finished: Some(finished),
    features: QC_HOST_ADOPTS,
    event: Some(event),
    save_handle: Some(save_handle),
};

static HOST: qc_host_v1 = PRESENT;

static LIMITING_HOST: qc_host_v1 = qc_host_v1 {
    features: QC_HOST_ADOPTS | QC_HOST_SPAWN_LIMITS,
    ..PRESENT
};

unsafe extern "C" fn event(_: *mut c_void, run: u64, name: qc_str, detail: qc_str) {
    note(format!("event {run} {} {}", text(name), text(detail)));
}

unsafe extern "C" fn save_handle(_: *mut c_void, run: u64, handle: qc_str) -> qc_status {
    note(format!("handle {run} {}", text(handle)));
    if handle.len > HANDLE_BYTES {
        QC_INVALID
    } else {
        QC_OK
    }
}

unsafe extern "C" {
    fn queuectl_plugin_magic() -> u64;
    fn queuectl_plugin_v1(host_minor: u32) -> *const qc_plugin_v1;
}

struct Plugin {
    vtable: &'static qc_plugin_v1,
    instance: *mut c_void,
}

fn with_error(call: impl FnOnce(*mut qc_error) -> qc_status, cap: usize) -> (qc_status, String) {
    let mut bytes = vec![0u8; cap];
    let mut error = qc_error {
        ptr: bytes.as_mut_ptr(),
        cap,
        len: 0,
    };
    let status = call(&raw mut error);
    (status, String::from_utf8(bytes[..error.len].to_vec()).unwrap())
}

impl Plugin {
    fn create(settings: &str) -> Result<Plugin, (qc_status, String)> {
        Plugin::create_in(&HOST, settings)
    }

    fn create_in(host: &'static qc_host_v1, settings: &str) -> Result<Plugin, (qc_status, String)> {
        // SAFETY: these are the functions that the macro exported.
        let vtable = unsafe {
            assert_eq!(queuectl_plugin_magic(), MAGIC);
            &*queuectl_plugin_v1(0)
        };
        let mut instance = std::ptr::null_mut();
        let settings = qc_str::new(settings.as_bytes());
        // SAFETY: the vtable is static, everything else lives during the call.
        let create = |error| unsafe {
            vtable.create.unwrap()(host, std::ptr::null_mut(), settings, &raw mut instance, error)
        };
        match with_error(create, 200) {
            (QC_OK, _) => Ok(Plugin { vtable, instance }),
            other => Err(other),
        }
    }

    fn run(&self, request: &str) -> qc_run_v1 {
        qc_run_v1 {
            size: size_of::<qc_run_v1>() as u32,
            attempt: 1,
            run: 7,
            job_number: 1,
            fence: 1,
            timeout_ms: 0,
            job_id: qc_str::new(b"job"),
            queue: qc_str::new(b"default"),
            request: qc_str::new(request.as_bytes()),
            mark: qc_str::new(b"store.node"),
        }
    }

    fn start(&self, request: &str, cap: usize) -> (qc_status, String) {
        let run = self.run(request);
        // SAFETY: the run lives during the call.
        with_error(
            |error| unsafe { self.vtable.start.unwrap()(self.instance, &raw const run, error) },
            cap,
        )
    }

    fn line(&self, line: &str) -> (qc_status, String) {
        self.start(&format!(r#"{{"command":"{line}","cwd":"/x","future":1}}"#), 200)
    }

    fn exited(&self, kind: u32, code: i32) -> qc_status {
        let exit = qc_exit_v1 {
            size: size_of::<qc_exit_v1>() as u32,
            kind,
            code,
            stopped: 0,
            message: qc_str::NULL,
        };
        // SAFETY: the exit lives during the call.
        unsafe { self.vtable.exited.unwrap()(self.instance, 7, &raw const exit) }
    }

    fn validate(&self, request: &str) -> (qc_status, String) {
        let request = qc_str::new(request.as_bytes());
        // SAFETY: the request lives during the call.
        with_error(
            |error| unsafe { self.vtable.validate.unwrap()(self.instance, request, error) },
            200,
        )
    }

    fn reap(&self, alive: &[&str]) {
        let alive: Vec<qc_str> = alive.iter().map(|mark| qc_str::new(mark.as_bytes())).collect();
        let store = qc_str::new(b"store");
        // SAFETY: the texts live during the call.
        unsafe { self.vtable.reap.unwrap()(self.instance, store, alive.as_ptr(), alive.len()) }
    }

    fn stop(&self, mode: u32) -> qc_status {
        // SAFETY: the instance is alive.
        unsafe { self.vtable.stop.unwrap()(self.instance, 7, mode) }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // SAFETY: the instance is alive and not used after this.
        unsafe { self.vtable.destroy.unwrap()(self.instance) }
    }
}

#[test]
fn every_run_ends_exactly_once_and_panics_stay_inside() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let plugin = Plugin::create("{}").unwrap();
    assert_eq!(
        plugin.line("panic"),
        (
            QC_SYSTEM_FAILURE,
            "the executor plugin panicked: told to".to_owned()
        )
    );
    let forgotten = "the executor neither spawned a process nor finished the run";
    assert_eq!(plugin.line("forget"), (QC_SYSTEM_FAILURE, forgotten.to_owned()));
    assert_eq!(plugin.start("no json", 200).0, QC_INVALID);
    assert_eq!(
        plugin.start(r#"{"command":["x"]}"#, 200),
        (QC_INVALID, "a line, please".to_owned())
    );
    // A message is cut between characters.
    assert_eq!(
        plugin.start(r#"{"command":"invalid"}"#, 5),
        (QC_INVALID, "ää".to_owned())
    );
    assert_eq!(notes(), Vec::<String>::new());

    assert_eq!(plugin.line("what").0, QC_OK);
    assert_eq!(notes(), ["finished 7 2 unknown"]);
    assert_eq!(plugin.line("spawn").0, QC_OK);
    assert_eq!(notes(), [r#"spawn 7 ["a", "b"] K=V cwd /x"#]);
    assert_eq!(
        plugin.start(r#"{"command":"payload","payload":[1,2]}"#, 200).0,
        QC_OK
    );
    assert_eq!(notes(), ["output 7 1 [1, 2]", "finished 7 1 "]);
    assert_eq!(
        plugin.start(r#"{"command":"payload","payload":"x"}"#, 200).0,
        QC_INVALID
    );

    // A run that was kept and then dropped is told to the host.
    assert_eq!(plugin.line("keep").0, QC_OK);
    assert_eq!(notes(), Vec::<String>::new());
    assert_eq!(
        (plugin.stop(QC_STOP_GRACEFUL), plugin.stop(QC_STOP_KILL)),
        (QC_UNHANDLED, QC_OK)
    );
    assert_eq!(notes(), [format!("finished 7 3 {forgotten}")]);

    assert_eq!(plugin.exited(QC_EXIT_CODE, 0), QC_UNHANDLED);
    assert_eq!(plugin.exited(QC_EXIT_CODE, 1), QC_OK);
    assert_eq!(notes(), ["finished 7 2 exited"]);
    assert_eq!(plugin.exited(QC_EXIT_SIGNAL, 9), QC_SYSTEM_FAILURE);
    assert_eq!(notes().len(), 2, "a line in the log, and the end of the run");
}

#[test]
fn instances_and_descriptions() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let message = |made: Result<Plugin, (qc_status, String)>| made.err().unwrap();
    assert_eq!(
        message(Plugin::create(r#"{"shell":"refuse"}"#)),
        (QC_SYSTEM_FAILURE, "refused".to_owned())
    );
    assert!(
        message(Plugin::create(r#"{"shell":"panic"}"#))
            .1
            .contains("panicked: no settings like that")
    );
    let plugin = Plugin::create("{}").unwrap();
    let mut out = qc_str::NULL;
    // SAFETY: the place may be written.
    unsafe { plugin.vtable.describe.unwrap()(&raw mut out) };
    assert_eq!(
        text(out),
        r#"{"name":"parrot","version":"1.2.3","about":"Does as told","capabilities":["command"]}"#
    );
}

#[test]
fn limits_are_asked_for_where_they_are_known() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // A host that does not know them could ignore them; the process is not asked for at all.
    let (status, said) = Plugin::create("{}").unwrap().line("limits");
    assert_eq!(status, QC_INVALID);
    assert!(said.contains("too old"), "{said}");
    assert_eq!(notes(), Vec::<String>::new());
    let plugin = Plugin::create_in(&LIMITING_HOST, "{}").unwrap();
    assert_eq!(plugin.line("limits").0, QC_OK);
    let keep = u64::MAX - 1;
    let limits = format!(r#"limited 510 ["PATH", "LC_*"] 27 -3 [(3, 0, {keep})] 1048576 9 me:us script"#);
    assert_eq!(notes(), [limits]);
}

#[test]
fn slots_of_the_second_minor_version() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let plugin = Plugin::create("{}").unwrap();
    let (vtable, instance) = (plugin.vtable, plugin.instance);
    // SAFETY: the instance is alive in all of these calls, and what is passed lives during each.
    let fingerprint = with_error(
        |error| unsafe { vtable.fingerprint.unwrap()(instance, error) },
        200,
    );
    assert_eq!(fingerprint, (QC_SYSTEM_FAILURE, "no crackers".to_owned()));

    assert_eq!(plugin.validate(r#"{"payload":[1]}"#), (QC_OK, String::new()));
    assert_eq!(plugin.validate(r#"{"payload":["x"]}"#).0, QC_INVALID);
    assert_eq!(plugin.validate("no json").0, QC_INVALID);
    let panicked = plugin.validate(r#"{"payload":[]}"#);
    assert_eq!(panicked.0, QC_SYSTEM_FAILURE);
    assert!(panicked.1.contains("an empty list"), "{}", panicked.1);

    // SAFETY: as above.
    let signal = |number| unsafe { vtable.signal.unwrap()(instance, 7, number) };
    assert_eq!(signal(15), QC_OK);
    assert_eq!(notes(), Vec::<String>::new());
    assert_eq!(signal(0), QC_SYSTEM_FAILURE);
    assert_eq!(notes().len(), 2, "a line in the log, and the end of the run");

    assert_eq!(plugin.line("save").0, QC_OK);
    let saved = notes();
    assert_eq!(saved[0], "handle 7 where");
    assert_eq!(saved[2..], ["output 7 1 store.node", "finished 7 1 "]);

    let mut run = plugin.run(r#"{"command":"x"}"#);
    let reattach = |run: &qc_run_v1| {
        // SAFETY: as above.
        with_error(
            |error| unsafe { vtable.reattach.unwrap()(instance, run, qc_str::new(b"where"), error) },
            200,
        )
    };
    assert_eq!(reattach(&run).0, QC_OK);
    assert_eq!(notes(), ["output 7 1 where", "finished 7 2 later after 3000"]);
    // A host of the first minor version passes a shorter run.
    run.size = std::mem::offset_of!(qc_run_v1, mark) as u32;
    assert_eq!(reattach(&run).0, QC_OK);
    run.size -= 1;
    assert_eq!(reattach(&run).0, QC_SYSTEM_FAILURE, "shorter than any version's");
    notes();

    // SAFETY: as above.
    unsafe { vtable.recorded.unwrap()(instance, 7) };
    assert_eq!(notes(), ["event 7 recorded by the store"]);
    plugin.reap(&["store.a", "store.b"]);
    assert_eq!(notes(), [r#"reap store ["store.a", "store.b"]"#]);
    plugin.reap(&[]);
    assert_eq!(notes().len(), 1, "the panic is in the log");
    let mut out = qc_str::NULL;
    // SAFETY: the place may be written.
    unsafe { vtable.stats.unwrap()(instance, &raw mut out) };
    assert_eq!(text(out), r#"{"runs":3}"#);
    // SAFETY: as above.
    unsafe { vtable.shutdown.unwrap()(instance) };
    assert_eq!(notes().len(), 1, "the panic is in the log");
}

#[test]
fn slots_of_the_third_minor_version() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let plugin = Plugin::create("{}").unwrap();
    assert_eq!(plugin.line("final").0, QC_OK, "its end is reported");
    assert_eq!(notes(), ["finished 7 2 never for good"]);
    let discard = |handle: &[u8]| {
        // SAFETY: the instance is alive, and the handle outlives the call.
        unsafe { plugin.vtable.discard.unwrap()(plugin.instance, qc_str::new(handle)) }
    };
    discard(b"where");
    assert_eq!(notes(), ["discard where"]);
    discard(b"");
    assert_eq!(notes().len(), 1, "the panic is in the log");
}

#[test]
fn settings_are_typed() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Mine {
        limit: u32,
        open: bool,
        name: String,
    }
    let text = r#"{"shell":"sh","settings":{"limit":"3","open":"true","name":"x"},"future":1}"#;
    let settings = Settings::from_json(text).unwrap();
    assert_eq!((settings.shell.as_str(), settings.get("name")), ("sh", Some("x")));
    let mine: Mine = settings.typed().unwrap();
    assert_eq!(
        mine,
        Mine {
            limit: 3,
            open: true,
            name: "x".to_owned()
        }
    );
    let missing = Settings::from_json("{}").unwrap().typed::<Mine>();
    assert!(missing.unwrap_err().to_string().contains("limit"));
}
