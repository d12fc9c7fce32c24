//! The groups, one of them, and retrying or cancelling its jobs in the background: its page says how far that is.

use std::sync::Arc;

use axum::extract::State;
use queuectl_core::{GroupName, JobId, Timestamp};
use queuectl_frontend::{graph, load};
use queuectl_pages::{Confirm, GroupPage, Section, in_path, render};
use queuectl_storage::{GroupFilter, Member, Store, StoreError};
use queuectl_views::{GroupDetailView, GroupView, MemberView};

use super::answer::{Answer, Failed, Page, To, frame};
use super::mass::run;
use super::schedules::entered;
use crate::api::{Named, named};
use crate::state::Server;

/// Groups that are shown, members of one, and lines of its graph.
const GROUPS: u32 = 200;
const MEMBERS: u32 = 100;
const GRAPH: usize = 200;

pub async fn list(State(server): State<Arc<Server>>) -> Answer {
    let read = server.stores.ask(|store| {
        let now = store.now()?;
        let filter = GroupFilter {
            unfinished: false,
            limit: GROUPS,
        };
        let groups = store.groups(&filter)?;
        let views = groups
            .iter()
            .map(|found| GroupView::new(&found.group, &found.progress, false));
        Ok((views.collect::<Vec<_>>(), now))
    });
    let (groups, now) = read.await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::groups(&frame, &groups);
    Ok(Page(render(&frame, Section::Groups, "Groups", &main)))
}

fn view(member: Member) -> MemberView {
    MemberView {
        id: member.name.unwrap_or_else(|| member.id.to_string()),
        number: member.id,
        queue: member.queue,
        state: member.state,
        since: member.since,
    }
}

pub async fn show(State(server): State<Arc<Server>>, Named(group): Named<String>) -> Answer {
    let name: GroupName = named(&group)?;
    let title = format!("Group {name}");
    let read = server.stores.ask(move |store| {
        let now = store.now()?;
        let found = store.group(&name)?;
        let members = store.members(&name, MEMBERS)?;
        let numbers: Vec<JobId> = members.iter().map(|member| member.id).collect();
        let graph = load::graph(store, &numbers)?;
        let mut lines = Vec::new();
        if !graph.edges.is_empty() {
            lines = graph::forest(&graph);
            lines.truncate(GRAPH);
        }
        let detail = GroupDetailView {
            group: GroupView::new(&found.group, &found.progress, false),
            members: members.into_iter().map(view).collect(),
        };
        Ok((detail, lines, now))
    });
    let (detail, lines, now) = read.await?;
    let page = GroupPage {
        detail: &detail,
        graph: &lines,
    };
    let frame = frame(&server, now, None);
    let main = queuectl_pages::one_group(&frame, &page);
    Ok(Page(render(&frame, Section::Groups, &title, &main)))
}

/// What is done to the jobs of a group, and how many of them are meant.
#[derive(Clone, Copy)]
enum Change {
    Retry,
    Cancel,
}

impl Change {
    fn verb(self) -> &'static str {
        match self {
            Change::Retry => "retry",
            Change::Cancel => "cancel",
        }
    }

    fn meant(self, group: &GroupView) -> u64 {
        match self {
            Change::Retry => group.dead + group.cancelled,
            Change::Cancel => group.open,
        }
    }
}

pub async fn ask_retry(server: State<Arc<Server>>, group: Named<String>) -> Answer {
    ask(server, group, Change::Retry).await
}

pub async fn ask_cancel(server: State<Arc<Server>>, group: Named<String>) -> Answer {
    ask(server, group, Change::Cancel).await
}

async fn ask(State(server): State<Arc<Server>>, Named(group): Named<String>, change: Change) -> Answer {
    let name: GroupName = named(&group)?;
    let of = name.clone();
    let read = server.stores.ask(move |store| {
        let now = store.now()?;
        let found = store.group(&of)?;
        Ok((GroupView::new(&found.group, &found.progress, false), now))
    });
    let (view, now) = read.await?;
    let back = format!("/groups/{}", in_path(name.as_str()));
    let path = format!("{back}/{}", change.verb());
    let remark = match change {
        Change::Retry => None,
        Change::Cancel => Some("The group is closed then, and takes no further jobs.".to_owned()),
    };
    let question = Confirm {
        verb: change.verb(),
        jobs: change.meant(&view),
        first: &[],
        remark,
        path: &path,
        values: &[],
        command: format!("queuectl group:{} {name}", change.verb()),
        back,
        at: now,
    };
    let frame = frame(&server, now, None);
    let main = queuectl_pages::confirm(&frame, &question);
    Ok(Page(render(&frame, Section::Groups, "Change a group", &main)))
}

pub async fn retry(State(server): State<Arc<Server>>, Named(group): Named<String>) -> Result<To, Failed> {
    let act = |store: &mut Store, name: &GroupName, now| store.retry_group(name, false, now).map(drop);
    change(&server, &group, "group:retry", act).await
}

pub async fn cancel(State(server): State<Arc<Server>>, Named(group): Named<String>) -> Result<To, Failed> {
    let act = |store: &mut Store, name: &GroupName, now| store.cancel_group(name, now).map(drop);
    change(&server, &group, "group:cancel", act).await
}

async fn change(
    server: &Server,
    group: &str,
    kind: &'static str,
    act: impl FnOnce(&mut Store, &GroupName, Timestamp) -> Result<(), StoreError> + Send + 'static,
) -> Result<To, Failed> {
    let name: GroupName = named(group)?;
    let of = name.clone();
    // That there is no such group is said in any case.
    server.stores.ask(move |store| store.group(&of)).await?;
    let (of, command) = (name.clone(), format!("queuectl {kind} {name}"));
    if let Some(done) = run(server, &command, move |store, _| entered(store, kind, &of, act)).await? {
        done?;
    }
    Ok(To(format!("/groups/{}", in_path(name.as_str()))))
}
