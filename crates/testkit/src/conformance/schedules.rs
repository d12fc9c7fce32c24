//! Schedules: kept as given, one job for each tick, every tick accounted for.

use std::collections::BTreeMap;
use std::thread;

use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec, Tick, TickResult};
use queuectl_core::{OwnerName, ScheduleName};
use queuectl_storage::{ScheduleChange, Ticked};

use super::*;

pub(super) fn name(text: &str) -> ScheduleName {
    text.parse().expect("a name")
}

pub(super) fn schedule(text: &str, when: &str) -> ScheduleSpec {
    ScheduleSpec {
        name: name(text),
        when: when.to_owned(),
        zone: "UTC".to_owned(),
        job: JobSpec::line("true"),
        missed: MissedPolicy::Last,
        missed_within_ms: MISSED_WITHIN_DEFAULT,
        overlap: Overlap::Allow,
        jitter_ms: None,
        pause_after: None,
        owner: None,
    }
}

pub(super) fn add(store: &mut Store, spec: &ScheduleSpec) {
    let change = ScheduleChange::Add(spec.clone());
    store.change_schedules(&[change], NOW).expect("a new schedule");
}

pub(super) fn ticks(store: &mut Store, text: &str) -> Vec<Tick> {
    let mut ticks = store.ticks(&name(text), 10_000).expect("ticks");
    ticks.reverse();
    ticks
}

/// The results of a schedule's ticks, oldest first, with how many seconds each is from [`NOW`].
pub(super) fn results(store: &mut Store, text: &str) -> Vec<(i64, TickResult)> {
    let ticks = ticks(store, text);
    let results = ticks.iter().map(|tick| ((tick.at.0 - NOW.0) / 1000, tick.result));
    results.collect()
}

/// Makes all that has come.
pub(super) fn tick(store: &mut Store, at: Timestamp) -> Ticked {
    let mut all = Ticked::default();
    loop {
        let some = store.tick(at).expect("ticks are made");
        all.jobs += some.jobs;
        all.skipped += some.skipped;
        all.paused.extend(some.paused);
        all.next = some.next;
        if some.next.is_none_or(|next| next > at) {
            return all;
        }
    }
}

pub(super) fn run(store: &mut Store, node: NodeId, event: Event, now: Timestamp) -> JobId {
    let claimed = turn(store, node, &[], 1, now)
        .claimed
        .pop()
        .expect("a job to run");
    let kind = match event {
        Event::Complete => OutcomeKind::Succeeded,
        _ => OutcomeKind::Failed,
    };
    let ended = record(&claimed, node, event, kind, now);
    turn(store, node, &[ended], 0, now);
    JobId(claimed.id)
}

/// Schedules are read back as given, changed, and removed; of changes that belong together all are made or none.
pub fn schedules_are_kept_as_given(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut given = schedule("nightly", "30 2 * * MON-FRI");
    given.zone = "Europe/Berlin".to_owned();
    given.job.queue = Some("mail".parse().expect("a queue"));
    given.job.payload.env.insert("A".into(), "ü".into());
    (given.jitter_ms, given.pause_after) = (Some(90_000), Some(3));
    given.owner = Some("web".parse::<OwnerName>().expect("an owner"));
    (given.missed, given.overlap) = (MissedPolicy::All, Overlap::Cancel);
    let bystander = schedule("bystander", "@every 1h");
    add(store, &given);
    add(store, &bystander);
    let stored = store.schedule(&given.name).expect("the schedule");
    assert_eq!(
        (&stored.spec, stored.paused, stored.created_at),
        (&given, None, NOW)
    );
    // 1970-01-01T00:16:40Z is a Thursday, 01:16 in Berlin.
    assert_eq!(stored.next_due, Some(Timestamp(90 * 60_000)));

    let refused = |store: &mut Store, changes: &[ScheduleChange]| {
        store
            .change_schedules(changes, NOW)
            .expect_err("refused")
            .to_string()
    };
    let new = ScheduleChange::Add(schedule("new", "@daily"));
    let said = refused(store, &[new.clone(), ScheduleChange::Add(given.clone())]);
    assert!(said.contains("already a schedule 'nightly'"), "{said}");
    let said = refused(store, &[new.clone(), ScheduleChange::Remove(name("none"))]);
    assert!(said.contains("no schedule 'none'"), "{said}");
    let said = refused(store, &[new, ScheduleChange::Add(schedule("x", "61 * * * *"))]);
    assert!(said.contains("schedule 'x': invalid minute '61'"), "{said}");
    let mut bad = schedule("x", "@daily");
    bad.zone = "Mars/Olympus".to_owned();
    let said = refused(store, &[ScheduleChange::Add(bad.clone())]);
    assert!(said.contains("unknown time zone 'Mars/Olympus'"), "{said}");
    bad.zone = "UTC".to_owned();
    bad.job.id = Some("same".parse().expect("an id"));
    let said = refused(store, &[ScheduleChange::Add(bad)]);
    assert!(said.contains("same id"), "{said}");
    assert_eq!(store.schedules(None).expect("schedules").len(), 2, "all or none");

    let edited = store.edit_schedule(&given.name, later(1), |spec| {
        spec.when = "0 3 * * *".to_owned();
        Ok(())
    });
    assert_eq!(edited.expect("edited").when, "0 3 * * *");
    let owner: OwnerName = "web".parse().expect("an owner");
    let owned = store.schedules(Some(&owner)).expect("schedules");
    assert_eq!(
        (owned.len(), owned[0].next_due),
        (1, Some(Timestamp(120 * 60_000)))
    );
    store
        .change_schedules(&[ScheduleChange::Remove(given.name)], NOW)
        .expect("removed");
    let left = store.schedules(None).expect("schedules");
    assert_eq!(
        (left.len(), &left[0].spec, left[0].next_due),
        (1, &bystander, Some(later(3_600_000)))
    );
}

