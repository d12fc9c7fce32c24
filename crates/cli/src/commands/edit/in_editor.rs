//! One job in the user's editor: written to a private file, read again, checked, and stored if the job is still what it was.
//!
//! A text that is wrong is opened again, with what is wrong. Whatever is not stored stays in its file, whose name is printed.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use queuectl_core::limits::PAYLOAD_BYTES;
use queuectl_core::{Job, JobRef, JobSpec};
use queuectl_storage::{EDITABLE_STATES, JobFilter, Store, StoreError};
use queuectl_views::ChangedView;
use tempfile::TempPath;

use super::check;
use super::text::{body, headed, read, written};
use crate::commands::enqueue::validate::Validator;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::operator;
use crate::output::diagnostics;

/// Longest text that is read, in bytes: a job in the longest form of JSON, with the lines above it.
const MOST: u64 = 8 * PAYLOAD_BYTES as u64;

/// Has the user edit a job.
pub fn edit_in_editor(store: &mut Store, job: &JobRef, context: &Context) -> Result<Exit> {
    let found = store.job(job)?;
    if let Some(what) = &found.unreadable {
        return Err(refused(job, format!("a part of it cannot be read: {what}")).into());
    }
    // One that cannot be edited says so before its text is opened.
    if !EDITABLE_STATES.contains(&found.state) {
        let now = store.now()?;
        let by = operator::name();
        store.edit(job, &JobFilter::default(), &by, now, &|job| {
            Ok(JobSpec::of(job.clone()))
        })?;
    }
    let before = JobSpec::of(found.clone());
    let name = found.public_id();
    let file = draft(&written(&name, &before, None))?;
    let first = body(&read_file(&file)?);
    let spec = match edited(&name, &found, &before, (&file, &first), context) {
        Ok(spec) => spec,
        Err(error) => return Err(kept(file, &first, error)),
    };
    let Some(spec) = spec else {
        return said(&name, "unchanged", context);
    };
    let fence = found.fence;
    let now = store.now()?;
    begin_operation(store, "edit", format!("{name}: in the editor"))?;
    let stored = store.edit(job, &JobFilter::default(), &operator::name(), now, &|current| {
        if current.fence != fence || JobSpec::of(current.clone()) != before {
            return Err(
                "it was started or changed while it was being edited; look at it and try again".to_owned(),
            );
        }
        Ok(spec.clone())
    });
    store.leave_operation();
    match stored {
        Ok(edited) if edited.changed.is_empty() => said(&name, "unchanged", context),
        Ok(_) => said(&name, "changed", context),
        Err(error) => Err(kept(file, &first, error.into())),
    }
}

fn said(name: &str, result: &str, context: &Context) -> Result<Exit> {
    let view = ChangedView {
        id: name.to_owned(),
        result,
    };
    context.output.done(&view, &format!("{name} {result}"));
    Ok(Exit::OK)
}

/// Returns what the user made of the job; none if nothing. A text that is wrong twice in the same way is given up.
fn edited(
    name: &str,
    job: &Job,
    before: &JobSpec,
    (file, first): (&Path, &str),
    context: &Context,
) -> Result<Option<JobSpec>> {
    let mut validator = Validator::new(context);
    let mut last = None;
    loop {
        open(file)?;
        let text = read_file(file)?;
        if body(&text) == first {
            return Ok(None);
        }
        let spec = read(&text, before).and_then(|spec| {
            check(&spec, job, &mut validator)?;
            Ok(spec)
        });
        let fault = match spec {
            Ok(spec) => return Ok(Some(spec)),
            Err(fault) => fault,
        };
        if last.replace(body(&text)).as_deref() == Some(&*body(&text)) {
            return Err(Usage::new(format!("job '{name}' was not changed: {fault}")).into());
        }
        diagnostics::note(&format!("this was not taken: {fault}"));
        fs::write(file, headed(name, before, &fault, &text)).with_context(|| cannot("write", file))?;
    }
}

/// Makes the file, which only its user can read: a job can have secrets.
fn draft(text: &str) -> Result<TempPath> {
    let mut builder = tempfile::Builder::new();
    let mut file = builder
        .prefix("queuectl-edit-")
        .suffix(".jsonc")
        .tempfile()
        .with_context(|| cannot("make a file in", &std::env::temp_dir()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.flush())
        .with_context(|| cannot("write", file.path()))?;
    // Closed: on Windows an editor could not write it otherwise.
    Ok(file.into_temp_path())
}

fn read_file(file: &Path) -> Result<String> {
    let length = fs::metadata(file).with_context(|| cannot("read", file))?.len();
    if length > MOST {
        return Err(Usage::new(format!("{} is longer than {MOST} bytes", file.display())).into());
    }
    fs::read_to_string(file).with_context(|| cannot("read", file))
}

fn cannot(what: &str, file: &Path) -> String {
    format!("cannot {what} {}", file.display())
}

/// Keeps the file of a text that was not stored, and says where it is. One that the user did not change is removed.
fn kept(file: TempPath, first: &str, error: anyhow::Error) -> anyhow::Error {
    if read_file(&file).is_ok_and(|text| body(&text) == first) {
        return error;
    }
    match file.keep() {
        Ok(path) => diagnostics::note(&format!("your text is in {}", path.display())),
        Err(lost) => diagnostics::note(&format!("your text is lost: {lost}")),
    }
    error
}

fn refused(job: &JobRef, why: String) -> StoreError {
    let job = job.to_string();
    StoreError::NotEdited { job, why }
}

/// Opens a file in the user's editor and waits until that ends.
fn open(file: &Path) -> Result<()> {
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
        let editor = std::env::var_os(name)?;
        (!editor.is_empty()).then_some(editor)
    });
    let editor = editor.unwrap_or_else(|| OsString::from(if cfg!(windows) { "notepad" } else { "vi" }));
    let shown = editor.to_string_lossy().into_owned();
    let status = command(editor, file)
        .status()
        .with_context(|| format!("cannot run the editor '{shown}'; set VISUAL or EDITOR"))?;
    if status.success() {
        return Ok(());
    }
    Err(Usage::new(format!(
        "the editor '{shown}' failed ({status}); nothing was changed"
    ))
    .hint("set VISUAL or EDITOR to another one")
    .into())
}

/// The editor with its own arguments, which a shell reads, as other programs do.
#[cfg(unix)]
fn command(mut editor: OsString, file: &Path) -> Command {
    editor.push(" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(&editor).arg("editor").arg(file);
    command
}

/// The editor with its own arguments, parted by blanks; a path with blanks is in quotes.
#[cfg(not(unix))]
fn command(editor: OsString, file: &Path) -> Command {
    let text = editor.to_string_lossy().into_owned();
    let (program, arguments) = match text.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((program, arguments)) => (program, arguments),
        None => text.split_once(' ').unwrap_or((&text, "")),
    };
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).arg(file);
    command
}
