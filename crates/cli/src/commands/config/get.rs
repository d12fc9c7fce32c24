//! `config:get`: prints one setting, or all.

use anyhow::Result;
use clap::Args;

use super::list::ListArgs;
use super::setting::Setting;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::diagnostics;
use crate::registry::Run;

/// Print the value of a setting
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The setting; - and _ are interchangeable. EXECUTOR.key is a setting of that executor [default: list all]
    key: Option<String>,
}

impl Run for GetArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let Some(key) = &self.key else {
            return ListArgs {}.run(context);
        };
        let setting = Setting::find(key)?;
        let view = setting.view(&context.open()?.stored_settings()?);
        context.output.document(&view, |page| {
            match &view.value {
                Some(value) => page.line(value)?,
                None => diagnostics::note(&format!("{} is not set", view.key)),
            }
            Ok(())
        })?;
        Ok(Exit::OK)
    }
}
