//! What keys do, without a terminal and without a store.

use queuectl_core::{JobId, QueueName, State};
use queuectl_storage::MassChange;

use super::{Event, Mode};
use crate::actor::{Act, Report};
use crate::draw::stage::{Stage, job, table};
use crate::snapshot::{Content, Page, PageOf, Place, Row, Subject, What};
use crate::tab::Tab;

fn jobs(readonly: bool, rows: Vec<Row>) -> Stage {
    let mut stage = Stage::new((80, 24), readonly);
    stage.press("2");
    stage.answer(table(rows));
    stage
}

fn three() -> Vec<Row> {
    vec![
        job(3, "three", State::Pending),
        job(2, "two", State::Processing),
        job(1, "one", State::Dead),
    ]
}

fn chosen(stage: &Stage) -> i64 {
    match &stage.app.list().chosen().unwrap().subject {
        Subject::Job(facts) => facts.number.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancel_is_asked_about_and_is_for_the_marked_jobs() {
    let mut stage = jobs(false, three());
    stage.press("  c");
    assert!(
        stage.shows("cancel 2 marked jobs, of which 1 run? [y/N]"),
        "{:?}",
        stage.frame()
    );
    stage.press("n");
    assert!(stage.acts.is_empty() && stage.shows("nothing was done"));
    assert_eq!(stage.app.marks.len(), 2, "the marks are still there");
    stage.press("cy");
    let two = vec![JobId(2), JobId(3)];
    assert_eq!(stage.acts, [Act::Jobs(MassChange::Cancel, two)]);
    assert!(stage.app.marks.is_empty());
    stage.happen(Event::Done(Report {
        text: "1 job cancelled; 1 running job is being stopped".to_owned(),
        is_error: false,
    }));
    assert!(stage.shows("1 running job is being stopped"));
}

#[test]
fn ids_are_copied_as_they_can_be_typed() {
    let mut stage = jobs(
        true,
        vec![job(2, "nightly-7", State::Dead), job(1, "日 $x", State::Dead)],
    );
    stage.press("y");
    assert_eq!(stage.copied.take().as_deref(), Some("nightly-7"));
    assert!(stage.shows("copied nightly-7"));
    stage.press("jy");
    assert_eq!(stage.copied.take().as_deref(), Some("1"), "its number");
    stage.press("gy");
    assert_eq!(stage.copied.take().as_deref(), Some("nightly-7"));
    stage.press("  y");
    assert_eq!(stage.copied.take().as_deref(), Some("1 nightly-7"));
    let long: Vec<Row> = (1..=200)
        .map(|number| job(number, &"x".repeat(200), State::Dead))
        .collect();
    let mut stage = jobs(true, long);
    stage.press(&" ".repeat(200));
    stage.press("y");
    assert!(stage.copied.is_none() && stage.shows("mark fewer jobs"));
}

#[test]
fn without_marks_the_chosen_job_is_meant() {
    let mut stage = jobs(false, three());
    stage.press("jjr");
    assert_eq!(stage.acts, [Act::Jobs(MassChange::Retry, vec![JobId(1)])]);
    stage.press("kc");
    assert!(stage.shows("cancel job two, which runs?"));
    stage.press("\n");
    assert_eq!(stage.acts.len(), 1, "only y is yes");
    let mut held = three();
    if let Subject::Job(facts) = &mut held[0].subject {
        facts.is_held = true;
    }
    let mut stage = jobs(false, held);
    stage.press("hjh");
    assert_eq!(
        stage.acts,
        [
            Act::Jobs(MassChange::Release, vec![JobId(3)]),
            Act::Jobs(MassChange::Hold, vec![JobId(2)])
        ]
    );
}

#[test]
fn nothing_can_be_changed_that_is_only_looked_at() {
    let mut stage = jobs(true, three());
    for keys in ["r", " c", "h", "p", ":cancel\n", ":retry\n"] {
        stage.press(keys);
        assert_eq!(stage.app.mode, Mode::Normal);
        assert!(stage.shows("--readonly"), "{keys}");
        stage.press("y");
    }
    assert!(stage.acts.is_empty());
}

#[test]
fn what_is_pasted_is_no_key() {
    let mut stage = jobs(false, three());
    stage.happen(Event::Paste("cy".to_owned()));
    assert_eq!((&stage.app.mode, stage.acts.len()), (&Mode::Normal, 0));
    stage.press("/");
    stage.happen(Event::Paste("state=dead\n".to_owned()));
    stage.press("\n");
    let What::Tab { filter, .. } = stage.asked() else {
        panic!()
    };
    assert_eq!(filter, "state=dead");
}

#[test]
fn a_filter_that_cannot_be_read_stays_to_be_mended() {
    let mut stage = jobs(false, three());
    stage.press("/state=ded\n");
    assert!(stage.shows("'state=ded' is not a filter"), "{:?}", stage.frame());
    stage.press("\u{1b}:jobs state=dead queue=mail\n");
    let What::Tab { filter, .. } = stage.asked() else {
        panic!()
    };
    assert_eq!(filter, "state=dead queue=mail");
    stage.answer(table(Vec::new()));
    assert!(stage.shows("nothing fits the filter"));
    stage.press("\u{1b}");
    let What::Tab { filter, .. } = stage.asked() else {
        panic!()
    };
    assert_eq!(filter, "", "Esc clears it");
}

#[test]
fn the_chosen_job_stays_chosen_while_rows_come_and_go() {
    let mut stage = jobs(false, three());
    stage.press("j");
    assert_eq!(chosen(&stage), 2);
    let mut rows = three();
    rows.insert(0, job(4, "four", State::Pending));
    stage.answer(table(rows));
    assert_eq!(chosen(&stage), 2);
    stage.press("g");
    let mut rows = three();
    rows.insert(0, job(5, "five", State::Pending));
    stage.answer(table(rows));
    assert_eq!(chosen(&stage), 5, "the top is live");
}

#[test]
fn an_answer_to_an_older_question_is_not_shown() {
    let mut stage = jobs(false, three());
    let older = stage.ask_number();
    stage.press("3");
    let newer = stage.ask_number();
    assert_ne!(older, newer);
    stage.answer_to(older, table(three()));
    assert!(stage.shows("reading"), "the jobs are not shown as queues");
}

#[test]
fn pages_lie_on_each_other_and_esc_takes_the_upper_one() {
    let mut stage = jobs(false, three());
    stage.press("\n");
    assert_eq!(stage.asked(), &What::Page(PageOf::Job(JobId(3))));
    stage.answer(Content::Page(Page::new("job three")));
    stage.press("l");
    assert_eq!(stage.asked(), &What::Page(PageOf::Logs(JobId(3))));
    stage.press("c");
    assert!(stage.shows("cancel job three?"), "the page is about it");
    stage.press("n\u{1b}");
    assert!(stage.shows("job three"));
    stage.press("\u{1b}");
    assert!(matches!(stage.asked(), What::Tab { tab: Tab::Jobs, .. }));
    stage.press("?");
    assert!(stage.shows("pause or resume"));
    stage.press("q");
    assert!(stage.has_quit);
}

#[test]
fn a_queue_is_paused_after_a_question_and_goes_on_without() {
    let queue = |is_paused| Row {
        subject: Subject::Queue {
            name: QueueName::as_stored("mail".to_owned()),
            is_paused,
        },
        position: None,
        cells: Vec::new(),
    };
    let mut stage = Stage::new((80, 24), false);
    stage.press("3");
    stage.answer(table(vec![queue(false)]));
    stage.press("py");
    stage.answer(table(vec![queue(true)]));
    stage.press("p");
    let mail = QueueName::as_stored("mail".to_owned());
    assert_eq!(
        stage.acts,
        [Act::PauseQueue(mail.clone()), Act::ResumeQueue(mail)]
    );
    stage.press("o");
    let What::Tab { tab, filter, place } = stage.asked() else {
        panic!()
    };
    assert_eq!(
        (*tab, filter.as_str(), *place),
        (Tab::Jobs, "queue=mail", Place::Top)
    );
}
