//! Which job goes to which worker, how many jobs the node wants, and when what was claimed ahead has waited too long.
//!
//! It decides from the claims ledger and from the time; it sends nothing and claims nothing.

use std::time::Duration;

use queuectl_executor::RunKey;
use queuectl_scheduler::{Pace, claim_count};

use super::claims::Claims;
use crate::env::Instant;

/// Most jobs that wait at a worker process for each of its slots.
const WAITING_MOST: u32 = 512;
/// Longest and shortest interval between reads of what a busy worker says.
const PAUSE_MOST: Duration = Duration::from_millis(10);
const PAUSE_LEAST: Duration = Duration::from_millis(1);
/// How long jobs may wait while no slot gets free before they are taken back for others.
const STALLED: Duration = Duration::from_millis(250);

/// See the module.
pub struct Assigner {
    pace: Pace,
    /// When a slot was last filled or became free, on any worker and on each.
    moved_at: Instant,
    workers_moved_at: Vec<Instant>,
}

/// Where the next job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// That worker takes over a job whose worker died.
    Adopt(usize),
    /// That worker gets the first job that is not assigned.
    Start(usize),
}

/// Jobs that have waited too long, because those before them turned long.
#[derive(Debug, Default, PartialEq)]
pub struct Stalled {
    /// To be taken back from workers.
    pub recall: Vec<(usize, Vec<RunKey>)>,
    /// Whether what is not assigned is to go back to the store.
    pub give_back: bool,
}

impl Assigner {
    pub fn new() -> Assigner {
        Assigner {
            pace: Pace::default(),
            moved_at: Instant::now(),
            workers_moved_at: Vec::new(),
        }
    }

    /// Where the next job goes: to the least busy of the workers that are `present`. Those whose worker died and that can
    /// be taken over come first. While jobs are short, some wait at the workers, where a slot is filled without asking.
    pub fn next(&self, claims: &Claims, present: impl Iterator<Item = usize>) -> Option<Assignment> {
        if !claims.any_to_adopt() && claims.unassigned() == 0 {
            return None;
        }
        let load = |worker: &usize| claims.at_worker(*worker).len();
        let worker = present.min_by_key(load)?;
        let ahead = self.pace.ahead_per_slot().min(WAITING_MOST) as usize;
        match load(&worker) {
            load if claims.any_to_adopt() && load < claims.slots() => Some(Assignment::Adopt(worker)),
            load if claims.unassigned() > 0 && load < claims.slots() * (1 + ahead) => {
                Some(Assignment::Start(worker))
            }
            _ => None,
        }
    }

    /// How many jobs the node would claim now for these workers. At most `most` may run, if the machine has room for no
    /// more.
    pub fn wants(&self, claims: &Claims, workers: usize, most: Option<usize>) -> u32 {
        let slots = workers * claims.slots();
        let (running, waiting) = claims.running_and_waiting();
        let in_stock = claims.unassigned() + waiting;
        if let Some(most) = most {
            return most.min(slots).saturating_sub(running + in_stock) as u32;
        }
        claim_count(slots as u32, running as u32, in_stock as u32, &self.pace)
    }

    /// Whether these workers have enough to do for a while.
    pub fn is_stocked(&self, claims: &Claims, workers: usize) -> bool {
        let (_, waiting) = claims.running_and_waiting();
        claims.unassigned() + waiting >= workers * claims.slots()
    }

    /// The interval between reads of what a worker says; zero unless it has enough to do.
    pub fn pause(&self, claims: &Claims, worker: usize) -> Duration {
        let slots = u32::try_from(claims.slots()).unwrap_or(u32::MAX);
        let busy = self.pace.time_for(claims.waiting_at(worker).len(), slots);
        let pause = (busy / 2).min(PAUSE_MOST);
        if pause < PAUSE_LEAST {
            Duration::ZERO
        } else {
            pause
        }
    }

    /// Records the number of jobs that were claimed and the size of their payloads.
    pub fn claimed(&mut self, jobs: usize, bytes: usize) {
        self.pace.claimed(jobs, bytes);
    }

    /// Records how long a job ran.
    pub fn finished(&mut self, took: Duration) {
        self.pace.finished(took);
    }

    /// A slot of that worker was filled or became free.
    pub fn moved(&mut self, worker: usize) {
        let now = Instant::now();
        self.moved_at = now;
        if self.workers_moved_at.len() <= worker {
            self.workers_moved_at.resize(worker + 1, now);
        }
        self.workers_moved_at[worker] = now;
    }

    /// When what waits counts as stalled: the jobs in front of it take long, so other workers get it.
    pub fn stalls_at(&self, claims: &Claims) -> Option<Instant> {
        let at_workers = self.workers_moved_at.iter().enumerate();
        let at_workers = at_workers
            .filter(|(worker, _)| !claims.waiting_at(*worker).is_empty())
            .map(|(_, at)| *at);
        let unassigned = (claims.unassigned() > 0).then_some(self.moved_at);
        at_workers.chain(unassigned).min().map(|at| at + STALLED)
    }

