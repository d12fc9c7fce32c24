//! `logs`: prints a job's output, also while it runs.
//!
//! An attempt's output is one stream of bytes. Its start is in the output file, if there is one; its first and last bytes
//! are in the store after the attempt has ended. [`Printer`] tracks its position and continues from the source that has the
//! next bytes, so nothing is repeated and missing bytes are counted.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, StdoutLock};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use queuectl_core::range::Whole;
use queuectl_core::{Attempt, Job, JobRef, Outcome, OutcomeKind, State, show_short};
use queuectl_storage::Store;
use queuectl_views::LogView;

use super::wait::Waiter;
use crate::context::Context;
use crate::exit::{Ended, Exit, Usage};
use crate::number::whole;
use crate::output::escape::BytesWriter;
use crate::output::{Output, diagnostics};
use crate::registry::Run;

/// Numbers of attempts.
const ATTEMPT: Whole = Whole {
    min: 1,
    max: i64::MAX,
};

/// Print a job's output
#[derive(Debug, Args)]
#[command(after_help = "\
Control characters other than line feed and tab are escaped; --raw prints the bytes as they are. The middle of very \
long output is left out, and a line on standard error says so (settings output_limit and output_file_limit). If a \
database server goes away, --follow waits for it for up to a minute.")]
pub struct LogsArgs {
    /// The job's id or number
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// The attempt, as numbered by `show` [default: the newest, the running one if there is one]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(ATTEMPT))]
    attempt: Option<u32>,
    /// Follow the output until the job has ended, over all its attempts
    #[arg(short, long)]
    follow: bool,
}

impl Run for LogsArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let job = store.job(&self.job)?;
        if !context.output.takes_bytes() {
            if self.follow {
                return Err(Usage::new(
                    "programs get one document, so -f cannot follow; leave out -f, or --json and --format",
                )
                .into());
            }
            return print_document(&mut store, &job, self.attempt, context);
        }
        match self.attempt {
            Some(_) => {
                let fence = choose(&mut store, &job, self.attempt)?;
                let mut waiter = Waiter::new(None);
                let follow = self.follow.then_some(&mut waiter);
                print_attempt(&mut store, &self.job, fence, follow, context)?;
            }
            None if self.follow => follow(
                &mut store,
                &self.job,
                From::Newest,
                &mut Waiter::new(None),
                context,
            )?,
            None if job.fence == 0 => diagnostics::note(&not_started(&job)),
            None => {
                let fence = choose(&mut store, &job, None)?;
                print_attempt(&mut store, &self.job, fence, None, context)?;
            }
        }
        Ok(Exit::OK)
    }
}

fn not_started(job: &Job) -> String {
    format!("job '{}' is {} and has not run yet", job.public_id(), job.state)
}

/// Returns the fencing token of an attempt: the one with that number, or the newest. The running attempt comes after the
/// ended ones.
fn choose(store: &mut Store, job: &Job, attempt: Option<u32>) -> Result<i64> {
    let running = job.state == State::Processing;
    let Some(wanted) = attempt else {
        if running {
            return Ok(job.fence);
        }
        // A claim that was given back before it started has no attempt.
        let last = store.last_attempt(job.id)?;
        return Ok(last.map_or(job.fence, |attempt| attempt.fence));
    };
    let attempts = store.attempts_without_output(job.id)?;
    let ended = attempts.iter().map(|attempt| attempt.fence);
    let mut fences = ended.chain(running.then_some(job.fence));
    let at = usize::try_from(wanted)
        .ok()
        .and_then(|wanted| wanted.checked_sub(1));
    at.and_then(|at| fences.nth(at)).ok_or_else(|| {
        let message = format!(
            "job '{}' has no attempt {wanted}; `queuectl show {}` lists those it has",
            job.public_id(),
            job.public_id()
        );
        let exit = Exit::NOT_FOUND;
        Ended { message, exit }.into()
    })
}

fn print_document(store: &mut Store, job: &Job, attempt: Option<u32>, context: &Context) -> Result<Exit> {
    let mut fence = choose(store, job, attempt)?;
    if attempt.is_none() {
        // The running attempt has not ended yet, so take the newest that has.
        fence = store.last_attempt(job.id)?.map_or(fence, |attempt| attempt.fence);
    }
    let Some(attempt) = store.attempt(job.id, fence)? else {
        return Err(Ended {
            message: format!("job '{}' has no ended attempt yet", job.public_id()),
            exit: Exit::NOT_FOUND,
        }
        .into());
    };
    let file = Some(store.outputs()?.file(job.id.0, fence)).filter(|file| file.exists());
    let view = LogView::new(job.public_id(), &attempt, file);
    context.output.document(&view, |_| Ok(()))?;
    Ok(Exit::OK)
}

/// Where [`follow`] begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the first attempt.
    First,
    /// With the newest attempt.
    Newest,
}

