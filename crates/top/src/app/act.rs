//! What a key that changes something is to change, and the question before it.

use queuectl_core::selector::{Filter, Selector, Word};
use queuectl_core::{JobId, State};
use queuectl_storage::MassChange;

use super::{App, Effect, Mode};
use crate::actor::Act;
use crate::keys::Key;
use crate::snapshot::{JobFacts, Subject};
use crate::tab::Tab;

/// Longest text that is copied: terminals drop longer ones.
const COPIED_BYTES: usize = 32 * 1024;

/// What an action needs.
enum Wish {
    /// It can be done.
    Do(Act),
    /// It is asked about first.
    Ask(Act, String),
    /// It cannot be done, and why.
    No(String),
}

impl App {
    /// Does what a key stands for, or asks first.
    pub(super) fn wish(&mut self, key: Key) -> Vec<Effect> {
        if self.readonly {
            self.refuse("nothing can be changed: `queuectl top` was started with --readonly");
            return Vec::new();
        }
        match self.wished(key) {
            Wish::Do(act) => {
                self.say("…");
                return vec![Effect::Act(act)];
            }
            Wish::Ask(act, question) => self.mode = Mode::Confirm { question, act },
            Wish::No(why) => self.refuse(&why),
        }
        Vec::new()
    }

    fn wished(&self, key: Key) -> Wish {
        let subject = self.subject();
        let change = match (key, &subject) {
            (Key::Pause, subject) => return pause(subject.as_ref()),
            (Key::Retry, Some(Subject::Cause { key, jobs, more })) => {
                let least = if *more { "at least " } else { "" };
                let question = format!("retry {least}{}, all of cause {key}?", counted(*jobs));
                return Wish::Ask(Act::RetryCause(*key), question);
            }
            (Key::Retry, Some(Subject::Group(name))) => {
                let question = format!("retry the dead and cancelled jobs of group {name}?");
                return Wish::Ask(Act::RetryGroup(name.clone()), question);
            }
            (Key::Cancel, Some(Subject::Group(name))) => {
                let question = format!("close group {name} and cancel its jobs that have not ended?");
                return Wish::Ask(Act::CancelGroup(name.clone()), question);
            }
            (Key::Retry, _) => MassChange::Retry,
            (Key::Hold, _) => MassChange::Hold,
            _ => MassChange::Cancel,
        };
        let jobs = self.jobs_meant(subject.as_ref());
        let Some(first) = jobs.first() else {
            return Wish::No("choose or mark jobs for that".to_owned());
        };
        let all_held = jobs
            .iter()
            .all(|job| job.facts.as_ref().is_some_and(|facts| facts.is_held));
        let change = match change {
            MassChange::Hold if all_held => MassChange::Release,
            change => change,
        };
        let what = match jobs.len() {
            1 => format!("job {}", first.name()),
            several => format!("{several} marked jobs"),
        };
        let running = jobs.iter().filter(|job| job.is_running()).count();
        let act = Act::Jobs(change, jobs.iter().map(|job| job.number).collect());
        let is_one = jobs.len() == 1;
        let question = match (change, running) {
            (MassChange::Cancel, 0) => format!("cancel {what}?"),
            (MassChange::Cancel, _) if is_one => format!("cancel {what}, which runs?"),
            (MassChange::Cancel, running) => format!("cancel {what}, of which {running} run?"),
            _ if is_one => return Wish::Do(act),
            _ => format!("{} {what}?", change.name()),
        };
        Wish::Ask(act, question)
    }

    /// The marked jobs; else the one that the page or the row is about.
    fn jobs_meant(&self, subject: Option<&Subject>) -> Vec<Meant> {
        let is_in_jobs = self.page().is_none() && self.tab == Tab::Jobs;
        if is_in_jobs && !self.marks.is_empty() {
            return self
                .marks
                .values()
                .map(|facts| Meant::of(facts.clone()))
                .collect();
        }
        let one = match subject {
            Some(Subject::Job(facts)) => Some(Meant::of(facts.clone())),
            Some(Subject::Event { job: Some(job), .. }) => Some(Meant {
                number: *job,
                facts: None,
            }),
            _ => None,
        };
        one.into_iter().collect()
    }

