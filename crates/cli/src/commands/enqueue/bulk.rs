//! `enqueue --from` and arrays of jobs: many jobs, stored batch by batch with bounded memory.
//!
//! Rows of a CSV file are all checked before the first is stored. Not here: what a job is in a file (`sources`).

use std::io::{self, BufWriter, IsTerminal as _, Stdout};

use anyhow::{Context as _, Result};
use queuectl_core::limits::{ENQUEUE_BATCH, GRAPH_BYTES, GRAPH_JOBS};
use queuectl_core::{Clock, EnqueuedBy, JobSpec, ValidJob};
use queuectl_frontend::input::documents::Place;
use queuectl_frontend::input::source::JobSource;
use queuectl_storage::{Placed, Store, StoreClock, StoreError};

use super::ignored::Ignored;
use super::sources::Opened;
use super::submit::{public_id, view};
use super::validate::Validator;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::input::validate;
use crate::inside::enqueued_by;
use crate::output::list::Records;
use crate::output::progress::Progress;
use crate::output::{diagnostics, warn_unprinted};

/// Most bytes of a batch, since jobs can be large.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Bad lines that are named; the rest is counted.
const NAMED: u64 = 50;

pub fn run(opened: Opened, options: &JobSpec, context: &Context) -> Result<Exit> {
    let Opened {
        jobs,
        again,
        is_finite,
        is_graph,
    } = opened;
    let is_graph = is_graph || !options.after.is_empty() || options.close_group == Some(true);
    let mut store = context.open_or_create()?;
    let mut bulk = Bulk {
        enqueued_by: enqueued_by(&mut store),
        clock: store.clock()?,
        store,
        jobs,
        arrays: false,
        ignored: Ignored::default(),
        options,
        validator: Validator::new(context),
        records: context.output.records(BufWriter::new(io::stdout())),
        batch: Batch::default(),
        is_graph,
        stored: 0,
        existing: 0,
        go_on_from: 1,
        bad: 0,
        unsure: false,
        untold: 0,
        // Ids on the same terminal show the progress, too.
        progress: (!io::stdout().is_terminal()).then(|| Progress::new("jobs stored:", None)),
    };
    let done = match again {
        None => bulk.store_all(),
        Some(again) => bulk.check_rest().and_then(|()| {
            if bulk.bad > 0 {
                return Ok(());
            }
            bulk.jobs = again.jobs()?;
            bulk.batch = Batch::default();
            bulk.ignored = Ignored::default();
            bulk.store_all()
        }),
    };
    bulk.progress = None;
    bulk.ignored.say();
    if bulk.existing > 0 {
        context.output.remark(&format!(
            "note: {} of these {} jobs were there already: others have their unique keys",
            bulk.existing, bulk.stored
        ));
    }
    if let Err(error) = done {
        diagnostics::note(&bulk.summary());
        return Err(error);
    }
    if bulk.bad == 0 {
        if bulk.untold > 0 {
            diagnostics::warning(&format!(
                "all {} jobs are stored; the ids of {} of them could not be printed",
                bulk.stored, bulk.untold
            ));
        }
        return Ok(Exit::OK);
    }
    if is_finite {
        // Nothing more is stored, but all mistakes can be corrected at once.
        bulk.check_rest()?;
    }
    Err(bulk.refuse().into())
}

#[derive(Default)]
struct Batch {
    jobs: Vec<ValidJob>,
    /// Where each job stands.
    places: Vec<Place>,
    bytes: usize,
}

struct Bulk<'a> {
    /// The job that enqueues these, if one does.
    enqueued_by: Option<EnqueuedBy>,
    store: Store,
    clock: StoreClock,
    jobs: Box<dyn JobSource>,
    /// Whether there were arrays, in which lines count for nothing.
    arrays: bool,
    ignored: Ignored,
    options: &'a JobSpec,
    validator: Validator<'a>,
    records: Records<BufWriter<Stdout>>,
    batch: Batch,
    /// Whether jobs may wait for others among them, or close a group, so that they are stored together.
    is_graph: bool,
    /// Jobs stored so far, or there already.
    stored: u64,
    /// Jobs that were there already.
    existing: u64,
    /// The first line of which nothing is stored.
    go_on_from: u64,
    /// Bad lines so far.
    bad: u64,
    /// Whether it could not be found out if the last batch was stored.
    unsure: bool,
    /// Stored jobs whose ids could not be printed.
    untold: u64,
    progress: Option<Progress>,
}

