//! What a filter asks of a job, as SQL. Texts of users are parameters and never part of a statement.
//!
//! Jobs are found by an index over a part of them, whatever else is asked; the conditions here are looked at per job found,
//! by its number, so they fit behind every index and every table that has numbers of jobs.

use std::fmt::Display;

use queuectl_core::{BlockedBy, LabelMatch, Waits};

use crate::backend::Db;
use crate::states::sql;
use crate::types::filter::{JobFilter, MassChange};

/// Conditions on `jobs`, with the texts in the order of their parameters.
#[derive(Debug, Default)]
pub struct Conditions {
    /// `TRUE`, or a condition that begins with `EXISTS`.
    pub sql: String,
    /// What is bound after the first parameters.
    pub texts: Vec<String>,
}

/// Which parts of a filter the index answers already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answered {
    pub states: bool,
    pub queues: bool,
    /// Since when and until when.
    pub times: bool,
    /// The jobs that are named, which no condition here asks for, and the largest number.
    pub numbers: bool,
}

/// Conditions in the making.
struct Maker {
    all: Vec<String>,
    texts: Vec<String>,
    first: usize,
    /// What finds a text in another: before, between and after them.
    contains: [&'static str; 3],
}

/// The last attempt of a job, of which something is asked.
const LAST: &str = "FROM attempts AS a WHERE a.job_id = job.id ORDER BY a.fence DESC LIMIT 1";

impl Conditions {
    /// What of the filter the index does not answer. The first text is the parameter number `first`.
    pub fn of(db: &mut Db, filter: &JobFilter, answered: Answered, first: usize) -> Conditions {
        let mut maker = Maker {
            all: Vec::new(),
            texts: Vec::new(),
            first,
            contains: db.dialect().contains(),
        };
        maker.add_rows(filter, answered);
        maker.add_others(filter);
        let Maker { all, texts, .. } = maker;
        let sql = match all.is_empty() {
            true => "TRUE".to_owned(),
            false => format!(
                "EXISTS (SELECT 1 FROM jobs AS job WHERE job.id = jobs.id AND {})",
                all.join(" AND ")
            ),
        };
        Conditions { sql, texts }
    }
}

impl Maker {
    /// What is in the job's own row.
    fn add_rows(&mut self, filter: &JobFilter, answered: Answered) {
        if !filter.states.is_empty() && !answered.states {
            let codes = filter.states.iter().map(|state| state.code());
            self.all.push(format!("job.state IN ({})", joined(codes)));
        }
        if !filter.queues.is_empty() && !answered.queues {
            let names = self.bind_all(&filter.queues);
            self.all.push(format!("job.queue IN ({names})"));
        }
        if !filter.executors.is_empty() {
            let names = self.bind_all(&filter.executors);
            self.all.push(format!("job.executor IN ({names})"));
        }
        let times = [(filter.since, ">="), (filter.until, "<=")];
        for (time, compare) in times.into_iter().filter(|_| !answered.times) {
            if let Some(time) = time {
                let last = "coalesce(job.finished_at, job.created_at)";
                self.all.push(format!("{last} {compare} {}", time.0));
            }
        }
        if let Some(last) = filter.up_to.filter(|_| !answered.numbers) {
            self.all.push(format!("job.id <= {last}"));
        }
        if let Some(change) = filter.change {
            let codes = change.states().iter().map(|state| state.code());
            self.all.push(format!("job.state IN ({})", joined(codes)));
            let held = BlockedBy::Held as i32;
            match change {
                MassChange::Cancel => self.all.push("NOT job.cancel_requested".to_owned()),
                MassChange::Hold => self.all.push(format!("(job.waits & {held}) = 0")),
                MassChange::Release => self.all.push(format!("(job.waits & {held}) <> 0")),
                MassChange::Start => {
                    let passable = Waits::NONE.with(BlockedBy::Held).with(BlockedBy::Limit).code();
                    let asked = "SELECT 1 FROM starts WHERE starts.job_id = job.id AND NOT claimed \
                                 AND starts.fence = job.fence + 1 AND changed_at = job.updated_at";
                    self.all.push(format!(
                        "(job.waits & ~{passable}) = 0 AND job.unmet IS NULL AND NOT EXISTS ({asked})"
                    ));
                }
                MassChange::Retry | MassChange::Purge => {}
            }
        }
    }

    /// What is in rows of other tables.
    fn add_others(&mut self, filter: &JobFilter) {
        if !filter.groups.is_empty() {
            let member = self.member_of(&filter.groups);
            self.all.push(member);
        }
        if !filter.schedules.is_empty() {
            let names = self.bind_all(&filter.schedules);
            self.all.push(format!(
                "EXISTS (SELECT 1 FROM ticks AS t WHERE t.job_id = job.id AND t.schedule IN ({names}))"
            ));
        }
        for any in &filter.labels {
            let labels: Vec<String> = any.iter().map(|label| self.label(label)).collect();
            self.all.push(format!(
                "EXISTS (SELECT 1 FROM job_labels AS l WHERE l.job_id = job.id AND ({}))",
                labels.join(" OR ")
            ));
        }
        if !filter.exits.is_empty() {
            let statuses = joined(&filter.exits);
            self.all
                .push(format!("(SELECT a.exit_code {LAST}) IN ({statuses})"));
        }
        for error in &filter.errors {
            let found = self.find(&format!("(SELECT a.message {LAST})"), error);
            self.all
                .push(format!("{} AND {found}", sql!("job.state <> {completed}")));
        }
        for text in &filter.texts {
            let in_name = self.find("coalesce(job.name, '')", text);
            // As it stands inside a text of JSON.
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            let inside = quoted.get(1..quoted.len() - 1).unwrap_or(text);
            let in_payload = self.find("p.payload", inside);
            self.all.push(format!(
                "({in_name} OR EXISTS (SELECT 1 FROM payloads AS p WHERE p.job_id = job.id AND {in_payload}))"
            ));
        }
    }

    fn member_of(&mut self, groups: &[impl ToString]) -> String {
        let names = self.bind_all(groups);
        format!(
            "EXISTS (SELECT 1 FROM group_members AS m WHERE m.job_id = job.id \
             AND m.group_id IN (SELECT g.id FROM job_groups AS g WHERE g.name IN ({names})))"
        )
    }

    fn label(&mut self, label: &LabelMatch) -> String {
        let key = self.bind(label.key().to_owned());
        match label.value() {
            Some(value) => format!("l.key = {key} AND l.value = {}", self.bind(value.to_owned())),
            None => format!("l.key = {key}"),
        }
    }

    fn bind(&mut self, text: String) -> String {
        self.texts.push(text);
        format!("?{}", self.first + self.texts.len() - 1)
    }

    fn bind_all(&mut self, names: &[impl ToString]) -> String {
        let names = names.iter().map(|name| self.bind(name.to_string()));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The condition that `text` is somewhere in what `whole` yields.
    fn find(&mut self, whole: &str, text: &str) -> String {
        let part = self.bind(text.to_ascii_lowercase());
        let [before, between, after] = self.contains;
        format!("{before}{whole}{between}{part}{after}")
    }
}

fn joined(items: impl IntoIterator<Item: Display>) -> String {
    let items = items.into_iter().map(|item| item.to_string());
    items.collect::<Vec<_>>().join(", ")
}
