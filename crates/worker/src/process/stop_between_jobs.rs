//! The two threads of a worker process, with their order forced: a stop comes while the job is between the line and the
//! host.
//!
//! The gap is held open by the lease: the host's thread reads its file before it starts a job, and the file is a pipe here.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use queuectl_core::settings::Leftovers;
use queuectl_core::{JobId, OutcomeKind};
use queuectl_executor::{CALL_LIMIT, Run, RunKey, SearchPath, StopReason};

use super::{Worker, WorkerOptions};
use crate::deadline::SharedDeadline;
use crate::protocol::{self, FromWorker, ToWorker};

/// Longest that anything here may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Builds a plugin whose runs end when they are stopped; false where there is no C compiler.
fn compile(folder: &Path) -> bool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = format!(
        "{}queuectl_plugin_odd{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-pthread", "-I"])
        .arg(here.join("../plugin-api/include"))
        .arg(here.join("../executor/tests/odd.c"))
        .arg("-o")
        .arg(folder.join(file))
        .status();
    status.is_ok_and(|status| status.success())
}

fn run(job: i64, folder: &Path) -> Run {
    Run {
        key: RunKey {
            job: JobId(job),
            fence: 1,
        },
        public_id: job.to_string(),
        attempt: 1,
        queue: "default".to_owned(),
        executor: "odd".parse().expect("a name"),
        payload: r#"{"payload":{"do":"wait"}}"#.to_owned(),
        terminal: None,
        parents: None,
        groups: None,
        checkpoint: None,
        timeout: None,
        kill_grace: Duration::from_secs(5),
        leftovers: Leftovers::Kill,
        output_limit: 1024,
        output_file_limit: 0,
        output_file: folder.join("out"),
        used: Duration::ZERO,
    }
}

#[test]
fn a_stop_between_two_jobs_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    if !compile(folder.path()) {
        queuectl_testkit::skipped(
            "a_stop_between_two_jobs_is_not_lost",
            "there is no C compiler `cc`",
        );
        return;
    }
    let lease = folder.path().join("lease");
    nix::unistd::mkfifo(&lease, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    let mut told = BufReader::new(ours);
    let mut told = || {
        protocol::read::<FromWorker>(&mut told)
            .expect("a report")
            .unwrap()
    };

    let options = WorkerOptions {
        search: SearchPath::new([folder.path().to_owned()]),
        call_limit: CALL_LIMIT,
    };
    let worker = Worker::start(
        options,
        "store.order.1.".to_owned(),
        File::from(OwnedFd::from(theirs)),
    )
    .unwrap();
    let (first, second) = (run(1, folder.path()), run(2, folder.path()));
    let (first_key, second_key) = (first.key, second.key);
    worker.handle(ToWorker::Slots(1));
    worker.handle(ToWorker::Start(first));
    worker.handle(ToWorker::Start(second));
    worker
        .gate
        .lease
        .get_or_init(|| SharedDeadline::of(lease.clone()));
    worker.handle(ToWorker::Stop(first_key, StopReason::Cancelled));
    // Opens when the host's thread reads it: the first job has ended, and the second is on its way.
    let mut gap = OpenOptions::new().write(true).open(&lease).unwrap();
    worker.handle(ToWorker::Stop(second_key, StopReason::Cancelled));
    gap.write_all(&u64::MAX.to_le_bytes()).unwrap();
    drop(gap);

    for key in [first_key, second_key] {
        match told() {
            FromWorker::Finished(finished) => {
                assert_eq!(
                    (finished.key, finished.outcome.kind),
                    (key, OutcomeKind::Cancelled)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    worker.shut_down();
}
