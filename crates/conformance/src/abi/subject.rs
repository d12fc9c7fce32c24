//! The plugin under test: calls of its functions, straight through the C ABI.
//!
//! Nothing is judged here, except that a plugin which writes where it must not is told from one that does not.

use std::ffi::c_void;
use std::sync::Arc;

use queuectl_plugin_api::abi::{EntryFn, QC_EXIT_CODE, qc_error, qc_exit_v1, qc_run_v1, qc_status, qc_str};

use super::mock_host::{Age, MockHost, functions};
use queuectl_executor::bare::Slots;

/// Where an error text may go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Room {
    /// This many bytes.
    Bytes(usize),
    /// A struct whose buffer is NULL.
    NoBuffer,
    /// No struct at all.
    Nobody,
}

/// As much as the host gives.
pub(super) const PLENTY: Room = Room::Bytes(4096);

/// What a plugin answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: qc_status,
    /// What it wrote as its reason, up to the length it stated.
    pub(super) text: Vec<u8>,
    /// How it broke the rules for error texts.
    pub(super) misused: Option<String>,
}

impl Answer {
    /// The reason, for people.
    pub(super) fn reason(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        if text.is_empty() {
            format!("status {} without a reason", self.status)
        } else {
            format!("status {}: {text}", self.status)
        }
    }
}

/// What bytes beyond the end of a buffer look like.
const CANARY: u8 = 0xA5;

fn with_room(room: Room, call: impl FnOnce(*mut qc_error) -> qc_status) -> Answer {
    let cap = match room {
        Room::Bytes(cap) => cap,
        Room::NoBuffer | Room::Nobody => 0,
    };
    // Wide enough beyond its end for any text that is no attack.
    let mut bytes = vec![CANARY; cap + 64 * 1024];
    let mut error = qc_error {
        ptr: match room {
            Room::Bytes(_) => bytes.as_mut_ptr(),
            Room::NoBuffer | Room::Nobody => std::ptr::null_mut(),
        },
        cap,
        len: 0,
    };
    let status = call(match room {
        Room::Nobody => std::ptr::null_mut(),
        Room::Bytes(_) | Room::NoBuffer => &raw mut error,
    });
    let text = bytes[..error.len.min(cap)].to_vec();
    let misused = if error.len > cap {
        Some(format!(
            "it stated {} bytes where there is room for {cap}",
            error.len
        ))
    } else if bytes[cap..].iter().any(|byte| *byte != CANARY) {
        Some(format!("it wrote beyond the {cap} bytes of the buffer"))
    } else if std::str::from_utf8(&text).is_err() {
        Some(format!(
            "its text in a buffer of {cap} bytes is not UTF-8: {}",
            text.escape_ascii()
        ))
    } else {
        None
    };
    Answer {
        status,
        text,
        misused,
    }
}

/// Asks the entry function, as a host of that minor version would: the slots, or none if the plugin declines.
pub(super) fn slots(entry: EntryFn, minor: u32) -> Option<Slots> {
    // SAFETY: the symbol's name carries the version that fixes its type.
    let vtable = unsafe { entry(minor) };
    // SAFETY: NULL, or a static vtable that states its size.
    (!vtable.is_null()).then(|| unsafe { Slots::read(vtable) })
}

/// What `fill` sets its place to, copied.
///
/// # Safety
/// The text is valid when `fill` returns.
unsafe fn filled(fill: impl FnOnce(*mut qc_str)) -> Option<Vec<u8>> {
    let mut text = qc_str::NULL;
    fill(&raw mut text);
    // SAFETY: the caller vouches for it.
    unsafe { text.bytes() }.map(<[u8]>::to_vec)
}

/// What `describe` fills in.
pub(super) fn description(slots: &Slots) -> Option<Vec<u8>> {
    let describe = slots.describe?;
    // SAFETY: the place may be written, and the description is static.
    unsafe { filled(|out| describe(out)) }
}

/// An instance. It is not destroyed unless a case does so.
pub(super) struct Instance {
    pub(super) slots: Slots,
    pub(super) mock_host: Arc<MockHost>,
    raw: *mut c_void,
    age: Age,
    mark: String,
}

/// A run as a newer host has it.
#[repr(C)]
struct NewerRun {
    known: qc_run_v1,
    unknown: [u64; 8],
}

/// An exit as a newer host has it.
#[repr(C)]
struct NewerExit {
    known: qc_exit_v1,
    unknown: [u64; 8],
}

const UNKNOWN: [u64; 8] = [0xAAAA_AAAA_AAAA_AAAA; 8];

impl Instance {
    /// Has the plugin make an instance; the answer if it refuses.
    pub(super) fn make(
        slots: Slots,
        age: Age,
        store: &str,
        settings: &[u8],
        room: Room,
    ) -> (Option<Instance>, Answer) {
        let mock_host = MockHost::new();
        let mut raw = std::ptr::null_mut();
        let answer = with_room(room, |error| match slots.create {
            // SAFETY: the functions are static, and everything else outlives the call.
            Some(create) => unsafe {
                create(
                    functions(age),
                    mock_host.context(),
                    qc_str::new(settings),
                    &raw mut raw,
                    error,
                )
            },
            None => -1,
        });
        let made = (answer.status == 0).then_some(Instance {
            slots,
            mock_host,
            raw,
            age,
            mark: format!("{store}.node"),
        });
        (made, answer)
    }

