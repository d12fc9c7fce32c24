//! Tests that cannot run everywhere say so.

use std::fs::OpenOptions;
use std::io::Write;

/// Reports that a test was skipped: appends a line to the file that `cargo xtask test` names, which counts it and
/// treats it as a failure where nothing may be missing.
pub fn skipped(test: &str, reason: &str) {
    let line = format!("skipped: {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("QUEUECTL_TEST_SKIPS") {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the list of skipped tests can be written");
    }
}
