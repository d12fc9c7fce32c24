//! `run`: stores a job, prints its output while it runs, and exits with its status.
//!
//! A node runs the job, and this command only watches it. A stop signal cancels the job; if the command ends in another
//! way, the job goes on. Not here: storing the job (`enqueue/submit`), printing its output and its status (`watch`).

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_core::{JobId, JobRef};
use queuectl_storage::{Cancelled, Location, OpenMode, Store, StoreError};
use queuectl_worker::processes::on_stop_signal;

use super::enqueue::options::JobOptions;
use super::enqueue::submit::{asked, checked, public_id, remark, resolve_last, store_one};
use super::enqueue::typed;
use super::enqueue::words::Asked;
use super::watch::watch;
use crate::context::Context;
use crate::exit::{Exit, Usage, in_words};
use crate::output::diagnostics;
use crate::registry::Run;

/// Store a job, print its output while it runs, and exit with its status
#[derive(Debug, Args)]
#[command(after_help = "\
A node has to serve the job's queue; a note says so if none does after a second. The job runs where the node runs, with \
the options of `enqueue` and its retries (--max-retries 0 for none). Its output, both streams together, goes to standard \
output; its id and notes about its attempts go to standard error.

If another job has its unique key (--unique), that one is watched, and Ctrl-C leaves it alone.

Ctrl-C (or SIGTERM, or closing the terminal) cancels the job and waits for its end; a second one leaves at once, while the node still stops the \
job. If this command is killed, the job goes on: `queuectl logs -f JOB` follows it again.

Exit status: that of `queuectl wait`: 0 if the job completed; 1 if it was cancelled; if it is dead, the status of its \
last attempt as a shell would report it. 130 after a second Ctrl-C.

Examples:
  queuectl run make -j4
  queuectl run --queue build --max-retries 0 'make && make install'")]
pub struct RunArgs {
    /// One word is a shell command line, several words are a program and its exact arguments, and a JSON object is a
    /// complete job, as with `enqueue`
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        required_unless_present_any = ["command", "payload"],
        conflicts_with_all = ["command"]
    )]
    words: Vec<String>,
    /// Whether `--` says that the words are a program and its arguments, whatever they look like.
    #[arg(skip)]
    exact: bool,
    #[command(flatten)]
    job: JobOptions,
}

/// Exit status after a second stop signal, as of a program that Ctrl-C ended.
const LEFT: i32 = 130;

impl Run for RunArgs {
    fn reread(&mut self, words: &[OsString], is_again: bool) -> Result<Option<Vec<OsString>>, String> {
        if let [word] = &self.words[..]
            && typed::names_file(word, words)
        {
            return Err(format!(
                "{ONE}; `queuectl enqueue {word}` stores the jobs of a file"
            ));
        }
        typed::reread("run", &self.words, &mut self.exact, words, is_again)
    }

    fn run(self, context: &Context) -> Result<Exit> {
        if !context.output.takes_bytes() {
            let refused = Usage::new("`run` prints the job's own output; leave out --json and --format");
            return Err(refused
                .hint("`queuectl enqueue --wait --json` prints the id and exits with the job's status")
                .into());
        }
        let mut options = self.job.into_spec()?;
        resolve_last(&mut options, context)?;
        let spec = match asked(self.words, self.exact, &options)? {
            Asked::One(spec) => options.or(*spec),
            Asked::Many(_) => {
                return Err(Usage::new(ONE)
                    .hint("`queuectl enqueue` stores an array of jobs")
                    .into());
            }
        };
        let job = checked(spec, context)?;
        let mut store = context.open_or_create()?;
        let canceller = Canceller::listen(context.location.clone())?;
        let placed = store_one(&mut store, &job)?;
        diagnostics::note(&format!("job {}", public_id(&job, &placed)));
        if let Some(remark) = remark(&placed) {
            diagnostics::note(&remark);
        }
        match placed.existing {
            Some(_) => canceller.is_not_ours(),
            None => canceller.is_stored(placed.id),
        }
        watch(&mut store, placed.id, context)
    }
}

const ONE: &str = "`run` takes one job";

/// Cancels the job at the first stop signal and ends the process at the second.
struct Canceller {
    location: Location,
    progress: Mutex<Progress>,
}

/// What has happened so far.
#[derive(Clone, Copy)]
enum Progress {
    /// The job is not stored yet.
    Storing,
    /// The job is not stored yet, and is to be cancelled then.
    Stopped,
    /// The job has this number.
    Stored(JobId),
    /// The job's cancellation was requested, or it is none of this command's.
    Cancelling,
}

impl Canceller {
    /// Listens for stop signals.
    fn listen(location: Location) -> Result<Arc<Canceller>> {
        let canceller = Arc::new(Canceller {
            location,
            progress: Mutex::new(Progress::Storing),
        });
        let told = Arc::clone(&canceller);
        on_stop_signal(move || told.stop()).context("cannot listen for signals")?;
        Ok(canceller)
    }

    /// Tells the number of the stored job.
    fn is_stored(&self, job: JobId) {
        let before = self.replace(|before| match before {
            Progress::Stopped => Progress::Cancelling,
            _ => Progress::Stored(job),
        });
        if matches!(before, Progress::Stopped) {
            self.cancel(job);
        }
    }

    /// Tells that the job was there before: a stop signal ends this command and leaves the job alone.
    fn is_not_ours(&self) {
        if matches!(self.replace(|_| Progress::Cancelling), Progress::Stopped) {
            std::process::exit(LEFT);
        }
    }

    fn stop(&self) {
        let before = self.replace(|before| match before {
            Progress::Storing => Progress::Stopped,
            Progress::Stored(_) | Progress::Stopped | Progress::Cancelling => Progress::Cancelling,
        });
        match before {
            Progress::Storing => {}
            Progress::Stored(job) => self.cancel(job),
            Progress::Stopped | Progress::Cancelling => std::process::exit(LEFT),
        }
    }

    /// Cancels the job, over a connection of its own: the other one may be in use.
    fn cancel(&self, job: JobId) {
        let cancelled = Store::open(&self.location, OpenMode::MustExist).and_then(|mut store| {
            let now = store.now()?;
            store.cancel(&JobRef::Number(job), now)
        });
        match cancelled {
            Ok(Cancelled::Requested) => {
                diagnostics::note("cancelling the job; Ctrl-C again leaves without waiting for its end");
            }
            // It has ended, which is seen anyway.
            Ok(Cancelled::Now) | Err(StoreError::Refused { .. } | StoreError::NoSuchJob(_)) => {}
            Err(error) => diagnostics::error(&format!(
                "cannot cancel the job: {}; Ctrl-C again leaves it running",
                in_words(&error.into())
            )),
        }
    }

    /// Takes the next step and returns the state before it.
    fn replace(&self, next: impl FnOnce(Progress) -> Progress) -> Progress {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *progress;
        *progress = next(before);
        before
    }
}
