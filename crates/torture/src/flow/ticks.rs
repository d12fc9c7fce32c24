//! Schedules that tick every second, on nodes that are killed at the tick and whose clocks jump, each by itself: one job
//! for each tick, and a row for every one.
//!
//! Now and then the next time of all schedules is set back in the database, as a node would that had forgotten what was
//! made. Nothing but the key of the ticks keeps their jobs from being made again then; the control takes that away.
//! On PostgreSQL the server's clock counts, so nothing jumps there.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

use super::Plan;
use super::stage::{Database, NODES, Stage};
use crate::chaos::Tally;
use crate::rig::{PATIENCE, Rig};
use crate::scene::{fake_clock, faketime, set_clock};
use crate::storage::must_fail;

/// Ticks that make a job, and nodes killed meanwhile.
const TICKS: u32 = 10_000;
const KILLS: u32 = 100;
/// Schedules, which all tick every second.
const SCHEDULES: usize = 60;
/// Time from a tick within which a node is killed.
const AIM: Duration = Duration::from_millis(60);
/// How far the next times are set back.
const BACK_MS: i64 = 7_000;

const JOB: &str = "echo e $QUEUECTL_JOB_ID $QUEUECTL_FENCE $QUEUECTL_SCHEDULE $QUEUECTL_SCHEDULED_AT >> log";

/// Has the key of the ticks refuse nothing: the row that is there makes room.
const UNKEYED: &str = "CREATE TRIGGER unkeyed BEFORE INSERT ON ticks BEGIN \
    DELETE FROM ticks WHERE schedule = NEW.schedule AND at = NEW.at; END";
const UNKEYED_ON_POSTGRES: &str = "CREATE FUNCTION unkeyed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    DELETE FROM ticks WHERE schedule = NEW.schedule AND at = NEW.at; RETURN NEW; END $$; \
    CREATE TRIGGER unkeyed BEFORE INSERT ON ticks FOR EACH ROW EXECUTE FUNCTION unkeyed()";

/// Runs the campaign and its control.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    let (ticks, kills) = (plan.jobs.unwrap_or(TICKS) as usize, plan.kills.unwrap_or(KILLS));
    campaign(rig, plan, ticks, kills, true)?;
    let few = ticks.min(600);
    must_fail("no key on ticks", campaign(rig, plan, few, 0, false))
}

fn campaign(rig: &Rig, plan: &Plan, wanted: usize, kills: u32, keyed: bool) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut stage = Stage::new(rig, if keyed { "ticks" } else { "ticks-control" }, plan.database)?;
    if !keyed {
        stage.make_control(None);
    }
    let clocks = Clocks::new(rig, &stage, plan.database)?;
    let file = stage.queue.work.join("schedules.json");
    let all: Vec<Value> = (0..SCHEDULES).map(schedule).collect();
    fs::write(&file, Value::from(all).to_string())?;
    stage
        .queue
        .ok(["schedule:apply", "schedules.json", "--owner", "torture"])?;
    if !keyed {
        stage.sql(match plan.database {
            Database::Sqlite => UNKEYED,
            Database::Postgres => UNKEYED_ON_POSTGRES,
        })?;
    }
    let environments = clocks.environments();
    stage.start(&environments.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let lived = live(&mut stage, plan.database, &clocks, wanted, kills, &mut rng);
    stage.conclude(lived, |stage| {
        let rows = judge(stage)?;
        Ok(format!("{SCHEDULES} schedules: ticks {rows:?}"))
    })
}

/// Most make a job of every tick that has come, and the others some.
fn schedule(place: usize) -> Value {
    let (missed, overlap) = match place % 10 {
        0 => ("last", "skip"),
        1 => ("skip", "allow"),
        2 => ("all", "queue"),
        _ => ("all", "allow"),
    };
    json!({"name": format!("s{place}"), "when": "@every 1s", "missed": missed, "overlap": overlap, "job": JOB})
}

