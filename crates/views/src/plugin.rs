//! Executor plugins: what they are, what they did, and whether they keep the rules.

use queuectl_core::Outcome;
use serde::Serialize;
use serde_json::Value;

/// A plugin that was found.
#[derive(Debug, Serialize)]
pub struct PluginView {
    /// The executor's name, as its file says it.
    pub name: String,
    /// The plugin's version; empty if it cannot be used.
    pub version: String,
    /// What it does, in words; empty if it cannot be used.
    pub about: String,
    /// Path of the file.
    pub file: String,
    /// Why it cannot be used, if it cannot.
    pub error: Option<String>,
}

/// What a plugin says about itself.
#[derive(Debug, Serialize)]
pub struct PluginInfoView {
    /// The executor's name.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// What it does, in words.
    pub about: String,
    /// What it can do, in its own words.
    pub capabilities: Vec<String>,
    /// JSON Schema of the jobs' `payload`.
    pub schema: Option<Value>,
    /// JSON Schema of its settings.
    pub settings_schema: Option<Value>,
    /// Minor version of the ABI that it was written for.
    pub minor: u32,
    /// The optional functions that it has.
    pub slots: Vec<String>,
    /// Path of the file.
    pub file: String,
    /// Version of the ABI that it was written for.
    pub abi: String,
    /// Whether jobs could run on it now.
    pub healthy: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One job that a plugin ran without a queue.
#[derive(Debug, Serialize)]
pub struct PluginRunView<'a> {
    /// How it ended.
    pub outcome: &'a Outcome,
    /// What it printed. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub output: String,
    /// Bytes printed in all.
    pub output_bytes: u64,
    /// The shortest wait before another attempt, if the executor asked for one.
    pub retry_after_ms: Option<u128>,
    /// Whether the executor says that what the job needs is busy for that long.
    pub busy: bool,
    /// Whether the executor says that another attempt cannot succeed.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// Whether a plugin keeps the rules of the plugin ABI.
#[derive(Debug, Serialize)]
pub struct PluginCheckView {
    /// Path of the plugin.
    pub file: String,
    /// Whether no case failed.
    pub ok: bool,
    /// Cases that are ok.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases that were not tried.
    pub skipped: usize,
    /// Every case, in the order in which they were tried.
    pub cases: Vec<PluginCaseView>,
}

/// One case of a plugin's check.
#[derive(Debug, Serialize)]
pub struct PluginCaseView {
    /// Its name.
    pub name: &'static str,
    /// What must hold, in words.
    pub rule: &'static str,
    /// `ok`, `failed` or `skipped`.
    pub result: &'static str,
    /// What happened, or why it was not tried.
    pub detail: Option<String>,
    /// How long it took, in ms.
    pub duration_ms: u128,
}

/// A plugin that was installed.
#[derive(Debug, Serialize)]
pub struct InstalledView {
    /// The executor's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// Path of the copy.
    pub file: String,
}