    fn view(&self, run: u64, request: &[u8]) -> NewerRun {
        let size = match self.age {
            Age::Older => std::mem::offset_of!(qc_run_v1, mark),
            Age::Present => size_of::<qc_run_v1>(),
            Age::Newer => size_of::<NewerRun>(),
        };
        let mark = match self.age {
            // No plugin may look here: it is beyond the size.
            Age::Older => qc_str {
                ptr: std::ptr::without_provenance(8),
                len: 16,
            },
            Age::Present | Age::Newer => qc_str::new(self.mark.as_bytes()),
        };
        NewerRun {
            known: qc_run_v1 {
                size: size as u32,
                attempt: 1,
                run,
                job_number: i64::try_from(run).unwrap_or(i64::MAX),
                fence: 1,
                timeout_ms: 60_000,
                job_id: qc_str::new(b"kit"),
                queue: qc_str::new(b"default"),
                request: qc_str::new(request),
                mark,
            },
            unknown: UNKNOWN,
        }
    }

    /// Starts a run.
    pub(super) fn start(&self, run: u64, request: &[u8], room: Room) -> Answer {
        let view = self.view(run, request);
        self.mock_host.begin(run);
        let answer = with_room(room, |error| match self.slots.start {
            // SAFETY: the instance is alive; the view is readable up to its size and outlives the call.
            Some(start) => unsafe { start(self.raw, (&raw const view).cast(), error) },
            None => -1,
        });
        if answer.status != 0 {
            self.mock_host.end(run);
        }
        answer
    }

    /// Takes a run over.
    pub(super) fn reattach(&self, run: u64, request: &[u8], handle: &[u8]) -> Option<Answer> {
        let reattach = self.slots.reattach?;
        let view = self.view(run, request);
        self.mock_host.begin(run);
        let answer = with_room(PLENTY, |error| {
            // SAFETY: as for `start`; the handle outlives the call, too.
            unsafe { reattach(self.raw, (&raw const view).cast(), qc_str::new(handle), error) }
        });
        if answer.status != 0 {
            self.mock_host.end(run);
        }
        Some(answer)
    }

    /// Tells that a run's process ended.
    pub(super) fn exited(&self, run: u64, kind: u32, code: i32, stopped: bool) -> Option<qc_status> {
        let exited = self.slots.exited?;
        let size = match self.age {
            Age::Older | Age::Present => size_of::<qc_exit_v1>(),
            Age::Newer => size_of::<NewerExit>(),
        };
        let message: &[u8] = match kind {
            QC_EXIT_CODE => b"",
            _ => b"it could not be started",
        };
        let view = NewerExit {
            known: qc_exit_v1 {
                size: size as u32,
                kind,
                code,
                stopped: stopped.into(),
                message: qc_str::new(message),
            },
            unknown: UNKNOWN,
        };
        // SAFETY: the instance is alive; the view is readable up to its size and outlives the call.
        Some(unsafe { exited(self.raw, run, (&raw const view).cast()) })
    }

    /// Asks a run to stop.
    pub(super) fn stop(&self, run: u64, mode: u32) -> Option<qc_status> {
        // SAFETY: the instance is alive.
        self.slots.stop.map(|stop| unsafe { stop(self.raw, run, mode) })
    }

    /// Passes a signal on.
    pub(super) fn signal(&self, run: u64, signal: i32) -> Option<qc_status> {
        // SAFETY: the instance is alive.
        self.slots
            .signal
            .map(|slot| unsafe { slot(self.raw, run, signal) })
    }

    /// Says that an outcome is durable.
    pub(super) fn recorded(&self, run: u64) {
        if let Some(recorded) = self.slots.recorded {
            // SAFETY: the instance is alive.
            unsafe { recorded(self.raw, run) }
        }
    }

    /// Says that the run of a dead process with that handle is no longer wanted.
    pub(super) fn discard(&self, handle: &[u8]) -> Option<()> {
        let discard = self.slots.discard?;
        // SAFETY: the instance is alive, and the handle outlives the call.
        unsafe { discard(self.raw, qc_str::new(handle)) };
        Some(())
    }

    /// Whether it could start that request.
    pub(super) fn validate(&self, request: qc_str, room: Room) -> Option<Answer> {
        let validate = self.slots.validate?;
        // SAFETY: the instance is alive, and the caller's request outlives the call.
        Some(with_room(room, |error| unsafe {
            validate(self.raw, request, error)
        }))
    }

    /// Whether jobs could run now.
    pub(super) fn fingerprint(&self, room: Room) -> Option<Answer> {
        let fingerprint = self.slots.fingerprint?;
        // SAFETY: the instance is alive.
        Some(with_room(room, |error| unsafe { fingerprint(self.raw, error) }))
    }

    /// Has it remove what is left of a store of which no node lives.
    pub(super) fn reap(&self, store: &str) -> Option<()> {
        let reap = self.slots.reap?;
        // SAFETY: the instance is alive, the text outlives the call, and an empty list may be NULL.
        unsafe { reap(self.raw, qc_str::new(store.as_bytes()), std::ptr::null(), 0) };
        Some(())
    }

    /// Its numbers, if it sets any.
    pub(super) fn stats(&self) -> Option<Vec<u8>> {
        let stats = self.slots.stats?;
        // SAFETY: the instance is alive, the place may be written, and the text lives until the next call.
        unsafe { filled(|out| stats(self.raw, out)) }
    }

    /// Ends it.
    pub(super) fn destroy(self) -> Arc<MockHost> {
        // SAFETY: the instance is alive, no run of it is left, and it is used up here.
        unsafe {
            if let Some(shutdown) = self.slots.shutdown {
                shutdown(self.raw);
            }
            if let Some(destroy) = self.slots.destroy {
                destroy(self.raw);
            }
        }
        self.mock_host.destroyed();
        self.mock_host
    }
}
