//! `config:unset`: resets a setting to its default.

use anyhow::Result;
use clap::Args;

use super::setting::Setting;
use crate::context::Context;
use crate::exit::Exit;
use crate::operator;
use crate::registry::Run;

/// Reset a setting to its default
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The setting; - and _ are interchangeable. EXECUTOR.key is a setting of that executor
    key: String,
}

impl Run for UnsetArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let setting = Setting::find(&self.key)?;
        let mut store = context.open()?;
        store.act_as(operator::name());
        match &setting {
            Setting::Own(key) => store.unset_setting(key)?,
            Setting::Executor(setting) => store.unset_executor_setting(setting)?,
        };
        setting.print_change(&mut store, context)?;
        Ok(Exit::OK)
    }
}
