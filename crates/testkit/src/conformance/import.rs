//! Dead letters of other stores are stored as dead jobs, each once.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use queuectl_core::{DeathId, IMPORTED_FROM, Outcome, Output};
use queuectl_storage::{DeadFilter, Imported, ImportedLetter, Location, OpenMode};

use super::events::{set_retention, wait_for};
use super::limits::{running, set};
use super::*;

/// A letter of that number in another store, described as JSON.
fn letter(number: i64, json: &str) -> ImportedLetter {
    of_store("00ab00ab00ab00ab", number, 2, json)
}

fn of_store(store: &str, number: i64, fence: i64, json: &str) -> ImportedLetter {
    let death = DeathId {
        store: store.to_owned(),
        job: JobId(number),
        fence,
    };
    let mut spec = JobSpec::from_written(json).expect("a job");
    spec.labels.insert(IMPORTED_FROM.to_owned(), death.to_string());
    let at = |ms: i64| Timestamp(NOW.0 - 1000 + ms);
    ImportedLetter {
        job: valid(spec),
        death,
        attempts: 4,
        created_at: at(0),
        started_at: Some(at(390)),
        died_at: at(500 + number),
        last_attempt: Some(Attempt {
            job: JobId(0),
            fence: 0,
            attempt: 4,
            number: 0,
            node: NodeId(0),
            worker: 0,
            started_at: at(400),
            finished_at: at(450),
            outcome: Outcome {
                exit_code: Some(3),
                ..Outcome::new(OutcomeKind::Failed, "exit status 3\0")
            },
            output: Output {
                head: Vec::new(),
                tail: b"the end\n".to_vec(),
                total_bytes: 1000,
                index: Vec::new(),
            },
        }),
    }
}

fn import(store: &mut Store, letters: &[ImportedLetter]) -> Vec<Imported> {
    store.import_dead(letters, NOW).expect("an import")
}

fn ids(imported: &[Imported]) -> Vec<JobId> {
    let id = |one: &Imported| match one {
        Imported::Stored { id, .. } | Imported::Already(id) => *id,
    };
    imported.iter().map(id).collect()
}

fn stored(id: JobId) -> Imported {
    Imported::Stored {
        id,
        name_taken: false,
        key_taken: false,
    }
}

fn is_sound(store: &mut Store) {
    let report = store.check().expect("a report");
    let found = (report.damage, report.dangling, report.miscounted);
    assert_eq!((found, report.misplaced), ((vec![], 0, 0), 0));
}

