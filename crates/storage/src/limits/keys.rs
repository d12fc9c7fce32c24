//! The keys of a transaction as they stand, each read once, and what was decided about them since.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use queuectl_core::{Limit, LimitKey, LimitName, QueueLimit, Timestamp};

use super::statements::{LimitRows, limit};
use crate::StoreError;
use crate::env::{self, Guard};
use crate::types::limits::{ADMITTED, HOLDING};

/// A key as it stands.
#[derive(Debug, Clone)]
pub struct Key {
    limit: Option<Arc<Limit>>,
    holding: i64,
    admitted: i64,
    /// Whether a job waits for it, as far as is known.
    pub has_parked: bool,
    tat: Option<i64>,
    wake_at: Option<i64>,
    busy_until: Option<i64>,
    /// Whether one of the times is not stored yet.
    changed: bool,
}

/// Why a key has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many jobs run as may.
    Running,
    /// No start is allowed before this time.
    Until(Timestamp),
}

impl Key {
    /// How many jobs may start now, besides `admitted` that were let through.
    fn room(&self, admitted: i64, now: Timestamp) -> Result<u32, Full> {
        let Some(limit) = &self.limit else {
            return Ok(u32::MAX);
        };
        if let Some(until) = self.busy(now) {
            return Err(Full::Until(until));
        }
        let running = limit.running.map_or(i64::MAX, i64::from);
        let slots = running.saturating_sub(self.holding).saturating_sub(admitted);
        if slots <= 0 {
            return Err(Full::Running);
        }
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let Some(rate) = limit.rate else {
            return Ok(slots);
        };
        let admitted = u32::try_from(admitted).unwrap_or(0);
        match rate.room(self.tat, now).saturating_sub(admitted) {
            0 => {
                let tat = match admitted {
                    0 => self.tat.unwrap_or(i64::MIN),
                    admitted => rate.after(self.tat, now, admitted),
                };
                // Never now: what was let through has not started yet.
                Err(Full::Until(rate.next(tat).max(Timestamp(now.0 + 1))))
            }
            starts => Ok(starts.min(slots)),
        }
    }

    /// How many jobs may start now.
    pub fn to_start(&self, now: Timestamp) -> Result<u32, Full> {
        self.room(0, now)
    }

    /// How many more jobs may be let through now.
    pub fn to_admit(&self, now: Timestamp) -> Result<u32, Full> {
        self.room(self.admitted, now)
    }

    /// A job starts.
    pub fn start(&mut self, now: Timestamp) {
        self.holding += 1;
        if let Some(rate) = self.limit.as_ref().and_then(|limit| limit.rate) {
            self.tat = Some(rate.after(self.tat, now, 1));
            self.changed = true;
        }
    }

    /// Until when what the key stands for is busy, if it is.
    pub fn busy(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.busy_until.filter(|until| *until > now.0);
        until.filter(|_| self.limit.is_some()).map(Timestamp)
    }

    /// What the key stands for is busy: nothing starts before that time.
    pub fn put_off(&mut self, until: Timestamp) {
        if self.busy_until.is_some_and(|busy| busy >= until.0) {
            return;
        }
        self.busy_until = Some(until.0);
        if let Some(rate) = self.limit.as_ref().and_then(|limit| limit.rate) {
            self.tat = Some(rate.paused(self.tat, until));
        }
        self.changed = true;
        self.look_again(until);
    }

    /// Whether it limits how fast jobs start.
    pub fn has_rate(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.rate.is_some())
    }

    /// A job is let through.
    pub fn admit(&mut self) {
        self.admitted += 1;
    }

    /// What was let through does not count any more, because no node claims it.
    pub fn forget_admitted(&mut self) {
        self.admitted = 0;
    }

    /// A row of this phase is no longer there.
    pub fn cleared(&mut self, phase: i16) {
        match phase {
            HOLDING => self.holding -= 1,
            ADMITTED => self.admitted -= 1,
            _ => {}
        }
    }

    /// A job waits for the key, which is full for this reason. None: others wait before it.
    pub fn parked(&mut self, full: Option<Full>) {
        self.has_parked = true;
        if let Some(Full::Until(time)) = full {
            self.look_again(time);
        }
    }

    /// The key is to be looked at again at that time, if not before.
    pub fn look_again(&mut self, time: Timestamp) {
        if self.wake_at.is_none_or(|at| at > time.0) {
            self.wake_at = Some(time.0);
            self.changed = true;
        }
    }

    /// It is being looked at.
    pub fn looked_at(&mut self) {
        self.changed |= self.wake_at.take().is_some();
    }
}

/// The keys that a transaction has to do with.
#[derive(Debug, Default)]
pub struct Keys {
    keys: HashMap<String, Key>,
    limits: HashMap<String, Option<Arc<Limit>>>,
    locked: bool,
    /// Whether what is known of the keys is no longer what is stored.
    is_inexact: bool,
    /// The keys of queues with limits that were read.
    queues: BTreeSet<String>,
    /// Limits of jobs that found them busy, and until when their keys are put off.
    put_off: Vec<(Vec<LimitKey>, Timestamp)>,
    /// Jobs that this transaction made ready.
    pub woken: BTreeSet<i64>,
}

