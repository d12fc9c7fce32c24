//! Which jobs come first by something that no index has.
//!
//! The database goes through all jobs that fit and keeps the first of them only, so the memory that this takes depends on how
//! many are asked for and not on how many there are. Pages are not read this way: each would go through all jobs again.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use queuectl_core::{JobId, State, Timestamp};

use super::conditions::{Answered, Conditions};
use crate::backend::{AnySql, Db};
use crate::states::sql;
use crate::types::filter::{Among, JobFilter};
use crate::types::sort::{Sort, SortKey};
use crate::{Store, StoreError};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

impl Store {
    /// The numbers of the first `limit` jobs that fit, in that order; jobs that are equal in all of it are in the order of their
    /// numbers, in the direction of the first key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn sorted(
        &mut self,
        filter: &JobFilter,
        sort: &[Sort],
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<JobId>, StoreError> {
        let conn = self.conn()?;
        let part = of_states(&filter.states);
        let mut parts = vec![part.to_owned()];
        let mut names: Vec<String> = Vec::new();
        if let Some(among) = &filter.among {
            parts.push(named(among, &mut names));
        }
        if !filter.queues.is_empty() {
            let queues = filter.queues.iter().map(|queue| bound(&mut names, queue));
            let queues: Vec<String> = queues.collect();
            parts.push(format!("queue IN ({})", queues.join(", ")));
        }
        let answered = Answered {
            queues: true,
            ..Answered::default()
        };
        let fit = Conditions::of(conn, filter, answered, names.len() + 1);
        parts.push(fit.sql);
        let sql = format!(
            "SELECT id FROM jobs WHERE {} ORDER BY {} LIMIT {limit}",
            parts.join(" AND "),
            order(conn, sort, part, now)
        );
        let mut query = diesel::sql_query(conn.dialect().words(&sql)).into_boxed::<AnySql>();
        for text in names.iter().chain(&fit.texts) {
            query = query.bind::<Text, _>(text.as_str());
        }
        let found: Vec<Number> = query.load(conn)?;
        Ok(found.into_iter().map(|row| JobId(row.id)).collect())
    }
}

fn bound(names: &mut Vec<String>, name: &impl ToString) -> String {
    names.push(name.to_string());
    format!("?{}", names.len())
}

/// Jobs that have a time at which they are due.
const DUE: &str = "due_at IS NOT NULL";

/// A condition that all jobs in these states meet and that a partial index is for.
fn of_states(states: &[State]) -> &'static str {
    let all = |fit: fn(State) -> bool| !states.is_empty() && states.iter().all(|state| fit(*state));
    if all(State::is_final) {
        "finished_at IS NOT NULL"
    } else if all(|state| state == State::Processing) {
        "node_id IS NOT NULL"
    } else if all(|state| matches!(state, State::Scheduled | State::Failed)) {
        DUE
    } else if all(|state| state == State::Pending) {
        sql!("state = {pending}")
    } else if all(|state| state == State::Blocked) {
        sql!("state = {blocked}")
    } else {
        "TRUE"
    }
}

/// The condition that a job is one of those that are named.
fn named(among: &[Among], names: &mut Vec<String>) -> String {
    let mut any = vec!["FALSE".to_owned()];
    for among in among {
        any.push(match among {
            Among::Numbers(from, to) => format!("id BETWEEN {from} AND {to}"),
            Among::Group(group) => format!(
                "id IN (SELECT m.job_id FROM group_members AS m WHERE m.group_id = \
                 (SELECT g.id FROM job_groups AS g WHERE g.name = {}))",
                bound(names, group)
            ),
            Among::Label(label) => {
                let key = bound(names, &label.key());
                let value = label
                    .value()
                    .map(|value| format!(" AND l.value = {}", bound(names, &value)));
                let value = value.unwrap_or_default();
                format!(
                    "id IN (SELECT l.job_id FROM job_labels AS l WHERE l.key = {key} AND l.key <> ''{value})"
                )
            }
        });
    }
    format!("({})", any.join(" OR "))
}

fn order(conn: &mut Db, sort: &[Sort], part: &str, now: Timestamp) -> String {
    let by_bytes = conn.dialect().by_bytes();
    let down = |descending| if descending { " DESC" } else { "" };
    let mut keys = Vec::new();
    for Sort { key, descending } in sort {
        let key = match key {
            SortKey::Number => "id".to_owned(),
            SortKey::State => place_of_state(),
            SortKey::Queue => format!("queue{by_bytes}"),
            SortKey::Executor => format!("executor{by_bytes}"),
            SortKey::Priority => "priority".to_owned(),
            SortKey::Attempts => "attempts".to_owned(),
            // The index has this order.
            SortKey::When if part == DUE => {
                keys.push(format!("due_at{}", down(*descending)));
                continue;
            }
            SortKey::When => "coalesce(due_at, updated_at)".to_owned(),
            SortKey::Created => "created_at".to_owned(),
            SortKey::Started => "started_at".to_owned(),
            SortKey::Ended => "finished_at".to_owned(),
            SortKey::Duration => format!(
                "CASE WHEN node_id IS NOT NULL THEN {now} - started_at ELSE (SELECT a.finished_at - a.started_at \
                 FROM attempts AS a WHERE a.job_id = jobs.id ORDER BY a.fence DESC LIMIT 1) END",
                now = now.0
            ),
            SortKey::Waited => format!("coalesce(started_at, finished_at, {}) - created_at", now.0),
        };
        keys.push(format!("{key}{} NULLS LAST", down(*descending)));
    }
    let first = sort.first().is_some_and(|sort| sort.descending);
    keys.push(format!("id{}", down(first)));
    keys.join(", ")
}

/// The place of a state in the order in which lists show them.
fn place_of_state() -> String {
    let places = State::ALL.iter().enumerate();
    let places = places.map(|(place, state)| format!("WHEN {} THEN {place}", state.code()));
    format!("CASE state {} END", places.collect::<Vec<_>>().join(" "))
}