/// The clocks of the nodes, where they can be faked.
struct Clocks {
    library: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl Clocks {
    fn new(rig: &Rig, stage: &Stage, database: Database) -> anyhow::Result<Clocks> {
        let library = faketime().filter(|_| database == Database::Sqlite);
        if library.is_none() && database == Database::Sqlite {
            rig.skip("clocks that jump", "libfaketime is not installed");
        }
        let files: Vec<PathBuf> = (0..NODES)
            .map(|node| stage.queue.work.join(format!("clock-{node}")))
            .collect();
        files.iter().try_for_each(|file| set_clock(file, 0))?;
        Ok(Clocks { library, files })
    }

    fn environments(&self) -> Vec<Vec<(&'static str, String)>> {
        let library = self.library.as_deref();
        let of = |file: &PathBuf| library.map_or_else(Vec::new, |library| fake_clock(library, file));
        self.files.iter().map(of).collect()
    }
}

/// Lets the schedules tick. All clocks go ahead together now and then, and one of them jumps back and forth around that.
fn live(
    stage: &mut Stage,
    database: Database,
    clocks: &Clocks,
    wanted: usize,
    kills: u32,
    rng: &mut Rng,
) -> anyhow::Result<Tally> {
    let (mut tally, mut killed, mut ahead) = (Tally::new(), 0, 0);
    let (mut before, mut moved) = (0, Instant::now());
    let mut note = |what: &str| *tally.entry(what.to_owned()).or_default() += 1;
    loop {
        stage.tend()?;
        let made = stage.ends()?;
        if made >= wanted && killed >= kills {
            break;
        }
        if made > before {
            (before, moved) = (made, Instant::now());
        }
        ensure!(moved.elapsed() < PATIENCE, "no tick makes a job any more");
        sleep_until_tick(rng);
        // The control waits for nothing else.
        match if kills == 0 { 0 } else { rng.u8(..8) } {
            0 => {
                stage.sql(&set_back(database))?;
                note("SetBack");
            }
            1 if clocks.library.is_some() && made < wanted => {
                ahead += rng.i64(5..60);
                for file in &clocks.files {
                    set_clock(file, ahead)?;
                }
                note("AllClocks");
            }
            2 | 3 if clocks.library.is_some() => {
                let file = &clocks.files[rng.usize(..NODES)];
                set_clock(file, ahead + rng.i64(-40..40))?;
                note("OneClock");
            }
            _ if u64::from(killed) * wanted as u64 <= made as u64 * u64::from(kills) || made >= wanted => {
                stage.nodes[rng.usize(..NODES)].end()?;
                killed += 1;
                note("KillNode");
            }
            _ => {}
        }
    }
    Ok(tally)
}

/// Sets back the next times. On PostgreSQL only of the schedules that no node is at: nodes make ticks under a lock of their
/// own, so rows that are locked in another order here could end in a deadlock.
fn set_back(database: Database) -> String {
    let set_back = format!("UPDATE schedules SET next_due = next_due - {BACK_MS}");
    match database {
        Database::Sqlite => set_back,
        Database::Postgres => {
            format!("{set_back} WHERE name IN (SELECT name FROM schedules FOR UPDATE SKIP LOCKED)")
        }
    }
}

/// Waits for a moment right after the next whole second, by whichever clock: all are off by whole seconds.
fn sleep_until_tick(rng: &mut Rng) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_secs(1) - Duration::from_nanos(now.subsec_nanos().into());
    std::thread::sleep(left + AIM.mul_f64(rng.f64()));
}

/// Ends the nodes, runs what was made, and judges. How many ticks there are, by result.
fn judge(stage: &mut Stage) -> anyhow::Result<Tally> {
    stage.nodes.clear();
    let queue = stage.queue.clone();
    let mut results = Tally::new();
    let mut owners: HashMap<i64, (String, i64)> = HashMap::new();
    for schedule in 0..SCHEDULES {
        let name = format!("s{schedule}");
        // It makes what has come before.
        queue.ok(["schedule:pause", &name])?;
        let shown = queue.json(["schedule:show", &name])?;
        ticks_of(&name, &shown, &mut owners, &mut results)?;
    }
    // A retry by a clock that was ahead would be waited for until then.
    for job in queue.jobs()? {
        if let (Some("failed"), Some(id)) = (job["state"].as_str(), job["id"].as_str()) {
            queue.ok(["retry", id])?;
        }
    }
    queue.ok(["-q", "worker:start", "--drain", "--count", "4"])?;
    let jobs = queue.jobs()?;
    for job in &jobs {
        let number = job["number"].as_i64().context("a job without number")?;
        ensure!(job["state"] == "completed", "{job}");
        ensure!(
            owners.contains_key(&number),
            "no row of a tick says that it made job {number}"
        );
    }
    ensure!(
        jobs.len() == owners.len(),
        "{} jobs, of {} ticks",
        jobs.len(),
        owners.len()
    );
    told(&stage.queue.work.join("log"), &owners)?;
    queue.check()?;
    Ok(results)
}

