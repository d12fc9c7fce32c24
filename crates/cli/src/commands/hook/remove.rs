//! `hook:remove`: removes hooks.

use anyhow::Result;
use clap::Args;
use queuectl_core::HookName;
use queuectl_views::ChangedView;

use crate::context::Context;
use crate::exit::Exit;
use crate::operator;
use crate::registry::Run;

/// Remove hooks; jobs that they have stored stay
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The hooks; all are removed or none
    #[arg(value_name = "HOOK", required = true)]
    names: Vec<HookName>,
}

impl Run for RemoveArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        store.act_as(operator::name());
        store.remove_hooks(&self.names)?;
        for name in &self.names {
            let view = ChangedView {
                id: name.to_string(),
                result: "removed",
            };
            context.output.done(&view, &format!("hook {name} removed"));
        }
        Ok(Exit::OK)
    }
}