impl Bulk<'_> {
    /// Stores batch after batch, until the end or the end of a batch with a bad line.
    fn store_all(&mut self) -> Result<()> {
        let mut seen = 0;
        loop {
            let more = self.take_document()?;
            seen += usize::from(more);
            self.is_graph |= self.batch.jobs.last().is_some_and(|job| !job.after.is_empty());
            if self.is_graph {
                self.check_graph(seen)?;
            }
            let is_full = seen >= ENQUEUE_BATCH || self.batch.bytes >= BATCH_BYTES;
            if !more || (is_full && !self.is_graph) {
                self.check_batch();
                if self.bad > 0 {
                    return Ok(());
                }
                self.store_batch()?;
                seen = 0;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Refuses more jobs than one transaction stores. No batch is full before that if jobs wait for others.
    fn check_graph(&self, seen: usize) -> Result<(), Usage> {
        if seen <= GRAPH_JOBS && self.batch.bytes <= GRAPH_BYTES {
            return Ok(());
        }
        let most = GRAPH_BYTES / (1024 * 1024);
        Err(Usage::new(format!(
            "jobs that wait for each other or close their group are stored together, at most {GRAPH_JOBS} jobs of {most} MiB"
        ))
        .hint("split them into several files, and name jobs of an earlier file by their ids"))
    }

    /// Takes the job of the next document into the batch, unless it is bad. False at the end.
    fn take_document(&mut self) -> Result<bool> {
        let Some(found) = self.jobs.read().context("cannot read the jobs")? else {
            return Ok(false);
        };
        let place = found.place;
        self.arrays |= place.item.is_some();
        match found.job.and_then(|spec| self.check(spec)) {
            Ok(job) => {
                self.batch.jobs.push(job);
                self.batch.places.push(place);
                self.batch.bytes += found.bytes;
            }
            Err(reason) => self.name_bad(place, &reason),
        }
        Ok(true)
    }

    fn check(&mut self, spec: JobSpec) -> Result<ValidJob, String> {
        self.ignored.add(&spec);
        let job = validate(self.options.clone().or(spec), self.clock.now())?;
        Ok(job.with_enqueued_by(self.enqueued_by))
    }

    fn name_bad(&mut self, place: Place, reason: &str) {
        self.bad += 1;
        if self.bad <= NAMED {
            diagnostics::error(&format!("{place}: {reason}"));
        }
    }

    /// Asks the executors about the jobs of the batch.
    fn check_batch(&mut self) {
        for (place, reason) in self.validator.check_all(&self.batch.jobs) {
            self.name_bad(self.batch.places[place], &reason);
        }
    }

    fn check_rest(&mut self) -> Result<()> {
        self.batch = Batch::default();
        while self.take_document()? {
            if self.batch.jobs.len() >= ENQUEUE_BATCH || self.batch.bytes >= BATCH_BYTES {
                self.check_batch();
                self.batch = Batch::default();
            }
        }
        self.check_batch();
        Ok(())
    }

    fn store_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if !batch.jobs.is_empty() {
            let stored = self.store.place(&batch.jobs, self.clock.now());
            self.unsure = matches!(stored, Err(StoreError::MaybeStored { .. }));
            let placed = stored.map_err(|error| name_line(error, &batch))?;
            self.stored += placed.len() as u64;
            if let Some(progress) = &mut self.progress {
                progress.set(self.stored);
            }
            self.existing += placed.iter().filter(|job| job.existing.is_some()).count() as u64;
            // Before printing can fail: the summary must know what is stored.
            self.go_on_from = self.jobs.line() + 1;
            let printed = self.print_ids(&batch.jobs, &placed);
            self.tell(printed, placed.len() as u64);
        }
        self.go_on_from = self.jobs.line() + 1;
        Ok(())
    }

    fn print_ids(&mut self, jobs: &[ValidJob], placed: &[Placed]) -> io::Result<()> {
        for (job, placed) in jobs.iter().zip(placed) {
            let id = public_id(job, placed);
            self.records.item(&view(&id, placed), &id)?;
        }
        self.records.flush()
    }

    /// Stored is stored: ids that cannot be printed are a warning, said once.
    fn tell(&mut self, printed: io::Result<()>, jobs: u64) {
        let failed = matches!(&printed, Err(error) if error.kind() != io::ErrorKind::BrokenPipe);
        if failed && self.untold == 0 {
            let stored = self.stored;
            warn_unprinted(printed, || format!("{stored} jobs are stored so far"));
        }
        self.untold += if failed { jobs } else { 0 };
    }

    fn summary(&self) -> String {
        let from = self.go_on_from;
        match self.stored {
            stored if self.unsure && self.arrays => {
                format!("{stored} jobs were stored for certain, and perhaps up to {ENQUEUE_BATCH} after them")
            }
            stored if self.unsure => format!(
                "{stored} jobs were stored for certain, and perhaps those of lines {from} to {}",
                self.jobs.line()
            ),
            0 => "no job was stored".to_owned(),
            stored if self.arrays => format!("the first {stored} jobs were stored, and nothing after them"),
            stored => format!(
                "{stored} jobs were stored, from lines 1 to {}; nothing from line {from} on",
                from - 1
            ),
        }
    }

    fn refuse(&self) -> Usage {
        let (bad, from) = (self.bad, self.go_on_from);
        let lines = if bad == 1 {
            "1 bad line".to_owned()
        } else {
            format!("{bad} bad lines")
        };
        let first = if bad > NAMED {
            format!(" (the first {NAMED} are named)")
        } else {
            String::new()
        };
        let refused = Usage::new(format!("{lines}{first}; {}", self.summary()));
        if self.stored == 0 {
            refused.hint("correct what was named and start again")
        } else if self.arrays {
            refused.hint(format!(
                "correct what was named and leave the first {} jobs out, for example with jq '.[{}:]'",
                self.stored, self.stored
            ))
        } else {
            refused.hint(format!(
                "correct what was named and go on from line {from}: tail -n +{from} FILE"
            ))
        }
    }
}

/// The error, with the line that is to blame.
fn name_line(error: StoreError, batch: &Batch) -> anyhow::Error {
    let place = error.index().and_then(|index| batch.places.get(index));
    match place.map(Place::to_string) {
        Some(place) => anyhow::Error::from(error).context(place),
        None => error.into(),
    }
}
