//! The program itself: its version, whether a shell finds this one, its configuration file, and variables that it does not know.

use std::env;
use std::path::{Path, PathBuf};

use queuectl_views::{FindingView, Verdict};

use crate::config_file;

/// Variables that users set.
const CONFIGURATION: [&str; 7] = [
    "QUEUECTL_COMPLETION_TIMEOUT",
    "QUEUECTL_CONFIG",
    "QUEUECTL_DB",
    "QUEUECTL_LOG",
    "QUEUECTL_OUTPUT",
    "QUEUECTL_PLUGIN_CALL_LIMIT",
    "QUEUECTL_PLUGIN_PATH",
];
/// How others begin or are called: those that jobs get, and those of the project's own tests.
const OTHERS: [&str; 14] = [
    "QUEUECTL_ATTEMPT",
    "QUEUECTL_CALL_RECORD",
    "QUEUECTL_CHECKPOINT",
    "QUEUECTL_COOKIE",
    "QUEUECTL_FENCE",
    "QUEUECTL_GROUP",
    "QUEUECTL_HOOK",
    "QUEUECTL_JOB_ID",
    "QUEUECTL_PARENTS",
    "QUEUECTL_PLUGIN_SHA",
    "QUEUECTL_QUEUE",
    "QUEUECTL_SCHEDULE",
    "QUEUECTL_TEST",
    "QUEUECTL_TICK",
];

pub(super) fn findings() -> Vec<FindingView> {
    let version = env!("CARGO_PKG_VERSION");
    let mut found = Vec::new();
    match env::current_exe() {
        Ok(this) => {
            let text = format!("version {version}, {}", this.display());
            found.push(FindingView::new("program", Verdict::Ok, text));
            found.extend(other_in_path(&this));
        }
        Err(error) => {
            let text = format!("version {version}; its file cannot be found: {error}");
            found.push(FindingView::new("program", Verdict::Warning, text));
        }
    }
    if let Some(file) = config_file::path().filter(|file| file.exists()) {
        let text = format!("{} sets defaults of options", file.display());
        found.push(FindingView::new("config_file", Verdict::Ok, text));
    }
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    found.extend(names.filter(|name| is_unknown(name)).map(|name| unknown(&name)));
    found
}

/// Another program of the same name that a shell would run.
fn other_in_path(this: &Path) -> Option<FindingView> {
    let name = format!("queuectl{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH")?;
    let first: PathBuf = env::split_paths(&path)
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())?;
    let is_this = first.canonicalize().ok()? == this.canonicalize().ok()?;
    (!is_this).then(|| {
        let text = format!("a shell runs {} instead of this program", first.display());
        FindingView::new("path", Verdict::Warning, text)
            .fix("remove one of them, or put the folder of this one first in PATH")
    })
}

fn is_unknown(name: &str) -> bool {
    name.starts_with("QUEUECTL_")
        && !CONFIGURATION.contains(&name)
        && !OTHERS.iter().any(|known| name.starts_with(known))
}

fn unknown(name: &str) -> FindingView {
    let text = format!("nothing reads the variable {name}");
    let found = FindingView::new("environment", Verdict::Warning, text);
    let near = CONFIGURATION
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((likeness, known)) if likeness > 0.9 => found.fix(format!("did you mean {known}?")),
        _ => found.fix(format!("those that are read: {}", CONFIGURATION.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_variable_is_told_from_those_that_are_read() {
        for known in ["QUEUECTL_DB", "QUEUECTL_JOB_ID", "QUEUECTL_HOOK_ERROR", "HOME"] {
            assert!(!is_unknown(known), "{known}");
        }
        assert!(is_unknown("QUEUECTL_DBS"));
        assert_eq!(
            unknown("QUEUECTL_PLUGINS_PATH").fix.as_deref(),
            Some("did you mean QUEUECTL_PLUGIN_PATH?")
        );
    }
}
