//! Limits under random operations, compared with a model that is small enough to be right: which jobs run is what the store
//! says of them, what a limit allows is what was set, and everything else follows.

use std::collections::{BTreeMap, BTreeSet};

use queuectl_core::{LimitChange, LimitKey, OnConflict, Rate};
use queuectl_storage::Pause;

use super::limits::is_sound;
use super::unique::all;
use super::*;

/// Operations of a run, and runs, each with random numbers of its own.
const STEPS: usize = 100;
const RUNS: u64 = 3;
/// What jobs name.
const KEYS: [&str; 4] = ["disk", "account:1", "account:2", "api"];
const NAMES: [&str; 3] = ["disk", "account", "api"];
const QUEUES: [&str; 2] = ["a", "b"];

/// A small generator: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as usize
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// What a limit allows.
#[derive(Debug, Clone, Copy, Default)]
struct Allowed {
    running: Option<u32>,
    rate: Option<Rate>,
    per_key: bool,
}

struct Model<'a> {
    store: &'a mut Store,
    node: NodeId,
    numbers: Numbers,
    now: Timestamp,
    limits: BTreeMap<&'static str, Allowed>,
    /// Starts of each key that a rate counts, paid for by then.
    tats: BTreeMap<String, i64>,
    jobs: Vec<JobId>,
    running: Vec<Claimed>,
    paused: bool,
}

/// No sequence of operations has more jobs of a key run than its limit allows, or start faster than its rate; nothing waits
/// whose keys have room; what waits goes on by priority, then by age; and in the end everything ends.
pub fn limits_hold_whatever_happens(temp: TempStore) {
    for seed in 0..RUNS {
        let mut store = temp.another();
        let (node, _guard) = node(&mut store);
        for name in NAMES {
            store
                .remove_limit(&name.parse().expect("a name"), NOW)
                .expect("an answer");
        }
        let mut model = Model {
            store: &mut store,
            node,
            numbers: Numbers(seed + 1),
            now: later(seed * 1_000_000_000),
            limits: BTreeMap::new(),
            tats: BTreeMap::new(),
            jobs: Vec::new(),
            running: Vec::new(),
            paused: false,
        };
        for name in NAMES {
            model.set(name);
        }
        for step in 0..STEPS {
            let what = model.step();
            assert!(is_sound(model.store), "run {seed}, step {step}: {what}");
        }
        model.end();
    }
}

