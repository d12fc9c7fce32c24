//! `config:list`: lists all settings.

use anyhow::Result;
use clap::Args;
use queuectl_core::settings::KEYS;
use queuectl_views::SettingView;

use super::setting::Setting;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::registry::Run;

/// List all settings with their values and ranges
#[derive(Debug, Args)]
pub struct ListArgs {}

const COLUMNS: [Column; 5] = [
    Column::name("KEY", 17),
    Column::name("VALUE", 10),
    Column::whole("DEFAULT").expendable(2),
    Column::whole("SET").expendable(1),
    Column::sentence("MEANING AND RANGE", 20),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let stored = context.open()?.stored_settings()?;
        let executors = stored
            .iter()
            .filter_map(|(name, _)| name.parse().ok().map(Setting::Executor));
        let mut list = context.output.list(&COLUMNS)?;
        for setting in KEYS.iter().map(Setting::Own).chain(executors) {
            let view = setting.view(&stored);
            list.item(&view, || row(&view))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

fn row(setting: &SettingView) -> Vec<String> {
    vec![
        setting.key.clone(),
        setting.value.clone().unwrap_or_default(),
        setting.default.unwrap_or_default().to_owned(),
        if setting.set { "yes" } else { "" }.to_owned(),
        format!("{} ({})", setting.about, setting.allowed),
    ]
}