    /// What is stalled now: at workers whose jobs have turned long, for other workers, and what is not assigned while all
    /// have, for other nodes.
    pub fn stalled(&mut self, claims: &Claims) -> Stalled {
        let now = Instant::now();
        if self.stalls_at(claims).is_none_or(|at| at > now) {
            return Stalled::default();
        }
        // A job this long is running already; its end would be too late a hint not to claim ahead.
        self.pace.finished(STALLED);
        let mut recall = Vec::new();
        for (worker, moved_at) in self.workers_moved_at.iter_mut().enumerate() {
            let waiting = claims.waiting_at(worker);
            if !waiting.is_empty() && *moved_at + STALLED <= now {
                recall.push((worker, waiting.to_vec()));
                *moved_at = now;
            }
        }
        let give_back = self.moved_at + STALLED <= now && claims.unassigned() > 0;
        Stalled { recall, give_back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::decide::key;
    use crate::node::testing::claimed;
    use queuectl_core::Timestamp;

    fn assigner(job: Duration) -> Assigner {
        let mut assigner = Assigner::new();
        assigner.finished(job);
        assigner
    }

    /// Assigns all that can be: to which worker each job went.
    fn assign(assigner: &mut Assigner, claims: &mut Claims, workers: usize) -> Vec<usize> {
        let mut given = Vec::new();
        while let Some(Assignment::Start(worker)) = assigner.next(claims, 0..workers) {
            let job = claims.pop_unassigned().expect("there is one");
            claims.start(worker, job, Timestamp(1));
            assigner.moved(worker);
            given.push(worker);
        }
        given
    }

    #[test]
    fn jobs_go_to_the_least_busy_worker() {
        let (mut assigner, mut claims) = (Assigner::new(), Claims::new(2));
        claims.add((1..=9).map(claimed).collect());
        assert_eq!(
            assign(&mut assigner, &mut claims, 2),
            [0, 1, 0, 1],
            "long jobs do not wait at workers"
        );
        assert_eq!(claims.unassigned(), 5);
        claims.finish(1, key(&claimed(2)));
        assert_eq!(assign(&mut assigner, &mut claims, 2), [1]);
        assert_eq!(
            assigner.next(&claims, std::iter::empty()),
            None,
            "there is no worker"
        );
    }

    #[test]
    fn short_jobs_wait_at_the_workers() {
        let (mut short, mut claims) = (assigner(Duration::from_millis(1)), Claims::new(1));
        claims.add((1..=200).map(claimed).collect());
        assert_eq!(
            assign(&mut short, &mut claims, 2).len(),
            2 * (1 + 50),
            "50 ms of them"
        );
        assert_eq!(short.pause(&claims, 0), PAUSE_MOST);
        assert_eq!(short.pause(&Claims::new(1), 0), Duration::ZERO, "nothing waits");
    }

    #[test]
    fn a_job_that_lost_its_worker_comes_first_and_waits_for_a_slot() {
        let (assigner, mut claims) = (Assigner::new(), Claims::new(1));
        claims.start(0, claimed(1), Timestamp(1));
        claims.save(key(&claimed(1)), b"handle".to_vec());
        claims.take_from(0);
        claims.start(1, claimed(2), Timestamp(1));
        claims.add(vec![claimed(3)]);
        assert_eq!(assigner.next(&claims, 1..2), None, "its slot is taken");
        assert_eq!(assigner.next(&claims, 0..2), Some(Assignment::Adopt(0)));
        assert!(claims.adopt(0).is_some());
        assert_eq!(assigner.next(&claims, 0..3), Some(Assignment::Start(2)));
    }

    #[test]
    fn a_machine_that_is_short_wants_no_more_than_it_has_room_for() {
        let (assigner, mut claims) = (Assigner::new(), Claims::new(4));
        claims.start(0, claimed(1), Timestamp(1));
        assert_eq!(assigner.wants(&claims, 2, None), 7);
        assert_eq!(assigner.wants(&claims, 2, Some(3)), 2);
        assert_eq!(assigner.wants(&claims, 2, Some(0)), 0);
    }

    #[test]
    fn what_waits_behind_a_job_that_turned_long_is_taken_back() {
        let (mut short, mut claims) = (assigner(Duration::from_millis(1)), Claims::new(1));
        claims.add((1..=4).map(claimed).collect());
        for worker in [0, 1] {
            for _ in 0..2 {
                let job = claims.pop_unassigned().unwrap();
                claims.start(worker, job, Timestamp(1));
            }
            short.moved(worker);
        }
        assert_eq!(short.stalled(&claims), Stalled::default(), "not yet");
        // The first worker has not moved for long; the other has.
        short.workers_moved_at[0] = Instant::now().checked_sub(STALLED).unwrap();
        let stalled = short.stalled(&claims);
        assert_eq!(stalled.recall, [(0, vec![key(&claimed(2))])]);
        assert!(!stalled.give_back);
        assert_eq!(
            short.wants(&claims, 2, None),
            0,
            "nothing is claimed ahead any more"
        );
        assert_eq!(short.stalled(&claims), Stalled::default(), "once");
        // Nor has any.
        claims.add(vec![claimed(5)]);
        short.moved_at = Instant::now().checked_sub(STALLED).unwrap();
        assert!(short.stalled(&claims).give_back);
    }
}