/// How often each tick of a schedule made a job, by what the jobs say themselves.
fn jobs_by_tick(store: &mut Store) -> BTreeMap<String, u32> {
    let filter = ListFilter {
        limit: 10_000,
        ..ListFilter::default()
    };
    let mut by_tick = BTreeMap::new();
    for job in store.list(&filter).expect("a list") {
        if let Some(at) = job.payload.env.get("QUEUECTL_SCHEDULED_AT") {
            assert_eq!(job.payload.env["QUEUECTL_SCHEDULE"], "often");
            *by_tick.entry(at.clone()).or_default() += 1;
        }
    }
    by_tick
}

/// Ticks that several nodes compete for in this check, one a second.
pub(super) const CONTESTED: i64 = 60;

/// Several nodes make the same ticks at the same moment: each tick has one row and one job.
pub fn a_tick_makes_one_job_however_many_nodes_try(mut temp: TempStore) {
    let store = &mut temp.store;
    add(store, &schedule("often", "@every 1s"));
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut store = temp.another();
            scope.spawn(move || {
                for second in 1..=CONTESTED {
                    tick(&mut store, Timestamp(NOW.0 + second * 1000));
                }
            });
        }
    });
    let store = &mut temp.store;
    let by_tick = jobs_by_tick(store);
    assert!(by_tick.values().all(|count| *count == 1), "{by_tick:?}");
    let rows = ticks(store, "often");
    // A thread that is ahead misses those of the others for them: all are accounted for all the same.
    assert_eq!(
        rows.iter().map(|tick| i64::from(tick.count)).sum::<i64>(),
        CONTESTED
    );
    let ran = rows.iter().filter(|tick| tick.result.ran()).count();
    assert_eq!(ran, by_tick.len());
    assert!(rows.iter().all(|tick| tick.result.ran() == tick.job.is_some()));
    assert_eq!(
        store.schedule(&name("often")).expect("it").next_due,
        Some(Timestamp(NOW.0 + (CONTESTED + 1) * 1000))
    );
}

/// The control: nodes that look what is due and then enqueue, without the key, make ticks twice.
pub fn without_the_key_ticks_are_made_twice(mut temp: TempStore) {
    add(&mut temp.store, &schedule("often", "@every 1s"));
    let barrier = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut store = temp.another();
            let barrier = &barrier;
            scope.spawn(move || {
                let due = store.next_tick().expect("a tick").expect("a tick");
                barrier.wait();
                let mut job = JobSpec::line("true");
                job.payload.env.insert("QUEUECTL_SCHEDULE".into(), "often".into());
                job.payload
                    .env
                    .insert("QUEUECTL_SCHEDULED_AT".into(), due.to_string());
                store.enqueue(&[valid(job)], due).expect("stored");
            });
        }
    });
    let by_tick = jobs_by_tick(&mut temp.store);
    assert_eq!(by_tick.into_values().collect::<Vec<_>>(), [2]);
}

