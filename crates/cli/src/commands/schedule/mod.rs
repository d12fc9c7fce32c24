//! `schedule:...`: what makes jobs at given times.

pub mod add;
pub mod apply;
pub mod backfill;
mod crontab;
pub mod edit;
pub mod import;
pub mod list;
pub mod next;
mod options;
pub mod pause;
pub mod remove;
pub mod resume;
pub mod run;
pub mod show;
mod times;
