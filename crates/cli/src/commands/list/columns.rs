//! The columns that a list of jobs can have, and the fields that programs get for them.

use std::collections::BTreeMap;
use std::str::FromStr;

use queuectl_core::explain::Code;
use queuectl_core::{Timestamp, show_short};
use queuectl_views::ListedView;

use crate::output::table::{Cell, Column};
use crate::output::time::{local, relative};

/// A column.
#[derive(Debug)]
pub struct ListColumn {
    name: &'static str,
    /// The fields of the job object that it shows.
    pub fields: &'static [&'static str],
    column: Column,
    cell: fn(&ListedView, Timestamp) -> Cell,
}

const fn column(
    name: &'static str,
    fields: &'static [&'static str],
    column: Column,
    cell: fn(&ListedView, Timestamp) -> Cell,
) -> ListColumn {
    ListColumn {
        name,
        fields,
        column,
        cell,
    }
}

/// All columns.
static ALL: [ListColumn; 22] = [
    column("id", &["id"], Column::name("ID", 8), |job, _| {
        job.job.id.as_str().into()
    }),
    column("number", &["number"], Column::whole("NUMBER"), |job, _| {
        job.job.number.to_string().into()
    }),
    column("state", &["state"], Column::whole("STATE"), |job, _| {
        Cell::of_state(job.job.state)
    }),
    column("queue", &["queue"], Column::name("QUEUE", 7), |job, _| {
        job.job.queue.as_str().into()
    }),
    column("priority", &["priority"], Column::whole("PRIORITY"), |job, _| {
        job.job.priority.to_string().into()
    }),
    column(
        "attempts",
        &["attempts", "max_retries"],
        Column::whole("ATTEMPTS"),
        |job, _| {
            let most = job.job.max_retries.saturating_add(1);
            format!("{}/{most}", job.job.attempts).into()
        },
    ),
    column(
        "when",
        &["run_at", "updated_at"],
        Column::whole("WHEN"),
        |job, now| relative(job.job.run_at.unwrap_or(job.job.updated_at), now).into(),
    ),
    column("created", &["created_at"], Column::whole("CREATED"), |job, _| {
        local(job.job.created_at).into()
    }),
    column("started", &["started_at"], Column::whole("STARTED"), |job, _| {
        at(job.job.started_at)
    }),
    column("ended", &["finished_at"], Column::whole("ENDED"), |job, _| {
        at(job.job.finished_at)
    }),
    column(
        "duration",
        &["duration_ms"],
        Column::whole("DURATION"),
        |job, _| length(job.duration_ms),
    ),
    column("waited", &["waited_ms"], Column::whole("WAITED"), |job, _| {
        length(job.waited_ms)
    }),
    column("reason", &["reason"], Column::whole("REASON"), |job, _| {
        job.job.reason.and_then(Code::in_short).unwrap_or_default().into()
    }),
    column("progress", &["progress"], Column::whole("PROGRESS"), |job, _| {
        let percent = job.job.progress.as_ref().and_then(|progress| progress.percent);
        percent
            .map(|percent| format!("{percent} %"))
            .unwrap_or_default()
            .into()
    }),
    column(
        "executor",
        &["executor"],
        Column::name("EXECUTOR", 8),
        |job, _| job.job.executor.to_string().into(),
    ),
    column("group", &["groups"], Column::name("GROUP", 7), |job, _| {
        joined(&job.job.groups)
    }),
    column("limits", &["limit"], Column::name("LIMITS", 7), |job, _| {
        joined(&job.job.limit)
    }),
    column("labels", &["labels"], Column::name("LABELS", 8), |job, _| {
        labels(&job.job.labels).into()
    }),
    column("exit", &["exit_code"], Column::whole("EXIT"), |job, _| {
        job.exit_code
            .map(|code| code.to_string())
            .unwrap_or_default()
            .into()
    }),
    column("error", &["error"], Column::sentence("ERROR", 12), |job, _| {
        job.job.error.clone().unwrap_or_default().into()
    }),
    column("node", &["node"], Column::whole("NODE"), |job, _| {
        job.job
            .node
            .map(|node| node.to_string())
            .unwrap_or_default()
            .into()
    }),
    column("command", &["command"], Column::name("COMMAND", 16), |job, _| {
        job.job.command.as_str().into()
    }),
];

