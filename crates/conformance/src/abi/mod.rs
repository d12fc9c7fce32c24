//! The conformance kit's cases that drive a plugin through the bare C ABI, against a host that runs nothing.
//!
//! A case runs in a process of its own, because the plugin may crash or hang. Starting that process, waiting for it and
//! judging its silence is left to `helper`; cases with real processes are in `jobs` and `commands`.

mod about;
mod before;
mod harness;
mod instances;
mod mock_host;
mod outcome;
mod runs;
mod shared;
mod stops;
mod subject;
mod texts;

use std::path::Path;
use std::time::Duration;

use queuectl_executor::bare::{open, settings_of};
use queuectl_executor::{PluginInfo, PluginSettings, inspect};
use serde::{Deserialize, Serialize};

use harness::Harness;
use outcome::{CaseResult, End};

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
    run: fn(&Harness) -> CaseResult,
}

/// What a case is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseInput {
    /// The executor's name, as the plugin's file says it.
    pub executor: String,
    /// The store that the runs belong to, which has no other runs.
    pub store: String,
    settings: String,
    /// The stored payload of a job that must succeed.
    pub sample: Option<String>,
    /// Longest that a case may take.
    pub limit: Duration,
    /// Runs at a time, in the case of many.
    pub many: usize,
}

impl CaseInput {
    /// An input for the plugin of that executor, with its settings.
    pub fn new(
        executor: &str,
        store: &str,
        settings: &PluginSettings,
        limit: Duration,
        many: usize,
    ) -> CaseInput {
        CaseInput {
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
    inspect(path).ok()
}

/// Tries one case in this process. `step` is told what comes next, so that a crash or a hang can be named.
pub fn run_case(path: &Path, name: &str, input: &CaseInput, step: &dyn Fn(&str)) -> Verdict {
    let Some(case) = cases().chain([&CLEAN_UP]).find(|case| case.name == name) else {
        return Verdict::Failed(format!("there is no case '{name}'"));
    };
    let before = before::Before::any_plugin();
    step("load the library");
    // Never closed: it may have threads.
    let entry = match open(path) {
        Ok((library, entry)) => {
            std::mem::forget(library);
            entry
        }
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    let ended = (case.run)(&Harness::new(entry, input, step, before));
    match (ended, mock_host::stray()) {
        (Ok(()), None) => Verdict::Ok,
        (Ok(()), Some(happened)) | (Err(End::Broken(happened)), _) => Verdict::Failed(happened),
        (Err(End::Skipped(why)), _) => Verdict::Skipped(why),
    }
}
