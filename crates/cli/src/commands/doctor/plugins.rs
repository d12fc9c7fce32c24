//! Executor plugins: which there are, whether they can run jobs now, and which are wanted and missing.

use std::collections::{BTreeMap, BTreeSet};

use queuectl_executor::PluginInfo;
use queuectl_storage::Store;
use queuectl_views::{FindingView, Verdict};

use super::{named, unread};
use crate::commands::plugin::{ask, search};
use crate::context::Context;

/// The executor of jobs that name none.
const DEFAULT: &str = "shell";

/// The plugins that were found, by the name of the executor; without their description if they cannot be used.
pub(super) type Plugins = BTreeMap<String, Option<PluginInfo>>;

pub(super) fn findings(context: &Context) -> (Vec<FindingView>, Plugins) {
    let (mut found, mut plugins) = (Vec::new(), Plugins::new());
    for file in search(context).list() {
        // Jobs that name no executor need this one; others may do without.
        let bad = match file.name == DEFAULT {
            true => Verdict::Problem,
            false => Verdict::Warning,
        };
        let (name, path) = (&file.name, file.path.display());
        let asked = match file.refused {
            Some(refused) => Err(refused.into()),
            None => ask(&file.path, context),
        };
        let mut probe = match asked {
            Ok(probe) => probe,
            Err(error) => {
                let text = format!("{name} cannot be used: {error}");
                found.push(FindingView::new("plugin", bad, text));
                plugins.insert(file.name, None);
                continue;
            }
        };
        found.push(match probe.fingerprint() {
            Ok(Ok(())) => {
                let text = format!("{name} {} can run jobs, {path}", probe.info().version);
                FindingView::new("plugin", Verdict::Ok, text)
            }
            Ok(Err(reason)) => {
                let text = format!("{name} cannot run jobs now: {reason}");
                // An executor that is installed and not used may stay switched off.
                let verdict = if bad == Verdict::Problem {
                    bad
                } else {
                    Verdict::Note
                };
                FindingView::new("plugin", verdict, text)
            }
            Err(error) => FindingView::new("plugin", bad, format!("{name}: {error}")),
        });
        plugins.insert(file.name, Some(probe.info().clone()));
    }
    if !plugins.contains_key(DEFAULT) {
        let text = format!("the executor '{DEFAULT}', which jobs use unless they name another, is not found");
        found.push(
            FindingView::new("plugin", Verdict::Problem, text)
                .fix("install queuectl with its plugins, or name their folder with --plugin-dir"),
        );
    }
    (found, plugins)
}

/// Returns whether a plugin was found for an executor.
pub(super) fn has(plugins: &Plugins, executor: &str) -> bool {
    // A file's name cannot tell `-` from `_`.
    plugins.contains_key(executor) || plugins.contains_key(&executor.replace('-', "_"))
}

/// The executors that schedules name and that are not here.
pub(super) fn wanted(store: &mut Store, plugins: &Plugins) -> Vec<FindingView> {
    let schedules = match store.schedules(None) {
        Ok(schedules) => schedules,
        Err(error) => return vec![unread("schedules", &error)],
    };
    let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for schedule in schedules {
        if let Some(executor) = schedule.spec.job.executor
            && !has(plugins, executor.as_str())
        {
            let names = missing.entry(executor.to_string()).or_default();
            names.insert(schedule.spec.name.to_string());
        }
    }
    let findings = missing.into_iter().map(|(executor, names)| {
        let text = format!(
            "no plugin for the executor '{executor}' is found here; schedules use it: {}",
            named(names)
        );
        FindingView::new("schedules", Verdict::Warning, text).fix(
            "nodes on this machine cannot run their jobs; `queuectl plugin:install FILE` installs a plugin",
        )
    });
    findings.collect()
}
