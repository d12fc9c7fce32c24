//! What running jobs say about themselves.

use queuectl_core::{JobProgress, JobReport};
use queuectl_storage::{ListFilter, MassChange, Reported, Reporter, Said};

use super::operations::{begin, change_named, is_whole, undo};
use super::*;

fn reporter(job: JobId, fence: i64) -> Reporter {
    Reporter {
        job: JobRef::Number(job),
        fence,
        mark: None,
    }
}

fn progress(percent: Option<u8>, message: Option<&str>) -> JobReport {
    let message = message.map(str::to_owned);
    JobReport::Progress { percent, message }
}

fn checkpoint(text: &str) -> JobReport {
    JobReport::Checkpoint(Some(text.to_owned()))
}

/// Stores a report that has to be taken.
fn say(store: &mut Store, from: &Reporter, report: &JobReport, now: Timestamp) {
    let stored = store.report(from, report, now).expect("it is stored");
    assert_eq!(stored, Reported::Stored);
}

/// Only a process of the attempt that runs now may report; what it says counts for its attempt, a checkpoint for the job.
pub fn a_report_is_of_the_attempt_that_runs(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("reports"), job("bystander"), job("waits")]);
    let (node, _guard) = node(store);
    let running = claim(store, node, 2);
    let bystander = reporter(ids[1], running[1].fence);
    say(store, &bystander, &progress(Some(7), None), NOW);
    say(store, &bystander, &checkpoint("its own"), NOW);
    let kept = store.said(ids[1], running[1].fence).expect("an answer");

    let first = reporter(ids[0], running[0].fence);
    say(store, &first, &progress(Some(40), Some("page 4")), NOW);
    say(store, &first, &checkpoint("page=5"), NOW);
    say(store, &first, &JobReport::Result("{\"a\":1}".to_owned()), NOW);
    let said = Some(JobProgress {
        percent: Some(40),
        message: Some("page 4".to_owned()),
        at: NOW,
    });
    assert_eq!(get(store, ids[0]).progress, said);
    let all = ListFilter {
        limit: 9,
        ..ListFilter::default()
    };
    let listed = store.list(&all).expect("a list");
    let listed = listed.into_iter().find(|job| job.id == ids[0]).expect("the job");
    assert_eq!(listed.progress, said);
    let all = store.said(ids[0], running[0].fence).expect("an answer");
    assert_eq!((all.progress, all.result.as_deref()), (said, Some("{\"a\":1}")));

    // Neither who does not run, nor an attempt that is not there, nor a process of another store.
    let foreign = Reporter {
        mark: Some("another.1.2.".to_owned()),
        ..first.clone()
    };
    let others = [
        reporter(ids[2], 0),
        reporter(ids[0], running[0].fence + 1),
        reporter(ids[0], running[0].fence - 1),
        foreign,
    ];
    for other in &others {
        for report in [
            progress(Some(99), None),
            checkpoint("stale"),
            JobReport::Result("0".to_owned()),
        ] {
            let refused = store.report(other, &report, NOW).expect_err("it is refused");
            assert!(matches!(refused, StoreError::StaleReport { .. }), "{refused}");
        }
    }
    assert!(matches!(
        store.report(&reporter(JobId(999), 1), &checkpoint("x"), NOW),
        Err(StoreError::NoSuchJob(_))
    ));

    // The next attempt starts over, with the checkpoint; the first one, which goes on somewhere, is refused.
    let failed = record(
        &running[0],
        node,
        Event::Fail { retry_at: Some(NOW) },
        OutcomeKind::Failed,
        NOW,
    );
    turn(store, node, &[failed], 0, NOW);
    assert!(
        store.report(&first, &checkpoint("stale"), NOW).is_err(),
        "it has ended"
    );
    assert_eq!(get(store, ids[0]).progress, None);
    let later = NOW.after(Duration::from_secs(1));
    let again = turn(store, node, &[], 9, later);
    let second = again
        .claimed
        .iter()
        .find(|job| job.id == ids[0].0)
        .expect("it is claimed");
    assert_eq!(again.checkpoints, [(ids[0], "page=5".to_owned())]);
    let (second, fence) = (reporter(ids[0], second.fence), second.fence);
    assert_eq!(get(store, ids[0]).progress, None);
    let refused = store
        .report(&first, &checkpoint("stale"), later)
        .expect_err("it is stale");
    assert!(
        refused.to_string().contains("a later attempt has begun"),
        "{refused}"
    );
    let said = store.said(ids[0], fence).expect("an answer");
    assert_eq!(
        (said.progress, said.result, said.checkpoint.as_deref()),
        (None, None, Some("page=5"))
    );
    // The control: only the fence is another.
    say(store, &second, &checkpoint("page=9"), later);
    let said = store.said(ids[0], fence).expect("an answer");
    assert_eq!(said.checkpoint.as_deref(), Some("page=9"));
    say(store, &second, &JobReport::Checkpoint(None), later);
    assert_eq!(store.said(ids[0], fence).expect("an answer").checkpoint, None);
    assert_eq!(store.said(ids[1], running[1].fence).expect("an answer"), kept);
}

