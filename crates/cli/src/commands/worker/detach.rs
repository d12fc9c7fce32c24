//! `worker:start --detach`: starts a node in the background.
//!
//! The new process runs the same binary and logs to a file. It reports that it is ready by one line on its standard output,
//! which is a pipe to this process.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use queuectl_core::NodeId;
use queuectl_executor::inherit;
use queuectl_storage::Location;
use queuectl_views::StartedView;

use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::output::escape::BytesWriter;
use crate::secret;

/// Bytes of the log that are shown if the node does not start.
const SHOWN: u64 = 64 * 1024;

/// Starts the node and waits until it is ready.
pub fn start(args: &[OsString], log_file: Option<&Path>, context: &Context) -> Result<Exit> {
    // Report an unusable queue here, not in a log file.
    drop(context.open_or_create()?);
    let log_file = match log_file {
        Some(path) => path.to_owned(),
        None => {
            let folder = context.location.state_dir();
            create_private_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
            folder.join("node.log")
        }
    };
    let log = super::log_file::open(&log_file)?;
    let log_start = log.metadata().context("cannot look at the log file")?.len();
    let mut node = Command::new(std::env::current_exe().context("cannot find the program of queuectl")?);
    let _handed = match &context.location {
        Location::Postgres(place) => Some(secret::hand_over(&mut node, place)?),
        Location::Sqlite(_) => None,
    };
    inherit::detach(&mut node);
    #[cfg(windows)]
    keep_standard_streams();
    let mut child = node
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start the node")?;
    match node_number(&mut child).context("cannot read what the node says")? {
        Some(node) => {
            let log_file = log_file.display().to_string();
            let pid = child.id();
            let line = format!("node {node} runs in the background, process {pid}, log {log_file}");
            context.output.done(&StartedView { node, pid, log_file }, &line);
            Ok(Exit::OK)
        }
        None => {
            show_log(&log_file, log_start, context.output.is_raw()).context("cannot read the log file")?;
            let status = child.wait().context("cannot wait for the node")?;
            let exit = status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .filter(|code| *code != 0);
            let message = format!("the node did not start ({status}); what it logged is above");
            Err(Ended {
                message,
                exit: exit.map_or(Exit::INTERNAL, Exit),
            }
            .into())
        }
    }
}

/// Keeps the node from inheriting our standard handles: a reader of our output would otherwise wait for the node, too.
#[cfg(windows)]
fn keep_standard_streams() {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};

    let streams = [
        io::stdin().as_raw_handle(),
        io::stdout().as_raw_handle(),
        io::stderr().as_raw_handle(),
    ];
    for stream in streams {
        // SAFETY: the handle is open, or there is none, which the call refuses.
        unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
}

/// Reads the node's number, which it prints when it is ready; none if it ended before.
fn node_number(child: &mut Child) -> Result<Option<NodeId>> {
    let Some(pipe) = child.stdout.take() else {
        return Ok(None);
    };
    let mut line = String::new();
    BufReader::new(pipe.take(64)).read_line(&mut line)?;
    Ok(line.trim().parse().ok().map(NodeId))
}

fn show_log(path: &Path, start: u64, raw: bool) -> Result<()> {
    let mut log = File::open(path)?;
    log.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    log.take(SHOWN).read_to_end(&mut text)?;
    let mut err = BytesWriter::new(io::stderr(), raw);
    // A closed standard error is not a failure.
    let _ = err.write(&text).and_then(|()| err.finish());
    Ok(())
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
