//! `dlq:import`: stores dead jobs that `dlq:export` wrote, each once.
//!
//! A wrong line is named and keeps no other from being stored: since nothing is stored twice, the corrected file is imported
//! again as a whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_core::Timestamp;
use queuectl_dlq::{LETTER_BYTES, read_letter};
use queuectl_frontend::input::lines::{Line, Lines};
use queuectl_storage::{Imported, ImportedLetter, Store};
use queuectl_views::LettersImportedView;

use crate::commands::batch::line;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::{Exit, Usage, in_words};
use crate::output::diagnostics;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Store dead jobs that `dlq:export` wrote, each once
#[derive(Debug, Args)]
#[command(after_help = "\
The jobs are dead here, with the error, exit status, times and the end of the output of their last attempt, until \
`queuectl dlq:retry` runs them. They have new numbers, and the label imported-from, which says what they are: the same file \
can be imported again, after it was cut off or corrected, and nothing is stored twice. A job that is still in the queue that \
it was exported from is not stored there. No hooks run.\n\n\
A line that is wrong is named and left out, and the exit status is 2 then. See docs/dead-letters.md.")]
pub struct ImportArgs {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    file: String,
}

/// Letters of a transaction.
const BATCH: usize = 500;
/// Most bytes of lines of a transaction.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Wrong lines that are named; the rest is counted.
const NAMED: u64 = 50;

impl Run for ImportArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let (input, name): (Box<dyn BufRead>, &str) = match self.file.as_str() {
            "-" => (Box::new(io::stdin().lock()), "standard input"),
            name => {
                let file = File::open(name);
                let file = file.map_err(|error| Usage::new(format!("cannot open {name}: {error}")))?;
                (Box::new(BufReader::with_capacity(64 * 1024, file)), name)
            }
        };
        let mut store = context.open_or_create()?;
        begin_operation(&mut store, "dlq:import", format!("from {name}"))?;
        let mut import = Import {
            now: store.now()?,
            store,
            batch: Vec::new(),
            bytes: 0,
            done: LettersImportedView::default(),
            progress: Progress::new("dead jobs imported:", None),
        };
        let all = import.all(Lines::new(input, LETTER_BYTES), name);
        let done = import.done;
        drop(import.progress);
        if let Err(error) = all {
            let said = line(done.jobs, "imported so far; import the file again to go on");
            diagnostics::note(&said);
            return Err(error);
        }
        say(&done, context);
        match done.wrong {
            0 => Ok(Exit::OK),
            wrong => Err(refuse(wrong).into()),
        }
    }
}

fn say(done: &LettersImportedView, context: &Context) {
    context.output.done(done, &line(done.jobs, "imported"));
    let remark = |jobs: u64, one: &str, several: &str| {
        if jobs > 0 {
            let number = if jobs == 1 {
                String::new()
            } else {
                format!("{jobs} ")
            };
            let words = if jobs == 1 { one } else { several };
            context.output.remark(&format!("{number}{words}"));
        }
    };
    remark(done.already, "1 job was there already", "jobs were there already");
    remark(
        done.name_taken,
        "another job has the id of one of them; it has only a number",
        "of them have only numbers, because other jobs have their ids",
    );
    remark(
        done.key_taken,
        "another job has the unique key of one of them; retry it when that has ended",
        "of them have unique keys that other jobs have; retry them when those have ended",
    );
}

fn refuse(wrong: u64) -> Usage {
    let lines = if wrong == 1 {
        "1 line is wrong and was left out".to_owned()
    } else {
        format!("{wrong} lines are wrong and were left out")
    };
    let first = if wrong > NAMED {
        format!(" (the first {NAMED} are named)")
    } else {
        String::new()
    };
    Usage::new(format!("{lines}{first}"))
        .hint("correct what was named and import the file again; what is stored is not stored twice")
}

struct Import {
    store: Store,
    now: Timestamp,
    /// Letters that are read, with their lines.
    batch: Vec<(u64, ImportedLetter)>,
    /// How long those lines are.
    bytes: usize,
    done: LettersImportedView,
    progress: Progress,
}

impl Import {
    fn all(&mut self, mut lines: Lines<Box<dyn BufRead>>, name: &str) -> Result<()> {
        while let Some(line) = lines.read().with_context(|| format!("cannot read {name}"))? {
            let number = lines.number;
            match line {
                Line::Text(text) if text.trim_ascii().is_empty() => {}
                Line::Text(text) => match read_letter(text.trim_ascii(), self.now) {
                    Ok(letter) => {
                        self.batch.push((number, letter));
                        self.bytes += text.len();
                    }
                    Err(problem) => self.name_wrong(number, &problem),
                },
                Line::TooLong => {
                    let problem = format!("the line is longer than {LETTER_BYTES} bytes");
                    self.name_wrong(number, &problem);
                }
            }
            if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
                self.store_batch()?;
            }
        }
        self.store_batch()
    }

    fn name_wrong(&mut self, line: u64, problem: &str) {
        self.done.wrong += 1;
        if self.done.wrong <= NAMED {
            diagnostics::error(&format!("line {line}: {problem}"));
        }
    }

    /// Stores what was read, but the letters that the store refuses.
    fn store_batch(&mut self) -> Result<()> {
        let (mut lines, mut letters): (Vec<u64>, Vec<ImportedLetter>) =
            std::mem::take(&mut self.batch).into_iter().unzip();
        self.bytes = 0;
        while !letters.is_empty() {
            match self.store.import_dead(&letters, self.now) {
                Ok(imported) => {
                    self.count(&imported);
                    return Ok(());
                }
                Err(error) => {
                    let blamed = error.index().filter(|index| *index < letters.len());
                    let Some(index) = blamed else {
                        return Err(error.into());
                    };
                    letters.remove(index);
                    let line = lines.remove(index);
                    self.name_wrong(line, &in_words(&error.into()));
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, imported: &[Imported]) {
        for one in imported {
            match one {
                Imported::Stored {
                    name_taken,
                    key_taken,
                    ..
                } => {
                    self.done.jobs += 1;
                    self.done.name_taken += u64::from(*name_taken);
                    self.done.key_taken += u64::from(*key_taken);
                }
                Imported::Already(_) => self.done.already += 1,
            }
        }
        self.progress.set(self.done.jobs + self.done.already);
    }
}
