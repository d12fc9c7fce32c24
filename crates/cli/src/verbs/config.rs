//! `config:list`, `config:get`, `config:set`, `config:unset`: the settings of a queue.

use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use queuectl_core::settings::{KEYS, Key};
use queuectl_storage::Store;
use serde::Serialize;

use super::each::ignore_closed;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::json;
use crate::output::table::Table;

/// List all settings with their values and ranges
#[derive(Debug, Args)]
pub struct ListArgs {}

/// Print the value of a setting
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The setting; - and _ are the same
    key: String,
}

/// Change a setting; running nodes take it up
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The setting; - and _ are the same
    key: String,
    /// Its new value; `config:list` shows the range
    #[arg(allow_negative_numbers = true)]
    value: String,
}

/// Give a setting its default again
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The setting; - and _ are the same
    key: String,
}

#[derive(Serialize)]
struct SettingView {
    key: &'static str,
    /// The value in force.
    value: String,
    default: &'static str,
    /// Whether it was set, rather than left at its default.
    set: bool,
    allowed: String,
    about: &'static str,
}

pub fn list(_: &ListArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let stored = store.stored_settings()?;
    let settings: Vec<SettingView> = KEYS.iter().map(|key| view(key, &stored)).collect();
    if context.json {
        json::print(&settings)?;
        return Ok(Exit::OK);
    }
    let mut table = Table::new(
        &["KEY", "VALUE", "DEFAULT", "SET", "MEANING AND RANGE"],
        context.raw,
    );
    for setting in settings {
        let set = if setting.set { "yes" } else { "" };
        let about = format!("{} ({})", setting.about, setting.allowed);
        table.row([setting.key, &setting.value, setting.default, set, &about]);
    }
    table.print()?;
    Ok(Exit::OK)
}

pub fn get(args: &GetArgs, context: &Context) -> Result<Exit> {
    let key = Key::find(&args.key)?;
    print(key, &mut context.open()?, context)?;
    Ok(Exit::OK)
}

pub fn set(args: &SetArgs, context: &Context) -> Result<Exit> {
    let key = Key::find(&args.key)?;
    // Before the queue is opened: a mistake must not create one.
    key.parse(&args.value)?;
    let mut store = context.open_or_create()?;
    let value = store.set_setting(key, &args.value)??;
    say(key, &value, &mut store, context)
}

pub fn unset(args: &UnsetArgs, context: &Context) -> Result<Exit> {
    let key = Key::find(&args.key)?;
    let mut store = context.open()?;
    store.unset_setting(key)?;
    say(key, key.default, &mut store, context)
}

fn say(key: &'static Key, value: &str, store: &mut Store, context: &Context) -> Result<Exit> {
    if context.json {
        let stored = store.stored_settings()?;
        ignore_closed(json::print(&view(key, &stored)))?;
    } else {
        ignore_closed(writeln!(io::stdout(), "{} = {value}", key.name))?;
    }
    Ok(Exit::OK)
}

fn print(key: &'static Key, store: &mut Store, context: &Context) -> Result<()> {
    let setting = view(key, &store.stored_settings()?);
    if context.json {
        json::print(&setting)?;
    } else {
        writeln!(io::stdout(), "{}", setting.value)?;
    }
    Ok(())
}

/// The setting as it is in force: a stored value that is no longer valid counts for nothing.
fn view(key: &'static Key, stored: &[(String, String)]) -> SettingView {
    let set = stored
        .iter()
        .find(|(name, _)| name == key.name)
        .and_then(|(_, value)| key.parse(value).ok());
    SettingView {
        key: key.name,
        set: set.is_some(),
        value: set.unwrap_or_else(|| key.default.to_owned()),
        default: key.default,
        allowed: key.kind.to_string(),
        about: key.about,
    }
}
