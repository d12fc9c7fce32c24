//! A throw-away PostgreSQL server for tests and measurements: a cluster in a temporary folder, on a free port of this
//! machine, with a password that nobody knows, gone when dropped.
//!
//! The server refuses to run as root, so root starts it as the user `postgres`, or as `nobody`. For tests it is told not to
//! wait for the disk; for measurements it does all that it does by default.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

/// Names a server to use instead, as a location without a schema.
pub const VARIABLE: &str = "QUEUECTL_TEST_POSTGRES";

/// Where Debian and others put the server's programs, one folder per version.
const PLACES: &[&str] = &[
    "/usr/lib/postgresql",
    "/usr/pgsql",
    "/opt/homebrew/opt",
    "/usr/local/opt",
];

/// A running server.
pub struct Server {
    /// Where it is: a location of queuectl without a schema, with the password.
    pub location: String,
    programs: PathBuf,
    folder: TempDir,
}

/// What is made of it.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// Tests. The folder has a certificate for `localhost`.
    Tests(&'a Path),
    /// Measurements, with the server's own settings but for the memory that it shares. The data is made in this folder.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "measured on Linux only")
    )]
    Measuring(&'a Path),
}

impl Server {
    /// Starts one. Nothing if the server's programs are not installed.
    pub fn start(purpose: Purpose<'_>) -> anyhow::Result<Option<Server>> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix("queuectl-postgres-");
        let folder = match purpose {
            Purpose::Tests(_) => builder.tempdir(),
            Purpose::Measuring(place) => builder.tempdir_in(place),
        };
        let folder = folder.context("cannot make a folder")?;
        let password = random_word()?;
        fs::write(folder.path().join("password"), &password)?;
        if let Purpose::Tests(certificates) = purpose {
            copy_certificate(certificates, folder.path())?;
        }
        give_away(folder.path())?;
        let data = folder.path().join("data");
        let mut initdb = as_other(&programs.join("initdb"));
        initdb
            .args([
                "--username=queuectl",
                "--auth=scram-sha-256",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .args(["--locale=C", "--pwfile"])
            .arg(folder.path().join("password"))
            .arg("--pgdata")
            .arg(&data);
        run(&mut initdb)?;
        let port = free_port()?;
        let place = folder.path().display();
        let settings = match purpose {
            Purpose::Tests(_) => format!(
                "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 \
                 -c shared_buffers=64MB -c ssl=on -c ssl_cert_file='{place}/certificate.pem' \
                 -c ssl_key_file='{place}/key.pem'"
            ),
            Purpose::Measuring(_) => "-c shared_buffers=256MB".to_owned(),
        };
        let options = format!("-p {port} -h 127.0.0.1 -k '' -c log_min_messages=error {settings}");
        let server = Server {
            location: format!("postgres://queuectl:{password}@127.0.0.1:{port}/postgres"),
            programs,
            folder,
        };
        let mut start = as_other(&server.programs.join("pg_ctl"));
        start
            .args(["start", "--wait", "--silent", "--pgdata"])
            .arg(&data)
            .arg("--log")
            .arg(server.folder.path().join("log"))
            .args(["--options", &options]);
        if let Err(error) = run(&mut start) {
            let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
            return Err(error.context(log));
        }
        Ok(Some(server))
    }
}

impl Server {
    /// One of the programs that came with the server.
    #[cfg(target_os = "linux")]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = as_other(&self.programs.join("pg_ctl"));
        stop.args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(self.folder.path().join("data"));
        let _ = run(&mut stop);
    }
}

/// Gives the server a certificate.
fn copy_certificate(certificates: &Path, folder: &Path) -> anyhow::Result<()> {
    for name in ["certificate.pem", "key.pem"] {
        let to = folder.join(name);
        fs::copy(certificates.join(name), &to).with_context(|| format!("cannot make {}", to.display()))?;
        // The server takes no key that others could read.
        #[cfg(unix)]
        fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(())
}

/// The folder with the programs of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let in_path = env::var_os("PATH")
        .into_iter()
        .flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let installed = PLACES.iter().flat_map(|place| {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        let mut versions: Vec<PathBuf> = entries.map(|entry| entry.path().join("bin")).collect();
        // 9 before 10.
        versions.sort_by_key(|path| std::cmp::Reverse((path.as_os_str().len(), path.clone())));
        versions
    });
    let complete = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("pg_ctl").exists();
    in_path.chain(installed).find(complete)
}

/// The user that runs the server, if it is not this one.
fn other_user() -> Option<&'static str> {
    let root = fs::metadata("/proc/self").is_ok_and(|data| {
        #[cfg(unix)]
        let uid = std::os::unix::fs::MetadataExt::uid(&data);
        #[cfg(not(unix))]
        let uid = {
            let _ = data;
            1
        };
        uid == 0
    });
    let known = |user: &&str| {
        let mut id = Command::new("id");
        id.args(["-u", user]).stdout(Stdio::null()).stderr(Stdio::null());
        id.status().is_ok_and(|status| status.success())
    };
    ["postgres", "nobody"].into_iter().filter(|_| root).find(known)
}

/// A program as the user who may run the server.
fn as_other(program: &Path) -> Command {
    let mut command = match other_user() {
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]);
            if user == "nobody" {
                command = Command::new("setpriv");
                command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]);
            }
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    // A service's own settings are none of ours.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command
}

/// Gives a folder and what is in it to the user who runs the server.
fn give_away(folder: &Path) -> anyhow::Result<()> {
    if let Some(user) = other_user() {
        run(Command::new("chown").args(["-R", user]).arg(folder))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    // The server inherits these streams and keeps them; a pipe would never end.
    let mut errors = tempfile::tempfile().context("cannot make a file")?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.try_clone()?);
    let status = command
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        let mut text = String::new();
        use std::io::{Read, Seek};
        errors.rewind()?;
        errors.read_to_string(&mut text)?;
        bail!("{program}: {status}: {}", text.trim());
    }
    Ok(())
}

/// A port that nobody listens to at this moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// A word that nobody can guess, with characters that a URL has to spell differently.
fn random_word() -> anyhow::Result<String> {
    use std::hash::{BuildHasher, RandomState};
    let word: String = (0..3)
        .map(|part: u32| format!("{:016x}", RandomState::new().hash_one(part)))
        .collect();
    ensure!(word.len() == 48, "a password has 48 characters");
    Ok(word)
}
