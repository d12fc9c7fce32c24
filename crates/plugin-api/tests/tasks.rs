//! Runs as tasks, driven through the C ABI by a host that takes notes.

#![cfg(feature = "tasks")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::c_void;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use queuectl_plugin_api::abi::*;
use queuectl_plugin_api::{
    Command, Description, Error, Executor, Handled, Host, Outcome, Run, RunHandle, Settings, StartError,
    StopMode, Tasks, export_executor,
};

struct Sleeper(Tasks);

impl Executor for Sleeper {
    const DESCRIPTION: Description = Description {
        name: "sleeper",
        version: "1",
        ..Description::EMPTY
    };

    fn create(_host: Host, _settings: &Settings) -> Result<Self, Error> {
        Tasks::new(1).map(Sleeper)
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let Some(Command::Line(line)) = run.request().command().cloned() else {
            return Err(StartError::Invalid("a line, please".to_owned()));
        };
        if line == "to the end" {
            self.0.start_to_end(run, async |_handle, mut stop| {
                stop.killed().await;
                Outcome::failed("saw to its end")
            });
            return Ok(());
        }
        self.0
            .start(run, async move |_handle, mut stop| match line.as_str() {
                "quick" => Outcome::succeeded(),
                "panic" => panic!("in the task"),
                "polite" => {
                    stop.requested().await;
                    Outcome::failed("asked to")
                }
                _ => std::future::pending().await,
            });
        Ok(())
    }

    fn stop(&self, run: RunHandle, mode: StopMode) -> Handled {
        self.0.stop(&run, mode)
    }

    fn shutdown(&self) {
        self.0.shut_down();
    }
}

export_executor!(Sleeper);

type Reports = (
    Mutex<Sender<(u64, u32, String)>>,
    Mutex<Receiver<(u64, u32, String)>>,
);

static REPORTS: LazyLock<Reports> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    (Mutex::new(sender), Mutex::new(receiver))
});

unsafe extern "C" fn finished(_: *mut c_void, run: u64, outcome: *const qc_outcome_v1) {
    // SAFETY: the SDK passes a whole outcome with a message that is valid for the call.
    let (kind, message) = unsafe {
        (
            (*outcome).kind,
            (*outcome).message.bytes().unwrap_or_default().to_vec(),
        )
    };
    REPORTS
        .0
        .lock()
        .unwrap()
        .send((run, kind, String::from_utf8(message).unwrap()))
        .unwrap();
}

fn report() -> (u64, u32, String) {
    REPORTS
        .1
        .lock()
        .unwrap()
        .recv_timeout(Duration::from_secs(30))
        .expect("a report")
}

static HOST: qc_host_v1 = qc_host_v1 {
    size: size_of::<qc_host_v1>() as u32,
    minor: MINOR,
    log: None,
    output: None,
    spawn: None,
    finished: Some(finished),
    features: 0,
    event: None,
    save_handle: None,
};

unsafe extern "C" {
    fn queuectl_plugin_v1(host_minor: u32) -> *const qc_plugin_v1;
}

#[test]
fn tasks_end_once_and_stop_when_told() {
    // SAFETY: this is the function that the macro exported.
    let vtable = unsafe { &*queuectl_plugin_v1(MINOR) };
    let mut instance = std::ptr::null_mut();
    let settings = qc_str::new(b"{}");
    let (no_error, no_context) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: what is passed lives during the call.
    let made = unsafe { vtable.create.unwrap()(&HOST, no_context, settings, &raw mut instance, no_error) };
    assert_eq!(made, QC_OK);
    let start = |run: u64, line: &str| {
        let request = format!(r#"{{"command":"{line}"}}"#);
        let view = qc_run_v1 {
            size: size_of::<qc_run_v1>() as u32,
            attempt: 1,
            run,
            job_number: 1,
            fence: 1,
            timeout_ms: 0,
            job_id: qc_str::NULL,
            queue: qc_str::NULL,
            request: qc_str::new(request.as_bytes()),
            mark: qc_str::NULL,
        };
        // SAFETY: the run lives during the call.
        let started = unsafe { vtable.start.unwrap()(instance, &raw const view, no_error) };
        assert_eq!(started, QC_OK);
    };
    // SAFETY: the instance is alive.
    let stop = |run, mode| unsafe { vtable.stop.unwrap()(instance, run, mode) };

    start(1, "quick");
    assert_eq!(report(), (1, QC_SUCCEEDED, String::new()));
    start(2, "panic");
    assert_eq!(
        report(),
        (
            2,
            QC_FAILED_SYSTEM,
            "the executor plugin failed: in the task".to_owned()
        )
    );
    start(3, "polite");
    start(4, "stubborn");
    assert_eq!(
        (stop(3, QC_STOP_GRACEFUL), stop(4, QC_STOP_GRACEFUL)),
        (QC_OK, QC_OK)
    );
    assert_eq!(report(), (3, QC_FAILED, "asked to".to_owned()));
    assert_eq!(stop(4, QC_STOP_KILL), QC_OK);
    assert_eq!(report(), (4, QC_FAILED, "killed".to_owned()));
    assert_eq!(stop(4, QC_STOP_KILL), QC_UNHANDLED, "it is over");
    start(6, "to the end");
    assert_eq!((stop(6, QC_STOP_GRACEFUL), stop(6, QC_STOP_KILL)), (QC_OK, QC_OK));
    assert_eq!(report(), (6, QC_FAILED, "saw to its end".to_owned()));
    start(5, "stubborn");
    // SAFETY: the instance is alive, and not used after this.
    unsafe {
        vtable.shutdown.unwrap()(instance);
        vtable.destroy.unwrap()(instance);
    }
    let (run, kind, _) = report();
    assert_eq!((run, kind), (5, QC_FAILED_SYSTEM), "a run is never forgotten");
}
