//! Which jobs an operation means and what it does to them, as it is stored: an operation that was cut off means the same jobs
//! when it goes on, whatever happened meanwhile.

use queuectl_core::{
    ExecutorName, GroupName, JobEdit, JobId, LabelError, LabelMatch, QueueName, ScheduleName, State,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::types::filter::{Among, JobFilter, MassChange};
use crate::types::list::Position;

/// What is still to be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frozen {
    /// Which jobs, and the change if it is not an edit.
    pub filter: JobFilter,
    /// The edit.
    pub edit: Option<JobEdit>,
    /// The cause of death, by its key, if only dead letters of one are meant. The crate that tells causes apart goes on with it.
    pub cause: Option<String>,
    /// Behind which place it goes on.
    pub after: Option<Position>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenAmong {
    Numbers(i64, i64),
    Group(String),
    Label { label: String },
}

/// The parts that say something.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    change: Option<String>,
    edit: Option<String>,
    cause: Option<String>,
    among: Option<Vec<WrittenAmong>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    states: Vec<i16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queues: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    executors: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schedules: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exits: Vec<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    texts: Vec<String>,
    since: Option<i64>,
    until: Option<i64>,
    up_to: Option<i64>,
}

/// Writes what an operation does, for [`crate::NewOperation::request`].
pub fn frozen_request(filter: &JobFilter, edit: Option<&JobEdit>, cause: Option<&str>) -> String {
    fn names(names: &[impl ToString]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }
    let among = filter.among.as_ref().map(|among| {
        let among = among.iter().map(|among| match among {
            Among::Numbers(from, to) => WrittenAmong::Numbers(from.0, to.0),
            Among::Group(group) => WrittenAmong::Group(group.to_string()),
            Among::Label(label) => WrittenAmong::Label {
                label: label.to_string(),
            },
        });
        among.collect()
    });
    let written = Written {
        change: filter.change.map(|change| change.name().to_owned()),
        edit: edit.map(JobEdit::to_json),
        cause: cause.map(str::to_owned),
        among,
        states: filter.states.iter().map(|state| state.code()).collect(),
        queues: names(&filter.queues),
        executors: names(&filter.executors),
        groups: names(&filter.groups),
        schedules: names(&filter.schedules),
        labels: filter.labels.iter().map(|any| names(any)).collect(),
        exits: filter.exits.clone(),
        errors: filter.errors.clone(),
        texts: filter.texts.clone(),
        since: filter.since.map(|at| at.0),
        until: filter.until.map(|at| at.0),
        up_to: filter.up_to.map(|id| id.0),
    };
    serde_json::to_string(&written).unwrap_or_default()
}

fn label_of(text: &str) -> Result<LabelMatch, String> {
    text.parse().map_err(|error: LabelError| error.to_string())
}

impl Frozen {
    /// Reads what [`frozen_request`] wrote. What it does not know is an error: without a part, more jobs would be meant.
    pub(super) fn read(text: &str) -> Result<Frozen, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let states = written.states.iter().map(|code| State::from_code(*code));
        let states: Option<Vec<State>> = states.collect();
        let change = match &written.change {
            None => None,
            Some(name) => Some(
                MassChange::ALL
                    .into_iter()
                    .find(|change| change.name() == name)
                    .ok_or_else(|| format!("this version knows no change '{name}'"))?,
            ),
        };
        let edit = written.edit.as_deref().map(JobEdit::from_written).transpose()?;
        if change.is_none() && edit.is_none() {
            return Err("it does not say what to do".to_owned());
        }
        let among = written.among.map(|among| {
            let among = among.into_iter().map(|among| match among {
                WrittenAmong::Numbers(from, to) => Ok(Among::Numbers(JobId(from), JobId(to))),
                WrittenAmong::Group(group) => Ok(Among::Group(GroupName::as_stored(group))),
                WrittenAmong::Label { label } => label_of(&label).map(Among::Label),
            });
            among.collect::<Result<Vec<Among>, String>>()
        });
        let labels = written
            .labels
            .iter()
            .map(|any| any.iter().map(|label| label_of(label)).collect());
        let labels: Result<Vec<Vec<LabelMatch>>, String> = labels.collect();
        let filter = JobFilter {
            among: among.transpose()?,
            states: states.ok_or("it names a state that this version does not know")?,
            queues: written.queues.into_iter().map(QueueName::as_stored).collect(),
            executors: written
                .executors
                .into_iter()
                .map(ExecutorName::as_stored)
                .collect(),
            groups: written.groups.into_iter().map(GroupName::as_stored).collect(),
            schedules: written
                .schedules
                .into_iter()
                .map(ScheduleName::as_stored)
                .collect(),
            labels: labels?,
            exits: written.exits,
            errors: written.errors,
            texts: written.texts,
            since: written.since.map(Timestamp),
            until: written.until.map(Timestamp),
            up_to: written.up_to.map(JobId),
            change,
        };
        Ok(Frozen {
            filter,
            edit,
            cause: written.cause,
            after: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_was_written() {
        let name = |text: &str| QueueName::as_stored(text.to_owned());
        let full = JobFilter {
            among: Some(vec![
                Among::Numbers(JobId(1), JobId(9)),
                Among::Group(GroupName::as_stored("g".to_owned())),
                Among::Label("team:a b".parse().unwrap()),
            ]),
            labels: vec![vec!["env".parse().unwrap(), "n:".parse().unwrap()]],
            states: vec![State::Dead, State::Blocked],
            queues: vec![name("a"), name("b")],
            executors: vec![ExecutorName::as_stored("shell".to_owned())],
            groups: vec![GroupName::as_stored("h".to_owned())],
            schedules: vec![ScheduleName::as_stored("s".to_owned())],
            exits: vec![-1, 4],
            errors: vec!["a \"b\"\n".to_owned()],
            texts: vec!["ü".to_owned()],
            since: Some(Timestamp(-5)),
            until: Some(Timestamp(i64::MAX)),
            up_to: Some(JobId(7)),
            change: Some(MassChange::Hold),
        };
        let mut edit = JobEdit::default();
        edit.unset("env.A").unwrap();
        for (filter, edit, cause) in [
            (full.clone(), None, None),
            (full, Some(edit.clone()), Some("kkk")),
            (JobFilter::default(), Some(edit), None),
        ] {
            let written = frozen_request(&filter, edit.as_ref(), cause);
            let frozen = Frozen::read(&written).unwrap();
            let cause = cause.map(str::to_owned);
            let after = None;
            assert_eq!(
                frozen,
                Frozen {
                    filter,
                    edit,
                    cause,
                    after
                },
                "{written}"
            );
        }
        for wrong in [
            "",
            "{}",
            r#"{"change":"other"}"#,
            r#"{"change":"cancel","states":[77]}"#,
            r#"{"change":"cancel","labels":[["a b"]]}"#,
        ] {
            assert!(Frozen::read(wrong).is_err(), "{wrong}");
        }
    }
}
