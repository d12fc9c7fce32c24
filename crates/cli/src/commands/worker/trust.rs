//! Whose jobs a node would run. Whoever can write to the file of a queue can run commands as the user of its nodes.
//!
//! Only nodes ask: other commands run nothing. On PostgreSQL the server says who may do what.

use std::path::{Path, PathBuf};

use anyhow::Result;
use queuectl_executor::trust::{self, Distrust, Writers};
use queuectl_storage::Location;

use crate::exit::{Ended, Exit};

/// An error if another user could have put jobs into the file, by themselves or as one of everybody; a group that its
/// owner let in may. What is not there yet will be made for the user alone, so that its folder counts.
pub fn check(location: &Location) -> Result<()> {
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
        trust::check(path, Writers::Group).map_err(refused)?;
    }
    let logs = logs(file);
    for log in logs.iter().map(PathBuf::as_path).filter(there) {
        trust::check_log(log, file).map_err(refused)?;
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

/// What SQLite keeps beside a file.
fn logs(file: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|end| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}
