//! Rows that somebody else wrote or damaged, and what the database does not take. Each of these checks gets a way to run
//! statements on the database itself.

use queuectl_core::limits::PAYLOAD_BYTES;

use super::events::wait_for_kind;
use super::*;

/// Damage, as a condition that is to be made true of a job, and what is said of it.
const DAMAGE: [(&str, &str); 9] = [
    (
        "UPDATE payloads SET payload = '{\"command\":[null,\"a\"]}'",
        "payload",
    ),
    ("UPDATE payloads SET payload = 'nonsense'", "payload"),
    (
        "UPDATE payloads SET payload = '{\"command\":\"a\",\"more\":1}'",
        "payload",
    ),
    (
        "UPDATE payloads SET payload = '{\"payload\":{\"a\":1e999}}'",
        "payload",
    ),
    ("UPDATE payloads SET payload = ''", "payload"),
    ("DELETE FROM payloads", "missing"),
    (
        "UPDATE payloads SET payload = '{\"command\":\"LARGE\"}'",
        "more than",
    ),
    ("UPDATE jobs SET executor = 'no such/../thing'", "executor"),
    ("UPDATE jobs SET name = 'a' || 'b c'", "id"),
];

/// Every list goes on behind a job that cannot be read, and names it; a node ends it as dead and runs the others.
pub fn rows_that_cannot_be_read_are_listed_and_do_not_run(mut temp: TempStore, sql: &mut dyn FnMut(&str)) {
    let store = &mut temp.store;
    let large = "x".repeat(PAYLOAD_BYTES);
    let mut damaged = Vec::new();
    for (statement, said) in DAMAGE {
        let id = enqueue(store, &[job("true")])[0];
        let column = if statement.contains("payloads") {
            "job_id"
        } else {
            "id"
        };
        sql(&format!("UPDATE jobs SET sum = NULL WHERE id = {id}"));
        sql(&format!(
            "{} WHERE {column} = {id}",
            statement.replace("LARGE", &large)
        ));
        damaged.push((id, said));
    }
    let bystander = enqueue(store, &[job("true")])[0];
    let whole = ListFilter {
        limit: 100,
        ..ListFilter::default()
    };
    let listed = store.list(&whole).expect("a list");
    assert_eq!(listed.len(), damaged.len() + 1, "none is left out");
    for (id, said) in &damaged {
        let found = get(store, *id);
        let unreadable = found.unreadable.clone().expect("it says so");
        assert!(unreadable.contains(said), "{unreadable} does not say {said}");
        assert!(
            found.display(false).contains(&unreadable),
            "{}",
            found.display(false)
        );
        assert_eq!(found.state, State::Pending);
    }
    assert_eq!(get(store, bystander).unreadable, None);
    // A claim takes them all, and the node knows which of them not to run.
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 100);
    assert_eq!(claimed.len(), damaged.len() + 1);
    for job in &claimed {
        let is_damaged = damaged.iter().any(|(id, _)| id.0 == job.id);
        assert_eq!(job.fault().is_some(), is_damaged, "{job:?}");
    }
    let died = claimed.iter().filter(|job| job.fault().is_some());
    let records: Vec<Record> = died
        .map(|job| {
            let event = Event::Fail { retry_at: None };
            record(job, node, event, OutcomeKind::Failed, NOW)
        })
        .collect();
    assert_eq!(turn(store, node, &records, 0, NOW).stale, []);
    let dead = ListFilter {
        jobs: State::Dead.into(),
        ..whole
    };
    assert_eq!(store.list(&dead).expect("a list").len(), damaged.len());
    assert_eq!(get(store, bystander).state, State::Processing);
    // An operator who looks for damage is told of each. The one without a payload is a row that points at nothing.
    let report = store.check().expect("a check");
    assert_eq!(
        (report.damage.len(), report.dangling),
        (damaged.len() - 1, 1),
        "{report:?}"
    );
}