/// They have all that is known of them, run when they are retried, and are not stored twice.
pub fn dead_letters_are_imported_once(mut temp: TempStore) {
    let store = &mut temp.store;
    set_retention(store, "1h");
    set(store, "disk", running(1));
    let bystander = enqueue(store, &[job("bystander")])[0];
    super::operations::begin(store, "dlq:import", "from a file");
    let letters = [
        letter(
            1,
            r#"{"id":"a","command":"a","queue":"mail","limit":["disk"],"labels":{"team":"web"},"comment":"c","on_death":"no","timeout":5}"#,
        ),
        letter(2, r#"{"command":["b"],"env":{"A":"1"},"priority":7}"#),
        ImportedLetter {
            last_attempt: None,
            ..letter(3, r#"{"command":"c"}"#)
        },
    ];
    let imported = import(store, &letters);
    let first = ids(&imported);
    assert_eq!(imported, first.iter().copied().map(stored).collect::<Vec<_>>());
    let found = get(store, first[0]);
    assert_eq!((found.state, found.attempts, found.fence), (State::Dead, 4, 1));
    assert_eq!((found.queue.as_str(), found.timeout_ms), ("mail", Some(5000)));
    assert_eq!(found.finished_at, Some(letters[0].died_at));
    assert_eq!(found.created_at, letters[0].created_at);
    assert_eq!(found.started_at, letters[0].started_at);
    assert_eq!(found.labels["team"], "web");
    assert_eq!(found.labels[IMPORTED_FROM], letters[0].death.to_string());
    assert_eq!(found.hooks, letters[0].job.hooks);
    assert_eq!(get(store, first[2]).fence, 0);
    let attempt = store.attempt(first[0], 1).expect("read").expect("an attempt");
    assert_eq!(
        attempt.outcome.message, "exit status 3\u{fffd}",
        "as every database can store it"
    );
    assert_eq!(
        (attempt.outcome.exit_code, attempt.output.omitted_bytes()),
        (Some(3), 992)
    );
    let page = store.dead_page(&DeadFilter::default(), None, 9).expect("a page");
    let ends: Vec<&[u8]> = page.jobs.iter().map(|job| &job.output_end[..]).collect();
    assert_eq!(ends, [&b""[..], b"the end\n", b"the end\n"], "the newest first");
    is_sound(store);
    // Again, with a new one between them, and one that is there twice.
    let more = [
        letters[0].clone(),
        letter(4, r#"{"command":"d"}"#),
        letters[2].clone(),
        letter(4, r#"{"command":"d"}"#),
    ];
    let again = import(store, &more);
    let fourth = ids(&again)[1];
    assert_eq!(
        again,
        [
            Imported::Already(first[0]),
            stored(fourth),
            Imported::Already(first[2]),
            Imported::Already(fourth)
        ]
    );
    let operation = super::operations::newest(store);
    assert_eq!(
        (operation.kind.as_str(), operation.done.changed),
        ("dlq:import", 4)
    );
    store.leave_operation();
    // What runs again is known all the same; no hook has run so far, and nothing was claimed.
    assert_eq!(store.hooks_of(first[0]).expect("hooks"), []);
    let only = Only::default();
    for id in [first[0], first[2]] {
        store.retry(&JobRef::Number(id), &only, NOW).expect("a retry");
    }
    let (node, _guard) = node(store);
    let claimed: BTreeSet<i64> = claim(store, node, 9).iter().map(|job| job.id).collect();
    assert_eq!(claimed, [bystander.0, first[0].0, first[2].0].into());
    assert_eq!(
        import(store, &letters),
        first.iter().copied().map(Imported::Already).collect::<Vec<_>>()
    );
    // Once a job is purged, its letter is stored again.
    store
        .purge_one(&JobRef::Number(first[1]), &only)
        .expect("a purge");
    let anew = import(store, &letters)[1];
    assert_eq!(anew, stored(ids(&[anew])[0]));
    assert_ne!(ids(&[anew])[0], first[1]);
    let events = wait_for(store, Some(first[0]), 4);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["enqueued", "imported", "retried", "started"]);
    assert!(
        events[1]
            .detail
            .as_ref()
            .is_some_and(|detail| detail.contains("/1/2"))
    );
    is_sound(store);
}

/// Ids and keys that other jobs have stay theirs, and a limit that is not there refuses all.
pub fn imported_jobs_take_nothing_from_others(mut temp: TempStore) {
    let store = &mut temp.store;
    let taken = JobSpec::from_written(r#"{"id":"a","command":"x","unique":"k"}"#).expect("a job");
    let bystander = enqueue(store, &[valid(taken)])[0];
    let letters = [
        letter(1, r#"{"id":"a","command":"a"}"#),
        letter(2, r#"{"id":"b","command":"b","unique":"k"}"#),
        letter(3, r#"{"id":"b","command":"c","unique":"free"}"#),
    ];
    let imported = import(store, &letters);
    let of = |place: usize, name_taken, key_taken| Imported::Stored {
        id: ids(&imported)[place],
        name_taken,
        key_taken,
    };
    assert_eq!(
        imported,
        [of(0, true, false), of(1, false, true), of(2, true, false)]
    );
    let names: Vec<String> = ids(&imported)
        .iter()
        .map(|id| get(store, *id).public_id())
        .collect();
    assert_eq!(names[1], "b");
    assert_eq!(names[2], ids(&imported)[2].to_string());
    let refused = store.retry(&JobRef::Number(ids(&imported)[1]), &Only::default(), NOW);
    assert!(matches!(refused, Err(StoreError::KeyHeld { .. })), "{refused:?}");
    let limited = [
        letters[0].clone(),
        letter(4, r#"{"command":"d"}"#),
        letter(5, r#"{"command":"e","limit":["none"]}"#),
    ];
    let refused = store.import_dead(&limited, NOW);
    assert!(
        matches!(&refused, Err(StoreError::NoSuchLimit { name, index: 2 }) if name == "none"),
        "{refused:?}"
    );
    assert_eq!(
        store
            .count_selected(&JobFilter::from(State::Dead))
            .expect("a count"),
        3
    );
    let found = get(store, bystander);
    assert_eq!((found.state, found.public_id().as_str()), (State::Pending, "a"));
    is_sound(store);
}

/// What died here and is still here is not stored a second time.
pub fn dead_letters_of_this_store_are_known(mut temp: TempStore) {
    let store = &mut temp.store;
    let (id, _node, _guard) = dead_job(store);
    let bystander = enqueue(store, &[job("bystander")])[0];
    let own = store.own_number().expect("a number");
    let dead = get(store, id);
    let mine = ImportedLetter {
        created_at: dead.created_at,
        ..of_store(&own, id.0, dead.fence, r#"{"command":"exit 1"}"#)
    };
    assert_eq!(
        import(store, std::slice::from_ref(&mine)),
        [Imported::Already(id)]
    );
    // The store was restored since, and has given the number again.
    let lost = ImportedLetter {
        created_at: Timestamp(dead.created_at.0 - 1),
        ..mine.clone()
    };
    let imported = import(store, std::slice::from_ref(&lost));
    assert_eq!(imported, [stored(ids(&imported)[0])]);
    store
        .purge_one(&JobRef::Number(ids(&imported)[0]), &Only::default())
        .expect("a purge");
    store
        .purge_one(&JobRef::Number(id), &Only::default())
        .expect("a purge");
    let imported = import(store, std::slice::from_ref(&mine));
    assert_eq!(imported, [stored(ids(&imported)[0])]);
    assert_eq!(import(store, &[mine]), [Imported::Already(ids(&imported)[0])]);
    assert_eq!(get(store, bystander).state, State::Pending);
    is_sound(store);
}

/// Of several that import the same, each letter is stored by one.
pub fn imports_at_once_store_each_letter_once(temp: TempStore) {
    let importers = 4;
    let start = Barrier::new(importers);
    let letters: Vec<ImportedLetter> = (1..=60)
        .map(|number| letter(number, &format!(r#"{{"id":"n{number}","command":"x"}}"#)))
        .collect();
    let import = |location: &Location| {
        let mut store = Store::open(location, OpenMode::MustExist).expect("a connection");
        start.wait();
        let batches = letters.chunks(7);
        let done = batches.flat_map(|some| store.import_dead(some, NOW).expect("an import"));
        done.filter(|one| matches!(one, Imported::Stored { .. })).count()
    };
    let stored: usize = thread::scope(|scope| {
        let running: Vec<_> = (0..importers)
            .map(|_| scope.spawn(|| import(&temp.location)))
            .collect();
        running.into_iter().map(|one| one.join().expect("a thread")).sum()
    });
    assert_eq!(stored, letters.len());
    let mut store = temp.another();
    assert_eq!(
        store
            .count_selected(&JobFilter::from(State::Dead))
            .expect("a count"),
        60
    );
    is_sound(&mut store);
}
