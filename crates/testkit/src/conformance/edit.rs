//! Changing jobs that were stored.

use queuectl_core::{Command, JobEdit};
use queuectl_storage::Edited;

use super::events::{set_retention, wait_for_kind};
use super::limits::{done, is_sound, limited, running, set, states_of};
use super::*;

fn spec(json: &str) -> JobSpec {
    JobSpec::from_written(json).expect("a job")
}

/// Gives a job what the JSON says, and takes away what else is named.
fn change(json: &str, unset: &[&str]) -> JobEdit {
    let mut edit = JobEdit {
        set: spec(json),
        ..JobEdit::default()
    };
    unset.iter().for_each(|part| edit.unset(part).expect("a part"));
    edit
}

fn try_edit(store: &mut Store, job: JobId, edit: &JobEdit, now: Timestamp) -> Result<Edited, StoreError> {
    let editor = |job: &Job| Ok(edit.apply(JobSpec::of(job.clone())));
    store.edit(
        &JobRef::Number(job),
        &JobFilter::default(),
        "me@here",
        now,
        &editor,
    )
}

fn edit(store: &mut Store, job: JobId, json: &str, unset: &[&str]) -> Edited {
    try_edit(store, job, &change(json, unset), NOW).expect("an edit")
}

/// Whether every job is what was stored, and limits and counts are what the jobs say.
fn is_whole(store: &mut Store) -> bool {
    let report = store.check().expect("a report");
    report.damage.is_empty() && is_sound(store)
}

