//! `group:create`: makes a group before its jobs.

use anyhow::Result;
use clap::Args;
use queuectl_core::GroupName;
use queuectl_views::ChangedView;

use super::options::GroupOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Make a group of jobs, and say what runs when all of them have ended
#[derive(Debug, Args)]
#[command(after_help = "\
Jobs become members with `enqueue --group NAME`, which also makes the group if there is none. Nothing runs before the \
group is closed (`group:close`, or `enqueue --close-group`), because more jobs could come. Then --then or --then-failed is \
stored as an ordinary job, exactly once, in the transaction that ends the last member. It finds the group in \
QUEUECTL_GROUP and its jobs in QUEUECTL_GROUP_TOTAL, _COMPLETED, _DEAD and _CANCELLED. See docs/flow.md.

Examples:
  queuectl group:create nightly --then './report.sh' --then-failed './alert.sh' --queue ops
  queuectl enqueue --group nightly ./backup.sh a
  queuectl enqueue --group nightly ./backup.sh b
  queuectl group:close nightly
  queuectl group:create import --max-fails 10 --then '{\"command\":\"./publish.sh\",\"max_retries\":8}'")]
pub struct CreateArgs {
    /// The group's name
    name: GroupName,
    #[command(flatten)]
    options: GroupOptions,
}

impl Run for CreateArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let change = self.options.change(context)?;
        let mut store = context.open_or_create()?;
        let now = store.now()?;
        let group = store.create_group(&self.name, &change, now)?;
        let view = ChangedView {
            id: group.name.to_string(),
            result: "created",
        };
        context
            .output
            .done(&view, &format!("group {} created", group.name));
        Ok(Exit::OK)
    }
}
