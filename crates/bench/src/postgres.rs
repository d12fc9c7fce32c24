//! The same on PostgreSQL: a throw-away server that waits for the disk, on the same processors, over loopback without TLS.
//!
//! The peer is graphile-worker in its batching mode, where `npm` is installed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::figures::Figures;
use super::rig::{Rig, timed};
use queuectl_devkit::postgres::Server;

const JOBS: usize = 100_000;
/// How many nodes, and how many worker processes each has.
const NODES: &[(usize, &str)] = &[(1, "2"), (2, "1"), (4, "1")];
/// Jobs stored one by one.
const CALLS: usize = 100;
/// The version of the peer that was looked at.
const PEER: &str = "graphile-worker@0.17";

/// A server with a queue of ours and one of the peer's.
struct Place<'a> {
    rig: &'a Rig,
    server: Server,
    location: String,
    /// Where the peer is installed.
    peer: Option<PathBuf>,
}

impl<'a> Place<'a> {
    fn new(rig: &'a Rig) -> anyhow::Result<Self> {
        let server = rig.server(&["shared_buffers=256MB"])?;
        let location = format!("{}?sslmode=disable", server.location);
        let peer = install_peer(rig)?;
        Ok(Place {
            rig,
            server,
            location,
            peer,
        })
    }

    /// A call of queuectl on the server, quiet.
    fn queuectl(&self, arguments: &[&str]) -> Command {
        self.rig.queuectl_at(self.location.as_ref(), arguments)
    }

    /// Takes a schema away, and leaves the server nothing to write.
    fn forget(&self, schema: &str) -> anyhow::Result<()> {
        let quiet = "SET client_min_messages = warning";
        let drop_schema = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        for statements in [format!("{quiet}; {drop_schema}"), "CHECKPOINT".to_owned()] {
            self.server.sql("postgres", &statements)?;
        }
        Ok(())
    }

    /// An empty queue.
    fn fresh(&self) -> anyhow::Result<()> {
        self.forget("queuectl")?;
        timed(&mut self.queuectl(&["db:migrate"])).map(drop)
    }

    /// Stores jobs from a file; returns the seconds.
    fn enqueue(&self, jobs: &str) -> anyhow::Result<f64> {
        timed(&mut self.queuectl(&["enqueue", "--from", jobs]))
    }

