//! Schedules: making, changing, pausing and removing them, and asking for runs.

use std::collections::HashMap;
use std::time::Duration;

use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{JobSpec, ScheduleName};
use queuectl_storage::{ScheduleChange, StoreError};
use queuectl_testkit::history::{Reply, Scheduled};

use super::Cluster;
use super::jobs::dress;
use crate::plan::{Extras, Planned};

/// The name of each schedule, and its seconds between two ticks by name. A new one has a name of its own: what became of
/// the ticks of one that was removed is not known any more.
#[derive(Default)]
pub struct Schedules {
    current: HashMap<u8, ScheduleName>,
    every: HashMap<String, u8>,
}

/// Most ticks that are read of a schedule.
const TICKS: u32 = 10_000;

impl Cluster {
    pub(super) fn plan_schedule(&mut self, which: u8, planned: Planned) -> bool {
        self.be_on(0);
        let now = self.client_now();
        if let Planned::Add(every, overlap, missed, extras) = planned {
            return self.add_schedule(which, every, (overlap, missed), extras);
        }
        let Some(name) = self.schedules.current.get(&which).cloned() else {
            return false;
        };
        let done = match planned {
            Planned::Add(..) => Ok(()),
            Planned::Edit(overlap, missed) => self
                .client
                .edit_schedule(&name, now, |spec| {
                    (spec.overlap, spec.missed) = policies(overlap, missed);
                    Ok(())
                })
                .map(|_| ()),
            Planned::Remove => self
                .client
                .change_schedules(&[ScheduleChange::Remove(name.clone())], now),
            Planned::Pause => self.client.pause_schedule(&name, None, now).map(|_| ()),
            Planned::Resume => self.client.resume_schedule(&name, now).map(|_| ()),
            Planned::Run => self
                .client
                .run_schedule(&name, now)
                .map(|job| self.made.push(job)),
            Planned::Backfill => {
                let from = queuectl_core::Timestamp(now.0 - 60_000);
                let done = self.client.backfill_schedule(&name, from, now, now);
                done.map(|done| self.made.extend(done.made.into_iter().map(|(_, job)| job)))
            }
        };
        self.told(&name, planned, done)
    }

    fn add_schedule(&mut self, which: u8, every: u8, (overlap, missed): (u8, u8), extras: Extras) -> bool {
        let now = self.client_now();
        let mut changes = Vec::new();
        if let Some(before) = self.schedules.current.get(&which) {
            changes.push(ScheduleChange::Remove(before.clone()));
        }
        self.marks += 1;
        let name: ScheduleName = format!("schedule-{}", self.marks).parse().expect("a name");
        let mut job = JobSpec {
            queue: format!("q{which}").parse().ok(),
            max_retries: Some(1),
            ..JobSpec::line("true")
        };
        dress(&mut job, extras);
        job.debounce_ms = None;
        let (overlap, missed) = policies(overlap, missed);
        let spec = ScheduleSpec {
            name: name.clone(),
            when: format!("@every {every}s"),
            zone: "UTC".to_owned(),
            job,
            missed,
            missed_within_ms: MISSED_WITHIN_DEFAULT,
            overlap,
            jitter_ms: None,
            pause_after: None,
            owner: None,
        };
        changes.push(ScheduleChange::Add(spec));
        self.schedules.every.insert(name.to_string(), every);
        let done = self.client.change_schedules(&changes, now);
        if done.is_ok() {
            self.schedules.current.insert(which, name.clone());
        }
        self.told(&name, Planned::Add(every, 0, 0, extras), done)
    }

    fn told(&mut self, name: &ScheduleName, planned: Planned, done: Result<(), StoreError>) -> bool {
        let reply = done.map_or_else(|error| self.failed(&error), |()| Reply::Done);
        self.note(format!("schedule {name}, {planned:?}: {reply:?}"));
        self.wake_all();
        true
    }

    /// Makes no further jobs, so that all can end.
    pub(super) fn pause_all_schedules(&mut self) {
        if !self.mechanisms.schedules {
            return;
        }
        self.be_on(0);
        let now = self.client_now();
        for schedule in self.client.schedules(None).unwrap_or_default() {
            let name = schedule.spec.name;
            let done = self.client.pause_schedule(&name, None, now).map(|_| ());
            self.told(&name, Planned::Pause, done);
        }
    }

    /// The schedules as they are in the end.
    pub(super) fn scheduled(&mut self) -> Vec<Scheduled> {
        let mut all = Vec::new();
        for schedule in self.client.schedules(None).unwrap_or_default() {
            let name = &schedule.spec.name;
            let every = self.schedules.every.get(name.as_str()).copied();
            let (Some(every), Some(next)) = (every, schedule.next_due) else {
                continue;
            };
            all.push(Scheduled {
                start: schedule.start_at,
                every_ms: Duration::from_secs(every.into()).as_millis() as i64,
                next,
                ticks: self.client.ticks(name, TICKS).unwrap_or_default(),
                name: name.to_string(),
            });
        }
        all
    }
}

fn policies(overlap: u8, missed: u8) -> (Overlap, MissedPolicy) {
    let overlap = Overlap::ALL[overlap as usize % Overlap::ALL.len()];
    (
        overlap,
        MissedPolicy::ALL[missed as usize % MissedPolicy::ALL.len()],
    )
}
