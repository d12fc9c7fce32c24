//! The schedules, one of them, and running or pausing it.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use queuectl_core::{ScheduleName, Timestamp};
use queuectl_pages::{SchedulePage, Section, in_path, render};
use queuectl_scheduler::cron::next_tick;
use queuectl_storage::{NewOperation, Store, StoreError, zone};
use queuectl_views::{ScheduleView, TickView};

use super::answer::{Answer, Failed, Page, To, frame};
use super::jobs::Did;
use crate::api::{Named, named};
use crate::problem::Problem;
use crate::state::Server;

/// Times to come, and past ones.
const TIMES: usize = 10;
const TICKS: u32 = 60;

pub async fn list(State(server): State<Arc<Server>>) -> Answer {
    let read = server.stores.ask(|store| {
        let now = store.now()?;
        let schedules = store.schedules(None)?.into_iter();
        let views: Vec<ScheduleView> = schedules.map(ScheduleView::from).collect();
        Ok((views, now))
    });
    let (schedules, now) = read.await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::schedules(&frame, &schedules);
    Ok(Page(render(&frame, Section::Schedules, "Schedules", &main)))
}

pub async fn show(
    State(server): State<Arc<Server>>,
    Named(schedule): Named<String>,
    did: Result<Query<Did>, QueryRejection>,
) -> Answer {
    let Query(did) = did.map_err(|error| Problem::usage(error.body_text()))?;
    let name: ScheduleName = named(&schedule)?;
    let title = format!("Schedule {name}");
    let read = server.stores.ask(move |store| {
        let now = store.now()?;
        let schedule = store.schedule(&name)?;
        let mut next: Vec<Timestamp> = Vec::new();
        let (expr, zone) = (schedule.spec.when.parse(), zone(&schedule.spec.zone));
        if let (Ok(expr), Ok(zone), None) = (&expr, &zone, &schedule.paused) {
            let after = |after: &Timestamp| next_tick(expr, zone, schedule.start_at, *after);
            next.extend(std::iter::successors(after(&now), after).take(TIMES));
        }
        let ticks: Vec<TickView> = store
            .ticks(&name, TICKS)?
            .into_iter()
            .map(TickView::from)
            .collect();
        Ok((ScheduleView::from(schedule), next, ticks, now))
    });
    let (schedule, next, ticks, now) = read.await?;
    let page = SchedulePage {
        schedule: &schedule,
        next: &next,
        ticks: &ticks,
    };
    let frame = frame(&server, now, did.did.as_deref());
    let main = queuectl_pages::one_schedule(&frame, &page);
    Ok(Page(render(&frame, Section::Schedules, &title, &main)))
}

fn back(name: &ScheduleName, did: &str) -> To {
    To(format!("/schedules/{}?did={did}", in_path(name.as_str())))
}

pub async fn run(State(server): State<Arc<Server>>, Named(schedule): Named<String>) -> Result<To, Failed> {
    let name: ScheduleName = named(&schedule)?;
    let of = name.clone();
    let ran = server.stores.ask(move |store| {
        let now = store.now()?;
        store.run_schedule(&of, now)
    });
    ran.await?;
    Ok(back(&name, "run"))
}

pub async fn pause(State(server): State<Arc<Server>>, Named(schedule): Named<String>) -> Result<To, Failed> {
    let name: ScheduleName = named(&schedule)?;
    let of = name.clone();
    let act = |store: &mut Store, name: &ScheduleName, now| store.pause_schedule(name, None, now);
    let paused = server
        .stores
        .ask(move |store| entered(store, "schedule:pause", &of, act));
    paused.await?;
    Ok(back(&name, "pause"))
}

pub async fn resume(State(server): State<Arc<Server>>, Named(schedule): Named<String>) -> Result<To, Failed> {
    let name: ScheduleName = named(&schedule)?;
    let of = name.clone();
    let act = |store: &mut Store, name: &ScheduleName, now| store.resume_schedule(name, now);
    let resumed = server
        .stores
        .ask(move |store| entered(store, "schedule:resume", &of, act));
    let did = if resumed.await? { "resume" } else { "resumed" };
    Ok(back(&name, did))
}

/// Does something as an operation that is stored with its first change.
pub fn entered<N: ToString, T>(
    store: &mut Store,
    kind: &str,
    name: &N,
    act: impl FnOnce(&mut Store, &N, Timestamp) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let now = store.now()?;
    store.begin_operation(NewOperation {
        kind: kind.to_owned(),
        what: name.to_string(),
        ..NewOperation::default()
    })?;
    let done = act(store, name, now);
    match done.is_ok() {
        true => drop(store.end_operation(now)?),
        false => store.leave_operation(),
    }
    done
}