/// What a job of a tick knows of it, and when it starts.
pub fn jobs_of_ticks_know_their_schedule(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut spec = schedule("spread", "@every 1m");
    spec.jitter_ms = Some(30_000);
    spec.job.priority = Some(7);
    add(store, &spec);
    let made = tick(store, later(60_000));
    assert_eq!((made.jobs, made.skipped, made.next), (1, 0, Some(later(120_000))));
    let row = &ticks(store, "spread")[0];
    let job = get(store, row.job.expect("a job"));
    let env = &job.payload.env;
    assert_eq!(
        (
            env["QUEUECTL_SCHEDULE"].as_str(),
            env["QUEUECTL_SCHEDULED_AT"].as_str(),
            env["QUEUECTL_TICK"].as_str()
        ),
        ("spread", "1970-01-01T00:17:40Z", "on-time")
    );
    assert_eq!((job.state, job.priority), (State::Scheduled, 7));
    let delay = job.due_at.expect("due").since(later(60_000));
    assert!(delay <= Duration::from_secs(30), "{delay:?}");
    let of = store.tick_of(job.id).expect("read").expect("a tick");
    assert_eq!((of.schedule, of.at), (name("spread"), later(60_000)));
    let plain = enqueue(store, &[job_line()])[0];
    assert_eq!(store.tick_of(plain).expect("read"), None);
    // The job goes, the tick stays.
    store.cancel(&JobRef::Number(job.id), NOW).expect("cancelled");
    store
        .purge_one(&JobRef::Number(job.id), &Only::default())
        .expect("purged");
    assert_eq!(ticks(store, "spread")[0].job, Some(job.id));
}

fn job_line() -> ValidJob {
    job("true")
}

/// Ticks that no node made in time, by each policy.
pub fn missed_ticks_follow_the_policy(mut temp: TempStore) {
    use TickResult as T;
    let store = &mut temp.store;
    for policy in MissedPolicy::ALL {
        let mut spec = schedule(policy.as_str(), "@every 10m");
        (spec.missed, spec.missed_within_ms) = (*policy, 1_800_000);
        add(store, &spec);
    }
    // One on time, then no node for an hour.
    let on_time = (600, T::OnTime);
    assert_eq!(tick(store, later(600_000)).jobs, 3);
    tick(store, later(4_300_000));
    let missed = |seconds: &[i64]| seconds.iter().map(|at| (*at, T::Missed)).collect::<Vec<_>>();
    let mut skip = vec![on_time];
    skip.extend(missed(&[1200, 1800, 2400, 3000, 3600, 4200]));
    assert_eq!(results(store, "skip"), skip);
    let mut last = skip.clone();
    last[6].1 = T::CatchUp;
    assert_eq!(results(store, "last"), last);
    let mut all = last.clone();
    // 3000 s is 1300 s ago, 2400 s more than half an hour.
    (all[4].1, all[5].1) = (T::CatchUp, T::CatchUp);
    assert_eq!(results(store, "all"), all);
    assert!(
        ticks(store, "skip")
            .iter()
            .skip(1)
            .all(|tick| tick.reason.is_some())
    );

    // Half a year: the newest have rows, those before share one.
    let months = later(4_300_000 + 180 * 86_400_000);
    tick(store, months);
    let rows = ticks(store, "last");
    let shared = rows.iter().find(|tick| tick.count > 1).expect("a row for many");
    assert_eq!(
        (shared.count, shared.more, shared.result),
        (10_000, true, T::Missed)
    );
    assert_eq!(rows.len(), 7 + 1 + 100);
    assert_eq!(rows.last().expect("the newest").result, T::CatchUp);
    assert!(store.next_tick().expect("read").expect("a tick") > months);
}

