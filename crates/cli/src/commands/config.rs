//! `config:list`, `config:get`, `config:set`, `config:unset`: the settings of a queue.

use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use queuectl_core::ExecutorSetting;
use queuectl_core::settings::{KEYS, Key};
use queuectl_storage::{Location, Store};
use serde::Serialize;

use crate::commands::plugin;
use crate::context::Context;
use crate::exit::Exit;
use crate::exit::Usage;
use crate::output::table::{Column, Table};
use crate::output::{diagnostics, done, escape, json};

/// List all settings with their values and ranges
#[derive(Debug, Args)]
pub struct ListArgs {}

/// Print the value of a setting
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The setting; - and _ are interchangeable. EXECUTOR.key is a setting of that executor [default: list all]
    key: Option<String>,
}

/// Change a setting; running nodes pick it up
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The setting; - and _ are interchangeable. EXECUTOR.key is a setting of that executor
    key: String,
    /// Its new value; `config:list` shows the range
    #[arg(allow_hyphen_values = true)]
    value: String,
}

/// Reset a setting to its default
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The setting; - and _ are interchangeable. EXECUTOR.key is a setting of that executor
    key: String,
}

/// A setting of queuectl itself, or of one executor.
enum Setting {
    Own(&'static Key),
    Executor(ExecutorSetting),
}

impl Setting {
    /// Names with a dot are those of executors.
    fn find(name: &str) -> Result<Setting> {
        if name.contains('.') {
            return Ok(Setting::Executor(name.parse()?));
        }
        Ok(Setting::Own(Key::find(name)?))
    }

    fn name(&self) -> String {
        match self {
            Setting::Own(key) => key.name.to_owned(),
            Setting::Executor(setting) => setting.to_string(),
        }
    }

    /// The setting as it is in force: a stored value that is no longer valid counts for nothing.
    fn view(&self, stored: &[(String, String)]) -> SettingView {
        let name = self.name();
        let found = stored
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value);
        match self {
            Setting::Own(key) => {
                let set = found.and_then(|value| key.parse(value).ok());
                SettingView {
                    key: name,
                    set: set.is_some(),
                    value: Some(set.unwrap_or_else(|| key.default.to_owned())),
                    default: Some(key.default),
                    allowed: key.kind.to_string(),
                    about: key.about.to_owned(),
                }
            }
            Setting::Executor(setting) => SettingView {
                key: name,
                set: found.is_some(),
                value: found.cloned(),
                default: None,
                allowed: "what the executor takes; see `queuectl plugin:info`".to_owned(),
                about: format!("setting of the executor '{}'", setting.executor),
            },
        }
    }
}

#[derive(Serialize)]
struct SettingView {
    key: String,
    /// The value in force; none for an executor's setting that is not set.
    value: Option<String>,
    /// None for an executor's setting: its plugin knows.
    default: Option<&'static str>,
    /// Whether it was set, rather than left at its default.
    set: bool,
    allowed: String,
    about: String,
}

pub fn list(_: &ListArgs, context: &Context) -> Result<Exit> {
    let stored = context.open()?.stored_settings()?;
    let executors = stored
        .iter()
        .filter_map(|(name, _)| name.parse().ok().map(Setting::Executor));
    let all = KEYS.iter().map(Setting::Own).chain(executors);
    let settings: Vec<SettingView> = all.map(|setting| setting.view(&stored)).collect();
    if context.json {
        json::print(&settings)?;
        return Ok(Exit::OK);
    }
    let columns = [
        Column::name("KEY", 17),
        Column::name("VALUE", 10),
        Column::whole("DEFAULT").expendable(2),
        Column::whole("SET").expendable(1),
        Column::sentence("MEANING AND RANGE", 20),
    ];
    let mut table = Table::new(&columns, context.raw);
    for setting in settings {
        let set = if setting.set { "yes" } else { "" };
        let about = format!("{} ({})", setting.about, setting.allowed);
        let value = setting.value.unwrap_or_default();
        table.row([
            &setting.key,
            &value,
            setting.default.unwrap_or_default(),
            set,
            &about,
        ]);
    }
    table.print()?;
    Ok(Exit::OK)
}

pub fn get(args: &GetArgs, context: &Context) -> Result<Exit> {
    let Some(key) = &args.key else {
        return list(&ListArgs {}, context);
    };
    let setting = Setting::find(key)?;
    let view = setting.view(&context.open()?.stored_settings()?);
    if context.json {
        json::print(&view)?;
    } else if let Some(value) = view.value {
        let value = if context.raw {
            value.into()
        } else {
            escape::line(&value)
        };
        writeln!(io::stdout(), "{value}")?;
    } else {
        diagnostics::note(&format!("{} is not set", view.key));
    }
    Ok(Exit::OK)
}

pub fn set(args: &SetArgs, context: &Context) -> Result<Exit> {
    let setting = Setting::find(&args.key)?;
    // Before the queue is opened: a mistake must not create one.
    match &setting {
        Setting::Own(key) => {
            key.parse(&args.value)?;
            if key.name == "shell" {
                check_shell(&args.value, context)?;
            }
        }
        Setting::Executor(setting) => {
            setting.check(&args.value)?;
            if let Some(why) = plugin::setting::objection(setting, &args.value, context)? {
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
    match &setting {
        Setting::Own(key) => drop(store.set_setting(key, &args.value)??),
        Setting::Executor(setting) => store.set_executor_setting(setting, &args.value)??,
    }
    print_change(&setting, &mut store, context)
}

/// A shell that is not on this machine is a mistake where all nodes are on this machine, too.
fn check_shell(shell: &str, context: &Context) -> Result<()> {
    let Some(problem) = queuectl_executor::shell_problem(shell) else {
        return Ok(());
    };
    let message = format!("the shell '{shell}' cannot be run on this machine: {problem}");
    match context.location {
        Location::Sqlite(_) => Err(Usage::new(message)
            .hint("name a shell that is installed, best by its whole path")
            .into()),
        Location::Postgres(_) => {
            diagnostics::warning(&format!(
                "{message}; nodes on machines where that is so run no command lines"
            ));
            Ok(())
        }
    }
}

pub fn unset(args: &UnsetArgs, context: &Context) -> Result<Exit> {
    let setting = Setting::find(&args.key)?;
    let mut store = context.open()?;
    match &setting {
        Setting::Own(key) => store.unset_setting(key)?,
        Setting::Executor(setting) => store.unset_executor_setting(setting)?,
    };
    print_change(&setting, &mut store, context)
}

fn print_change(setting: &Setting, store: &mut Store, context: &Context) -> Result<Exit> {
    let view = setting.view(&store.stored_settings()?);
    let line = match &view.value {
        Some(value) if view.set => format!("{} = {value}", view.key),
        Some(value) => format!("{} = {value} (default)", view.key),
        None => format!("{} is not set", view.key),
    };
    done::tell(context, &view, &line);
    Ok(Exit::OK)
}
