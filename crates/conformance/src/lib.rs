//! The conformance kit for executor plugins: runs every case in a process of its own and says which rules hold.
//!
//! First come the cases of `abi/`, which drive the plugin through the bare C ABI in a helper process. If
//! they hold, real jobs run on it in a real worker process. Nothing is printed here.

mod abi;
mod commands;
mod helper;
mod jobs;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use crate::abi::Verdict;
use abi::CaseInput;
use queuectl_executor::{PluginInfo, PluginSettings};

pub use helper::serve_case;
use jobs::Fixture;

use queuectl_worker::new_store;

/// What is checked, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The plugin's file.
    pub file: PathBuf,
    /// The executor's name, as the file says it.
    pub executor: queuectl_core::ExecutorName,
    /// The arguments to this program that make it a helper; the file and the case follow.
    pub helper: Vec<OsString>,
    /// The arguments to this program that make it a worker process which finds the plugin.
    pub worker: Vec<OsString>,
    /// What the plugin is told of the settings.
    pub settings: PluginSettings,
    /// The stored payload of a job that must succeed.
    pub sample: Option<String>,
    /// The same of one that takes a while before it succeeds.
    pub long: Option<String>,
    /// Longest that a case may take.
    pub limit: Duration,
    /// Jobs at a time, in the cases of many.
    pub many: usize,
    /// Whether to discard the logs of the processes and what the plugin prints.
    pub silent: bool,
}

/// A case that was tried, or was not.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its name.
    pub name: &'static str,
    /// What must hold.
    pub rule: &'static str,
    /// Whether it does.
    pub verdict: Verdict,
    /// How long that took.
    pub took: Duration,
}

/// Why a plugin cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// It is not there, not trusted, or no plugin.
    #[error("{0}")]
    Unloadable(String),
    /// A helper process could not be used.
    #[error("cannot start the helper process: {0}")]
    Io(#[from] io::Error),
}

/// Tries every case; `each` sees it as soon as it is decided.
///
/// # Errors
/// [`ConformanceError`]: no case could be tried.
pub fn check_plugin(options: &Options, mut each: impl FnMut(&Checked)) -> Result<(), ConformanceError> {
    let store = new_store();
    let mut case_input = CaseInput::new(
        options.executor.as_str(),
        &store,
        &options.settings,
        options.limit,
        options.many,
    );
    case_input.sample.clone_from(&options.sample);
    let mut info = PluginInfo::default();
    // Those that failed, and those that mean nothing because of them.
    let mut lost = HashSet::new();
    for case in abi::cases() {
        let begun = Instant::now();
        let missing = case.needs.iter().find(|needed| lost.contains(*needed));
        let verdict = match missing {
            Some(needed) => Verdict::Skipped(format!("it means nothing without the case '{needed}'")),
            None => {
                let told = helper::try_case(options, case, &case_input)?;
                if let Some(about) = told.info {
                    info = about;
                }
                told.verdict
            }
        };
        if let (abi::LOAD, Verdict::Failed(why)) = (case.name, &verdict) {
            return Err(ConformanceError::Unloadable(why.clone()));
        }
        if missing.is_some() || matches!(verdict, Verdict::Failed(_)) {
            lost.insert(case.name);
        }
        if case.name == abi::DESCRIBE && case_input.sample.is_none() && runs_any_command(&info) {
            // What every shell knows.
            case_input.sample = Some(r#"{"command":"exit 0"}"#.to_owned());
        }
        each(&Checked {
            name: case.name,
            rule: case.rule,
            verdict,
            took: begun.elapsed(),
        });
    }
    let keeps = info.slots.iter().any(|slot| slot == "reap");
    let fixture = Fixture::new(options, store, case_input.sample.clone(), info);
    for (name, rule, run) in jobs::CASES.iter().chain(commands::CASES) {
        let begun = Instant::now();
        let verdict = if lost.is_empty() {
            run(&fixture).map_or_else(|verdict| verdict, |()| Verdict::Ok)
        } else {
            Verdict::Skipped("no real jobs are run as long as a case above fails".to_owned())
        };
        each(&Checked {
            name,
            rule,
            verdict,
            took: begun.elapsed(),
        });
    }
    if keeps {
        helper::try_case(options, &abi::CLEAN_UP, &case_input)?;
    }
    Ok(())
}

/// Whether a job may be a command and nothing else, so that one that succeeds needs not be told.
fn runs_any_command(info: &PluginInfo) -> bool {
    let required = info
        .schema
        .as_ref()
        .and_then(|schema| schema["required"].as_array());
    has(info, "command") && required.is_none_or(Vec::is_empty)
}

fn has(info: &PluginInfo, capability: &str) -> bool {
    info.capabilities.iter().any(|word| word == capability)
}

/// A plugin's file as a path, for messages.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
