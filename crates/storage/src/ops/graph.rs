//! The graph around jobs: all that they wait for, directly or through others, and all that waits for them. Reads only, at
//! most [`GRAPH_SHOWN`] jobs.

use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use queuectl_core::limits::{GRAPH_SHOWN, GRAPH_SHOWN_EDGES};
use queuectl_core::{Condition, JobId, State};

use crate::backend::Db;
use crate::outcome::EdgeRow;
use crate::schema::{edges, jobs};
use crate::types::text::MaybeWords;
use crate::{Store, StoreError};

/// Jobs that one statement asks for.
const CHUNK: usize = 500;

/// Jobs, and which of them wait for which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// The jobs by their numbers.
    pub jobs: Vec<GraphJob>,
    /// Which waits for which, by their numbers.
    pub edges: Vec<GraphEdge>,
    /// Whether there are more jobs or edges than [`GRAPH_SHOWN`] and [`GRAPH_SHOWN_EDGES`].
    pub more: bool,
}

/// A job of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphJob {
    /// Its number.
    pub id: JobId,
    /// The id the user chose, if any; none also if the job was removed.
    pub name: Option<String>,
    /// Its state; of one that was removed, the one in which it ended.
    pub state: Option<State>,
    /// Whether it was removed.
    pub is_removed: bool,
}

/// A job that waits for another, or waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphEdge {
    /// The job that waits.
    pub child: JobId,
    /// The job that it waits for.
    pub parent: JobId,
    /// How that has to end.
    pub condition: Condition,
    /// Whether it ended so; none while it has not ended.
    pub is_met: Option<bool>,
}

/// Which way edges are followed.
#[derive(Clone, Copy)]
enum Way {
    ToParents,
    ToChildren,
}

impl Store {
    /// The jobs that these wait for, and those that wait for them, directly or through others, with the edges between all of
    /// them. The nearest come first: if there are too many, the farthest are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn graph(&mut self, around: &[JobId]) -> Result<Graph, StoreError> {
        self.conn()?.snapshot(|conn| {
            let mut found = Found::default();
            let roots: Vec<i64> = around.iter().map(|job| job.0).collect();
            found.jobs.extend(&roots);
            let mut up = roots.clone();
            let mut down = roots;
            // A level on each side at a time, so that neither takes the room of the other.
            while !(up.is_empty() && down.is_empty()) {
                up = found.level(conn, &up, Way::ToParents)?;
                down = found.level(conn, &down, Way::ToChildren)?;
            }
            found.read(conn)
        })
    }
}

#[derive(Default)]
struct Found {
    jobs: HashSet<i64>,
    edges: BTreeMap<(i64, i64), EdgeRow>,
    more: bool,
}

impl Found {
    /// Follows the edges of some jobs one way. Returns the jobs that were not known.
    fn level(&mut self, conn: &mut Db, from: &[i64], way: Way) -> Result<Vec<i64>, StoreError> {
        let mut next = Vec::new();
        for from in from.chunks(CHUNK) {
            // One more says whether there are more.
            let room = (GRAPH_SHOWN_EDGES + 1).saturating_sub(self.edges.len());
            let room = i64::try_from(room).unwrap_or(i64::MAX);
            let mut query = edges::table.limit(room).into_boxed();
            query = match way {
                Way::ToParents => query.filter(edges::child.eq_any(from)),
                Way::ToChildren => query.filter(edges::parent.eq_any(from)),
            };
            let order = (edges::child, edges::parent);
            let rows: Vec<EdgeRow> = query.order(order).select(EdgeRow::as_select()).load(conn)?;
            for row in rows {
                let end = match way {
                    Way::ToParents => row.parent,
                    Way::ToChildren => row.child,
                };
                if !self.jobs.contains(&end) {
                    if self.jobs.len() >= GRAPH_SHOWN {
                        self.more = true;
                        continue;
                    }
                    self.jobs.insert(end);
                    next.push(end);
                }
                if self.edges.len() >= GRAPH_SHOWN_EDGES {
                    self.more = true;
                    break;
                }
                self.edges.insert((row.child, row.parent), row);
            }
        }
        Ok(next)
    }

    /// Reads the jobs.
    fn read(self, conn: &mut Db) -> Result<Graph, StoreError> {
        let mut numbers: Vec<i64> = self.jobs.into_iter().collect();
        numbers.sort_unstable();
        let mut known: BTreeMap<i64, (Option<String>, i16)> = BTreeMap::new();
        for some in numbers.chunks(CHUNK) {
            let rows: Vec<(i64, MaybeWords, i16)> = jobs::table
                .filter(jobs::id.eq_any(some))
                .select((jobs::id, jobs::name, jobs::state))
                .load(conn)?;
            known.extend(
                rows.into_iter()
                    .map(|(id, name, state)| (id, (name.into(), state))),
            );
        }
        let mut outcomes = BTreeMap::new();
        for edge in self.edges.values() {
            outcomes.extend(edge.outcome.map(|outcome| (edge.parent, outcome)));
        }
        let jobs = numbers.into_iter().map(|id| {
            let job = known.remove(&id);
            let is_removed = job.is_none();
            let (name, state) = match job {
                Some((name, state)) => (name, Some(state)),
                None => (None, outcomes.get(&id).copied()),
            };
            GraphJob {
                id: JobId(id),
                name,
                state: state.and_then(State::from_code),
                is_removed,
            }
        });
        let edges = self.edges.into_values().map(|row| {
            // Any other number was written by another program.
            let condition = Condition::from_code(row.condition).unwrap_or(Condition::Ok);
            let ended = row.outcome.and_then(State::from_code);
            GraphEdge {
                child: JobId(row.child),
                parent: JobId(row.parent),
                condition,
                is_met: ended.map(|ended| condition.is_met_by(ended)),
            }
        });
        Ok(Graph {
            jobs: jobs.collect(),
            edges: edges.collect(),
            more: self.more,
        })
    }
}
