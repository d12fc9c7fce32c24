//! The keys of a transaction as they stand, each read once, and what was decided about them since.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use queuectl_core::{Limit, LimitKey, Timestamp};

use super::statements::{LimitRows, limit};
use crate::StoreError;
use crate::types::limits::{ADMITTED, HOLDING};

/// A key as it stands.
#[derive(Debug, Clone)]
pub struct Key {
    limit: Option<Limit>,
    holding: i64,
    admitted: i64,
    /// Whether a job waits for it, as far as is known.
    pub has_parked: bool,
    tat: Option<i64>,
    wake_at: Option<i64>,
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
        let running = limit.running.map_or(i64::MAX, i64::from);
        let slots = running.saturating_sub(self.holding).saturating_sub(admitted);
        if slots <= 0 {
            return Err(Full::Running);
        }
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let Some(rate) = limit.rate else {
            // A key may have been told to wait without having a rate.
            let until = self.tat.map(|tat| tat.div_euclid(1_000_000));
            return match until {
                Some(until) if until > now.0 => Err(Full::Until(Timestamp(until))),
                _ => Ok(slots),
            };
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
    keys: BTreeMap<String, Key>,
    limits: HashMap<String, Option<Limit>>,
    locked: bool,
    /// Jobs that this transaction made ready.
    pub woken: BTreeSet<i64>,
}

/// The limits that a job names, as they are stored.
pub fn named(limits: &str) -> Vec<LimitKey> {
    let words = limits.split(' ').filter(|word| !word.is_empty());
    words.map(|word| LimitKey::as_stored(word.to_owned())).collect()
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
            self.limits.insert(limit.name.to_string(), Some(limit));
        }
        for name in names {
            self.limits.entry(name.to_owned()).or_default();
        }
        Ok(())
    }

    /// The limit that a key belongs to, if there is one.
    pub fn limit(&self, key: &LimitKey) -> Option<&Limit> {
        self.limits.get(key.name()).and_then(Option::as_ref)
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
        for (key, holding, admitted, has_parked, tat, wake_at) in conn.key_rows(&new)? {
            let limit = self.limits.get(key.split(':').next().unwrap_or_default());
            let limit = limit.cloned().flatten();
            let state = Key {
                limit,
                holding,
                admitted,
                has_parked,
                tat,
                wake_at,
                changed: false,
            };
            self.keys.insert(key, state);
        }
        Ok(())
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

    /// Stores the times that changed. Returns whether one did.
    pub fn store_times(&mut self, conn: &mut dyn LimitRows) -> Result<bool, StoreError> {
        let mut times = Vec::new();
        for (key, state) in &mut self.keys {
            if std::mem::take(&mut state.changed) {
                times.push((key.as_str(), state.tat, state.wake_at));
            }
        }
        if !times.is_empty() {
            conn.set_times(&times)?;
        }
        Ok(!times.is_empty())
    }
}
