//! Which jobs are on a page of a list, found without walking over others.
//!
//! There is no index from states to numbers: it would cost at every change of a job. Instead each state has a partial
//! index by queue and one over all queues but `default`, and a page is merged from the sources that are meant. `INDEXED BY`
//! keeps the planner from choosing otherwise, and makes a missing index an error and not a slow answer. On PostgreSQL,
//! which has no such words, sessions are told to prefer indexes.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, SmallInt, Text};
use queuectl_core::{JobId, QueueName, State, Timestamp};

use super::any::One;
use super::conditions::{Answered, Conditions};
use super::labelled::labelled;
use crate::StoreError;
use crate::backend::{AnySql, Db};
use crate::states::sql;
use crate::types::filter::{Among, JobFilter};
use crate::types::list::{ListFilter, Position};
use crate::types::source::Source;

/// Different priorities of a source's ready jobs that are merged; if there are more, the source's ready jobs are sorted.
const PRIORITIES_MOST: usize = 1000;
/// A member of a group that was removed has no job.
const THERE: &str = "?2 = ?2 AND EXISTS (SELECT 1 FROM jobs AS job WHERE job.id = jobs.id)";
/// The number of the first parameter of the conditions.
const FIRST_TEXT: usize = 8;

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = BigInt)]
    ended: i64,
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Fitting {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = SmallInt)]
    state: i16,
}

#[derive(QueryableByName)]
struct Priority {
    #[diesel(sql_type = Integer)]
    priority: i32,
}

/// A page in the making: the first `limit` positions of all that were offered.
struct Page<'a> {
    filter: &'a ListFilter,
    /// Behind which place, and before which.
    bounds: [Position; 2],
    /// What no index answers.
    conditions: Conditions,
    places: Vec<Position>,
}