    /// Runs all that is stored on this many nodes at once; returns the seconds.
    fn drain(&self, nodes: usize, workers: &str) -> anyhow::Result<f64> {
        let start = Instant::now();
        let mut running = Vec::new();
        for _ in 0..nodes {
            let mut node = self.queuectl(&["worker:start", "-q", "--count", workers, "--drain"]);
            running.push(node.spawn().context("cannot start a node")?);
        }
        for mut node in running {
            ensure!(node.wait()?.success(), "a node failed");
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// What the peer's script prints, line by line.
    fn peer(&self, folder: &PathBuf, what: &str, count: usize) -> anyhow::Result<Vec<f64>> {
        let mut command = Command::new("node");
        command
            .args(["graphile-worker.mjs", what, &count.to_string()])
            .current_dir(folder)
            .env("DATABASE_URL", &self.location);
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start node")?;
        ensure!(output.status.success(), "the peer's script failed");
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(str::parse).collect::<Result<_, _>>()?)
    }
}

/// Installs the peer, where that is possible.
fn install_peer(rig: &Rig) -> anyhow::Result<Option<PathBuf>> {
    let folder = rig.path("peer");
    fs::create_dir_all(&folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", PEER])
        .current_dir(&folder)
        .stdout(Stdio::null());
    if !npm.status().is_ok_and(|status| status.success()) {
        println!("graphile-worker cannot be installed; it is left out");
        return Ok(None);
    }
    fs::copy(
        rig.source("benches/graphile-worker.mjs"),
        folder.join("graphile-worker.mjs"),
    )?;
    Ok(Some(folder))
}

/// Jobs that do nothing: stored in bulk, and run on one, two and four nodes, against the peer.
pub fn noop(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let place = Place::new(rig)?;
    let jobs = rig.jobs(JOBS, r#"{"executor":"noop","payload":{}}"#)?;
    let rate = |seconds: f64| JOBS as f64 / seconds;
    let (mut stored, mut peer_stored, mut peer_run) = (Vec::new(), Vec::new(), Vec::new());
    let mut run = vec![Vec::new(); NODES.len()];
    for _ in 0..rig.runs {
        for ((nodes, workers), rates) in NODES.iter().zip(&mut run) {
            place.fresh()?;
            stored.push(rate(place.enqueue(&jobs)?));
            rates.push(rate(place.drain(*nodes, workers)?));
        }
        if let Some(peer) = &place.peer {
            place.forget("graphile_worker")?;
            peer_stored.extend(place.peer(peer, "enqueue", JOBS)?.into_iter().map(rate));
            peer_run.extend(place.peer(peer, "drain", JOBS)?.into_iter().map(rate));
        }
    }
    for ((nodes, workers), rates) in NODES.iter().zip(&run) {
        let what = format!("{nodes} x {workers} workers, up to 1,024 claims a turn");
        if !peer_run.is_empty() {
            figures.ratio(
                &format!("{nodes} x {workers} workers / graphile-worker"),
                rates,
                &peer_run,
            );
        }
        figures.add(&what, "jobs/s", rates.clone());
    }
    figures.add("enqueue --from, batches of 1,000", "jobs/s", stored);
    if place.peer.is_some() {
        figures.add("graphile-worker, local queue of 1,000", "jobs/s", peer_run);
        figures.add("graphile-worker, addJobs of 1,000", "jobs/s", peer_stored);
    }
    Ok(())
}

/// From storing a job to its first sign, on a node that waits: over a connection that is open, as an application does,
/// and by a command, which has to connect.
pub fn latency(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let place = Place::new(rig)?;
    place.fresh()?;
    let node = rig.node_at(place.location.as_ref(), &["--count", "2"])?;
    let sign = rig.named_pipe("sign")?;
    let line = format!("echo > '{}'", sign.display());
    // Until the node has nothing to do, and for as long as the peer's script pauses: the server still ends a connection.
    let pause = || -> anyhow::Result<()> {
        timed(&mut place.queuectl(&["enqueue", "--wait", "true"]))?;
        thread::sleep(Duration::from_millis(20));
        Ok(())
    };
    let mut application = Application::new(&place.server)?;
    let statement = format!("SELECT queuectl.enqueue('{}');", line.replace('\'', "''"));
    let (mut by_sql, mut stored, mut by_call, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let start = Instant::now();
        application.say(&statement)?;
        fs::read(&sign)?;
        by_sql.push(start.elapsed());
        application.answer()?;
        pause()?;
        let start = Instant::now();
        let mut call = place.queuectl(&["enqueue", &line]).spawn()?;
        fs::read(&sign)?;
        by_call.push(start.elapsed());
        ensure!(call.wait()?.success(), "enqueue failed");
        pause()?;
        // What of these is the process itself.
        let start = Instant::now();
        let mut shell = Command::new("sh").args(["-c", &line]).spawn()?;
        fs::read(&sign)?;
        bare.push(start.elapsed());
        shell.wait()?;
        // What of the first is the transaction that stores the job.
        let start = Instant::now();
        application.say("SELECT queuectl.enqueue('true');")?;
        application.answer()?;
        stored.push(start.elapsed());
        pause()?;
    }
    fs::remove_file(&sign)?;
    drop(node);
    let ms = |times: Vec<Duration>| times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    figures.add("SQL enqueue sent to the job's first output", "ms", ms(by_sql));
    figures.add("sh alone started to the same output", "ms", ms(bare));
    figures.add("SQL enqueue sent to its answer", "ms", ms(stored));
    figures.add("enqueue called to the job's first output", "ms", ms(by_call));
    if let Some(peer) = &place.peer {
        let times = place.peer(peer, "latency", CALLS)?;
        figures.add("graphile-worker, addJob to its task's start", "ms", times);
    }
    Ok(())
}

/// A program with a connection that stays open.
struct Application {
    process: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Application {
    fn new(server: &Server) -> anyhow::Result<Self> {
        let mut process = server
            .psql("postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start psql")?;
        let input = process.stdin.take().context("psql has no input")?;
        let output = process.stdout.take().context("psql has no output")?;
        let output = BufReader::new(output);
        Ok(Application {
            process,
            input,
            output,
        })
    }

    fn say(&mut self, statement: &str) -> anyhow::Result<()> {
        writeln!(self.input, "{statement}").context("psql is gone")
    }

    fn answer(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "psql gave no answer");
        Ok(())
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "\\q");
        let _ = self.process.wait();
    }
}
