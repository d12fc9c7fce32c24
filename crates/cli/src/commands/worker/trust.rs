//! Checks who can write to a queue's file, and thereby run commands as the user of its nodes.
//!
//! Only nodes check, because other commands run no jobs. On PostgreSQL the server has permissions.

use std::path::{Path, PathBuf};

use anyhow::Result;
use queuectl_executor::trust::{self, Distrust, Writers};
use queuectl_storage::Location;

use crate::exit::{Ended, Exit};

/// Fails if another user can put jobs into the file.
pub fn check(location: &Location) -> Result<()> {
    Ok(others(location).map_err(refused)?)
}

/// Says how another user can put jobs into the file, alone or as one of everybody; a group that the owner let in may. A file
/// that does not exist will be private, so only its folder counts.
///
/// # Errors
/// The first way, with what closes it.
pub fn others(location: &Location) -> Result<(), Distrust> {
    let Some(file) = location.file() else {
        return Ok(());
    };
    let there = |path: &&Path| path.symlink_metadata().is_ok();
    let around = file.ancestors().skip(1).find(there);
    let state_dir = location.state_dir();
    for path in around
        .into_iter()
        .chain([file, &state_dir].into_iter().filter(there))
    {
        trust::check(path, Writers::Group)?;
    }
    let logs = logs(file);
    for log in logs.iter().map(PathBuf::as_path).filter(there) {
        trust::check_log(log, file)?;
    }
    Ok(())
}

fn refused(Distrust { cause, fix }: Distrust) -> Ended {
    Ended {
        message: format!(
            "no node runs jobs from this file, in which others could have put commands: {cause}; {fix}, or use \
             --trust-others"
        ),
        exit: Exit::STORE_UNUSABLE,
    }
}

/// Suffixes of the files that SQLite keeps next to a database.
fn logs(file: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|end| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}