impl Page<'_> {
    /// Offers the first jobs of a part of an index: which index, what is looked for in it, and further conditions.
    fn offer(
        &mut self,
        conn: &mut Db,
        index: &str,
        part: &str,
        queue: &str,
        number: i32,
    ) -> Result<(), StoreError> {
        self.offer_from(conn, &format!("jobs {index}"), part, queue, number)
    }

    /// The same of a table of whatever kind.
    fn offer_from(
        &mut self,
        conn: &mut Db,
        table: &str,
        part: &str,
        queue: &str,
        number: i32,
    ) -> Result<(), StoreError> {
        let by_end = self.filter.jobs.is_by_end();
        let (key, order) = match (by_end, self.filter.oldest_first) {
            (true, true) => ("finished_at", "finished_at, id"),
            (true, false) => ("finished_at", "finished_at DESC, id DESC"),
            (false, true) => ("CAST(0 AS BIGINT)", "id"),
            (false, false) => ("CAST(0 AS BIGINT)", "id DESC"),
        };
        let bounds = if by_end {
            "(finished_at, id) > (?3, ?4) AND (finished_at, id) < (?5, ?6)"
        } else {
            "id > ?4 AND id < ?6 AND ?3 <= ?5"
        };
        let fit = &self.conditions.sql;
        let sql = format!(
            "SELECT {key} AS ended, id FROM {table} WHERE {part} AND {bounds} AND {fit} ORDER BY {order} LIMIT ?7"
        );
        let [above, below] = self.bounds;
        let mut query = diesel::sql_query(conn.dialect().words(&sql))
            .into_boxed::<AnySql>()
            .bind::<Text, _>(queue)
            .bind::<Integer, _>(number)
            .bind::<BigInt, _>(above.ended)
            .bind::<BigInt, _>(above.id)
            .bind::<BigInt, _>(below.ended)
            .bind::<BigInt, _>(below.id)
            .bind::<BigInt, _>(i64::from(self.filter.limit));
        for text in &self.conditions.texts {
            query = query.bind::<Text, _>(text.as_str());
        }
        let places: Vec<Place> = query.load(conn)?;
        let places = places.into_iter();
        self.places
            .extend(places.map(|Place { ended, id }| Position { ended, id }));
        self.cut();
        Ok(())
    }

    fn cut(&mut self) {
        self.places.sort_unstable();
        // A job can be in two of the groups that are asked for.
        self.places.dedup();
        if !self.filter.oldest_first {
            self.places.reverse();
        }
        self.places.truncate(self.filter.limit as usize);
    }

    /// Whether no number within the bounds can be on the page: many jobs can be named, and a page has few of them.
    fn is_hopeless(&self) -> bool {
        let [first, last] = [
            self.bounds[0].id.saturating_add(1),
            self.bounds[1].id.saturating_sub(1),
        ];
        let is_full = self.places.len() >= self.filter.limit as usize;
        let is_behind = self
            .places
            .last()
            .is_some_and(|end| match self.filter.oldest_first {
                true => first > end.id,
                false => last < end.id,
            });
        first > last || is_full && is_behind
    }

    /// Offers the jobs in one state.
    fn offer_state(
        &mut self,
        conn: &mut Db,
        state: State,
        queue: Option<&QueueName>,
    ) -> Result<(), StoreError> {
        let name = queue.map_or("", |queue| queue.as_str());
        match state {
            // Never more than the nodes can hold.
            State::Processing => {
                let part = "node_id IS NOT NULL AND (?1 = '' OR queue = ?1) AND ?2 = ?2";
                self.offer(conn, "INDEXED BY jobs_running", part, name, 0)
            }
            State::Blocked => {
                const BLOCKED: &str = sql!("state = {blocked}");
                let (index, queue_is) = match name {
                    "" => ("INDEXED BY all_blocked", "?1 = ?1"),
                    _ => ("INDEXED BY jobs_blocked", "queue = ?1"),
                };
                let part = format!("{BLOCKED} AND {queue_is} AND ?2 = ?2");
                self.offer(conn, index, &part, name, 0)
            }
            State::Pending => Source::of(queue)
                .iter()
                .try_for_each(|source| self.offer_ready(conn, source)),
            state => {
                let (index, column) = match state {
                    State::Scheduled | State::Failed => ("waiting", "due_at"),
                    _ => ("finished", "finished_at"),
                };
                for source in Source::of(queue) {
                    let (condition, index) = source.within(index);
                    let part = format!("{column} IS NOT NULL AND {condition} AND state = ?2");
                    self.offer(conn, &index, &part, source.key(), i32::from(state.code()))?;
                }
                Ok(())
            }
        }
    }

    /// Offers the jobs that are named.
    fn offer_among(&mut self, conn: &mut Db, among: &Among) -> Result<(), StoreError> {
        let group = match among {
            Among::Label(label) => {
                let value = label.value().map(str::to_owned);
                // Behind the parameters of the conditions.
                let table = labelled(label, FIRST_TEXT + self.conditions.texts.len());
                self.conditions.texts.extend(value.clone());
                let offered = self.offer_from(conn, &table, THERE, label.key(), 0);
                value.and_then(|_| self.conditions.texts.pop());
                return offered;
            }
            Among::Numbers(from, to) => {
                let [above, below] = self.bounds;
                self.bounds[0].id = above.id.max(from.0.saturating_sub(1));
                self.bounds[1].id = below.id.min(to.0.saturating_add(1));
                if !self.is_hopeless() {
                    self.offer(conn, "NOT INDEXED", "?1 = ?1 AND ?2 = ?2", "", 0)?;
                }
                self.bounds = [above, below];
                return Ok(());
            }
            Among::Group(group) => group.as_str(),
        };
        let members = "(SELECT job_id AS id FROM group_members WHERE group_id = \
                       (SELECT g.id FROM job_groups AS g WHERE g.name = ?1)) AS jobs";
        self.offer_from(conn, members, THERE, group, 0)
    }

    /// Ready jobs are ordered by priority, so each priority of a source is a part of its own.
    fn offer_ready(&mut self, conn: &mut Db, source: &Source) -> Result<(), StoreError> {
        let (condition, index) = source.within("ready");
        const READY: &str = sql!("state = {pending}");
        let part = format!("{READY} AND {condition}");
        let next = format!(
            "SELECT priority FROM jobs {index} WHERE {part} AND priority < ?2 ORDER BY priority DESC LIMIT 1"
        );
        let next = conn.dialect().words(&next);
        let mut priorities: Vec<i32> = Vec::new();
        let mut below = i64::MAX;
        while let Some(next) = diesel::sql_query(&next)
            .bind::<Text, _>(source.key())
            .bind::<BigInt, _>(below)
            .get_result::<Priority>(conn)
            .optional()?
        {
            below = i64::from(next.priority);
            priorities.push(next.priority);
            if priorities.len() > PRIORITIES_MOST {
                return self.offer(conn, &index, &format!("{part} AND ?2 = ?2"), source.key(), 0);
            }
        }
        let part = format!("{part} AND priority = ?2");
        for priority in priorities {
            self.offer(conn, &index, &part, source.key(), priority)?;
        }
        Ok(())
    }
}