/// An outcome that the database does not take holds up no other, and is recorded as far as it goes.
pub fn an_outcome_that_is_refused_holds_up_no_other(mut temp: TempStore, sql: &mut dyn FnMut(&str)) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("one"), job("refused"), job("two"), job("ready")]);
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 3);
    // The key of the attempt is taken, so there is no way to store it.
    sql(&format!(
        "INSERT INTO attempts (job_id, fence, attempt, node_id, worker, outcome, message, started_at, finished_at, \
         output_bytes) VALUES ({}, 1, 1, 1, 1, 1, 'somebody else wrote this', 1, 1, 0)",
        ids[1]
    ));
    let records: Vec<Record> = claimed
        .iter()
        .map(|job| record(job, node, Event::Complete, OutcomeKind::Succeeded, NOW))
        .collect();
    let done = turn(store, node, &records, 5, NOW);
    assert_eq!(done.stale, []);
    assert_eq!(done.claimed.len(), 1, "and the queue goes on");
    for id in &ids[..3] {
        assert_eq!(get(store, *id).state, State::Completed);
        assert_eq!(store.attempts(*id).expect("attempts").len(), 1);
    }
    assert_eq!(
        store.attempts(ids[0]).expect("attempts")[0].output.head,
        b"out\xff"
    );
    assert_eq!(get(store, ids[3]).state, State::Processing, "a bystander");
    assert_eq!(store.check().expect("a check").miscounted, 0);
}

/// A page has as many jobs as fit into some megabytes, and the pages are the whole list.
pub fn pages_are_bounded_in_bytes(mut temp: TempStore) {
    let store = &mut temp.store;
    let large = job(&"x".repeat(PAYLOAD_BYTES - 100));
    let ids: Vec<JobId> = (0..40)
        .flat_map(|_| enqueue(store, std::slice::from_ref(&large)))
        .collect();
    let filter = ListFilter {
        limit: 100,
        oldest_first: true,
        ..ListFilter::default()
    };
    let page = store.list_page(&filter).expect("a page");
    assert!(
        page.more && (10..20).contains(&page.jobs.len()),
        "{}",
        page.jobs.len()
    );
    let listed = store.list(&filter).expect("a list");
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), ids);
    let newest = ListFilter {
        oldest_first: false,
        limit: 30,
        ..filter
    };
    let listed = store.list(&newest).expect("a list");
    let wanted: Vec<JobId> = ids.iter().rev().copied().take(30).collect();
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), wanted);
}

/// A hook that cannot be read does not run, and an event says so; the job's other hooks run.
pub fn a_hook_that_cannot_be_read_is_reported(mut temp: TempStore, sql: &mut dyn FnMut(&str)) {
    let store = &mut temp.store;
    let key = Key::find("event_retention").expect("a key");
    store.set_setting(key, "7d").expect("stored").expect("valid");
    let command = |line: &str| Some(queuectl_core::Command::Line(line.to_owned()));
    let hooked = || {
        valid(JobSpec {
            hooks: queuectl_core::JobHooks {
                on_failure: command("no"),
                on_death: command("dead"),
                ..queuectl_core::JobHooks::default()
            },
            ..JobSpec::line("true")
        })
    };
    let ids = enqueue(store, &[hooked(), hooked()]);
    sql(&format!(
        "UPDATE job_hooks SET on_failure = '{{' WHERE job_id = {}",
        ids[0]
    ));
    let (node, _guard) = node(store);
    for job in claim(store, node, 9) {
        let died = record(
            &job,
            node,
            Event::Fail { retry_at: None },
            OutcomeKind::Failed,
            NOW,
        );
        turn(store, node, &[died], 0, NOW);
    }
    let ran = |store: &mut Store, id| store.hooks_of(id).expect("hooks").len();
    assert_eq!((ran(store, ids[0]), ran(store, ids[1])), (1, 2));
    let mut said = |id| -> Vec<String> {
        let hooks = wait_for_kind(store, id, "hook", 2).into_iter();
        hooks.map(|event| event.detail.expect("a detail")).collect()
    };
    let told = said(ids[0]);
    assert!(
        told.len() == 2 && told.iter().any(|detail| detail.contains("cannot be read")),
        "{told:?}"
    );
    let told = said(ids[1]);
    assert!(
        told.len() == 2 && !told.iter().any(|detail| detail.contains("cannot be read")),
        "{told:?}"
    );
}
