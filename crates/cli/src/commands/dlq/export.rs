//! `dlq:export`: writes dead jobs as JSON lines.
//!
//! Not here: what a line is (`queuectl_dlq::exchange`), reading it back (`import`).

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_core::selector::{Filter, Selector, Word};
use queuectl_core::{Job, JobId, JobRef, State};
use queuectl_dlq::{Cause, CauseKey, DeadLetter};
use queuectl_storage::Store;
use queuectl_sys::Draft;
use queuectl_views::CountView;

use super::narrow::Narrow;
use crate::commands::batch::line;
use crate::commands::list::numbered;
use crate::commands::select::{narrow, selected, selector};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::output::diagnostics;
use crate::registry::Run;

/// Write dead jobs as JSON lines, to run them elsewhere or later
#[derive(Debug, Args)]
#[command(after_help = "\
Each line is a job as `queuectl enqueue --from` reads it, and how it died in the member dead_letter: error, exit status, \
attempts, times, the end of its output. `queuectl dlq:import` stores the lines as dead jobs again, in any queue, each once; \
the jobs here stay as they are. See docs/dead-letters.md.\n\n\
The lines hold the whole job, with the environment, input and payload that `show` hides without --secrets: without them it \
could not run again. A file of --to can be read by its owner only.")]
pub struct ExportArgs {
    /// The jobs: ids or numbers, 12-20, last, @GROUP; or filters such as queue=mail error~timeout older=2d, which narrow them
    /// (`queuectl help selectors`) [default: all dead jobs]
    #[arg(value_name = "JOB")]
    jobs: Vec<Word>,
    #[command(flatten)]
    narrow: Narrow,
    /// Write them to this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Jobs whose numbers are read at a time.
const PAGE: u32 = 500;

impl Run for ExportArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let mut wanted = selector(&self.jobs)?;
        let in_queue = self.narrow.queue.clone().map(|queue| Filter::Queue(vec![queue]));
        narrow(&mut wanted, "--queue", in_queue)?;
        let older = self.narrow.older_than.map(Filter::Older);
        narrow(&mut wanted, "--older-than", older)?;
        mean_dead(&mut wanted)?;
        let cause = self.narrow.selected(&mut store, now)?.cause;
        let Some(file) = &self.to else {
            let mut export = Export::new(&mut store, cause, BufWriter::new(io::stdout().lock()))?;
            export.all(&mut store, &wanted)?;
            export.out.flush()?;
            return Ok(export.exit());
        };
        let cannot = || format!("cannot write {}", file.display());
        refuse_existing(file)?;
        let draft = Draft::beside(file).with_context(cannot)?;
        let mut export = Export::new(&mut store, cause, BufWriter::new(draft.file()))?;
        export.all(&mut store, &wanted).with_context(cannot)?;
        export.out.flush().with_context(cannot)?;
        let (jobs, exit) = (export.jobs, export.exit());
        drop(export);
        draft.create().with_context(cannot)?;
        let said = line(jobs, &format!("exported to {}", file.display()));
        context.output.done(&CountView { jobs }, &said);
        Ok(exit)
    }
}

/// Has a selector mean dead jobs only.
fn mean_dead(wanted: &mut Selector) -> Result<()> {
    let states = wanted.filters().iter().find_map(|filter| match filter {
        Filter::State(states) => Some(states.as_slice()),
        _ => None,
    });
    match states {
        None => narrow(wanted, "dlq:export", Some(Filter::State(vec![State::Dead]))),
        Some([State::Dead]) => Ok(()),
        Some(_) => Err(Usage::new("only dead jobs can be exported; leave state= out").into()),
    }
}

fn refuse_existing(file: &Path) -> Result<()> {
    match file.try_exists() {
        Ok(true) => {
            let message = format!("{} exists already", file.display());
            Err(Usage::new(message)
                .hint("choose another name, or remove it first")
                .into())
        }
        _ => Ok(()),
    }
}

/// Letters on their way out.
struct Export<W> {
    /// The number of the store.
    store: String,
    /// Only those that died of this.
    cause: Option<CauseKey>,
    out: W,
    /// How many are written.
    jobs: u64,
    /// How many were left out because a part of them cannot be read.
    unreadable: u64,
}

impl<W: Write> Export<W> {
    fn new(store: &mut Store, cause: Option<CauseKey>, out: W) -> Result<Export<W>> {
        Ok(Export {
            store: store.own_number()?,
            cause,
            out,
            jobs: 0,
            unreadable: 0,
        })
    }

    /// Writes all that are meant, a page at a time. What dies meanwhile is not meant.
    fn all(&mut self, store: &mut Store, wanted: &Selector) -> Result<()> {
        if wanted.is_by_name() {
            for job in selected(store, wanted)? {
                let job: Job = store.job(&job)?;
                self.letter(store, job)?;
            }
            return Ok(());
        }
        let now = store.now()?;
        let mut filter = store.job_filter(wanted, now)?;
        store.freeze(&mut filter, now)?;
        let mut after = None;
        loop {
            let page = store.select(&filter, after, PAGE)?;
            let ids: Vec<JobId> = page.jobs;
            numbered(store, &ids, |store, job| self.letter(store, job))?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn letter(&mut self, store: &mut Store, job: Job) -> Result<()> {
        // One that was retried meanwhile is no dead letter any more.
        if job.state != State::Dead {
            return Ok(());
        }
        if let Some(what) = &job.unreadable {
            let id = JobRef::Number(job.id);
            diagnostics::error(&format!(
                "job '{id}' is left out, because a part of it cannot be read: {what}"
            ));
            self.unreadable += 1;
            return Ok(());
        }
        let letter = DeadLetter::of(store, job)?;
        if self
            .cause
            .is_some_and(|cause| Cause::of_letter(&letter).key() != cause)
        {
            return Ok(());
        }
        let line = letter.to_line(&self.store);
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")?;
        self.jobs += 1;
        Ok(())
    }

    fn exit(&self) -> Exit {
        match self.unreadable {
            0 => Exit::OK,
            _ => Exit::NEGATIVE,
        }
    }
}