/// The positions of the first jobs that fit, in the order that is asked for.
pub fn positions(conn: &mut Db, filter: &ListFilter) -> Result<Vec<Position>, StoreError> {
    let jobs = &filter.jobs;
    let by_end = jobs.is_by_end();
    let open = |state: &State| !state.is_final();
    // States of both kinds have no order in common that an index has.
    let by_state =
        jobs.among.is_none() && (by_end || !jobs.states.is_empty() && jobs.states.iter().all(open));
    let answered = Answered {
        states: by_state,
        queues: jobs.among.is_none(),
        times: by_end,
        numbers: !by_end,
    };
    let mut page = Page {
        filter,
        bounds: bounds(filter),
        conditions: Conditions::of(conn, jobs, answered, FIRST_TEXT),
        places: Vec::new(),
    };
    if let Some(among) = &jobs.among {
        for among in among {
            page.offer_among(conn, among)?;
        }
        return Ok(page.places);
    }
    let queues: Vec<Option<&QueueName>> = match jobs.queues.is_empty() {
        true => vec![None],
        false => jobs.queues.iter().map(Some).collect(),
    };
    for queue in queues {
        if by_state {
            for state in &jobs.states {
                page.offer_state(conn, *state, queue)?;
            }
        } else if let Some(queue) = queue {
            let table = conn.dialect().jobs_by_queue();
            page.offer_from(conn, table, "queue = ?1 AND ?2 = ?2", queue.as_str(), 0)?;
        } else {
            page.offer(conn, "NOT INDEXED", "?1 = ?1 AND ?2 = ?2", "", 0)?;
        }
    }
    Ok(page.places)
}

/// The places between which the jobs are.
fn bounds(filter: &ListFilter) -> [Position; 2] {
    let jobs = &filter.jobs;
    let (mut above, mut below) = (
        filter.above.unwrap_or(Position::FIRST),
        filter.below.unwrap_or(Position::LAST),
    );
    if !jobs.is_by_end() {
        let end = jobs.up_to.map_or(i64::MAX, |last| last.0.saturating_add(1));
        below.id = below.id.min(end);
        return [above, below];
    }
    let at = |time: i64| Position {
        ended: time,
        id: i64::MIN,
    };
    if let Some(since) = jobs.since {
        above = above.max(at(since.0));
    }
    if let Some(until) = jobs.until {
        below = below.min(at(until.0.saturating_add(1)));
    }
    [above, below]
}

/// Whether a job fits that is one of those that are named.
pub fn fits(conn: &mut Db, filter: &JobFilter, job: i64) -> Result<bool, StoreError> {
    let by_number = Answered {
        numbers: true,
        ..Answered::default()
    };
    let Conditions { sql, texts } = Conditions::of(conn, filter, by_number, 2);
    let sql = format!("SELECT 1 AS one FROM jobs WHERE id = ?1 AND {sql}");
    let mut query = diesel::sql_query(conn.dialect().words(&sql))
        .into_boxed::<AnySql>()
        .bind::<BigInt, _>(job);
    for text in &texts {
        query = query.bind::<Text, _>(text.as_str());
    }
    let found: Option<One> = query.get_result(conn).optional()?;
    Ok(found.is_some())
}