    /// Copies the ids of the marked jobs, or what names the chosen thing on a command line.
    pub(super) fn copy(&mut self) -> Vec<Effect> {
        let subject = self.subject();
        let jobs = self.jobs_meant(subject.as_ref());
        let text = match subject {
            _ if !jobs.is_empty() => jobs.iter().map(Meant::word).collect::<Vec<_>>().join(" "),
            Some(Subject::Queue { name, .. }) => name.to_string(),
            Some(Subject::Limit(name)) => name.to_string(),
            Some(Subject::Group(name)) => name.to_string(),
            Some(Subject::Schedule { name, .. }) => name.to_string(),
            Some(Subject::Cause { key, .. }) => key.to_string(),
            Some(Subject::Node(id)) => id.to_string(),
            _ => {
                self.say("choose something that has an id or a name");
                return Vec::new();
            }
        };
        if text.len() > COPIED_BYTES {
            self.refuse(&format!(
                "these ids have more than {COPIED_BYTES} bytes; mark fewer jobs"
            ));
            return Vec::new();
        }
        match jobs.len() {
            0 | 1 => self.say(&format!("copied {text}")),
            several => self.say(&format!("copied the ids of {several} jobs")),
        }
        vec![Effect::Copy(text)]
    }

    /// Goes to the jobs of the chosen thing.
    pub(super) fn open_jobs(&mut self) -> Vec<Effect> {
        let filter = match self.subject() {
            Some(Subject::Job(facts)) => Filter::Queue(vec![facts.queue]),
            Some(Subject::Queue { name, .. }) => Filter::Queue(vec![name]),
            Some(Subject::Group(name)) => Filter::Group(vec![name]),
            Some(Subject::Schedule { name, .. }) => Filter::Schedule(vec![name]),
            Some(Subject::Cause { .. }) => Filter::State(vec![State::Dead]),
            _ => {
                self.say("choose a queue, a group or a schedule for that");
                return Vec::new();
            }
        };
        match Selector::new([Word::Filter(filter)]) {
            Ok(selector) => self.filter(Tab::Jobs, &selector.to_string()),
            Err(_) => Vec::new(),
        }
    }
}

/// A job that an action is for.
struct Meant {
    number: JobId,
    /// What is known of it.
    facts: Option<JobFacts>,
}

impl Meant {
    fn of(facts: JobFacts) -> Meant {
        Meant {
            number: facts.number,
            facts: Some(facts),
        }
    }

    fn name(&self) -> String {
        match &self.facts {
            Some(facts) => facts.id.clone(),
            None => self.number.to_string(),
        }
    }

    /// Its id if that can be typed as it is shown, else its number.
    fn word(&self) -> String {
        let id = self.facts.as_ref().map(|facts| &facts.id);
        let is_plain = |id: &&String| id.chars().all(|c| c.is_ascii_graphic() && c != '\\');
        id.filter(is_plain)
            .map_or_else(|| self.number.to_string(), String::clone)
    }

    fn is_running(&self) -> bool {
        self.facts
            .as_ref()
            .is_some_and(|facts| facts.state == State::Processing)
    }
}

fn counted(jobs: u64) -> String {
    match jobs {
        1 => "1 job".to_owned(),
        jobs => format!("{jobs} jobs"),
    }
}

fn pause(subject: Option<&Subject>) -> Wish {
    match subject {
        Some(Subject::Queue {
            name,
            is_paused: true,
        }) => Wish::Do(Act::ResumeQueue(name.clone())),
        Some(Subject::Queue { name, .. }) => {
            let question = format!("pause queue {name}, until it is resumed?");
            Wish::Ask(Act::PauseQueue(name.clone()), question)
        }
        Some(Subject::Job(facts)) => {
            let name = &facts.queue;
            let (act, verb) = match facts.is_queue_paused {
                true => (Act::ResumeQueue(name.clone()), "resume"),
                false => (Act::PauseQueue(name.clone()), "pause"),
            };
            Wish::Ask(
                act,
                format!("{verb} queue {name}, the queue of job {}?", facts.id),
            )
        }
        Some(Subject::Schedule {
            name,
            is_paused: true,
        }) => Wish::Do(Act::ResumeSchedule(name.clone())),
        Some(Subject::Schedule { name, .. }) => {
            let question = format!("pause schedule {name}, until it is resumed?");
            Wish::Ask(Act::PauseSchedule(name.clone()), question)
        }
        _ => Wish::No("choose a queue, a job of it or a schedule for that".to_owned()),
    }
}
