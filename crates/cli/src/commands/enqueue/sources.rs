//! Opens what many jobs are read from: a file, standard input or text, in the form that the options say.
//!
//! Not here: reading single jobs (`queuectl_frontend::input`), storing them (`bulk`).

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek as _};

use anyhow::{Context as _, Result};
use queuectl_frontend::input::argv::LineTemplate;
use queuectl_frontend::input::documents::Documents;
use queuectl_frontend::input::line_jobs::LineJobs;
use queuectl_frontend::input::rows::RowJobs;
use queuectl_frontend::input::source::JobSource;
use queuectl_frontend::input::{graph, job};

use crate::exit::Usage;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;
/// Most bytes of rows from a pipe: they are kept in a temporary file, to be checked before any is stored.
const SPOOLED: u64 = GIB;
const GIB: u64 = 1024 * 1024 * 1024;

/// Where the jobs come from.
pub enum Source {
    /// A file; `-` is standard input.
    File(String),
    /// The text itself.
    Text(String),
}

/// What a job is in there.
pub enum Form {
    /// A JSON document.
    Documents,
    /// A line: a shell command line, or an argument for the template.
    Lines(Option<LineTemplate>),
    /// A row of a CSV file, whose fields go into these words of a command.
    Rows(Vec<String>),
}

/// Jobs, ready to be read.
pub struct Opened {
    /// The jobs.
    pub jobs: Box<dyn JobSource>,
    /// The same jobs once more, if all are checked before any is stored.
    pub again: Option<Again>,
    /// Whether reading them ends by itself.
    pub is_finite: bool,
    /// Whether jobs may wait for others among them.
    pub is_graph: bool,
}

/// Rows that are read a second time.
pub struct Again {
    file: File,
    words: Vec<String>,
}

impl Again {
    /// Reads them from the beginning.
    pub fn jobs(mut self) -> Result<Box<dyn JobSource>> {
        self.file.rewind().context("cannot read the rows again")?;
        Ok(Box::new(
            RowJobs::new(self.file, &self.words).map_err(Usage::new)?,
        ))
    }
}

/// Opens jobs. A mistake in the first row of a CSV file is found here.
pub fn open(source: Source, form: Form) -> Result<Opened> {
    let mut is_graph = false;
    let (input, is_finite): (Box<dyn Read>, bool) = match (source, &form) {
        (Source::Text(text), _) => {
            is_graph = graph::is_in(text.as_bytes())?;
            (Box::new(Cursor::new(text)), true)
        }
        (Source::File(name), Form::Rows(words)) => return open_rows(&name, words),
        (Source::File(name), _) if name == "-" => (Box::new(io::stdin().lock()), false),
        (Source::File(name), form) => {
            let (mut file, is_file) = open_file(&name)?;
            if is_file && matches!(form, Form::Documents) {
                is_graph = graph::is_in(&file).with_context(|| format!("cannot read {name}"))?;
                file.rewind().with_context(|| format!("cannot read {name}"))?;
            }
            (Box::new(file), is_file)
        }
    };
    let input = BufReader::with_capacity(CHUNK, input);
    let jobs: Box<dyn JobSource> = match form {
        Form::Documents => Box::new(Documents::new(input, job::DOCUMENT_BYTES)),
        Form::Lines(template) => Box::new(LineJobs::new(input, template)),
        Form::Rows(words) => Box::new(RowJobs::new(input, &words).map_err(Usage::new)?),
    };
    Ok(Opened {
        jobs,
        again: None,
        is_finite,
        is_graph,
    })
}

fn open_rows(name: &str, words: &[String]) -> Result<Opened> {
    let file = match name {
        "-" => spool(io::stdin().lock(), "standard input")?,
        name => match open_file(name)? {
            (file, true) => file,
            (pipe, false) => spool(pipe, name)?,
        },
    };
    let first = file.try_clone().context("cannot read the rows twice")?;
    let named = |mistake| Usage::new(format!("{name}: {mistake}"));
    Ok(Opened {
        jobs: Box::new(RowJobs::new(first, words).map_err(named)?),
        again: Some(Again {
            file,
            words: words.to_vec(),
        }),
        is_finite: true,
        is_graph: false,
    })
}

/// Opens a file, and says whether it is one and not a pipe.
fn open_file(name: &str) -> Result<(File, bool), Usage> {
    let file = File::open(name).map_err(|error| Usage::new(format!("cannot open {name}: {error}")))?;
    let is_file = file.metadata().is_ok_and(|data| data.is_file());
    Ok((file, is_file))
}

/// Puts everything that can be read there into a temporary file without a name.
fn spool(input: impl Read, name: &str) -> Result<File> {
    let mut file = tempfile::tempfile().context("cannot make a temporary file for the rows")?;
    let copied = io::copy(&mut input.take(SPOOLED + 1), &mut file);
    let copied = copied.with_context(|| format!("cannot copy {name} to a temporary file"))?;
    if copied > SPOOLED {
        let most = SPOOLED / GIB;
        return Err(Usage::new(format!("{name} has more than {most} GiB"))
            .hint("put the rows into a file")
            .into());
    }
    file.rewind().context("cannot read the temporary file")?;
    Ok(file)
}