/// Those of some jobs that fit, with their states. Jobs whose state cannot be read do not fit.
pub fn fitting(conn: &mut Db, filter: &JobFilter, jobs: &[JobId]) -> Result<Vec<(i64, State)>, StoreError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let by_number = Answered {
        numbers: true,
        ..Answered::default()
    };
    let Conditions { sql, texts } = Conditions::of(conn, filter, by_number, 1);
    // Numbers need no quotes.
    let numbers: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT id, state FROM jobs WHERE id IN ({}) AND {sql} ORDER BY id",
        numbers.join(", ")
    );
    let mut query = diesel::sql_query(conn.dialect().words(&sql)).into_boxed::<AnySql>();
    for text in &texts {
        query = query.bind::<Text, _>(text.as_str());
    }
    let found: Vec<Fitting> = query.load(conn)?;
    let found = found.into_iter();
    Ok(found
        .filter_map(|row| Some((row.id, State::from_code(row.state)?)))
        .collect())
}

/// Jobs that ended in that state before some time and fit a condition of SQL, those that ended first first; those of `default`
/// before all others.
pub fn ended_where(
    conn: &mut Db,
    state: State,
    queue: Option<&QueueName>,
    before: Option<Timestamp>,
    limit: u32,
    fit: &str,
) -> Result<Vec<i64>, StoreError> {
    #[derive(QueryableByName)]
    struct Ended {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let mut ids: Vec<i64> = Vec::new();
    for source in Source::of(queue) {
        let (condition, index) = source.within("finished");
        let missing = i64::from(limit) - ids.len() as i64;
        if missing <= 0 {
            break;
        }
        let sql = format!(
            "SELECT id FROM jobs {index} WHERE finished_at IS NOT NULL AND {condition} AND state = ?2 \
             AND finished_at < ?3 AND {fit} ORDER BY finished_at LIMIT ?4"
        );
        let found: Vec<Ended> = diesel::sql_query(conn.dialect().words(&sql))
            .bind::<Text, _>(source.key())
            .bind::<SmallInt, _>(state.code())
            .bind::<BigInt, _>(before.map_or(i64::MAX, |before| before.0))
            .bind::<BigInt, _>(missing)
            .load(conn)?;
        ids.extend(found.into_iter().map(|row| row.id));
    }
    Ok(ids)
}

/// How many jobs ended in that state before some time.
pub fn count_ended(
    conn: &mut Db,
    state: State,
    queue: Option<&QueueName>,
    before: Option<Timestamp>,
) -> Result<u64, StoreError> {
    #[derive(QueryableByName)]
    struct Sum {
        #[diesel(sql_type = BigInt)]
        jobs: i64,
    }
    let mut sum = 0;
    for source in Source::of(queue) {
        let (condition, index) = source.within("finished");
        let sql = format!(
            "SELECT count(*) AS jobs FROM jobs {index} WHERE finished_at IS NOT NULL AND {condition} \
             AND state = ?2 AND finished_at < ?3"
        );
        let found: Sum = diesel::sql_query(conn.dialect().words(&sql))
            .bind::<Text, _>(source.key())
            .bind::<SmallInt, _>(state.code())
            .bind::<BigInt, _>(before.map_or(i64::MAX, |before| before.0))
            .get_result(conn)?;
        sum += u64::try_from(found.jobs).unwrap_or(0);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use diesel::connection::InstrumentationEvent;

    use super::super::any;
    use super::*;
    use crate::sqlite::open;
    use crate::{Location, OpenMode};

    /// What SQLite plans for every statement that `body` runs.
    fn plans(conn: &mut Db, location: &Location, body: impl FnOnce(&mut Db)) -> Vec<(String, String)> {
        let texts = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&texts);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                let text = query.to_string();
                let sql = text.split(" -- binds").next().unwrap_or_default();
                into.lock().unwrap().push(sql.to_owned());
            }
        });
        body(conn);
        let other = rusqlite::Connection::open(location.file().unwrap()).unwrap();
        let texts = texts.lock().unwrap();
        let plan = |sql: &String| {
            let mut statement = other.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = rusqlite::params_from_iter((0..statement.parameter_count()).map(|_| 1));
            let lines = statement
                .query_map(values, |row| row.get::<_, String>(3))
                .unwrap();
            let plan = lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n");
            (sql.clone(), plan)
        };
        texts.iter().map(plan).collect()
    }

    /// No list walks over jobs that are not on it, and none is sorted but the running jobs, who are few.
    #[test]
    fn every_list_comes_from_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("queue.db"));
        let mut conn = Db::from(open::open(location.file().unwrap(), OpenMode::Create).unwrap().0);
        diesel::sql_query(
            "INSERT INTO jobs (queue, state, priority, attempts, fence, system_failures, executor, cancel_requested, \
             created_at, updated_at) VALUES ('a', 1, 0, 0, 0, 0, 'shell', 0, 0, 0)",
        )
        .execute(&mut conn)
        .unwrap();
        let finished =
            "USING COVERING INDEX jobs_finished (queue=? AND state=? AND finished_at>? AND finished_at<?)";
        let ready = "USING COVERING INDEX jobs_ready (queue=? AND priority=? AND id>? AND id<?)";
        let waiting = "USING INDEX jobs_waiting (queue=? AND state=? AND rowid>? AND rowid<?)";
        let others_finished = "USING INDEX others_finished (state=? AND finished_at>? AND finished_at<?)";
        let others_ready = "USING INDEX others_ready (priority=? AND id>? AND id<?)";
        let others_waiting = "USING INDEX others_waiting (state=? AND rowid>? AND rowid<?)";
        for (state, with_queue, without) in [
            (
                None,
                "jobs_queue (queue=? AND rowid>? AND rowid<?)",
                "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
            ),
            (Some(State::Pending), ready, others_ready),
            (
                Some(State::Processing),
                "jobs_running (node_id>?)",
                "jobs_running (node_id>?)",
            ),
            (
                Some(State::Blocked),
                "USING COVERING INDEX jobs_blocked (queue=? AND rowid>? AND rowid<?)",
                "USING COVERING INDEX all_blocked (state=? AND rowid>? AND rowid<?)",
            ),
            (Some(State::Scheduled), waiting, others_waiting),
            (Some(State::Failed), waiting, others_waiting),
            (Some(State::Completed), finished, others_finished),
            (Some(State::Dead), finished, others_finished),
            (Some(State::Cancelled), finished, others_finished),
        ] {
            for (queue, wanted) in [(Some("a"), with_queue), (None, without)] {
                for oldest_first in [true, false] {
                    let filter = ListFilter {
                        jobs: JobFilter {
                            states: state.into_iter().collect(),
                            queues: queue.map(|queue| queue.parse().unwrap()).into_iter().collect(),
                            ..JobFilter::default()
                        },
                        oldest_first,
                        limit: 10,
                        ..ListFilter::default()
                    };
                    let plans = plans(&mut conn, &location, |conn| {
                        positions(conn, &filter).unwrap();
                    });
                    let (sql, plan) = plans.last().unwrap();
                    assert!(plan.contains(wanted), "{sql}\n{plan}");
                    let may_sort = state == Some(State::Processing);
                    for (sql, plan) in &plans {
                        assert!(may_sort || !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
                    }
                }
            }
        }
        let asked = plans(&mut conn, &location, |conn| {
            let queue = "a".parse().unwrap();
            any::waiting(conn, &queue).unwrap();
            any::ended_since(conn, &Source::Queue("a".into()), State::Dead, Timestamp(1)).unwrap();
            ended_where(conn, State::Dead, Some(&queue), None, 1, "TRUE").unwrap();
            count_ended(conn, State::Dead, Some(&queue), None).unwrap();
        });
        for (sql, plan) in asked {
            assert!(
                plan.contains("(queue=?") && !plan.contains("TEMP B-TREE"),
                "{sql}\n{plan}"
            );
        }
    }
}
