//! Changing all jobs that fit a filter: first the question with their number, then the change in the background, as an operation
//! whose page says how far it is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use queuectl_core::selector::Selector;
use queuectl_core::{State as JobState, Timestamp};
use queuectl_pages::{Confirm, Section, render};
use queuectl_storage::{JobFilter, ListFilter, MassChange, NewOperation, Store, StoreError, frozen_request};
use serde::Deserialize;

use super::answer::{Answer, Failed, Page, To, form, frame};
use crate::problem::Problem;
use crate::runner::go_on;
use crate::state::Server;

/// Jobs that are named in the question.
const NAMED: u32 = 5;
/// How long an answer waits for the change, so that a short one is seen as done.
const WAIT: Duration = Duration::from_millis(500);

/// Which jobs, and what.
#[derive(Clone, Deserialize)]
pub struct Asked {
    #[serde(default)]
    select: String,
    change: String,
    /// When they were counted; those that came later are not meant.
    at: Option<i64>,
}

impl Asked {
    fn read(&self) -> Result<(Selector, MassChange), Problem> {
        let selector = self.select.parse();
        let selector: Selector = selector.map_err(|error| Problem::usage(format!("filter: {error}")))?;
        let change = MassChange::ALL.into_iter().find(|one| one.name() == self.change);
        let change = change.filter(|change| *change != MassChange::Start);
        let change = change.ok_or_else(|| {
            let detail = format!("'{}' cannot be done to many jobs at once", self.change);
            Problem::usage(detail)
        })?;
        Ok((selector, change))
    }
}

/// The jobs that are meant, none that came after that time.
fn filter(
    store: &mut Store,
    selector: &Selector,
    change: MassChange,
    at: Timestamp,
) -> Result<JobFilter, StoreError> {
    let mut filter = store.job_filter(selector, at)?;
    let is_asked = |state: &JobState| filter.states.is_empty() || filter.states.contains(state);
    let states: Vec<JobState> = change.states().iter().copied().filter(is_asked).collect();
    // No state at all would mean every state.
    if states.is_empty() {
        filter.among = Some(Vec::new());
    }
    filter.states = states;
    filter.change = Some(change);
    store.freeze(&mut filter, at)?;
    Ok(filter)
}

/// Asks, with how many there are.
pub async fn ask(State(server): State<Arc<Server>>, asked: Result<Query<Asked>, QueryRejection>) -> Answer {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    let (selector, change) = asked.read()?;
    let of = selector.clone();
    let counted = server.stores.ask(move |store| {
        let now = store.now()?;
        let filter = filter(store, &of, change, now)?;
        if filter.states.is_empty() {
            return Ok((0, Vec::new(), now));
        }
        let jobs = store.count_selected(&filter)?;
        let first = store.list_page(&ListFilter {
            jobs: filter,
            limit: NAMED,
            ..ListFilter::default()
        })?;
        let first = first.jobs.iter().map(|job| job.public_id()).collect();
        Ok((jobs, first, now))
    });
    let (jobs, first, now) = counted.await?;
    let values = [
        ("select", asked.select.clone()),
        ("change", change.name().to_owned()),
    ];
    let back = format!("/jobs?select={}", queuectl_pages::in_query(&asked.select));
    let question = Confirm {
        verb: change.name(),
        jobs,
        first: &first,
        remark: Some(format!("All that fit '{selector}' and whose state allows it.")),
        path: "/change",
        values: &values,
        command: format!(
            "queuectl {} {}",
            change.name(),
            queuectl_pages::in_shell(&asked.select)
        ),
        back,
        at: now,
    };
    let frame = frame(&server, now, None);
    let main = queuectl_pages::confirm(&frame, &question);
    Ok(Page(render(&frame, Section::Jobs, "Change jobs", &main)))
}

/// Changes them.
pub async fn change(State(server): State<Arc<Server>>, request: Request) -> Result<To, Failed> {
    let asked: Asked = form(&server, request).await?;
    let (selector, change) = asked.read()?;
    let at = asked.at.map(Timestamp);
    let id = operate(&server, move |store| {
        let now = store.now()?;
        // A time to come would let later ones in.
        let at = at.map_or(now, |at| at.min(now));
        let filter = filter(store, &selector, change, at)?;
        if filter.states.is_empty() {
            return Err(Problem::usage(format!(
                "no job of '{selector}' can be changed so"
            )));
        }
        Ok(NewOperation {
            kind: change.name().to_owned(),
            what: selector.to_string(),
            request: Some(frozen_request(&filter, None, None)),
            total: Some(store.count_selected(&filter)?),
        })
    });
    Ok(To(format!("/operations/{}", id.await?)))
}

/// Stores an operation, which then goes on in the background, and returns its number. The answer waits for it a moment.
pub async fn operate(
    server: &Server,
    begin: impl FnOnce(&mut Store) -> Result<NewOperation, Problem> + Send + 'static,
) -> Result<i64, Problem> {
    let id = server.stores.try_ask(move |store| {
        let operation = begin(store)?;
        let now = store.now()?;
        let id = store.open_operation(operation, now)?;
        store.leave_operation();
        Ok(id)
    });
    let id = id.await?;
    // What goes wrong from here on is an operation that has not ended, as its page says.
    let command = format!("queuectl op:resume {id}");
    let _ = run(server, &command, move |store, by| go_on(store, id, by)).await?;
    Ok(id)
}

/// Changes many jobs in the background. The answer waits for that a moment; then it is not known what comes of it.
pub async fn run(
    server: &Server,
    command: &str,
    act: impl FnOnce(&mut Store, &str) -> Result<(), StoreError> + Send + 'static,
) -> Result<Option<Result<(), StoreError>>, Problem> {
    let done = server.runner.run(server.stores.operator(), command, act)?;
    let done = tokio::time::timeout(WAIT, done).await.ok();
    // A panic tells nothing.
    done.map(|done| done.map_err(|_| Problem::internal())).transpose()
}
