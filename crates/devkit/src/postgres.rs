//! A throw-away PostgreSQL server for the tests: a cluster in a temporary folder, on a free port of this machine, with a
//! random password, gone when dropped.
//!
//! The server refuses to run as root, so root starts it as the user `postgres`, or as `nobody`. Nothing in here survives
//! a power cut: unless it is asked to be durable, it is told not to wait for the disk.

use std::env;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::root;

/// Names a server to use instead, as a location without a schema.
pub const VARIABLE: &str = "QUEUECTL_TEST_POSTGRES";

/// Who owns everything on it.
const USER: &str = "queuectl";

/// The certificate for `localhost`.
const CERTIFICATES: &str = "plugins/http/testdata";

/// Where Debian and others put the server's programs, one folder per version.
const PLACES: &[&str] = &[
    "/usr/lib/postgresql",
    "/usr/pgsql",
    "/opt/homebrew/opt",
    "/usr/local/opt",
];

/// How a server is to be.
pub struct Setup<'a> {
    /// The address of this machine at which it listens. Hosts with an address in the same /24 may connect, with the
    /// password.
    pub address: &'a str,
    /// Whether it waits for the disk.
    pub durable: bool,
    /// Further settings, `NAME=VALUE`.
    pub settings: &'a [&'a str],
}

/// A server.
pub struct Server {
    /// Where it is: a location of queuectl without a schema, with the password.
    pub location: String,
    programs: PathBuf,
    folder: TempDir,
    options: String,
    /// Address, port and password.
    place: [String; 3],
}

impl Server {
    /// Starts one for tests. Nothing if the server's programs are not installed.
    pub fn start() -> anyhow::Result<Option<Server>> {
        Server::with(&Setup {
            address: "127.0.0.1",
            durable: false,
            settings: &["shared_buffers=64MB"],
        })
    }

    /// Starts one that is like that.
    pub fn with(setup: &Setup<'_>) -> anyhow::Result<Option<Server>> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new()
            .prefix("queuectl-postgres-")
            .tempdir()
            .context("cannot make a folder")?;
        let password = random_word()?;
        fs::write(folder.path().join("password"), &password)?;
        for name in ["certificate.pem", "key.pem"] {
            let to = folder.path().join(name);
            fs::copy(root().join(CERTIFICATES).join(name), &to)
                .with_context(|| format!("cannot make {}", to.display()))?;
            // The server takes no key that others could read.
            #[cfg(unix)]
            fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        }
        give_away(folder.path())?;
        let mut initdb = as_other(&programs.join("initdb"));
        initdb
            .args([
                "--username",
                USER,
                "--auth=scram-sha-256",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .args(["--locale=C", "--pwfile"])
            .arg(folder.path().join("password"))
            .arg("--pgdata")
            .arg(folder.path().join("data"));
        run(&mut initdb)?;
        let (address, port) = (setup.address, free_port(setup.address)?);
        let place = folder.path().display();
        let mut options = format!(
            "-p {port} -h {address} -k '' -c max_connections=200 -c log_min_messages=error -c ssl=on \
             -c ssl_cert_file='{place}/certificate.pem' -c ssl_key_file='{place}/key.pem'"
        );
        if !setup.durable {
            options.push_str(" -c fsync=off -c synchronous_commit=off -c full_page_writes=off");
        }
        for setting in setup.settings {
            options.push_str(&format!(" -c {setting}"));
        }
        let rules = folder.path().join("data/pg_hba.conf");
        let mut rules = fs::OpenOptions::new().append(true).open(rules)?;
        writeln!(rules, "host all all {address}/24 scram-sha-256")?;
        let server = Server {
            location: format!("postgres://{USER}:{password}@{address}:{port}/postgres"),
            place: [address.to_owned(), port.to_string(), password],
            programs,
            folder,
            options,
        };
        server.go_on()?;
        Ok(Some(server))
    }

    /// Starts it again after it was stopped.
    pub fn go_on(&self) -> anyhow::Result<()> {
        let mut start = as_other(&self.programs.join("pg_ctl"));
        start
            .args(["start", "--wait", "--silent", "--pgdata"])
            .arg(self.data())
            .arg("--log")
            .arg(self.folder.path().join("log"))
            .args(["--options", &self.options]);
        run(&mut start).map_err(|error| {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            error.context(log)
        })
    }

    /// Stops it at once, as a crash would: it has to recover when it starts again.
    pub fn crash(&self) -> anyhow::Result<()> {
        let mut stop = as_other(&self.programs.join("pg_ctl"));
        stop.args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(self.data());
        run(&mut stop)
    }

    /// A call of `psql` on one of its databases, which reads statements from its standard input.
    pub fn psql(&self, database: &str) -> Command {
        let beside = self.programs.join("psql");
        let mut psql = Command::new(if beside.exists() {
            &beside
        } else {
            Path::new("psql")
        });
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
        ]);
        let [address, port, password] = &self.place;
        psql.env("PGHOST", address)
            .env("PGPORT", port)
            .env("PGUSER", USER)
            .env("PGPASSWORD", password)
            .env("PGDATABASE", database);
        psql
    }

    /// Runs statements on one of its databases; what they yield, one row a line, columns between `|`.
    pub fn sql(&self, database: &str, statements: &str) -> anyhow::Result<String> {
        let output = self
            .psql(database)
            .args(["--command", statements])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start psql")?;
        ensure!(output.status.success(), "psql: {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Where it keeps its files.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.crash();
    }
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
        use std::io::{Read as _, Seek as _};
        errors.rewind()?;
        errors.read_to_string(&mut text)?;
        bail!("{program}: {status}: {}", text.trim());
    }
    Ok(())
}

/// A port on which no process listens now, and which no outgoing connection is given later: the server comes
/// back to it after a crash.
fn free_port(address: &str) -> anyhow::Result<u16> {
    // Systems take theirs from 32768 on, or from higher.
    const PORTS: std::ops::Range<u16> = 20_000..32_000;
    for _ in 0..1_000 {
        let port = PORTS.start + (random() % PORTS.len() as u64) as u16;
        if TcpListener::bind((address, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("cannot find a free port on {address}")
}

/// Returns a number that cannot be guessed.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// Returns a word that cannot be guessed, with characters that a URL has to spell differently.
fn random_word() -> anyhow::Result<String> {
    let word: String = (0..3).map(|_| format!("{:016x}", random())).collect();
    ensure!(word.len() == 48, "a password has 48 characters");
    Ok(word)
}
