//! Schedules in time zones that this machine does not know: another may, so they stay due, and hold up no others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{JobSpec, ScheduleName, Timestamp};
use queuectl_storage::ScheduleChange;
use queuectl_testkit::{TempStore, conformance, skipped};

fn schedule(name: &str, when: &str, overlap: Overlap) -> ScheduleChange {
    ScheduleChange::Add(ScheduleSpec {
        name: name.parse().unwrap(),
        when: when.to_owned(),
        zone: "UTC".to_owned(),
        job: JobSpec::line("true"),
        missed: MissedPolicy::Last,
        missed_within_ms: MISSED_WITHIN_DEFAULT,
        overlap,
        jitter_ms: None,
        pause_after: None,
        owner: None,
    })
}

/// More of them than one transaction takes, due before the only one that can be made; some have runs wait, which are made one by
/// one.
fn others_are_made(mut temp: TempStore, run: impl Fn(&TempStore, &str)) {
    let mut changes = vec![schedule("known", "@every 20s", Overlap::Allow)];
    for n in 0..150 {
        let overlap = if n % 2 == 0 { Overlap::Queue } else { Overlap::Skip };
        changes.push(schedule(&format!("unknown-{n}"), "@every 10s", overlap));
    }
    temp.store.change_schedules(&changes, Timestamp(0)).unwrap();
    run(
        &temp,
        "UPDATE schedules SET zone = 'Mars/Olympus_Mons' WHERE name LIKE 'unknown-%'",
    );
    let ticked = temp.store.tick(Timestamp(20_000)).unwrap();
    assert_eq!((ticked.jobs, ticked.unable.len()), (1, 150));
    assert_eq!(
        ticked.next,
        Some(Timestamp(40_000)),
        "that of the one that can be made"
    );
    // A node leaves them alone from then on.
    let unable: Vec<ScheduleName> = ticked.unable.into_iter().map(|(name, _)| name).collect();
    assert_eq!(temp.store.next_tick().unwrap(), Some(Timestamp(10_000)));
    assert_eq!(
        temp.store.next_tick_without(&unable).unwrap(),
        Some(Timestamp(40_000))
    );
    let ticked = temp.store.tick_without(&unable, Timestamp(40_000)).unwrap();
    assert_eq!((ticked.jobs, ticked.unable.len()), (1, 0));
    // The machine learns the zone.
    run(
        &temp,
        "UPDATE schedules SET zone = 'UTC' WHERE name = 'unknown-7'",
    );
    let ticked = temp.store.tick(Timestamp(40_000)).unwrap();
    assert_eq!((ticked.jobs, ticked.unable.len()), (1, 149));
}

#[test]
fn schedules_in_unknown_zones_are_in_no_others_way() {
    others_are_made(TempStore::sqlite(), |temp, sql| {
        let conn = rusqlite::Connection::open(temp.path()).unwrap();
        conn.execute_batch(sql).unwrap();
    });
}

#[test]
fn schedules_in_unknown_zones_are_in_no_others_way_on_a_server() {
    let Some(temp) = TempStore::postgres() else {
        skipped("zones::postgres", conformance::NO_SERVER);
        return;
    };
    others_are_made(temp, |temp, sql| {
        let location = temp.location.to_string();
        let schema = location.split("schema=").nth(1).unwrap();
        let mut conn = PgConnection::establish(&std::env::var("QUEUECTL_TEST_POSTGRES").unwrap()).unwrap();
        conn.batch_execute(&format!("SET search_path TO {schema}; {sql}"))
            .unwrap();
    });
}
