//! The view over a real store: what is read, seen and changed.

use std::sync::mpsc;
use std::time::Duration;

use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{JobId, JobRef, JobSpec, LimitChange, State, Timestamp};
use queuectl_storage::{Location, MassChange, OpenMode, ScheduleChange, Store};
use queuectl_testkit::{TempStore, job, valid};

use crate::actor::{self, Act, Report};
use crate::draw::stage::Stage;
use crate::reader::{self, Said};
use crate::snapshot::{Ask, Content, Place, Subject, What};
use crate::tab::Tab;

/// Has the store answer what the app asks, for as long as it asks something new.
fn settle(stage: &mut Stage, store: &mut Store) {
    loop {
        let number = stage.ask_number();
        let now = store.now().unwrap();
        let found = reader::find(store, stage.ask(), now).unwrap();
        stage.answer(found.content);
        if stage.ask_number() == number {
            return;
        }
    }
}

fn press(stage: &mut Stage, store: &mut Store, keys: &str) {
    for key in keys.chars() {
        let number = stage.ask_number();
        stage.press(&key.to_string());
        if stage.ask_number() != number {
            settle(stage, store);
        }
    }
}

fn chosen(stage: &Stage) -> i64 {
    match &stage.app.list().chosen().unwrap().subject {
        Subject::Job(facts) => facts.number.0,
        other => panic!("{other:?}"),
    }
}

/// Checks that the chosen row is one of those that are seen.
fn seen(stage: &Stage) -> i64 {
    let number = chosen(stage);
    let row = stage.frame().into_iter().find(|line| line.starts_with('>'));
    let row = row.expect("the chosen row is on the screen");
    assert_eq!(
        row[1..].split_whitespace().next(),
        Some(number.to_string().as_str())
    );
    number
}

const JOBS: i64 = 150;

#[test]
fn every_job_of_a_long_list_is_reached_both_ways() {
    let mut temp = TempStore::sqlite();
    let jobs = vec![job("true"); JOBS as usize];
    temp.store.enqueue(&jobs, Timestamp(1000)).unwrap();
    let mut stage = Stage::new((80, 24), false);
    press(&mut stage, &mut temp.store, "2");
    assert_eq!(stage.app.list().rows().len(), 36, "two screens are read");
    for number in (1..=JOBS).rev() {
        assert_eq!(seen(&stage), number);
        press(&mut stage, &mut temp.store, "j");
    }
    assert_eq!(seen(&stage), 1, "the last row stays");
    for number in 1..=JOBS {
        assert_eq!(seen(&stage), number);
        press(&mut stage, &mut temp.store, "k");
    }
    press(&mut stage, &mut temp.store, "G");
    assert_eq!(seen(&stage), 1);
    press(&mut stage, &mut temp.store, "kkg");
    assert_eq!((seen(&stage), stage.app.list().place()), (JOBS, Place::Top));
}

#[test]
fn a_chosen_job_stays_while_a_thousand_newer_ones_come() {
    let mut temp = TempStore::sqlite();
    let some = vec![job("true"); 100];
    temp.store.enqueue(&some, Timestamp(1000)).unwrap();
    let mut stage = Stage::new((80, 24), false);
    press(&mut stage, &mut temp.store, "2jjj");
    assert_eq!(seen(&stage), 97);
    for _ in 0..10 {
        temp.store.enqueue(&some, Timestamp(1000)).unwrap();
        settle(&mut stage, &mut temp.store);
        assert_eq!(seen(&stage), 97);
    }
    // A job that is gone hands over to the next older one.
    press(&mut stage, &mut temp.store, "/state=pending\nG");
    press(&mut stage, &mut temp.store, "kkkkk");
    assert_eq!(seen(&stage), 6);
    temp.store
        .cancel(&JobRef::Number(JobId(6)), Timestamp(2000))
        .unwrap();
    settle(&mut stage, &mut temp.store);
    assert_eq!(seen(&stage), 5);
}