/// Keys that are carried over to the next transaction at most; with more, none are.
const CARRIED_MOST: usize = 10_000;

/// The limits that a job names, as they are stored.
pub fn named(limits: &str) -> Vec<LimitKey> {
    LimitKey::all_stored(limits)
}

/// The key under which the starts of a queue are paid for. No limit has such a name.
pub fn queue_key(queue: &str) -> String {
    format!("queue:{queue}")
}

impl Keys {
    /// Has other transactions wait that decide about limits.
    pub fn lock(&mut self, conn: &mut dyn LimitRows) -> Result<(), StoreError> {
        if !self.locked {
            conn.lock_limits(false)?;
            self.locked = true;
        }
        Ok(())
    }

    /// Has the keys of a job with these limits put off once limits are locked, which comes after the rows of jobs.
    pub fn put_off_later(&mut self, limits: Vec<LimitKey>, until: Timestamp) {
        if !limits.is_empty() {
            self.put_off.push((limits, until));
        }
    }

    /// Puts off the keys that were to be.
    pub fn put_off(&mut self, conn: &mut dyn LimitRows) -> Result<(), StoreError> {
        if env::is_disabled(Guard::Busy) {
            self.put_off.clear();
        }
        for (limits, until) in std::mem::take(&mut self.put_off) {
            self.lock(conn)?;
            for counted in self.of_jobs(conn, [limits.as_slice()])? {
                self.each(&counted, |key| key.put_off(until));
            }
        }
        Ok(())
    }

