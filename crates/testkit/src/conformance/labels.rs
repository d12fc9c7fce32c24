//! Labels and comments: they stay with their job, and jobs are found by them.

use std::collections::BTreeMap;

use queuectl_core::{JobEdit, Selector};
use queuectl_storage::{EndedWith, MassChange, Position};

use super::*;

fn spec(json: &str) -> JobSpec {
    JobSpec::from_written(json).expect("a job")
}

fn labelled(json: &str) -> ValidJob {
    valid(spec(json))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn is_whole(store: &mut Store) {
    let report = store.check().expect("a report");
    assert_eq!((report.damage, report.dangling), (vec![], 0));
}

/// They are read as they were given, alone and in lists, however the job changes; they go when it goes.
pub fn labels_stay_with_their_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(
        store,
        &[
            labelled(
                r#"{"command":"a","labels":{"team":"web","urgent":"","x/y":"ü = 'b'"},"comment":"why\nnot"}"#,
            ),
            job("bystander"),
            labelled(r#"{"command":"b","comment":"only this","unique":"k"}"#),
            labelled(r#"{"command":"c","labels":{"team":"db"},"hold":true}"#),
        ],
    );
    let wanted = [
        (
            labels(&[("team", "web"), ("urgent", ""), ("x/y", "ü = 'b'")]),
            Some("why\nnot"),
        ),
        (BTreeMap::new(), None),
        (BTreeMap::new(), Some("only this")),
        (labels(&[("team", "db")]), None),
    ];
    for (id, (labels, comment)) in ids.iter().zip(&wanted) {
        let found = get(store, *id);
        assert_eq!((&found.labels, found.comment.as_deref()), (labels, *comment));
    }
    let listed = store
        .list(&ListFilter {
            oldest_first: true,
            limit: 10,
            ..ListFilter::default()
        })
        .expect("a list");
    let listed: Vec<_> = listed
        .iter()
        .map(|job| (job.labels.clone(), job.comment.as_deref()))
        .collect();
    assert_eq!(listed, wanted);
    // A node has nothing to do with them.
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    assert_eq!(claimed.id, ids[0].0);
    let done = record(&claimed, node, Event::Complete, OutcomeKind::Succeeded, NOW);
    assert_eq!(turn(store, node, &[done], 0, NOW).stale, []);
    let again = JobSpec::again(get(store, ids[0]));
    assert_eq!(
        (&again.labels, again.comment.as_deref()),
        (&wanted[0].0, wanted[0].1)
    );
    is_whole(store);
    // An edit changes what it says.
    let edit = |json: &str, unset: &[&str]| {
        let mut edit = JobEdit {
            set: spec(json),
            ..JobEdit::default()
        };
        unset.iter().for_each(|part| edit.unset(part).expect("a part"));
        edit
    };
    for (change, wanted, comment, fields) in [
        (
            edit(r#"{"labels":{"team":"ops","new":"1"},"comment":"now"}"#, &[]),
            labels(&[("team", "ops"), ("new", "1")]),
            Some("now"),
            &["labels", "comment"][..],
        ),
        (
            edit("{}", &["label.team", "comment"]),
            labels(&[("new", "1")]),
            None,
            &["labels", "comment"],
        ),
        (edit("{}", &["labels"]), BTreeMap::new(), None, &["labels"]),
    ] {
        let editor = |job: &Job| Ok(change.apply(JobSpec::of(job.clone())));
        let job = JobRef::Number(ids[3]);
        let edited = store
            .edit(&job, &JobFilter::default(), "me@here", NOW, &editor)
            .expect("an edit");
        assert_eq!(edited.changed, fields);
        let found = get(store, ids[3]);
        assert_eq!((found.labels, found.comment.as_deref()), (wanted, comment));
    }
    assert_eq!(get(store, ids[2]).comment.as_deref(), Some("only this"));
    // What was removed leaves nothing behind.
    let purged = store.purge_one(&JobRef::Number(ids[0]), &Only::default());
    purged.expect("it has ended");
    is_whole(store);
    assert_eq!(get(store, ids[2]).comment.as_deref(), Some("only this"));
}

/// More jobs than are counted before a label is known to be common.
const COMMON: usize = 10_100;

fn found(store: &mut Store, text: &str, page: u32) -> Vec<i64> {
    let selector: Selector = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let filter = store.job_filter(&selector, NOW).expect("a filter");
    let (mut all, mut after): (Vec<i64>, Option<Position>) = (Vec::new(), None);
    loop {
        let selected = store.select(&filter, after, page).expect("a page");
        all.extend(selected.jobs.iter().map(|job| job.0));
        after = selected.next;
        if after.is_none() {
            let count = store.count_selected(&filter).expect("a count");
            assert_eq!(count, all.len() as u64, "{text}");
            return all;
        }
    }
}

/// Jobs are found by key, by value, and by several of them, rare or common, with other filters and without.
pub fn jobs_are_found_by_their_labels(mut temp: TempStore) {
    let store = &mut temp.store;
    enqueue(
        store,
        &[
            labelled(r#"{"command":"1","labels":{"team":"web","env":"prod"},"comment":"team"}"#),
            labelled(r#"{"command":"2","labels":{"team":"web","env":"test"},"queue":"mail"}"#),
            labelled(r#"{"command":"3","labels":{"team":"db","env":"prod"}}"#),
            job("4"),
            labelled(r#"{"command":"5","labels":{"team":""},"comment":"web"}"#),
            labelled(r#"{"command":"6","labels":{"teams":"web"},"hold":true}"#),
        ],
    );
    let all = |store: &mut Store, page: u32| {
        for (text, wanted) in [
            ("label=team", &[1, 2, 3, 5][..]),
            ("label=team:web", &[1, 2]),
            ("label=team=web", &[1, 2]),
            ("label=team:", &[5]),
            ("label=team:web,team:db", &[1, 2, 3]),
            ("label=team:db,teams", &[3, 6]),
            ("label=team:web label=env:prod", &[1]),
            ("label=team label=env", &[1, 2, 3]),
            ("label=team:web queue=mail", &[2]),
            ("label=team:none", &[]),
            ("label=none", &[]),
            ("label=teams state=blocked", &[6]),
            ("label=teams state=pending", &[]),
            ("2-4 label=team", &[2, 3]),
            ("label=team:web text~2", &[2]),
        ] {
            assert_eq!(found(store, text, page), wanted, "{text}");
        }
    };
    all(store, 2);
    // One is common: then what else is asked finds the jobs, as well as its index.
    let common = labelled(r#"{"command":"x","labels":{"common":"yes","n":"0"},"queue":"bulk"}"#);
    for some in vec![common; COMMON].chunks(1000) {
        enqueue(store, some);
    }
    let held = enqueue(
        store,
        &[
            labelled(r#"{"command":"y","labels":{"common":"yes"},"hold":true}"#),
            labelled(r#"{"command":"z","labels":{"common":"no"},"hold":true}"#),
        ],
    );
    all(store, 100);
    assert_eq!(found(store, "label=common:yes", 1000).len(), COMMON + 1);
    assert_eq!(found(store, "label=common", 1000).len(), COMMON + 2);
    assert_eq!(found(store, "label=common:yes state=blocked", 10), [held[0].0]);
    assert_eq!(
        found(store, "label=common state=blocked", 10),
        [held[0].0, held[1].0]
    );
    assert_eq!(found(store, "label=common label=team", 10), [0_i64; 0]);
    assert_eq!(found(store, "label=n:0 queue=mail", 10), [0_i64; 0]);
    // What is done to those that are found is done to no other.
    let filter = store.job_filter(&"label=team:web".parse().expect("a selector"), NOW);
    let filter = JobFilter {
        change: Some(MassChange::Hold),
        ..filter.expect("a filter")
    };
    let done = store
        .change_all(&filter, MassChange::Hold, NOW, |_| {})
        .expect("a change");
    assert_eq!(done.changed, 2);
    let states: Vec<State> = (1..=5).map(|id| get(store, JobId(id)).state).collect();
    use State::{Blocked, Pending};
    assert_eq!(states, [Blocked, Blocked, Pending, Pending, Pending]);
}

/// A copy has them, and what was changed behind the store's back is found.
pub fn a_copy_has_the_labels(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(
        store,
        &[
            labelled(r#"{"command":"a","labels":{"team":"web","n":"1"},"comment":"c"}"#),
            job("bystander"),
        ],
    );
    let mut other = TempStore::sqlite();
    store.copy_to(&mut other.store).expect("copied");
    let copied = get(&mut other.store, ids[0]);
    assert_eq!(
        (copied.labels, copied.comment.as_deref()),
        (labels(&[("team", "web"), ("n", "1")]), Some("c"))
    );
    is_whole(&mut other.store);
    // Its own ended jobs have their labels in statistics.
    let cancelled = store.cancel(&JobRef::Number(ids[0]), NOW);
    cancelled.expect("it waits");
    let page = store.ended_page(&JobFilter::default(), EndedWith::Labels, None, None, 10);
    let page = page.expect("a page");
    assert_eq!(page.jobs[0].labels, labels(&[("team", "web"), ("n", "1")]));
}

/// A label or a comment that is not what was stored is reported, and no other.
pub fn a_label_that_changed_is_reported(mut temp: TempStore, sql: &mut dyn FnMut(&str)) {
    let store = &mut temp.store;
    let whole = || labelled(r#"{"command":"a","labels":{"team":"web","n":"1"},"comment":"c"}"#);
    let ids = enqueue(store, &[whole(), whole(), whole()]);
    is_whole(store);
    sql(&format!(
        "UPDATE job_labels SET value = 'wed' WHERE job_id = {} AND key = 'team'",
        ids[0]
    ));
    sql(&format!(
        "UPDATE job_labels SET value = 'C' WHERE job_id = {} AND key = ''",
        ids[2]
    ));
    let damage = store.check().expect("a report").damage;
    assert_eq!(
        damage,
        [
            format!("job {}: its label 'team' is not what was stored", ids[0]),
            format!("job {}: its comment is not what was stored", ids[2]),
        ]
    );
}