/// A store with something of everything.
fn full() -> TempStore {
    let mut temp = TempStore::sqlite();
    let store = &mut temp.store;
    let now = store.now().unwrap();
    let limit = LimitChange {
        running: Some(Some(1)),
        ..LimitChange::default()
    };
    store.set_limit(&"disk".parse().unwrap(), &limit, now).unwrap();
    let member = |id: &str, line: &str| JobSpec {
        id: Some(id.parse().unwrap()),
        group: Some("import".parse().unwrap()),
        ..JobSpec::line(line)
    };
    let first = JobSpec {
        limit: vec!["disk".parse().unwrap()],
        ..member("first", "echo one")
    };
    let second = JobSpec {
        after: vec!["first".parse().unwrap()],
        ..member("second", "echo two")
    };
    store.enqueue(&[valid(first)], now).unwrap();
    store.enqueue(&[valid(second)], now).unwrap();
    let schedule = ScheduleSpec {
        name: "nightly".parse().unwrap(),
        when: "30 2 * * *".to_owned(),
        zone: "UTC".to_owned(),
        job: JobSpec::line("echo night"),
        missed: MissedPolicy::Last,
        missed_within_ms: MISSED_WITHIN_DEFAULT,
        overlap: Overlap::Skip,
        jitter_ms: None,
        pause_after: None,
        owner: None,
    };
    let changes = [ScheduleChange::Add(schedule)];
    store.change_schedules(&changes, now).unwrap();
    temp
}

#[test]
fn every_tab_shows_what_there_is_and_its_details() {
    let mut temp = full();
    let store = &mut temp.store;
    let mut stage = Stage::new((80, 24), false);
    settle(&mut stage, store);
    assert!(
        stage.shows("no node is running, and 1 job waits to run"),
        "{:#?}",
        stage.frame()
    );
    for (keys, rows) in [
        ("2", vec!["> second", "dependency", "  first"]),
        ("\n", vec!["job           second", "blocked by    dependency"]),
        ("G", vec!["first: pending (ok, not yet met)", "`- first pending"]),
        (
            "\u{1b}e",
            vec!["waits for job first", "group import is open", "group import"],
        ),
        ("\u{1b}jl", vec!["has not run yet"]),
        ("3", vec!["> default", "PENDING"]),
        ("\n", vec!["settings of its jobs", "backoff_base = 2 (default)"]),
        ("4", vec!["> disk", "1 running"]),
        ("\n", vec!["allows        1 running"]),
        ("5", vec!["> import", "open", "0 %"]),
        ("\n", vec!["0 of 2 jobs have ended", "`- second blocked"]),
        ("6", vec!["> nightly", "30 2 * * *", "echo night"]),
        ("\n", vec!["next", ":00 (in ", "skip"]),
        ("7", vec!["nothing here"]),
        ("8", vec!["nothing here"]),
        ("9", vec!["config:set event_retention"]),
    ] {
        press(&mut stage, store, keys);
        for row in rows {
            assert!(stage.shows(row), "{keys:?}: {row}: {:#?}", stage.frame());
        }
    }
}

/// What became of actions that were done one after the other.
fn act(temp: &TempStore, acts: Vec<Act>) -> Vec<Report> {
    let (give, take) = mpsc::channel();
    acts.into_iter().for_each(|act| give.send(act).unwrap());
    drop(give);
    let mut reports = Vec::new();
    actor::act_for(&temp.location, "ann@host", &take, |report| reports.push(report));
    reports
}

