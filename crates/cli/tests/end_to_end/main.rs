//! End-to-end tests: the real binary, real worker processes, real jobs.
//!
//! One test program, so that it links once; one module per subject. What a crate can test by itself is tested there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bulk_enqueue;
#[cfg(target_os = "linux")]
mod completion;
mod config;
mod config_file;
mod edit;
mod enqueue;
mod events;
mod familiar_forms;
mod refused;
#[cfg(target_os = "linux")]
mod replaced;
mod unique;
mod unusable;

// The longest test is in here; tests start in alphabetical order.
mod acceptance;
#[cfg(target_os = "linux")]
mod asked;
#[cfg(target_os = "linux")]
mod bundled_plugins;
#[cfg(unix)]
mod busy;
mod cancel;
#[cfg(target_os = "linux")]
mod conformance;
#[cfg(target_os = "linux")]
mod crash;
mod dead_letters;
mod dead_letters_elsewhere;
mod dependencies;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod docker;
#[cfg(target_os = "linux")]
mod docker_crash;
mod doctor;
#[cfg(unix)]
mod exactly_once;
mod explain;
mod fields;
mod groups;
mod health;
mod hold;
mod hooks;
#[cfg(unix)]
mod http;
#[cfg(target_os = "linux")]
mod inherited;
mod inspection;
#[cfg(unix)]
mod job_outcomes;
#[cfg(unix)]
mod kill;
mod labels;
#[cfg(target_os = "linux")]
mod leftovers;
mod listing;
#[cfg(unix)]
mod logs;
#[cfg(target_os = "linux")]
mod manual;
mod node_lifecycle;
mod operations;
#[cfg(target_os = "linux")]
mod pages;
#[cfg(target_os = "linux")]
mod plugin;
#[cfg(target_os = "linux")]
mod postgres;
#[cfg(target_os = "linux")]
mod projects;
mod purge;
#[cfg(unix)]
mod queue_limits;
mod queues;
#[cfg(unix)]
mod reports;
mod rerun;
#[cfg(unix)]
mod run;
mod schedules;
#[cfg(target_os = "linux")]
mod screens;
#[cfg(target_os = "linux")]
mod secrets;
mod selectors;
mod serve;
#[cfg(unix)]
mod shell;
#[cfg(target_os = "linux")]
mod shell_groups;
#[cfg(unix)]
mod shortage;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod situations;
mod sources;
#[cfg(unix)]
mod stalled;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod start_up;
mod stats;
#[cfg(target_os = "linux")]
mod suspend;
#[cfg(target_os = "linux")]
mod syncs;
#[cfg(unix)]
mod terminal;
#[cfg(unix)]
mod top;
#[cfg(target_os = "linux")]
mod trust;
#[cfg(target_os = "linux")]
mod unprinted;
mod waiting;
#[cfg(target_os = "linux")]
mod wasm;
#[cfg(windows)]
mod windows;
