//! `config:set`: changes a setting.

use anyhow::Result;
use clap::Args;
use queuectl_storage::Location;

use super::setting::Setting;
use crate::commands::plugin;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::operator;
use crate::output::diagnostics;
use crate::registry::Run;

/// Change a setting; running nodes pick it up
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The setting; - and _ are interchangeable. EXECUTOR.key is a setting of that executor
    key: String,
    /// Its new value; `config:list` shows the range
    #[arg(allow_hyphen_values = true)]
    value: String,
}

impl Run for SetArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let setting = Setting::find(&self.key)?;
        // Checked before the queue is opened, because a mistake must not create one.
        match &setting {
            Setting::Own(key) => {
                key.parse(&self.value)?;
                if key.name == "shell" {
                    check_shell(&self.value, context)?;
                }
            }
            Setting::Executor(setting) => {
                setting.check(&self.value)?;
                if let Some(why) = plugin::setting::objection(setting, &self.value, context)? {
                    let executor = &setting.executor;
                    return Err(
                        Usage::new(format!("the executor '{executor}' refuses {setting}: {why}"))
                            .hint(format!("queuectl plugin:info {executor} shows its settings"))
                            .into(),
                    );
                }
            }
        }
        let mut store = context.open_or_create()?;
        store.act_as(operator::name());
        match &setting {
            Setting::Own(key) => drop(store.set_setting(key, &self.value)??),
            Setting::Executor(setting) => store.set_executor_setting(setting, &self.value)??,
        }
        setting.print_change(&mut store, context)?;
        Ok(Exit::OK)
    }
}

/// Refuses a shell that this machine lacks, if all nodes run on this machine; else warns.
fn check_shell(shell: &str, context: &Context) -> Result<()> {
    let Some(problem) = queuectl_executor::shell_problem(shell) else {
        return Ok(());
    };
    let message = format!("the shell '{shell}' cannot be run on this machine: {problem}");
    match context.location {
        Location::Sqlite(_) => Err(Usage::new(message)
            .hint("name an installed shell, best by its full path")
            .into()),
        Location::Postgres(_) => {
            diagnostics::warning(&format!(
                "{message}; nodes on such machines cannot run command lines"
            ));
            Ok(())
        }
    }
}