/// Prints the attempts of a job until the job has ended.
pub fn follow(
    store: &mut Store,
    job: &JobRef,
    from: From,
    waiter: &mut Waiter,
    context: &Context,
) -> Result<()> {
    let mut printed = 0;
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let found = waiter.ask(store, |store| store.job(job))?;
        // A job that waits for its next attempt shows the last one; a job that was given back has none.
        if found.fence > printed {
            if from == From::First || printed > 0 {
                // Attempts that began and ended between two looks.
                let ended = waiter.ask(store, |store| store.attempts_without_output(found.id))?;
                let missed = ended.iter().map(|attempt| attempt.fence);
                for fence in missed.filter(|fence| *fence > printed && *fence < found.fence) {
                    print_attempt(store, job, fence, Some(waiter), context)?;
                }
            }
            printed = found.fence;
            if let Some(attempt) = print_attempt(store, job, found.fence, Some(waiter), context)? {
                let after = waiter.ask(store, |store| store.job(job))?;
                if after.fence == printed && !after.state.is_final() {
                    let next = match after.due_at {
                        Some(due) => {
                            let now = waiter.ask(store, Store::now)?;
                            format!("next in {}", show_short(due.since(now)))
                        }
                        None => "the job is back in the queue".to_owned(),
                    };
                    diagnostics::note(&format!(
                        "attempt {} {}; {next}",
                        attempt.number,
                        how_it_ended(&attempt)
                    ));
                }
            }
            continue;
        }
        if found.state.is_final() {
            return Ok(());
        }
        waiter.wait_for_change(store, marker, &found)?;
    }
}

fn how_it_ended(attempt: &Attempt) -> String {
    let Outcome { kind, message, .. } = &attempt.outcome;
    match kind {
        OutcomeKind::TimedOut => message.clone(),
        OutcomeKind::Returned => "was cut off".to_owned(),
        OutcomeKind::SystemFailure => format!("could not run ({message})"),
        OutcomeKind::Crashed | OutcomeKind::Lost => format!("was lost ({message})"),
        OutcomeKind::Failed | OutcomeKind::Cancelled | OutcomeKind::Succeeded => {
            format!("{kind} ({message})")
        }
    }
}

/// Prints one attempt, with `follow` until it has ended. Returns the attempt if it has ended.
fn print_attempt(
    store: &mut Store,
    job: &JobRef,
    fence: i64,
    follow: Option<&mut Waiter>,
    context: &Context,
) -> Result<Option<Attempt>> {
    let mut once = Waiter::new(None);
    let is_followed = follow.is_some();
    let waiter = follow.unwrap_or(&mut once);
    let mut found = waiter.ask(store, |store| store.job(job))?;
    let outputs = waiter.ask(store, Store::outputs)?;
    let mut printer = Printer::new(outputs.file(found.id.0, fence), &context.output);
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let ended = waiter.ask(store, |store| store.attempt(found.id, fence))?;
        let running = found.state == State::Processing && found.fence == fence;
        printer.print_file()?;
        if let Some(attempt) = ended {
            printer.print_rest(&attempt)?;
            return Ok(Some(attempt));
        }
        if !running || !is_followed {
            printer.finish()?;
            if running {
                diagnostics::note(&format!("job '{job}' is still running; -f follows it"));
            }
            return Ok(None);
        }
        // The file can grow while the store does not change.
        while waiter.ask(store, Store::change_marker)? == marker {
            waiter.look_for_nodes(store, &found);
            waiter.pause();
            printer.print_file()?;
        }
        found = waiter.ask(store, |store| store.job(job))?;
    }
}

/// Prints the stream of one attempt.
struct Printer {
    path: PathBuf,
    /// Kept open, so that it stays readable after it is removed.
    file: Option<File>,
    out: BytesWriter<StdoutLock<'static>>,
    /// Bytes of the stream that were printed or left out.
    position: u64,
}

impl Printer {
    fn new(path: PathBuf, output: &Output) -> Printer {
        Printer {
            path,
            file: None,
            out: output.bytes(),
            position: 0,
        }
    }

    /// Prints the bytes of the file after the position.
    fn print_file(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => Some(other?),
            };
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(self.position))?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match file.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if read == 0 {
                return self.out.flush();
            }
            self.out.write(&buffer[..read])?;
            self.position += read as u64;
        }
    }

    /// Prints the bytes of the store after the position.
    fn print_rest(&mut self, attempt: &Attempt) -> io::Result<()> {
        let output = &attempt.output;
        let tail_start = output.total_bytes.saturating_sub(output.tail.len() as u64);
        self.print_part(0, &output.head)?;
        if self.position < tail_start {
            let omitted = tail_start - self.position;
            self.out.finish()?;
            diagnostics::note(&format!("… {omitted} bytes left out …"));
            self.position = tail_start;
        }
        self.print_part(tail_start, &output.tail)?;
        self.finish()
    }

    /// Prints the bytes after the position of a part of the stream that begins at `start`.
    fn print_part(&mut self, start: u64, part: &[u8]) -> io::Result<()> {
        let skip = self.position.saturating_sub(start).min(part.len() as u64);
        let rest = &part[usize::try_from(skip).unwrap_or(part.len())..];
        self.position = self.position.max(start + part.len() as u64);
        self.out.write(rest)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.finish()
    }
}
