//! What the tables of a queue on PostgreSQL grow to under steady work, with autovacuum as it is set.
//!
//! Two queues do the same, each on a server of its own: beside one of them a transaction stays open that sees a moment
//! long ago, so that nothing that became of rows since can be cleaned up. Databases of one server would not do: up to
//! PostgreSQL 15, a transaction in one keeps the pages of indexes in all of them from being used again.

use std::ffi::OsString;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::figures::Figures;
use super::rig::{Rig, timed};
use queuectl_devkit::postgres::Server;

/// Jobs a second, stored in batches.
const RATE: usize = 300;
const EVERY: Duration = Duration::from_secs(1);
/// Ended jobs are removed after that time, so that what is alive stays about the same.
const RETENTION: &str = "1m";
const QUEUES: [&str; 2] = ["by itself", "beside a long transaction"];

/// Dead rows, all pages of tables and indexes, the number of rows alive, vacuums; and what jobs of the last half minute
/// waited for their start, in the middle and at the 99th percentile.
const LOOK: &str = "SELECT (SELECT concat_ws('|', sum(n_dead_tup), sum(pg_total_relation_size(relid)), sum(n_live_tup), \
    sum(autovacuum_count)) FROM pg_stat_user_tables WHERE schemaname = 'queuectl'), \
    coalesce(percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY started_at - created_at), ARRAY[0, 0]) \
    FROM queuectl.jobs \
    WHERE state = 5 AND created_at > (SELECT max(created_at) FROM queuectl.jobs WHERE state = 5) - 30000";

/// Works for some minutes and looks every minute.
pub fn bloat(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let settings = [
        "shared_buffers=256MB",
        "autovacuum_naptime=15s",
        "max_wal_size=2GB",
    ];
    let servers = [rig.server(&settings)?, rig.server(&settings)?];
    let jobs = rig.jobs(RATE, r#"{"executor":"noop","payload":{}}"#)?;
    let queues = [0, 1].map(|index: usize| OsString::from(&servers[index].location));
    for queue in &queues {
        timed(&mut rig.queuectl_at(queue, &["config:set", "retention", RETENTION]))?;
    }
    let nodes: Vec<_> = queues
        .iter()
        .map(|queue| rig.node_at(queue, &["--count", "1"]))
        .collect::<Result<_, _>>()?;
    let long = Long::open(&servers[1])?;
    let mut sizes = [Vec::new(), Vec::new()];
    for minute in 1..=rig.minutes {
        work(rig, &queues, &jobs)?;
        for ((server, name), sizes) in servers.iter().zip(QUEUES).zip(&mut sizes) {
            let looked = server.sql("postgres", LOOK)?;
            let numbers = looked
                .split(['|', ',', '{', '}'])
                .map(str::trim)
                .filter(|number| !number.is_empty())
                .map(str::parse)
                .collect::<Result<Vec<f64>, _>>()?;
            let [dead, bytes, alive, vacuums, middle, late] =
                numbers.try_into().ok().context("six numbers were expected")?;
            let mut add = |what: &str, unit, values| {
                figures.add(&format!("{name}, minute {minute:02}: {what}"), unit, values);
            };
            add("dead rows", "rows", vec![dead]);
            add("rows alive", "rows", vec![alive]);
            add("size", "MiB", vec![bytes / 1024.0 / 1024.0]);
            add("vacuums so far", "runs", vec![vacuums]);
            add("wait of a job, median", "ms", vec![middle]);
            add("wait of a job, 99th percentile", "ms", vec![late]);
            sizes.push(bytes);
        }
    }
    for (name, sizes) in QUEUES.iter().zip(&sizes) {
        if let (Some(last), Some(half)) = (sizes.last(), sizes.get(sizes.len() / 2)) {
            figures.add(
                &format!("{name}: size after {} minutes / after half", rig.minutes),
                "x",
                vec![last / half],
            );
        }
    }
    // And when that transaction has ended?
    drop(long);
    work(rig, &queues, &jobs)?;
    let looked = servers[1].sql("postgres", LOOK)?;
    let dead: f64 = looked.split('|').next().unwrap_or_default().parse()?;
    figures.add(
        "a minute after the long transaction: dead rows",
        "rows",
        vec![dead],
    );
    drop(nodes);
    Ok(())
}

/// A minute of work: as many jobs a second for each queue. While the machine is held nothing counts.
fn work(rig: &Rig, queues: &[OsString], jobs: &str) -> anyhow::Result<()> {
    for _ in 0..60 {
        let next = Instant::now() + EVERY;
        for queue in queues {
            let mut enqueue = rig.queuectl_at(queue, &["enqueue", "-q", "--from", jobs]);
            // A machine that is held for a while loses a connection or two; nothing was stored then.
            if !enqueue.stderr(Stdio::inherit()).status()?.success() {
                println!("jobs could not be stored; going on");
            }
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// A transaction that stays open.
struct Long(Child);

impl Long {
    fn open(server: &Server) -> anyhow::Result<Long> {
        let mut psql = server.psql("postgres");
        psql.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut long = Long(psql.spawn().context("cannot start psql")?);
        let input = long.0.stdin.as_mut().context("psql has no input")?;
        writeln!(
            input,
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM queuectl.jobs;"
        )?;
        let open = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' \
                    AND application_name = 'psql'";
        let start = Instant::now();
        while server.sql("postgres", open)?.trim() != "1" {
            ensure!(
                start.elapsed() < Duration::from_secs(10),
                "there is no long transaction"
            );
            thread::sleep(Duration::from_millis(50));
        }
        Ok(long)
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