/// Reports about progress that come too soon are to be repeated, and what they do not give stays.
pub fn progress_has_a_rate_and_keeps_what_is_not_given(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("reports"), job("bystander")]);
    let (node, _guard) = node(store);
    let running = claim(store, node, 2);
    let of = |n: usize| reporter(ids[n], running[n].fence);
    say(store, &of(0), &progress(Some(1), Some("begins")), NOW);
    let soon = NOW.after(Duration::from_millis(40));
    let told = store
        .report(&of(0), &progress(Some(2), None), soon)
        .expect("an answer");
    assert_eq!(told, Reported::TooSoon(Duration::from_millis(60)));
    assert_eq!(
        get(store, ids[0]).progress.and_then(|progress| progress.percent),
        Some(1)
    );
    // Others have a rate of their own, and so has what is not progress.
    say(store, &of(1), &progress(Some(2), None), soon);
    say(store, &of(0), &checkpoint("c"), soon);
    let later = NOW.after(Duration::from_millis(100));
    say(store, &of(0), &progress(Some(2), None), later);
    let shown = |store: &mut Store| get(store, ids[0]).progress.expect("progress").in_words();
    assert_eq!(shown(store), "2 %, begins");
    // A clock that was set back keeps none waiting.
    say(store, &of(0), &progress(None, Some("goes on")), NOW);
    assert_eq!(shown(store), "2 %, goes on");
    let last = NOW.after(Duration::from_secs(9));
    say(store, &of(0), &progress(None, Some("")), last);
    assert_eq!(shown(store), "2 %");
}

/// What a job said goes with it, and with nothing else.
pub fn reports_are_purged_with_their_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("ends"), job("bystander")]);
    let (node, _guard) = node(store);
    let running = claim(store, node, 2);
    for (id, attempt) in ids.iter().zip(&running) {
        say(store, &reporter(*id, attempt.fence), &checkpoint("kept"), NOW);
    }
    let done = record(&running[0], node, Event::Complete, OutcomeKind::Succeeded, NOW);
    turn(store, node, &[done], 0, NOW);
    let said = |store: &mut Store, n: usize| {
        let said = store.said(ids[n], running[n].fence).expect("an answer");
        said.checkpoint.is_some()
    };
    assert!(said(store, 0), "it has ended and is there");
    store
        .purge_one(&JobRef::Number(ids[0]), &Only::default())
        .expect("it is purged");
    assert!(!said(store, 0) && said(store, 1));
}

/// What a job said comes back with it when its purge is undone.
pub fn reports_come_back_with_their_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("ends"), job("bystander")]);
    let (node, _guard) = node(store);
    let running = claim(store, node, 2);
    for (id, attempt) in ids.iter().zip(&running) {
        let of = reporter(*id, attempt.fence);
        say(store, &of, &progress(Some(40), Some("page ü")), NOW);
        say(store, &of, &checkpoint("page=5"), NOW);
        say(store, &of, &JobReport::Result(format!("{{\"a\":{id}}}")), NOW);
    }
    let ends = |claimed| record(claimed, node, Event::Complete, OutcomeKind::Succeeded, NOW);
    let ended: Vec<Record> = running.iter().map(ends).collect();
    turn(store, node, &ended, 0, NOW);
    let said = |store: &mut Store, n: usize| store.said(ids[n], running[n].fence).expect("an answer");
    let (before, bystander) = (said(store, 0), said(store, 1));
    assert_eq!(
        before.result.as_deref(),
        Some(format!("{{\"a\":{}}}", ids[0]).as_str())
    );
    begin(store, "purge", "one");
    change_named(store, ids[0], MassChange::Purge, later(1));
    let id = store.end_operation(later(1)).expect("ended").expect("stored");
    assert_eq!(said(store, 0), Said::default());
    let undone = undo(store, id, later(2));
    assert_eq!((undone.restored, undone.left), (1, 0), "{:?}", undone.reasons);
    assert_eq!((said(store, 0), said(store, 1)), (before, bystander));
    assert!(is_whole(store));
}