#[test]
fn actions_change_what_they_say_and_nothing_else() {
    let mut temp = TempStore::sqlite();
    let now = temp.store.now().unwrap();
    let jobs = temp.store.enqueue(&vec![job("true"); 5], now).unwrap();
    let one = |change, job| Act::Jobs(change, vec![job]);
    let (default, import) = ("default".parse().unwrap(), "import".parse().unwrap());
    let reports = act(
        &temp,
        vec![
            Act::Jobs(MassChange::Cancel, vec![jobs[0], jobs[1]]),
            one(MassChange::Hold, jobs[2]),
            one(MassChange::Hold, jobs[3]),
            one(MassChange::Release, jobs[3]),
            one(MassChange::Release, jobs[3]),
            one(MassChange::Cancel, JobId(99)),
            Act::Jobs(MassChange::Retry, vec![jobs[1], jobs[4]]),
            Act::PauseQueue(default),
            Act::CancelGroup(import),
        ],
    );
    let said: Vec<(&str, bool)> = reports
        .iter()
        .map(|report| (report.text.as_str(), report.is_error))
        .collect();
    assert_eq!(said[0], ("2 jobs cancelled", false));
    assert_eq!(said[1], (format!("job {} is held", jobs[2]).as_str(), false));
    assert_eq!(said[3], (format!("job {} is pending", jobs[3]).as_str(), false));
    assert!(said[4].1 && said[5].1 && said[8].1, "{said:?}");
    assert_eq!(
        said[6].0,
        "1 job will run again; 1 job left as it was, because of its state"
    );
    assert_eq!(said[7], ("queue default is paused; running jobs go on", false));
    let states = jobs
        .iter()
        .map(|job| temp.store.job(&JobRef::Number(*job)).unwrap().state);
    let expected = [
        State::Cancelled,
        State::Pending,
        State::Blocked,
        State::Pending,
        State::Pending,
    ];
    assert!(states.eq(expected));
    assert_eq!(temp.store.pauses(now).unwrap()["default"].by, "ann@host");
}

#[test]
fn a_later_reader_tries_to_open_the_store_again() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(folder.path().join("queue.db"));
    let (give, asks) = mpsc::channel();
    let (tell, said) = mpsc::channel();
    let of_reader = location.clone();
    let reader = std::thread::spawn(move || {
        reader::read_for(&of_reader, Duration::from_millis(1), false, &asks, |what| {
            tell.send(what).unwrap();
        });
    });
    give.send(ask(7, Tab::Queues)).unwrap();
    let first = said.recv().unwrap();
    assert!(matches!(first, Said::Failed { number: 7, .. }));
    Store::open(&location, OpenMode::Create).unwrap();
    let found = said
        .iter()
        .any(|said| matches!(said, Said::Found(found) if found.number == 7));
    assert!(found);
    drop(give);
    reader.join().unwrap();
}

fn ask(number: u64, tab: Tab) -> Ask {
    Ask {
        number,
        what: What::Tab {
            tab,
            filter: String::new(),
            place: Place::Top,
        },
        rows: 18,
    }
}

#[test]
fn the_reader_answers_the_newest_question_and_what_changes_later() {
    let mut temp = TempStore::sqlite();
    let (give, asks) = mpsc::channel();
    let (tell, said) = mpsc::channel();
    let location = temp.location.clone();
    let reader = std::thread::spawn(move || {
        reader::read_for(&location, Duration::from_millis(1), true, &asks, |what| {
            tell.send(what).unwrap()
        });
    });
    assert!(matches!(said.recv().unwrap(), Said::Opened));
    give.send(ask(1, Tab::Queues)).unwrap();
    give.send(ask(2, Tab::Jobs)).unwrap();
    let rows = |number| {
        // Answers to the older question may come before.
        said.iter().find_map(|said| match said {
            Said::Found(found) if found.number == number => match found.content {
                Content::Table(table) => Some(table.rows.len()),
                other => panic!("{other:?}"),
            },
            Said::Found(_) => None,
            Said::Opened | Said::Failed { .. } => panic!("a question failed"),
        })
    };
    assert_eq!(rows(2), Some(0));
    temp.store.enqueue(&[job("true")], Timestamp(1000)).unwrap();
    while rows(2) != Some(1) {}
    drop(give);
    reader.join().unwrap();
}