    /// Reads the limits of these keys that were not read yet.
    pub fn read_limits<'a>(
        &mut self,
        conn: &mut dyn LimitRows,
        keys: impl IntoIterator<Item = &'a LimitKey>,
    ) -> Result<(), StoreError> {
        let names = keys.into_iter().map(LimitKey::name);
        let names: BTreeSet<&str> = names.filter(|name| !self.limits.contains_key(*name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = names.into_iter().collect();
        for row in conn.limits_named(&names)? {
            let limit = limit(row);
            self.limits.insert(limit.name.to_string(), Some(Arc::new(limit)));
        }
        for name in names {
            self.limits.entry(name.to_owned()).or_default();
        }
        Ok(())
    }

    /// The limit that a key belongs to, if there is one.
    pub fn limit(&self, key: &LimitKey) -> Option<&Limit> {
        self.limits.get(key.name()).and_then(Option::as_deref)
    }

    /// The keys that count for a job that names these limits. Where a limit was removed, the key counts as it was named.
    fn counted(&self, named: &[LimitKey]) -> Vec<String> {
        let mut counted: Vec<String> = Vec::with_capacity(named.len());
        for key in named {
            let key = self.limit(key).map_or(key.as_str(), |limit| limit.counted(key));
            if !counted.iter().any(|other| other == key) {
                counted.push(key.to_owned());
            }
        }
        counted
    }

    /// The keys of each of these jobs, given by the limits that it names. They are read.
    pub fn of_jobs<'a>(
        &mut self,
        conn: &mut dyn LimitRows,
        jobs: impl IntoIterator<Item = &'a [LimitKey]>,
    ) -> Result<Vec<Vec<String>>, StoreError> {
        let jobs: Vec<&[LimitKey]> = jobs.into_iter().collect();
        self.read_limits(conn, jobs.iter().copied().flatten())?;
        let keys: Vec<Vec<String>> = jobs.into_iter().map(|named| self.counted(named)).collect();
        self.read(conn, keys.iter().flatten().map(String::as_str))?;
        Ok(keys)
    }

    /// Reads those of the keys that were not read yet.
    pub fn read<'a>(
        &mut self,
        conn: &mut dyn LimitRows,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), StoreError> {
        let new = keys.into_iter().filter(|key| !self.keys.contains_key(*key));
        let new: BTreeSet<&str> = new.collect();
        if new.is_empty() {
            return Ok(());
        }
        let new: Vec<&str> = new.into_iter().collect();
        let named: Vec<LimitKey> = new
            .iter()
            .map(|key| LimitKey::as_stored((*key).to_owned()))
            .collect();
        self.read_limits(conn, &named)?;
        for ((key, holding, admitted, has_parked), (tat, wake_at, busy_until)) in conn.key_rows(&new)? {
            let limit = self.limits.get(key.split(':').next().unwrap_or_default());
            let limit = limit.cloned().flatten();
            let state = Key {
                limit,
                holding,
                admitted,
                has_parked,
                tat,
                wake_at,
                busy_until,
                changed: false,
            };
            self.keys.insert(key, state);
        }
        Ok(())
    }

    /// Reads how these queues stand that have limits. Only under the lock, which the caller has taken.
    pub fn read_queues(
        &mut self,
        conn: &mut dyn LimitRows,
        limited: &[(String, QueueLimit)],
    ) -> Result<(), StoreError> {
        let new = limited.iter().map(|(name, limit)| (name, queue_key(name), limit));
        let new: Vec<_> = new.filter(|(_, key, _)| !self.queues.contains(key)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.read(conn, new.iter().map(|(_, key, _)| key.as_str()))?;
        let names: Vec<&str> = new.iter().map(|(name, ..)| name.as_str()).collect();
        let running: HashMap<String, i64> = conn.running_in(&names)?.into_iter().collect();
        for (name, key, limit) in new {
            if let Some(state) = self.keys.get_mut(&key) {
                state.holding = running.get(name).copied().unwrap_or(0);
                state.limit = Some(Arc::new(Limit {
                    name: LimitName::as_stored(key.clone()),
                    running: limit.running,
                    per_key: false,
                    rate: limit.rate,
                    busy: None,
                    created_at: Timestamp(0),
                    updated_at: Timestamp(0),
                }));
                self.queues.insert(key);
            }
        }
        Ok(())
    }

    /// How many jobs of a queue with a limit may start now. It is looked at again when more may.
    pub fn queue_room(&mut self, queue: &str, now: Timestamp) -> Result<u32, Full> {
        let Some(state) = self.keys.get_mut(&queue_key(queue)) else {
            return Ok(0);
        };
        let room = state.to_start(now);
        if let Err(Full::Until(time)) = room {
            state.look_again(time);
        }
        room
    }

    /// How many jobs of a queue with a limit run.
    pub fn running_in(&self, queue: &str) -> u64 {
        let state = self.keys.get(&queue_key(queue));
        state.map_or(0, |state| u64::try_from(state.holding).unwrap_or(0))
    }

    /// A job of that queue starts.
    pub fn start_in(&mut self, queue: &str, now: Timestamp) {
        if self.queues.is_empty() {
            return;
        }
        let key = queue_key(queue);
        if let Some(state) = self.keys.get_mut(&key).filter(|_| self.queues.contains(&key)) {
            state.start(now);
            if let Err(Full::Until(time)) = state.to_start(now) {
                state.look_again(time);
            }
        }
    }

    /// A key that was read.
    pub fn get(&mut self, key: &str) -> Option<&mut Key> {
        self.keys.get_mut(key)
    }

    /// The first of the keys that has no room to start, or to let through, and why.
    pub fn first_full(
        &self,
        keys: &[String],
        room: impl Fn(&Key) -> Result<u32, Full>,
    ) -> Option<(String, Full)> {
        keys.iter().find_map(|key| {
            let full = self.keys.get(key).and_then(|state| room(state).err())?;
            Some((key.clone(), full))
        })
    }

    /// Does the same to each of the keys.
    pub fn each(&mut self, keys: &[String], mut change: impl FnMut(&mut Key)) {
        for key in keys {
            if let Some(state) = self.keys.get_mut(key) {
                change(state);
            }
        }
    }

    /// What is known of the keys is not what is stored, so it must not outlive the transaction.
    pub fn set_inexact(&mut self) {
        self.is_inexact = true;
    }

    /// Forgets how the keys stand.
    pub fn forget_states(&mut self) {
        self.keys.clear();
    }

    /// Leaves what another transaction could begin with, if nothing is stored meanwhile: how keys of limits stand, once their
    /// times are stored. How queues with limits stand follows from their jobs, and is read each time.
    pub fn carry_over(self) -> Option<Keys> {
        let Keys {
            mut keys,
            limits,
            queues,
            is_inexact,
            ..
        } = self;
        keys.retain(|key, state| state.limit.is_some() && !queues.contains(key));
        (!is_inexact && !keys.is_empty() && keys.len() <= CARRIED_MOST).then(|| Keys {
            keys,
            limits,
            ..Keys::default()
        })
    }

    /// Panics if how the keys stand is not what is stored.
    pub fn verify(&self, conn: &mut dyn LimitRows) -> Result<(), StoreError> {
        let mut names: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        names.sort_unstable();
        for ((key, holding, admitted, has_parked), times) in conn.key_rows(&names)? {
            let known = &self.keys[&key];
            assert!(
                (known.holding, known.admitted) == (holding, admitted)
                    && (known.has_parked || !has_parked)
                    && (known.tat, known.wake_at, known.busy_until) == times,
                "key {key} is known as {known:?}, and stored are {holding}, {admitted}, {has_parked}, {times:?}"
            );
        }
        Ok(())
    }

    /// Stores the times that changed. Returns whether one did.
    pub fn store_times(&mut self, conn: &mut dyn LimitRows) -> Result<bool, StoreError> {
        let mut times = Vec::new();
        for (key, state) in &mut self.keys {
            if std::mem::take(&mut state.changed) {
                times.push((key.as_str(), (state.tat, state.wake_at, state.busy_until)));
            }
        }
        times.sort_unstable();
        if !times.is_empty() {
            conn.set_times(&times)?;
        }
        Ok(!times.is_empty())
    }
}
