//! `token:revoke`: tokens stop working.

use anyhow::Result;
use clap::Args;
use queuectl_core::TokenName;
use queuectl_views::ChangedView;

use crate::context::Context;
use crate::exit::Exit;
use crate::operator;
use crate::registry::Run;

/// Revoke tokens of the HTTP API
#[derive(Debug, Args)]
#[command(after_help = "\
Servers refuse a revoked token within a second, and end the streams of events that it has open. It stays in token:list until its name is \
used again, or with --forget is taken from it. Without any token in the list, all users of a machine can use the ports of this machine \
that `queuectl serve` listens on, as before the first one was made.")]
pub struct RevokeArgs {
    /// The tokens; all are revoked or none
    #[arg(value_name = "NAME", required = true)]
    names: Vec<TokenName>,
    /// Take them from the list, too
    #[arg(long)]
    forget: bool,
}

impl Run for RevokeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        store.act_as(operator::name());
        store.revoke_tokens(&self.names, self.forget)?;
        for name in &self.names {
            let view = ChangedView {
                id: name.to_string(),
                result: "revoked",
            };
            context.output.done(&view, &format!("token {name} revoked"));
        }
        Ok(Exit::OK)
    }
}
