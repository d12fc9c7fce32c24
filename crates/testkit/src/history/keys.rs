//! Limits: never more attempts of a key alive than it allows, never faster than its rate, and none while it waits because an
//! attempt found what it stands for busy.
//!
//! What counts is what jobs do: an attempt is alive from its beginning to its end, however it ends. It may begin a while
//! after its claim, in which the limit was asked; so attempts that are alive together are held against what the limit
//! allowed at the newest of their claims, and starts are spaced by the times of their claims, by the clock of those.

use std::collections::HashMap;

use queuectl_core::{JobId, LimitKey, Rate, Timestamp};

use super::{Allowed, Call, History, Reply, StoredJob, Verdict, Violation, What};

/// What is known of a limit: mostly one thing; more after a call without an answer.
type Known = Vec<Option<Allowed>>;

/// An attempt of a job that has keys.
#[derive(Debug, Clone)]
struct Claim {
    /// Its place among the claims.
    number: usize,
    now: Timestamp,
    sets: usize,
    /// Its keys, and what each allowed then.
    keys: Vec<(String, Known)>,
    machine: u32,
}

/// A start of a key.
#[derive(Debug, Clone)]
struct Start {
    claim: usize,
    now: Timestamp,
    rate: Option<Rate>,
    /// How often limits were set, or the clock was set back, before.
    sets: usize,
    job: JobId,
}

/// Checks the limits of the jobs that are still in the store.
pub fn check_limits(history: &History, found: &[StoredJob]) -> Vec<Violation> {
    let named: HashMap<JobId, &StoredJob> = found
        .iter()
        .filter(|one| !one.job.limit.is_empty())
        .map(|one| (one.job.id, one))
        .collect();
    if named.is_empty() {
        return Vec::new();
    }
    let mut check = Check {
        history,
        named,
        limits: HashMap::new(),
        sets: 0,
        clock: Timestamp(i64::MIN),
        claims: HashMap::new(),
        alive: HashMap::new(),
        still: None,
        starts: HashMap::new(),
        put_off: HashMap::new(),
        violations: Vec::new(),
    };
    let mut asked: HashMap<u32, &Call> = HashMap::new();
    for (place, event) in history.events.iter().enumerate() {
        match &event.what {
            What::Invoked(number, call @ (Call::SetLimit(..) | Call::Claim(..) | Call::Outcome { .. })) => {
                if let Call::Claim(_, now) = call {
                    check.clock_shows(*now);
                }
                asked.insert(*number, call);
            }
            What::Returned(number, reply) => match (asked.remove(number), reply) {
                (Some(Call::SetLimit(name, set)), reply) => check.set(name, *set, reply),
                (Some(Call::Claim(_, now)), Reply::Claimed(jobs)) => {
                    for (job, fence, _) in jobs {
                        check.claimed(place, *now, *job, *fence);
                    }
                }
                (Some(Call::Outcome { job, .. }), Reply::Busy { until, status }) => {
                    check.found_busy(*job, *until, *status);
                }
                _ => {}
            },
            What::Began {
                job, fence, machine, ..
            } => check.began(*job, *fence, *machine),
            What::Over { job, fence, .. } => {
                check.alive.remove(&(*job, *fence));
            }
            What::StandsStill(machine) => check.still = Some(*machine),
            What::GoesOn => check.still = None,
            What::Invoked(..) | What::Note(_) => {}
        }
    }
    check.rates();
    check.violations
}

struct Check<'a> {
    history: &'a History,
    named: HashMap<JobId, &'a StoredJob>,
    limits: HashMap<String, Known>,
    sets: usize,
    clock: Timestamp,
    claims: HashMap<(JobId, i64), Claim>,
    alive: HashMap<(JobId, i64), Claim>,
    still: Option<u32>,
    starts: HashMap<String, Vec<Start>>,
    /// Until when keys wait.
    put_off: HashMap<String, Timestamp>,
    violations: Vec<Violation>,
}

