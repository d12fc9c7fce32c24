//! Hides the password of a server. The system shows the arguments and the initial environment of a process to `ps` and to
//! every job of the same user. So a process that was given a password executes itself again without it, under the same
//! process number, and reads the location from a pipe.
//!
//! Not on Windows, where other processes cannot look, and not for `db:copy`, which has two locations and ends soon.

use anyhow::Result;
use queuectl_storage::{Location, PostgresLocation};

use crate::global::Global;

/// Executes this process again if its arguments or its environment contain a password.
pub fn leave_sight(global: &Global, location: &Location) -> Result<()> {
    imp::leave_sight(global, location)
}

/// Reads the location that the parent process hands over.
pub fn receive(descriptor: u32) -> Result<String> {
    imp::receive(descriptor)
}

/// Prepares a process of the same node to receive the location. Keep the result until the process has started.
pub fn hand_over(command: &mut std::process::Command, place: &PostgresLocation) -> Result<Handed> {
    imp::hand_over(command, place)
}

pub use imp::Handed;

#[cfg(unix)]
mod imp {
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::io::{PipeReader, Read, Write, pipe};
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;

    use anyhow::{Context as _, Result, bail};
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use queuectl_storage::{Location, PostgresLocation, harmless};

    use crate::global::Global;
    use crate::global::SECRET;

    /// The reading end of a pipe, which the new process inherits.
    pub type Handed = Option<PipeReader>;

    /// Bytes that fit into a pipe without a reader.
    const MOST: usize = 32 * 1024;

    pub fn leave_sight(global: &Global, location: &Location) -> Result<()> {
        let named = std::env::var("QUEUECTL_DB").unwrap_or_default();
        let place = match location {
            Location::Postgres(place) => Some(place),
            Location::Sqlite(_) => None,
        };
        let has_secret = place.is_some_and(|place| place.secret().is_some());
        let is_seen = has_secret || !named.is_empty() && harmless(&named) != named;
        // Without such a file there is nothing to look at; nor could the location be read from a descriptor.
        if global.secret.is_some() || !is_seen || !Path::new("/dev/fd").exists() {
            return Ok(());
        }
        let mut words = std::env::args_os();
        let name = words.next().unwrap_or_else(|| "queuectl".into());
        let mut again = Command::new(std::env::current_exe().context("cannot find the program of queuectl")?);
        again.arg0(name);
        match harmless(&named) {
            named if named.is_empty() => again.env_remove("QUEUECTL_DB"),
            named => again.env("QUEUECTL_DB", named),
        };
        let _handed = match place {
            Some(place) => hand_over(&mut again, place)?,
            None => None,
        };
        again.args(without_location(words.collect(), global.db.as_deref()));
        Err(again.exec()).context("cannot take the password out of sight")
    }

    /// Returns the arguments with the password left out of the location.
    fn without_location(mut words: Vec<OsString>, given: Option<&OsStr>) -> Vec<OsString> {
        let Some(given) = given else {
            return words;
        };
        let shown = OsString::from(harmless(&given.to_string_lossy()));
        // The first one: what stands behind it, in the command of a job say, is no option of ours.
        let together: OsString = [OsStr::new("--db="), given].into_iter().collect();
        let whole = words.iter().position(|word| *word == together);
        let apart = words
            .windows(2)
            .position(|pair| pair[0] == "--db" && pair[1] == *given);
        match (whole, apart) {
            (Some(at), other) if other.is_none_or(|other| at < other) => {
                words[at] = [OsStr::new("--db="), &shown].into_iter().collect();
            }
            (_, Some(at)) => words[at + 1] = shown,
            (_, None) => {}
        }
        words
    }

    pub fn hand_over(command: &mut Command, place: &PostgresLocation) -> Result<Handed> {
        command.env("QUEUECTL_DB", place.without_secrets());
        let Some(secret) = place.secret() else {
            return Ok(None);
        };
        if secret.len() > MOST {
            bail!("the location on PostgreSQL has more than {MOST} bytes");
        }
        let (reader, mut writer) = pipe().context("cannot make a pipe")?;
        writer
            .write_all(secret.as_bytes())
            .context("cannot write into a pipe")?;
        fcntl(&reader, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot hand over a pipe")?;
        command
            .env_remove("PGPASSWORD")
            .arg(format!("--{SECRET}"))
            .arg(reader.as_raw_fd().to_string());
        Ok(Some(reader))
    }

    pub fn receive(descriptor: u32) -> Result<String> {
        let path = format!("/dev/fd/{descriptor}");
        let mut location = String::new();
        let pipe = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let read = pipe.take(MOST as u64).read_to_string(&mut location);
        read.with_context(|| format!("cannot read {path}"))?;
        // It is empty now, but no other process may inherit it.
        if let Ok(descriptor) = i32::try_from(descriptor) {
            let _ = nix::unistd::close(descriptor);
        }
        Ok(location)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_the_option_itself_is_replaced() {
            let replaced = |words: &[&str]| -> Vec<String> {
                let words = words.iter().map(OsString::from).collect();
                let given = Some(OsStr::new("postgres://u:pw@h/d"));
                let words = without_location(words, given).into_iter();
                words.map(|word| word.into_string().unwrap()).collect()
            };
            let url = "postgres://u:pw@h/d";
            assert_eq!(
                replaced(&["--db", url, "enqueue", "psql", "--db", url]),
                ["--db", "postgres://u@h/d", "enqueue", "psql", "--db", url]
            );
            let together = format!("--db={url}");
            assert_eq!(
                replaced(&["enqueue", &together, "--", "psql", "--db", url, &together]),
                [
                    "enqueue",
                    "--db=postgres://u@h/d",
                    "--",
                    "psql",
                    "--db",
                    url,
                    &together
                ]
            );
            assert_eq!(replaced(&["list", url]), ["list", url]);
            assert_eq!(without_location(vec!["list".into()], None), ["list"]);
        }
    }
}

#[cfg(windows)]
mod imp {
    use std::process::Command;

    use anyhow::{Result, bail};
    use queuectl_storage::{Location, PostgresLocation};

    use crate::global::Global;

    /// The environment is enough.
    pub type Handed = ();

    pub fn leave_sight(_: &Global, _: &Location) -> Result<()> {
        Ok(())
    }

    pub fn receive(_: u32) -> Result<String> {
        bail!("no location can be read from a descriptor on this system");
    }

    pub fn hand_over(command: &mut Command, place: &PostgresLocation) -> Result<Handed> {
        command.env(
            "QUEUECTL_DB",
            place.secret().unwrap_or_else(|| place.without_secrets()),
        );
        Ok(())
    }
}
