//! Requests with keys: what was answered is stored with their jobs.

use queuectl_core::limits::ANSWERS_FOR;
use queuectl_storage::{Keyed, Placed, RequestKey};

use super::*;

fn key(scope: &str, key: &str, part: i32) -> RequestKey {
    RequestKey {
        scope: scope.to_owned(),
        key: key.to_owned(),
        part,
        hash: [3; 32],
    }
}

fn numbers(jobs: &[ValidJob], placed: &[Placed]) -> String {
    assert_eq!(jobs.len(), placed.len());
    let numbers: Vec<String> = placed.iter().map(|job| job.id.to_string()).collect();
    numbers.join(" ")
}

/// Stores a job for each of these requests.
fn place(store: &mut Store, keys: &[RequestKey], now: Timestamp) -> Result<Vec<Placed>, StoreError> {
    let jobs: Vec<ValidJob> = keys.iter().map(|_| job("once")).collect();
    let keyed: Vec<Keyed> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| Keyed {
            key: key.clone(),
            jobs: at..at + 1,
        })
        .collect();
    store.place_answered(&jobs, &keyed, &numbers, now)
}

fn answer(store: &mut Store, key: &RequestKey, now: Timestamp) -> Option<String> {
    let answered = store.answered(key, now).expect("a look");
    answered.map(|answered| {
        assert_eq!(answered.hash, [3; 32]);
        answered.text
    })
}

/// An answer is stored with the jobs, and only with them; a client that sends the key again stores nothing.
pub fn a_request_with_a_key_is_stored_once(mut temp: TempStore) {
    let store = &mut temp.store;
    let bystander = enqueue(store, &[job("bystander")])[0];
    let keys = [
        key("", "k", 1),
        key("shop", "k", 1),
        key("", "k", 2),
        key("", "other", 1),
    ];
    assert_eq!(answer(store, &keys[0], NOW), None);
    let placed = place(store, &keys, NOW).expect("stored");
    for (key, placed) in keys.iter().zip(&placed) {
        assert_eq!(answer(store, key, NOW), Some(placed.id.to_string()), "{key:?}");
    }
    assert_eq!(answer(store, &key("shop", "k", 2), NOW), None);
    // One of a batch is enough.
    let again = place(store, &[key("", "new", 1), keys[2].clone()], NOW);
    assert!(matches!(again, Err(StoreError::AnswerTaken)), "{again:?}");
    assert_eq!(answer(store, &key("", "new", 1), NOW), None);
    let stored = |store: &mut Store| {
        let counts = store.counts(None).expect("counts");
        counts.iter().map(|count| count.jobs).sum::<u64>()
    };
    assert_eq!(stored(store), 5, "nothing was stored again");
    // A job that is refused has no answer, so the request can be sent again.
    let name = |text: &str| {
        let id = Some(text.parse().expect("a name"));
        valid(JobSpec {
            id,
            ..JobSpec::line("named")
        })
    };
    enqueue(store, &[name("taken")]);
    let keyed = [Keyed {
        key: key("", "refused", 1),
        jobs: 0..1,
    }];
    let refused = store.place_answered(&[name("taken")], &keyed, &numbers, NOW);
    assert!(matches!(refused, Err(StoreError::NameTaken { .. })));
    assert_eq!(answer(store, &key("", "refused", 1), NOW), None);
    store
        .place_answered(&[name("free")], &keyed, &numbers, NOW)
        .expect("the control");
    assert_eq!(get(store, bystander).state, State::Pending);
}

/// An answer counts for a day, and goes when others are stored after that, or a node tidies up.
pub fn answers_are_kept_for_their_time(mut temp: TempStore) {
    let store = &mut temp.store;
    let day = u64::try_from(ANSWERS_FOR.as_millis()).expect("a day");
    let (early, late) = (key("", "early", 1), key("", "late", 1));
    let first = place(store, std::slice::from_ref(&early), NOW).expect("stored");
    place(store, std::slice::from_ref(&late), later(day / 2)).expect("stored");
    let known = Some(first[0].id.to_string());
    assert_eq!(answer(store, &early, later(day)), known);
    assert_eq!(answer(store, &early, later(day + 1)), None);
    assert!(matches!(
        place(store, std::slice::from_ref(&early), later(day)),
        Err(StoreError::AnswerTaken)
    ));
    // It can be used again, and counts for another day.
    let second = place(store, std::slice::from_ref(&early), later(day + 1)).expect("stored");
    assert_ne!(first[0].id, second[0].id);
    assert_eq!(
        answer(store, &early, later(day + 1)),
        Some(second[0].id.to_string())
    );
    place(store, &[key("", "last", 1)], later(day + day / 2 + 1)).expect("stored");
    assert_eq!(answer(store, &late, later(day / 2)), None, "it is gone");
    assert!(answer(store, &early, later(day + 1)).is_some(), "the bystander");
    // Without other requests, too.
    assert!(!store.purge_answers(later(2 * day + 1)).expect("a look"));
    let is_kept =
        |store: &mut Store, key: &str| answer(store, &self::key("", key, 1), later(day + 1)).is_some();
    assert!(is_kept(store, "early") && is_kept(store, "last"));
    while store.purge_answers(later(2 * day + 2)).expect("tidied") {}
    assert!(!is_kept(store, "early"), "it is gone");
    assert!(is_kept(store, "last"), "the bystander");
}

/// Of two that send the same at the same time, one stores it.
pub fn two_that_send_the_same_key_store_it_once(mut temp: TempStore) {
    let mut other = temp.another();
    let mut stored = 0;
    for round in 0..20 {
        let same = key("", &format!("round-{round}"), 1);
        let (one, two) = std::thread::scope(|scope| {
            let one = scope.spawn(|| place(&mut temp.store, std::slice::from_ref(&same), NOW));
            let two = scope.spawn(|| place(&mut other, std::slice::from_ref(&same), NOW));
            (one.join().expect("no panic"), two.join().expect("no panic"))
        });
        let (placed, refused) = match (one, two) {
            (Ok(placed), Err(refused)) | (Err(refused), Ok(placed)) => (placed, refused),
            both => panic!("{both:?}"),
        };
        assert!(matches!(refused, StoreError::AnswerTaken), "{refused:?}");
        assert_eq!(
            answer(&mut temp.store, &same, NOW),
            Some(placed[0].id.to_string())
        );
        stored += 1;
    }
    let counts = temp.store.counts(None).expect("counts");
    assert_eq!(counts.iter().map(|count| count.jobs).sum::<u64>(), stored);
}
