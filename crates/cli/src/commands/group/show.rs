//! `group:show`: a group and its members.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{GroupName, Timestamp, show_rough};
use queuectl_storage::Member;
use queuectl_views::{GroupDetailView, GroupView, MemberView};

use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::output::table::{Cell, Column};
use crate::output::time::local;
use crate::registry::Run;

/// Show a group: how far it is, what runs then, and its jobs
#[derive(Debug, Args)]
#[command(after_help = "\
Jobs that are dead or cancelled come first, then those that have not ended. A job that was removed counts as it ended.")]
pub struct ShowArgs {
    /// The group's name
    name: GroupName,
    /// Only the first N jobs [default: 20, with --json all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    limit: Option<u32>,
    /// Also show what may be secret, as with `show`
    #[arg(long)]
    secrets: bool,
}

/// Default number of rows in a table.
const ROWS: u32 = 20;
/// Most members of a group.
const ALL: u32 = u32::MAX;

const COLUMNS: [Column; 4] = [
    Column::name("JOB", 8),
    Column::whole("STATE"),
    Column::name("QUEUE", 8).expendable(1),
    Column::whole("FOR"),
];

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let found = store.group(&self.name)?;
        let limit = context.output.limit(self.limit, ROWS).unwrap_or(ALL);
        let members = store.members(&self.name, limit)?;
        let detail = GroupDetailView {
            group: GroupView::new(&found.group, &found.progress, self.secrets),
            members: members.into_iter().map(member_view).collect(),
        };
        context.output.document(&detail, |page| {
            for (name, value) in fields(&detail.group) {
                page.field(name, &value)?;
            }
            if !detail.members.is_empty() {
                page.line("")?;
                page.table(&COLUMNS, detail.members.iter().map(|member| row(member, now)))?;
            }
            let left = detail.group.jobs.saturating_sub(detail.members.len() as u64);
            if left > 0 {
                page.line(&format!("and {left} more; --limit N shows them"))?;
            }
            Ok(())
        })?;
        Ok(Exit::OK)
    }
}

fn fields(group: &GroupView) -> Vec<(&'static str, String)> {
    let at = |time: Option<Timestamp>| time.map(local);
    let counts = [
        (group.completed, "completed"),
        (group.dead, "dead"),
        (group.cancelled, "cancelled"),
        (group.open, "not ended"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(jobs, _)| *jobs > 0)
        .map(|(jobs, what)| format!("{jobs} {what}"))
        .collect();
    let progress = match group.jobs {
        0 => group.ended(),
        _ => format!("{} ({})", group.ended(), group.percent()),
    };
    let all = [
        ("group", Some(group.name.to_string())),
        ("state", Some(group.in_words().to_owned())),
        ("progress", Some(progress)),
        ("jobs", Some(counts.join(", ")).filter(|text| !text.is_empty())),
        ("then", group.then.clone()),
        ("then failed", group.then_failed.clone()),
        (
            "max fails",
            group
                .max_fails
                .map(|fails| format!("{fails}, then the rest is cancelled")),
        ),
        ("created", Some(local(group.created_at))),
        ("closed", at(group.closed_at)),
        ("stopped", at(group.stopped_at)),
        ("completed", at(group.completed_at)),
        ("callback", group.callback.map(|job| format!("job {job}"))),
        ("problem", group.problem.clone()),
    ];
    let all = all.into_iter();
    all.filter_map(|(name, value)| Some((name, value?))).collect()
}

fn member_view(member: Member) -> MemberView {
    MemberView {
        id: member.name.unwrap_or_else(|| member.id.to_string()),
        number: member.id,
        queue: member.queue,
        state: member.state,
        since: member.since,
    }
}

fn row(member: &MemberView, now: Timestamp) -> Vec<Cell> {
    vec![
        member.id.clone().into(),
        member.state.map_or_else(|| "unknown".into(), Cell::of_state),
        member
            .queue
            .clone()
            .unwrap_or_else(|| "removed".to_owned())
            .into(),
        member
            .since
            .map_or_else(String::new, |since| show_rough(now.since(since)))
            .into(),
    ]
}
