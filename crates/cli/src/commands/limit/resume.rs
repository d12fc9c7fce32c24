//! `limit:resume`: ends the time for which attempts that found a limit busy put it off.

use anyhow::Result;
use clap::Args;
use queuectl_core::LimitName;
use queuectl_views::LimitResumedView;

use crate::context::Context;
use crate::exit::Exit;
use crate::operator;
use crate::registry::Run;

/// Let the jobs of a busy limit start again now, before its time is over
#[derive(Debug, Args)]
#[command(after_help = "\
An attempt that found the limit busy (see `--busy-status` of `limit:set`) put off its key; `limit:show` says until when. The \
key's jobs go on now, no faster than the rate of the limit. An attempt that finds it busy again puts it off again.")]
pub struct ResumeArgs {
    /// The limit
    name: LimitName,
    /// Only this key
    #[arg(long, allow_hyphen_values = true)]
    key: Option<String>,
}

impl Run for ResumeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        store.act_as(operator::name());
        let keys = store.resume_limit(&self.name, self.key.as_deref(), now)?;
        let limit = match &self.key {
            Some(key) => format!("{}:{key}", self.name),
            None => self.name.to_string(),
        };
        let line = match (keys, &self.key) {
            (0, _) => format!("{limit} was not put off"),
            (1, None) => format!("{limit} resumed, 1 key"),
            (_, None) => format!("{limit} resumed, {keys} keys"),
            (_, Some(_)) => format!("{limit} resumed"),
        };
        let view = LimitResumedView {
            limit,
            keys: keys as u64,
        };
        context.output.done(&view, &line);
        Ok(Exit::OK)
    }
}