/// What is said changes, also for the node that claims the job; the rest stays, and so does every other job.
pub fn an_edit_changes_what_it_says_and_nothing_else(mut temp: TempStore) {
    let store = &mut temp.store;
    let full = valid(spec(
        r#"{"id":"mine","command":"a","queue":"q","env":{"A":"1","B":"2"},"timeout":5,"unique":"k","unique_for":"1h","cwd":"/tmp",
            "group":"g","on_success":"s"}"#,
    ));
    let ids = enqueue(store, &[full.clone(), job("bystander")]);
    let (before, bystander) = (get(store, ids[0]), get(store, ids[1]));
    let edited = edit(
        store,
        ids[0],
        r#"{"command":["b","c"],"queue":"other","priority":7,"env":{"B":"3"},"max_retries":2,"on_death":"d"}"#,
        &["timeout", "on-success", "env.A"],
    );
    assert_eq!(
        edited.changed,
        [
            "command",
            "queue",
            "priority",
            "timeout",
            "max_retries",
            "on_success",
            "on_death",
            "env"
        ]
    );
    assert_eq!(edited.state, State::Pending);
    let after = get(store, ids[0]);
    assert_eq!(
        after.payload.command,
        Some(Command::Argv(vec!["b".into(), "c".into()]))
    );
    assert_eq!(after.payload.env, spec(r#"{"env":{"B":"3"}}"#).payload.env);
    assert_eq!((after.queue.as_str(), after.priority), ("other", 7));
    assert_eq!((after.timeout_ms, after.max_retries), (None, Some(2)));
    assert_eq!(after.hooks, spec(r#"{"on_death":"d"}"#).hooks);
    assert_eq!(
        (
            &after.name,
            &after.unique,
            after.unique_for_ms,
            &after.groups,
            &after.payload.cwd
        ),
        (
            &before.name,
            &before.unique,
            before.unique_for_ms,
            &before.groups,
            &before.payload.cwd
        )
    );
    assert_eq!(get(store, ids[1]), bystander);
    // What is as it was is no change.
    assert_eq!(
        edit(store, ids[0], r#"{"priority":7}"#, &[]).changed,
        <[&str; 0]>::default()
    );
    let again = store.place(&[full], NOW).expect("an answer");
    assert_eq!(
        again[0].existing.as_ref().map(|job| job.id),
        Some(ids[0]),
        "it keeps its key"
    );
    assert!(is_whole(store));
    let waiting = |store: &mut Store, queue: &str| {
        let queue = queue.parse().expect("a queue");
        let counts = store.counts(Some(&queue)).expect("counts").into_iter();
        counts.map(|count| count.jobs).sum::<u64>()
    };
    assert_eq!((waiting(store, "q"), waiting(store, "other")), (0, 1));
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    assert!(claimed.is_intact());
    assert_eq!((claimed.id, claimed.queue.as_str()), (ids[0].0, "other"));
    assert_eq!(claimed.payload, after.payload.to_stored().expect("a payload"));
    let listed = ListFilter {
        jobs: JobFilter::from("other".parse::<queuectl_core::QueueName>().expect("a queue")),
        limit: 9,
        ..ListFilter::default()
    };
    assert_eq!(store.list(&listed).expect("a list").len(), 1);
}

/// A job that runs or has ended stays as it is, and so does one whose edit is not valid.
pub fn what_runs_or_has_ended_is_not_edited(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("runs"), job("waits")]);
    let (node, _guard) = node(store);
    let running = claim_one(store, node);
    let before = get(store, ids[1]);
    let urgent = change(r#"{"priority":1}"#, &[]);
    let refused = |done: Result<Edited, StoreError>, why: &str| {
        let message = done.expect_err(why).to_string();
        assert!(message.contains(why), "{message}");
    };
    refused(
        try_edit(store, ids[0], &urgent, NOW),
        "a running job cannot be changed",
    );
    turn(store, node, &[done(&running, node, NOW)], 0, NOW);
    refused(try_edit(store, ids[0], &urgent, NOW), "is completed");
    refused(
        try_edit(store, ids[1], &change("{}", &["command"]), NOW),
        "needs a \"command\"",
    );
    refused(
        try_edit(store, ids[1], &change(r#"{"limit":["none"]}"#, &[]), NOW),
        "no limit 'none'",
    );
    let waits = JobRef::Number(ids[1]);
    let stays = |_: &Job| Err("it is another one now".to_owned());
    let only = JobFilter::default();
    refused(
        store.edit(&waits, &only, "me", NOW, &stays),
        "it is another one now",
    );
    let elsewhere = JobFilter::from("other".parse::<queuectl_core::QueueName>().expect("a queue"));
    let editor = |job: &Job| Ok(urgent.apply(JobSpec::of(job.clone())));
    refused(store.edit(&waits, &elsewhere, "me", NOW, &editor), "left alone");
    assert_eq!(get(store, ids[1]), before);
    // The control: nothing keeps it from being edited.
    assert_eq!(
        edit(store, ids[1], r#"{"priority":1}"#, &[]).changed,
        ["priority"]
    );
}

/// A dead job is edited before it runs again.
pub fn a_dead_job_runs_again_as_it_was_edited(mut temp: TempStore) {
    let store = &mut temp.store;
    let (id, node, _guard) = dead_job(store);
    let bystander = enqueue(store, &[job("bystander")])[0];
    let edited = edit(
        store,
        id,
        r#"{"timeout":9,"command":"exit 0","queue":"quick"}"#,
        &[],
    );
    assert_eq!(edited.state, State::Dead);
    let later_start = try_edit(store, id, &change(r#"{"delay":"1h"}"#, &[]), NOW);
    assert!(
        matches!(later_start, Err(StoreError::NotEdited { .. })),
        "{later_start:?}"
    );
    store
        .retry(&JobRef::Number(id), &Only::default(), NOW)
        .expect("retried");
    assert!(is_whole(store));
    let claimed = claim(store, node, 9);
    let again = claimed.iter().find(|job| job.id == id.0).expect("it is claimed");
    assert!(again.is_intact());
    assert_eq!((again.timeout_ms, again.queue.as_str()), (Some(9000), "quick"));
    assert_eq!(get(store, bystander).timeout_ms, None);
}

/// A job takes its place by the limits and the priority that it has now, whether it waited for room, had been let through, or
/// is held.
pub fn an_edited_job_is_placed_by_its_new_limits(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    set(store, "net", running(1));
    let ids = enqueue(
        store,
        &[
            limited(&["disk"], "a", 0),
            limited(&["disk"], "a", 0),
            limited(&["disk"], "a", 0),
            limited(&["net"], "a", -1),
            job("free"),
        ],
    );
    let [first, second, third, on_net, free] = ids[..] else {
        panic!("five jobs")
    };
    assert_eq!(
        states_of(store, &[second, third]),
        [State::Blocked, State::Blocked]
    );
    // It waits for room that it needs no more.
    let moved = edit(store, second, "{}", &["limit"]);
    assert_eq!((moved.state, moved.waits), (State::Pending, Waits::NONE));
    assert!(is_sound(store));
    // One that was let through gives its place to the next.
    let given_up = edit(store, first, r#"{"limit":["net"]}"#, &[]);
    assert_eq!(
        given_up.waits.first(),
        Some(BlockedBy::Limit),
        "the other key is full"
    );
    assert_eq!(
        states_of(store, &[first, third, on_net]),
        [State::Blocked, State::Pending, State::Pending]
    );
    assert!(is_sound(store));
    // A free one that names a full key waits for it, and is held besides.
    assert_eq!(
        edit(store, free, r#"{"limit":["disk"]}"#, &[]).state,
        State::Blocked
    );
    store.hold(&JobRef::Number(free), NOW).expect("held");
    assert!(is_sound(store));
    let held = edit(store, free, r#"{"limit":["net"]}"#, &[]);
    assert_eq!(
        (held.waits.first(), held.waits.has(BlockedBy::Limit)),
        (Some(BlockedBy::Held), false)
    );
    assert!(is_sound(store));
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 9);
    let mut numbers: Vec<i64> = claimed.iter().map(|job| job.id).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [second.0, third.0, on_net.0]);
    store.release(&JobRef::Number(free), NOW).expect("released");
    // The older one waits first; with a higher priority the other does.
    edit(store, free, r#"{"priority":5}"#, &[]);
    let ended: Vec<Record> = claimed.iter().map(|job| done(job, node, NOW)).collect();
    let next = turn(store, node, &ended, 9, NOW).claimed;
    assert_eq!(next.iter().map(|job| job.id).collect::<Vec<_>>(), [free.0]);
    let ended: Vec<Record> = next.iter().map(|job| done(job, node, NOW)).collect();
    let last = turn(store, node, &ended, 9, NOW).claimed;
    assert_eq!(last.iter().map(|job| job.id).collect::<Vec<_>>(), [first.0]);
    assert!(is_whole(store));
}

/// A job of any state in which it waits gets another time to start; one that was claimed before waits for its retry.
pub fn an_edited_job_starts_at_its_new_time(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let retried = enqueue(store, &[job("fails")])[0];
    let claimed = claim_one(store, node);
    let failed = Event::Fail {
        retry_at: Some(later(50_000)),
    };
    let failed = record(&claimed, node, failed, OutcomeKind::Failed, NOW);
    turn(store, node, &[failed], 0, NOW);
    let at = |ms| {
        valid(JobSpec {
            start: Some(Start::At(later(ms))),
            ..JobSpec::line("true")
        })
    };
    let held = valid(spec(r#"{"command":"held","hold":true}"#));
    let ids = enqueue(store, &[at(70_000), held, at(60_000)]);
    let (scheduled, held, bystander) = (ids[0], ids[1], ids[2]);
    let looks = |store: &mut Store, id| {
        let job = get(store, id);
        (job.state, job.due_at)
    };
    for id in [retried, scheduled, held] {
        assert_eq!(edit(store, id, r#"{"delay":"1h"}"#, &[]).changed, ["run_at"]);
        let hour = Some(later(3_600_000));
        assert_eq!(looks(store, id).1, hour);
    }
    assert_eq!(looks(store, retried).0, State::Failed);
    assert_eq!(looks(store, scheduled).0, State::Scheduled);
    assert_eq!(
        store.next_due().expect("a time"),
        Some(later(60_000)),
        "the bystander's"
    );
    for (id, state) in [
        (retried, State::Pending),
        (scheduled, State::Pending),
        (held, State::Blocked),
    ] {
        edit(store, id, "{}", &["run_at"]);
        assert_eq!(looks(store, id), (state, None));
    }
    assert!(is_whole(store));
    edit(store, scheduled, r#"{"delay":"2h"}"#, &[]);
    edit(store, retried, r#"{"delay":"2h"}"#, &[]);
    let in_two = Some(later(7_200_000));
    assert_eq!(looks(store, scheduled), (State::Scheduled, in_two));
    assert_eq!(looks(store, retried), (State::Failed, in_two));
    assert!(is_whole(store));
    let due = turn(store, node, &[], 9, later(7_200_000)).claimed;
    assert_eq!(due.len(), 3);
    assert!(is_whole(store));
    assert_eq!(looks(store, bystander).0, State::Processing);
}

/// All that fit, over several steps, and no other; repeated, nothing is left to change.
pub fn many_jobs_are_edited_in_steps(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let mut jobs = vec![job("bystander")];
    jobs.extend((0..1100).map(|n| match n % 2 {
        0 => limited(&["disk"], "many", 0),
        _ => limited(&[], "many", 0),
    }));
    let ids = enqueue(store, &jobs);
    let mut filter = JobFilter::from("many".parse::<queuectl_core::QueueName>().expect("a queue"));
    store.freeze(&mut filter, NOW).expect("a frozen filter");
    let late = enqueue(store, &[limited(&[], "many", 0)])[0];
    let edit = change(r#"{"priority":3,"env":{"A":"1"}}"#, &[]);
    let editor = |job: &Job| Ok(edit.apply(JobSpec::of(job.clone())));
    let mut all = || {
        store
            .edit_all(&filter, "me", NOW, &editor, |_| {})
            .expect("edited")
            .changed
    };
    assert_eq!((all(), all()), (1100, 0));
    assert_eq!((get(store, ids[0]).priority, get(store, late).priority), (0, 0));
    assert!(ids[1..].iter().all(|id| get(store, *id).priority == 3));
    assert!(is_whole(store));
    let moving = change(r#"{"queue":"elsewhere"}"#, &[]);
    let editor = |job: &Job| Ok(moving.apply(JobSpec::of(job.clone())));
    assert_eq!(
        store
            .edit_all(&filter, "me", NOW, &editor, |_| {})
            .expect("moved")
            .changed,
        1100
    );
    assert_eq!(get(store, late).queue.as_str(), "many");
    assert!(is_whole(store));
}

/// A claim that begins while a job is edited takes it as it was or as it is then, and never a part of each.
pub fn a_claim_beside_edits_takes_whole_jobs(mut temp: TempStore) {
    const JOBS: usize = 40;
    let ids = enqueue(&mut temp.store, &vec![job("0"); JOBS]);
    let mut editing = temp.another();
    std::thread::scope(|scope| {
        let edits = scope.spawn(move || {
            let mut edited = 0;
            for round in 1.. {
                let mut any = false;
                for id in &ids {
                    let json = format!("{{\"command\":\"{round}\",\"priority\":{}}}", round % 3);
                    match try_edit(&mut editing, *id, &change(&json, &[]), NOW) {
                        Ok(_) => (any, edited) = (true, edited + 1),
                        Err(StoreError::Refused { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                if !any {
                    break;
                }
            }
            edited
        });
        let store = &mut temp.store;
        let (node, _guard) = node(store);
        let mut claimed = 0;
        while claimed < JOBS {
            let next = claim(store, node, 1);
            assert!(next.iter().all(Claimed::is_intact), "{next:?}");
            claimed += next.len();
        }
        assert!(edits.join().expect("edits") > 0);
    });
    assert!(is_whole(&mut temp.store));
}

/// The ledger says who edited which parts.
pub fn the_ledger_says_what_was_edited(mut temp: TempStore) {
    let store = &mut temp.store;
    set_retention(store, "7d");
    let ids = enqueue(store, &[job("a"), job("bystander")]);
    edit(store, ids[0], r#"{"priority":1,"env":{"TOKEN":"secret"}}"#, &[]);
    edit(store, ids[0], r#"{"priority":1}"#, &[]);
    let events = wait_for_kind(store, ids[0], "edited", 1);
    let details: Vec<Option<&str>> = events.iter().map(|event| event.detail.as_deref()).collect();
    assert_eq!(details, [Some(r#"{"by":"me@here","fields":["priority","env"]}"#)]);
    assert_eq!(wait_for_kind(store, ids[1], "enqueued", 1).len(), 1);
}