impl Check<'_> {
    fn set(&mut self, name: &str, set: Option<Allowed>, reply: &Reply) {
        self.sets += 1;
        let known = self.limits.entry(name.to_owned()).or_insert_with(|| vec![None]);
        match reply {
            Reply::Done => *known = vec![set],
            Reply::Unknown => known.push(set),
            _ => return,
        }
        // A limit that is removed forgets what its keys wait for.
        if known.contains(&None) {
            self.put_off.retain(|key, _| key.split(':').next() != Some(name));
        }
    }

    /// An attempt found something busy: the keys wait that stand for it, where the limits are known.
    fn found_busy(&mut self, job: JobId, until: Timestamp, status: Option<i32>) {
        let Some(one) = self.named.get(&job) else { return };
        for key in &one.job.limit {
            let Some(known) = self.limits.get(key.name()) else {
                continue;
            };
            let [Some(allowed)] = known.as_slice() else {
                continue;
            };
            let stands_for_it = match status {
                Some(status) => allowed.busy.is_some_and(|busy| busy.status == status),
                None => allowed.busy.is_some() || allowed.rate.is_some(),
            };
            if stands_for_it {
                let waits = self.put_off.entry(counted(key, known)).or_insert(until);
                *waits = until.max(*waits);
            }
        }
    }

    /// A clock that is set back starts a new count, also where no start shows it.
    fn clock_shows(&mut self, now: Timestamp) {
        self.sets += usize::from(now < self.clock);
        self.clock = now;
        // A wait that is over does not begin again.
        self.put_off.retain(|_, until| *until > now);
    }

    fn claimed(&mut self, number: usize, now: Timestamp, job: JobId, fence: i64) {
        let Some(one) = self.named.get(&job) else { return };
        let mut keys: Vec<(String, Known)> = Vec::new();
        for key in &one.job.limit {
            let known = self.limits.get(key.name()).cloned().unwrap_or_else(|| vec![None]);
            let counted = counted(key, &known);
            if !keys.iter().any(|(other, _)| *other == counted) {
                keys.push((counted, known));
            }
        }
        let put_off = keys.iter().find_map(|(key, _)| {
            let until = self.put_off.get(key).filter(|until| **until > now)?;
            Some((key.clone(), *until))
        });
        if let Some((key, until)) = put_off {
            let early = until.0 - now.0;
            let detail =
                format!("it was claimed {early} ms before {key} could be used again, which was found busy");
            self.violation(Verdict::NotPutOff, job, detail);
        }
        let claim = Claim {
            number,
            now,
            sets: self.sets,
            keys,
            machine: 0,
        };
        self.claims.insert((job, fence), claim);
    }

    fn began(&mut self, job: JobId, fence: i64, machine: u32) {
        let Some(claim) = self.claims.get(&(job, fence)).cloned() else {
            return;
        };
        let claim = Claim { machine, ..claim };
        self.alive.insert((job, fence), claim.clone());
        for (key, known) in &claim.keys {
            // Without knowing the rate, no start says anything.
            let rate = match known.as_slice() {
                [Some(allowed)] => allowed.rate,
                _ => None,
            };
            let start = Start {
                claim: claim.number,
                now: claim.now,
                rate,
                sets: claim.sets,
                job,
            };
            self.starts.entry(key.clone()).or_default().push(start);
            self.count(key, job);
        }
    }

    fn count(&mut self, key: &str, job: JobId) {
        let alive = self.alive.values().filter(|one| Some(one.machine) != self.still);
        let known = |one: &Claim| {
            one.keys
                .iter()
                .find(|(other, _)| other == key)
                .map(|(_, known)| known.clone())
        };
        let of_key: Vec<(usize, Known)> = alive.filter_map(|one| Some((one.number, known(one)?))).collect();
        let Some((_, newest)) = of_key.iter().max_by_key(|(number, _)| *number) else {
            return;
        };
        // The most that any of what is known allows; a limit that there is not allows any number.
        let most = newest
            .iter()
            .map(|set| set.and_then(|allowed| allowed.running).unwrap_or(u32::MAX))
            .max();
        let most = most.unwrap_or(u32::MAX);
        if of_key.len() > most as usize {
            let detail = format!(
                "{} attempts of {key} run at a time; the limit allows {most}",
                of_key.len()
            );
            self.violation(Verdict::OverLimit, job, detail);
        }
    }

    /// In every window of time, at most the burst and what the rate gives in that time.
    fn rates(&mut self) {
        let mut all: Vec<(String, Vec<Start>)> = std::mem::take(&mut self.starts).into_iter().collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        for (key, mut starts) in all {
            starts.sort_by_key(|start| start.claim);
            let mut from = 0;
            for at in 0..starts.len() {
                let (start, before) = (&starts[at], &starts[at.saturating_sub(1)]);
                if start.sets != before.sets {
                    from = at;
                }
                let Some(rate) = start.rate else { continue };
                let is_above = |first: usize| {
                    let time = i128::from(start.now.0 - starts[first].now.0);
                    let given = time * i128::from(rate.count) / i128::from(rate.period_ms.max(1));
                    (at - first + 1) as i128 > given + i128::from(rate.burst)
                };
                if let Some(first) = (from..=at).find(|first| is_above(*first)) {
                    let (count, time) = (at - first + 1, start.now.0 - starts[first].now.0);
                    let detail = format!(
                        "{count} starts of {key} within {time} ms; its rate is {rate}, with a burst of {}",
                        rate.burst
                    );
                    self.violation(Verdict::OverRate, start.job, detail);
                }
            }
        }
    }

    fn violation(&mut self, verdict: Verdict, job: JobId, detail: String) {
        let name = self.named.get(&job).map_or("", |one| one.name());
        self.violations.push(Violation {
            verdict,
            job: Some(job),
            name: name.to_owned(),
            detail,
            history: self.history.of_job(Some(job), name),
        });
    }
}

/// The key that counts for a job which names this one.
fn counted(key: &LimitKey, known: &Known) -> String {
    let is_whole = known.iter().flatten().all(|allowed| allowed.per_key);
    if is_whole { key.as_str() } else { key.name() }.to_owned()
}