/// A schedule whose runs die pauses itself; what comes while one is paused is accounted for when it goes on.
pub fn paused_schedules_account_for_their_ticks(mut temp: TempStore) {
    use TickResult as T;
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let mut spec = schedule("fragile", "@every 10s");
    spec.pause_after = Some(2);
    add(store, &spec);
    add(store, &schedule("bystander", "@every 1h"));
    for second in [10, 20] {
        let now = later(second * 1000);
        tick(store, now);
        run(store, node, Event::Fail { retry_at: None }, now);
    }
    let made = tick(store, later(30_000));
    assert_eq!((made.jobs, made.next), (0, Some(later(3_600_000))));
    let paused = store
        .schedule(&name("fragile"))
        .expect("it")
        .paused
        .expect("paused");
    assert_eq!(paused.reason.as_deref(), Some("2 dead run(s) in a row"));
    // By hand it runs all the same, and that moves nothing.
    let by_hand = store
        .run_schedule(&name("fragile"), later(31_000))
        .expect("a job");
    assert_eq!(get(store, by_hand).payload.env["QUEUECTL_TICK"], "manual");
    tick(store, later(40_000));
    assert!(
        store
            .resume_schedule(&name("fragile"), later(55_000))
            .expect("resumed")
    );
    assert!(
        !store
            .resume_schedule(&name("fragile"), later(55_000))
            .expect("not paused")
    );
    tick(store, later(60_000));
    let seen = results(store, "fragile");
    let wanted = [
        (10, T::OnTime),
        (20, T::OnTime),
        (30, T::Paused),
        (31, T::Manual),
        (40, T::Paused),
        (50, T::Paused),
        (60, T::OnTime),
    ];
    assert_eq!(seen, wanted);
    assert!(
        store
            .pause_schedule(&name("fragile"), Some("a holiday"), later(65_000))
            .expect("paused")
    );
    assert!(
        !store
            .pause_schedule(&name("fragile"), None, later(65_000))
            .expect("paused already")
    );
    assert_eq!(tick(store, later(70_000)).jobs, 0);
    assert!(results(store, "bystander").is_empty());
}

/// Times of the past are filled once, also where their tick was skipped.
pub fn a_back_fill_makes_what_has_not_run(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut spec = schedule("hourly", "0 * * * *");
    spec.missed = MissedPolicy::Skip;
    add(store, &spec);
    let hour = |hours: i64| Timestamp(hours * 3_600_000);
    tick(store, hour(1));
    tick(store, Timestamp(hour(300).0 + 90_000));
    let before = ticks(store, "hourly");
    assert!(before.iter().any(|tick| tick.count == 199), "{:?}", before[1]);
    let total = |ticks: &[Tick]| ticks.iter().map(|tick| tick.count).sum::<u32>();
    assert_eq!(total(&before), 300);
    let fill = |store: &mut Store| {
        let now = Timestamp(hour(300).0 + 100_000);
        store
            .backfill_schedule(&name("hourly"), hour(0), hour(5), now)
            .expect("filled")
    };
    let done = fill(store);
    // Midnight was before the schedule was made, and is filled all the same.
    assert_eq!((done.made.len(), done.had_run), (5, 1));
    let job = get(store, done.made[1].1);
    assert_eq!(
        (
            job.payload.env["QUEUECTL_TICK"].as_str(),
            job.payload.env["QUEUECTL_SCHEDULED_AT"].as_str()
        ),
        ("backfill", "1970-01-01T02:00:00Z")
    );
    let after = ticks(store, "hourly");
    assert_eq!(total(&after), 301, "each is still accounted for once");
    assert_eq!((fill(store).made.len(), fill(store).had_run), (0, 6));
    let far = store.backfill_schedule(&name("hourly"), hour(0), hour(2000), hour(3000));
    assert!(far.is_ok(), "only what has come: {far:?}");
}

/// A back-fill whose jobs share a unique key names the key as the reason, not a job that is undone with it.
pub fn a_back_fill_with_a_unique_key_fills_one_time(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut spec = schedule("hourly", "0 * * * *");
    spec.missed = MissedPolicy::Skip;
    spec.job.unique = Some("backup".parse().expect("a key"));
    add(store, &spec);
    add(store, &schedule("bystander", "@every 1d"));
    let hour = |hours: i64| Timestamp(hours * 3_600_000);
    let now = Timestamp(hour(9).0 + 90_000);
    tick(store, now);
    let mut fill = |from, to| store.backfill_schedule(&name("hourly"), hour(from), hour(to), now);
    let refused = fill(1, 3).expect_err("a second job with the key").to_string();
    assert!(refused.contains("have a unique key in common"), "{refused}");
    let made = fill(1, 1).expect("filled").made;
    assert_eq!(made.len(), 1, "nothing of the refused back-fill is left");
    // Now the key is taken by a job that is there.
    let refused = fill(2, 2).expect_err("the key is taken").to_string();
    assert!(refused.contains("has its unique key"), "{refused}");
    assert!(results(store, "bystander").is_empty());
}

