//! Readers of the ledger on a server, where transactions end in any order.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use queuectl_core::Timestamp;
use queuectl_core::settings::Key;
use queuectl_storage::{EventPlace, Store, enqueue_within};
use queuectl_testkit::job;

use super::{number, open};

/// Reads on from a place; the numbers of the jobs.
fn read(store: &mut Store, place: &mut EventPlace) -> Vec<i64> {
    let events = store.events_after(None, *place, 100).unwrap();
    *place = events.last().map_or(*place, |last| last.place);
    events
        .into_iter()
        .filter_map(|event| Some(event.job?.0))
        .collect()
}

/// A transaction that began first and ends last: its events have lower numbers than those that a reader could have read before.
/// The reader gets them, after the others wait for them. The control is a reader that goes by the numbers: it misses them.
#[test]
fn a_reader_misses_no_event_of_a_transaction_that_ends_late() {
    let name = "a_reader_misses_no_event_of_a_transaction_that_ends_late";
    let Some((mut temp, schema, mut conn)) = open(name) else {
        return;
    };
    let key = Key::find("event_retention").unwrap();
    temp.store.set_setting(key, "1d").unwrap().unwrap();
    let mut reader = temp.another();
    let mut place = EventPlace::START;
    let first = temp.store.enqueue(&[job("first")], Timestamp(1)).unwrap()[0];
    // Transactions of other tests are in the way, too.
    let wait_for = |reader: &mut Store, place: &mut EventPlace, count: usize| {
        let mut found = Vec::new();
        while found.len() < count {
            found.extend(read(reader, place));
        }
        found.sort_unstable();
        found
    };
    assert_eq!(wait_for(&mut reader, &mut place, 1), [first.0]);
    conn.batch_execute("BEGIN").unwrap();
    let late = enqueue_within(&mut conn, &schema, &job("late")).unwrap();
    let early = temp.store.enqueue(&[job("early")], Timestamp(2)).unwrap()[0];
    let mut by_number = PgConnection::establish(&std::env::var("QUEUECTL_TEST_POSTGRES").unwrap()).unwrap();
    let newest = number(
        &mut by_number,
        &format!("SELECT max(id) AS number FROM {schema}.events"),
    )
    .unwrap();
    assert_eq!(
        read(&mut reader, &mut place),
        [] as [i64; 0],
        "nothing before what is still open"
    );
    let marker = reader.change_marker().unwrap();
    conn.batch_execute("COMMIT").unwrap();
    assert_ne!(reader.change_marker().unwrap(), marker, "a follower looks again");
    assert_eq!(wait_for(&mut reader, &mut place, 2), [late.0, early.0]);
    let after = format!("SELECT count(*) AS number FROM {schema}.events WHERE id > {newest}");
    assert_eq!(
        number(&mut by_number, &after).unwrap(),
        0,
        "the control has missed it"
    );
    // Who goes on from the last number that was printed misses none, either.
    let (mut again, last) = (EventPlace::START, temp.store.event_place(newest).unwrap());
    let all = temp.store.events_after(None, again, 100).unwrap();
    again = all[0].place;
    assert_eq!(temp.store.event_place(all[0].id).unwrap(), again);
    let rest = temp.store.events_after(None, last, 100).unwrap();
    let at = all.iter().position(|event| event.id == newest).unwrap();
    assert_eq!(rest, all[at + 1..]);
}

/// A role that may change settings, and owns nothing, can switch the ledger on: the triggers are made for it.
#[test]
fn whoever_may_change_settings_may_switch_the_ledger() {
    let name = "whoever_may_change_settings_may_switch_the_ledger";
    let Some((temp, schema, mut conn)) = open(name) else {
        return;
    };
    let role = format!("admin_of_{schema}");
    conn.batch_execute(&format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role}; \
         GRANT EXECUTE ON FUNCTION {schema}.set_ledger TO {role}; SET ROLE {role}; SET search_path = {schema}; \
         SELECT set_ledger(TRUE); RESET ROLE;"
    ))
    .unwrap();
    let triggers = format!(
        "SELECT count(*) AS number FROM pg_trigger WHERE tgrelid IN ('{schema}.jobs'::regclass, '{schema}.queues'::regclass)"
    );
    let made = number(&mut conn, &triggers);
    conn.batch_execute(&format!("SET search_path = {schema}; SELECT set_ledger(FALSE)"))
        .unwrap();
    let left = number(&mut conn, &triggers);
    conn.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .unwrap();
    assert_eq!((made.unwrap(), left.unwrap()), (4, 0));
    drop(temp);
}
