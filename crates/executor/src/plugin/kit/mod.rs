//! The conformance kit's cases that drive a plugin through the bare C ABI, against a host that runs nothing.
//!
//! A case runs in a process of its own, for the plugin may crash or hang; who starts that process, waits for it and
//! judges its silence is the worker crate. Cases that need real processes are there, too.

mod about;
mod fake;
mod instances;
mod runs;
mod shared;
mod stage;
mod stops;
mod target;
mod texts;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::{PluginInfo, load, open};
use super::loader::settings_of;
use crate::PluginSettings;
use stage::{End, Passed, Stage};

/// A rule and how it is tried.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What must hold.
    pub rule: &'static str,
    /// The cases without which this one means nothing.
    pub needs: &'static [&'static str],
    /// How many times the usual limit it may take.
    pub patience: u32,
    run: fn(&Stage) -> Passed,
}

/// What a case is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The executor's name, as the plugin's file says it.
    pub executor: String,
    /// The store that the runs belong to, which is nobody else's.
    pub store: String,
    settings: String,
    /// The stored payload of a job that must succeed.
    pub sample: Option<String>,
    /// Longest that a case may take.
    pub limit: Duration,
    /// Runs at a time, in the case of many.
    pub many: usize,
}

impl Order {
    /// An order for the plugin of that executor, with its settings.
    pub fn new(
        executor: &str,
        store: &str,
        settings: &PluginSettings,
        limit: Duration,
        many: usize,
    ) -> Order {
        Order {
            executor: executor.to_owned(),
            store: store.to_owned(),
            settings: settings_of(settings, executor),
            sample: None,
            limit,
            many,
        }
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The rule holds.
    Ok,
    /// It does not; what happened.
    Failed(String),
    /// It was not tried; why.
    Skipped(String),
}

/// The name of the case without which there is no plugin.
pub const LOAD: &str = "load";

/// Every case, in the order in which they make sense.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let groups = [
        about::CASES,
        instances::CASES,
        runs::CASES,
        stops::CASES,
        texts::CASES,
        shared::CASES,
    ];
    groups.into_iter().flatten()
}

/// No rule: what the runs of a check left behind is removed, as far as the plugin can do that.
pub static CLEAN_UP: Case = Case {
    name: "clean-up",
    rule: "",
    needs: &[],
    patience: 2,
    run: instances::clean_up,
};

/// The case after which [`about`] may be asked.
pub const DESCRIBE: &str = "describe";

/// What a plugin says about itself that passed the case [`DESCRIBE`].
pub fn about(path: &Path) -> Option<PluginInfo> {
    load(path).ok().map(|plugin| plugin.info)
}

/// Tries one case in this process. `step` is told what comes next, so that a crash or a hang can be named.
pub fn run_case(path: &Path, name: &str, order: &Order, step: &dyn Fn(&str)) -> Verdict {
    let Some(case) = cases().chain([&CLEAN_UP]).find(|case| case.name == name) else {
        return Verdict::Failed(format!("there is no case '{name}'"));
    };
    let before = shared::Before::any_plugin();
    step("load the library");
    // Never closed: it may have threads.
    let entry = match open(path) {
        Ok((library, entry)) => {
            std::mem::forget(library);
            entry
        }
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    let ended = (case.run)(&Stage::new(entry, order, step, before));
    match (ended, fake::stray()) {
        (Ok(()), None) => Verdict::Ok,
        (Ok(()), Some(happened)) | (Err(End::Broken(happened)), _) => Verdict::Failed(happened),
        (Err(End::Skipped(why)), _) => Verdict::Skipped(why),
    }
}