/// The clock was ahead and is set back: the schedule goes on by it, and no tick is made twice.
pub fn a_clock_that_is_set_back_makes_no_tick_twice(mut temp: TempStore) {
    let store = &mut temp.store;
    add(store, &schedule("often", "@every 10s"));
    let next_year = later(365 * 86_400_000);
    tick(store, later(10_000));
    tick(store, later(20_000));
    assert_eq!(tick(store, next_year).jobs, 1);
    store.heed_clock(later(15_000)).expect("heeded");
    assert_eq!(store.next_tick().expect("read"), Some(later(20_000)));
    let again = tick(store, later(20_000));
    assert_eq!((again.jobs, again.next), (0, Some(later(30_000))));
    let by_tick = jobs_by_tick(store);
    assert!(
        by_tick.values().all(|count| *count == 1) && by_tick.len() == 3,
        "{by_tick:?}"
    );
}

/// A long absence after that has ticks that were accounted for before among those that are skipped together.
pub fn an_absence_after_a_set_back_clock_is_accounted_for(mut temp: TempStore) {
    let store = &mut temp.store;
    add(store, &schedule("s", "@every 1s"));
    add(store, &schedule("bystander", "@every 1h"));
    tick(store, later(5000));
    store.heed_clock(later(2000)).expect("looked at");
    tick(store, later(600_000));
    let ticks = ticks(store, "s");
    let is_there = |at: i64| {
        ticks
            .iter()
            .any(|tick| (tick.at.0..=tick.last_at.0).contains(&at))
    };
    let missing: Vec<i64> = (1..=600)
        .map(|second| NOW.0 + second * 1000)
        .filter(|at| !is_there(*at))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(results(store, "bystander"), []);
}

/// A copy has the schedules and goes on where the original stood.
pub fn a_copy_has_the_schedules_and_their_ticks(mut temp: TempStore) {
    let store = &mut temp.store;
    for number in 0..3 {
        add(store, &schedule(&format!("every-{number}"), "@every 10s"));
    }
    for second in 1..=200 {
        tick(store, later(second * 10_000));
    }
    let mut copy = TempStore::sqlite();
    let copied = store.copy_to(&mut copy.store).expect("copied");
    assert_eq!(copied.schedules, 3);
    let schedules = store.schedules(None).expect("schedules");
    assert_eq!(copy.store.schedules(None).expect("schedules"), schedules);
    assert_eq!(ticks(&mut copy.store, "every-1"), ticks(store, "every-1"));
    assert_eq!(tick(&mut copy.store, later(2_010_000)).jobs, 3);
    let second = copy
        .store
        .copy_to(&mut TempStore::sqlite().store)
        .expect("copied");
    assert_eq!(second.schedules, 3);
    let refused = copy.store.copy_to(&mut temp.store);
    assert!(matches!(refused, Err(StoreError::NotEmpty)), "{refused:?}");
}

/// A tick whose job's unique key is taken makes none, and says who has it, however that conflict is treated otherwise.
pub fn a_tick_whose_key_is_taken_says_so(mut temp: TempStore) {
    use TickResult as T;
    let store = &mut temp.store;
    for (text, on_conflict) in [("returns", "return"), ("rejects", "reject")] {
        let mut spec = schedule(text, "@every 10s");
        spec.job.unique = Some(text.parse().expect("a key"));
        spec.job.on_conflict = Some(on_conflict.parse().expect("a choice"));
        add(store, &spec);
    }
    add(store, &schedule("bystander", "@every 10s"));
    assert_eq!(tick(store, later(10_000)).jobs, 3);
    let second = tick(store, later(20_000));
    assert_eq!((second.jobs, second.skipped), (1, 2));
    for text in ["returns", "rejects"] {
        assert_eq!(results(store, text), [(10, T::OnTime), (20, T::Refused)]);
        let reason = ticks(store, text)[1].reason.clone().expect("a reason");
        assert!(reason.contains("key"), "{reason}");
    }
}

/// Only the newest ticks of a schedule are kept.
pub fn the_oldest_ticks_are_removed(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut often = schedule("often", "@every 1s");
    often.overlap = Overlap::Skip;
    add(store, &often);
    add(store, &schedule("bystander", "@every 1s"));
    tick(store, later(1000));
    store
        .pause_schedule(&name("bystander"), None, later(1000))
        .expect("paused");
    for hundred in 1..=14 {
        tick(store, later(hundred * 100_000));
    }
    let rows = ticks(store, "often");
    assert!((1000..1200).contains(&rows.len()), "{}", rows.len());
    assert_eq!(rows.last().expect("the newest").at, later(1_400_000));
    assert_eq!(ticks(store, "bystander").len(), 1);
}