/// Checks that the rows of a schedule leave no tick out, and notes which jobs they made.
fn ticks_of(
    name: &str,
    shown: &Value,
    owners: &mut HashMap<i64, (String, i64)>,
    results: &mut Tally,
) -> anyhow::Result<()> {
    let second = |of: &Value, field: &str| seconds(of[field].as_str().unwrap_or_default());
    let mut next = second(shown, "created_at")? + 1;
    let rows = shown["ticks"].as_array().context("no ticks")?;
    for row in rows.iter().rev() {
        let (at, last) = (second(row, "at")?, second(row, "last_at")?);
        ensure!(at == next, "{name}: after the tick before {next} comes {row}");
        ensure!(row["count"] == last - at + 1, "{name}: {row}");
        next = last + 1;
        let result = row["result"].as_str().unwrap_or_default().to_owned();
        ensure!(
            row["job"].is_null() == result.starts_with("skipped"),
            "{name}: {row}"
        );
        *results.entry(result).or_default() += u32::try_from(last - at + 1)?;
        if let Some(job) = row["job"].as_i64()
            && let Some(other) = owners.insert(job, (name.to_owned(), at))
        {
            bail!("job {job} belongs to {name} at {at} and to {other:?}");
        }
    }
    // It may have been set back right before the nodes ended.
    let due = second(shown, "next_due")?;
    ensure!(due <= next, "{name}: after the tick before {next} comes {due}");
    Ok(())
}

/// Checks that the jobs ran for the ticks that made them, and no tick by two jobs.
fn told(log: &std::path::Path, owners: &HashMap<i64, (String, i64)>) -> anyhow::Result<()> {
    let mut ran = HashMap::new();
    let mut jobs = HashSet::new();
    for line in fs::read_to_string(log)?.lines() {
        let [_, job, _, schedule, at] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("{line:?} is not a line of a job");
        };
        let (job, tick): (i64, _) = (job.parse()?, (schedule.to_owned(), seconds(at)?));
        ensure!(owners.get(&job) == Some(&tick), "job {job} ran for {tick:?}");
        if let Some(other) = ran.insert(tick.clone(), job).filter(|other| *other != job) {
            bail!("jobs {job} and {other} ran for {tick:?}");
        }
        jobs.insert(job);
    }
    ensure!(
        jobs.len() == owners.len(),
        "{} jobs ran, of {}",
        jobs.len(),
        owners.len()
    );
    Ok(())
}

/// The same in ms.
pub fn millis(time: &str) -> anyhow::Result<u64> {
    let below: String = time
        .chars()
        .skip(20)
        .take_while(char::is_ascii_digit)
        .take(3)
        .collect();
    let below: u64 = format!("{below:0<3}").parse()?;
    Ok(u64::try_from(seconds(time)?)? * 1000 + below)
}

/// Seconds since 1970 of a time such as `2026-11-30T01:30:00Z`; what is below a second is left out.
fn seconds(time: &str) -> anyhow::Result<i64> {
    let part = |from: usize, to: usize| {
        let text = time
            .get(from..to)
            .with_context(|| format!("{time:?} is not a time"))?;
        text.parse::<i64>()
            .with_context(|| format!("{time:?} is not a time"))
    };
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // Days before a month, in a year that begins with March (H. Hinnant, "chrono-compatible low-level date algorithms").
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Ok(days * 86_400 + part(11, 13)? * 3600 + part(14, 16)? * 60 + part(17, 19)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(seconds("1970-01-01T00:00:00Z").unwrap(), 0);
        assert_eq!(seconds("2000-02-29T23:59:59.5Z").unwrap(), 951_868_799);
        assert_eq!(seconds("2026-11-30T01:30:00Z").unwrap(), 1_796_002_200);
        assert_eq!(millis("1970-01-01T00:00:01.25Z").unwrap(), 1250);
        assert_eq!(millis("1970-01-01T00:00:01Z").unwrap(), 1000);
        assert!(seconds("soon").is_err());
    }

    #[test]
    fn a_tick_without_a_row_is_found() {
        let row = |second: u32, job| {
            let at = format!("2026-01-01T00:00:{second:02}Z");
            json!({"at": at, "last_at": at, "count": 1, "result": "late", "job": job})
        };
        let judge = |rows: &[Value], next: u32| {
            let shown = json!({"created_at": "2026-01-01T00:00:00.3Z", "ticks": rows,
                "next_due": format!("2026-01-01T00:00:{next:02}Z")});
            ticks_of("s", &shown, &mut HashMap::new(), &mut Tally::new())
        };
        judge(&[row(2, 12), row(1, 11)], 3).unwrap();
        assert!(
            judge(&[row(3, 12), row(1, 11)], 4).is_err(),
            "the second is missing"
        );
        assert!(judge(&[row(2, 12)], 3).is_err(), "the first is missing");
        assert!(judge(&[row(2, 11), row(1, 11)], 3).is_err(), "one job for two");
        assert!(
            judge(&[row(2, 12), row(1, 11)], 4).is_err(),
            "the third is missing"
        );
    }
}