/// Returns the names of all columns.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|column| column.name)
}

/// The columns of a table for which none are asked, and which of them give way first.
const USUAL: [(&str, u8); 8] = [
    ("id", 0),
    ("state", 0),
    ("queue", 1),
    ("attempts", 3),
    ("when", 2),
    ("reason", 1),
    ("progress", 1),
    ("command", 0),
];

fn at(time: Option<Timestamp>) -> Cell {
    time.map(local).unwrap_or_default().into()
}

fn length(ms: Option<u64>) -> Cell {
    let time = ms.map(std::time::Duration::from_millis);
    time.map(show_short).unwrap_or_default().into()
}

fn joined(names: &[impl ToString]) -> Cell {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(" ").into()
}

/// Writes labels for people.
pub fn labels(labels: &BTreeMap<String, String>) -> String {
    let words = labels.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}={value}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The columns of a list.
#[derive(Debug, Clone)]
pub struct Columns {
    columns: Vec<(&'static ListColumn, Column)>,
    /// Whether the user chose them.
    pub are_asked_for: bool,
}

impl Default for Columns {
    fn default() -> Columns {
        let usual = USUAL.into_iter().filter_map(|(name, rank)| {
            let found = ALL.iter().find(|column| column.name == name)?;
            let column = found.column.expendable(rank);
            let column = match name {
                "reason" | "progress" => column.if_any(),
                _ => column,
            };
            Some((found, column))
        });
        Columns {
            columns: usual.collect(),
            are_asked_for: false,
        }
    }
}

impl FromStr for Columns {
    type Err = String;

    /// Reads names. On a narrow terminal the last give way first.
    fn from_str(text: &str) -> Result<Columns, String> {
        let mut columns: Vec<(&'static ListColumn, Column)> = Vec::new();
        for name in text.split(',').map(str::trim) {
            let found = ALL.iter().find(|column| column.name == name);
            let found = found.ok_or_else(|| {
                let names: Vec<&str> = names().collect();
                format!("'{name}' is not a column; the columns are {}", names.join(", "))
            })?;
            if columns.iter().any(|(column, _)| column.name == name) {
                return Err(format!("'{name}' is there twice"));
            }
            let rank = u8::try_from(columns.len()).unwrap_or(u8::MAX);
            columns.push((found, found.column.expendable(rank)));
        }
        Ok(Columns {
            columns,
            are_asked_for: true,
        })
    }
}

impl Columns {
    /// Returns the columns of the table.
    pub fn of_table(&self) -> Vec<Column> {
        self.columns.iter().map(|(_, column)| *column).collect()
    }

    /// Returns the fields that programs get.
    pub fn fields(&self) -> Vec<&'static str> {
        self.columns
            .iter()
            .flat_map(|(column, _)| column.fields)
            .copied()
            .collect()
    }

    /// Returns whether one of them shows one of these fields.
    pub fn show(&self, fields: &[&str]) -> bool {
        let mut shown = self.columns.iter().flat_map(|(column, _)| column.fields);
        shown.any(|field| fields.contains(field))
    }

    /// Returns the cells of a job.
    pub fn row(&self, job: &ListedView, now: Timestamp) -> Vec<Cell> {
        self.columns
            .iter()
            .map(|(column, _)| (column.cell)(job, now))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_in_order_and_mistakes_are_told() {
        let columns: Columns = "command, id,duration".parse().unwrap();
        assert_eq!(columns.fields(), ["command", "id", "duration_ms"]);
        assert!(columns.show(&["error", "duration_ms"]) && !columns.show(&["error"]));
        let refused = |text: &str| text.parse::<Columns>().err().unwrap();
        assert_eq!(refused("id,id"), "'id' is there twice");
        assert!(refused("id,").starts_with("'' is not a column; the columns are id, number"));
        assert_eq!(Columns::default().columns.len(), USUAL.len());
    }
}