impl Model<'_> {
    /// One random operation; what it was.
    fn step(&mut self) -> String {
        self.now = self
            .now
            .after(Duration::from_millis(self.numbers.below(60) as u64));
        match self.numbers.below(20) {
            0..=5 => self.enqueue(),
            6..=12 => self.cycle(),
            13 => self.drain(),
            14 => {
                let name = NAMES[self.numbers.below(3)];
                if self.numbers.one_in(3) {
                    let removed = self.store.remove_limit(&name.parse().expect("a name"), self.now);
                    self.tats.retain(|key, _| key.split(':').next() != Some(name));
                    self.limits.remove(name);
                    return format!("limit:remove {name}: {removed:?}");
                }
                self.set(name)
            }
            15 => self.pause(),
            _ => self.change_one(),
        }
    }

    fn set(&mut self, name: &'static str) -> String {
        let before = self.limits.get(name).copied();
        let rates = ["20/s", "5/s", "2/10s"];
        let is_rate = name == "api";
        let change = LimitChange {
            running: Some((!is_rate || self.numbers.one_in(2)).then(|| 1 + self.numbers.below(3) as u32)),
            rate: Some(is_rate.then(|| rates[self.numbers.below(3)].parse().expect("a rate"))),
            burst: is_rate.then(|| 1 + self.numbers.below(2) as u32),
            per_key: match before {
                Some(before) => before.per_key,
                None => name == "account" && !self.numbers.one_in(3),
            },
            ..LimitChange::default()
        };
        let name_of = name.parse().expect("a name");
        let set = self
            .store
            .set_limit(&name_of, &change, self.now)
            .expect("it is set");
        let after = Allowed {
            running: set.running,
            rate: set.rate,
            per_key: set.per_key,
        };
        if let Some(rate) = after
            .rate
            .filter(|rate| before.and_then(|before| before.rate) != Some(*rate))
        {
            let most = rate.after(None, self.now, rate.burst);
            for (key, tat) in &mut self.tats {
                if key.split(':').next() == Some(name) {
                    *tat = (*tat).min(most);
                }
            }
        }
        self.limits.insert(name, after);
        format!("limit:set {name} {after:?}")
    }

    fn enqueue(&mut self) -> String {
        let mut jobs = Vec::new();
        for _ in 0..=self.numbers.below(4) {
            let mut spec = JobSpec::line("true");
            for key in KEYS {
                let name = key.split(':').next().unwrap_or_default();
                if self.numbers.one_in(3) && self.limits.contains_key(name) {
                    spec.limit.push(key.parse().expect("a limit"));
                }
            }
            spec.queue = Some(QUEUES[self.numbers.below(2)].parse().expect("a queue"));
            spec.priority = Some(self.numbers.below(2) as i32);
            match self.numbers.below(10) {
                0 => spec.hold = Some(true),
                1 => spec.start = Some(Start::At(self.now.after(Duration::from_millis(700)))),
                2 if !self.jobs.is_empty() => {
                    let parent = self.jobs[self.numbers.below(self.jobs.len())];
                    spec.after = vec![format!("{parent}:any").parse().expect("a parent")];
                }
                3 => {
                    spec.unique = Some(["k", "l"][self.numbers.below(2)].parse().expect("a key"));
                    spec.on_conflict = Some(OnConflict::Replace);
                }
                _ => {}
            }
            jobs.push(spec.validate(self.now).expect("a valid job"));
        }
        let stored = self.store.enqueue(&jobs, self.now).expect("jobs are stored");
        self.jobs.extend(stored);
        format!("enqueue {}", jobs.len())
    }

    fn pause(&mut self) -> String {
        let queue = ["b".parse().expect("a queue")];
        self.paused = !self.paused;
        if self.paused {
            let pause = Pause {
                at: self.now,
                until: None,
                by: "op@host".to_owned(),
                reason: None,
            };
            self.store.pause_queues(&queue, &pause).expect("paused");
        } else {
            self.store.resume_queues(&queue, self.now).expect("resumed");
        }
        format!("paused: {}", self.paused)
    }

    /// Cancels, holds, releases or retries a job; most of that may be refused.
    fn change_one(&mut self) -> String {
        if self.jobs.is_empty() {
            return "nothing".to_owned();
        }
        let id = self.jobs[self.numbers.below(self.jobs.len())];
        let job = JobRef::Number(id);
        let (store, now) = (&mut *self.store, self.now);
        let (what, done) = match self.numbers.below(5) {
            0 => ("cancel", store.cancel(&job, now).map(drop)),
            1 => ("hold", store.hold(&job, now)),
            2 | 3 => ("release", store.release(&job, now).map(drop)),
            _ => ("retry", store.retry(&job, &Only::default(), now).map(drop)),
        };
        let refused =
            |error: &StoreError| matches!(error, StoreError::Refused { .. } | StoreError::KeyHeld { .. });
        assert!(done.as_ref().err().is_none_or(refused), "{what} {id}: {done:?}");
        format!("{what} {id}: {done:?}")
    }

    /// A cycle that ends some of the running jobs, somehow, and claims some.
    fn cycle(&mut self) -> String {
        let mut records = Vec::new();
        for _ in 0..self.numbers.below(4).min(self.running.len()) {
            let at = self.numbers.below(self.running.len());
            let job = self.running.swap_remove(at);
            let retry_at = self.now.after(Duration::from_millis(300));
            let (event, kind) = match self.numbers.below(6) {
                0 => (Event::Fail { retry_at: None }, OutcomeKind::Failed),
                1 => (
                    Event::Fail {
                        retry_at: Some(retry_at),
                    },
                    OutcomeKind::Failed,
                ),
                2 => (Event::Return, OutcomeKind::Returned),
                _ => (Event::Complete, OutcomeKind::Succeeded),
            };
            records.push(record(&job, self.node, event, kind, self.now));
        }
        let claim = self.numbers.below(6) as u32;
        let claimed = self.turn(&records, claim);
        format!("cycle of {} that claims {claimed} of {claim}", records.len())
    }

    /// Claims until nothing is left that could start. What waits then must have a reason.
    fn drain(&mut self) -> String {
        let mut idle = 0;
        while idle < 3 {
            self.now = self.now.after(Duration::from_millis(1100));
            idle = if self.turn(&[], 50) == 0 { idle + 1 } else { 0 };
        }
        let jobs = self.read();
        let running = self.count(&jobs);
        for job in &jobs {
            let waits_for_room = job.state == State::Blocked && job.waits.code() == BlockedBy::Limit as i32;
            let is_served = !(self.paused && job.queue.as_str() == "b");
            if is_served && (waits_for_room || job.state == State::Pending) {
                let full = self
                    .keys(&job.limit)
                    .into_iter()
                    .find(|key| !self.has_room(key, &running));
                assert!(
                    full.is_some(),
                    "job {} waits though its keys have room: {job:?}",
                    job.id
                );
            }
        }
        "drain".to_owned()
    }

    /// A cycle, with all that must hold of it. Returns how many jobs it claimed.
    fn turn(&mut self, records: &[Record], claim: u32) -> usize {
        let before = self.read();
        let turned = turn(self.store, self.node, records, claim, self.now);
        assert_eq!(turned.stale, []);
        let after = self.read();
        let running = self.count(&after);
        let mut started = BTreeMap::<String, u32>::new();
        for job in &turned.claimed {
            let job = after
                .iter()
                .find(|other| other.id.0 == job.id)
                .expect("it is there");
            assert!(
                !(self.paused && job.queue.as_str() == "b"),
                "from a paused queue: {job:?}"
            );
            for key in self.keys(&job.limit) {
                *started.entry(key).or_default() += 1;
            }
        }
        for (key, starts) in started {
            let Some(allowed) = self.allowed(&key).copied() else {
                continue;
            };
            let most = allowed.running.unwrap_or(u32::MAX);
            assert!(
                running[&key] <= most,
                "{} of {key} run, {most} may",
                running[&key]
            );
            if let Some(rate) = allowed.rate {
                let tat = self.tats.get(&key).copied();
                let room = rate.room(tat, self.now);
                assert!(
                    starts <= room,
                    "{starts} of {key} started at {:?}, {room} might",
                    self.now
                );
                self.tats.insert(key, rate.after(tat, self.now, starts));
            }
        }
        self.is_in_order(&before, &after);
        self.running.extend(turned.claimed.iter().cloned());
        turned.claimed.len()
    }

    /// Of jobs that waited for the same key and name no other, those that wait no more must come before those that still do.
    fn is_in_order(&self, before: &[Job], after: &[Job]) {
        let waits =
            |job: &Job| job.waits.code() == BlockedBy::Limit as i32 && self.keys(&job.limit).len() == 1;
        let parked: BTreeSet<i64> = before
            .iter()
            .filter(|job| waits(job))
            .map(|job| job.id.0)
            .collect();
        let of_before = after.iter().filter(|job| parked.contains(&job.id.0));
        let (still, woken): (Vec<&Job>, Vec<&Job>) = of_before.partition(|job| waits(job));
        for job in woken {
            let overtaken = still.iter().find(|other| {
                let is_served = !(self.paused && other.queue.as_str() == "b");
                let is_first = (-other.priority, other.id.0) < (-job.priority, job.id.0);
                is_served && is_first && self.keys(&other.limit) == self.keys(&job.limit)
            });
            assert!(overtaken.is_none(), "{job:?} went on before {overtaken:?}");
        }
    }

    fn read(&mut self) -> Vec<Job> {
        all(self.store)
    }

    fn allowed(&self, key: &str) -> Option<&Allowed> {
        self.limits.get(key.split(':').next().unwrap_or_default())
    }

    /// The keys that count for a job that names these limits.
    fn keys(&self, limits: &[LimitKey]) -> BTreeSet<String> {
        let counted = limits.iter().map(|key| match self.allowed(key.as_str()) {
            Some(allowed) if !allowed.per_key => key.name().to_owned(),
            _ => key.as_str().to_owned(),
        });
        counted.collect()
    }

    /// How many jobs of each key run.
    fn count(&self, jobs: &[Job]) -> BTreeMap<String, u32> {
        let mut running = BTreeMap::new();
        for job in jobs.iter().filter(|job| job.state == State::Processing) {
            for key in self.keys(&job.limit) {
                *running.entry(key).or_default() += 1;
            }
        }
        running
    }

    fn has_room(&self, key: &str, running: &BTreeMap<String, u32>) -> bool {
        let Some(allowed) = self.allowed(key) else {
            return true;
        };
        let runs = running.get(key).copied().unwrap_or(0);
        let is_allowed = |rate: Rate| rate.room(self.tats.get(key).copied(), self.now) > 0;
        allowed.running.is_none_or(|most| runs < most) && allowed.rate.is_none_or(is_allowed)
    }

    /// Lets everything go on: it must end.
    fn end(&mut self) {
        if self.paused {
            self.pause();
        }
        for name in NAMES {
            self.set(name);
        }
        for _ in 0..1000 {
            for job in self.read().iter().filter(|job| job.waits.has(BlockedBy::Held)) {
                self.store
                    .release(&JobRef::Number(job.id), self.now)
                    .expect("released");
            }
            let (node, now) = (self.node, self.now);
            let ended = self.running.drain(..);
            let records: Vec<Record> = ended
                .map(|job| record(&job, node, Event::Complete, OutcomeKind::Succeeded, now))
                .collect();
            self.turn(&records, 50);
            if self.running.is_empty() && self.read().iter().all(|job| job.state.is_final()) {
                assert!(is_sound(self.store));
                return;
            }
            self.now = self.now.after(Duration::from_millis(1100));
        }
        let left: Vec<Job> = self
            .read()
            .into_iter()
            .filter(|job| !job.state.is_final())
            .collect();
        panic!("these never end: {left:?}");
    }
}
