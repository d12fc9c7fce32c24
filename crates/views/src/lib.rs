//! What queuectl shows: jobs, attempts, nodes, queues, counts, settings, plugins, and what a command has done.
//!
//! Each type here is one document of `docs/json.md`, with its fields in the order in which they are printed. Programs read
//! them, so fields are added and never renamed or removed within a major version. How a view looks to people is up to
//! the code that prints it. This crate deliberately reads nothing: a view is made from types of the core, or field by field.

mod attempt;
mod change;
mod database;
mod event;
mod explain;
mod job;
mod limit;
mod node;
mod pause;
mod plugin;
mod queue;
mod schedule;
mod setting;
mod status;

pub use attempt::{AttemptView, LogView};
pub use change::{AskedView, ChangedView, CountView, EnqueuedView, RetriedView, StartedView};
pub use database::{
    BackupView, CheckView, CompactView, CopyView, InitView, MigrateView, MigrationView, PathView,
};
pub use event::EventView;
pub use explain::{ExplainView, ReasonView};
pub use job::{DeadLetterView, JobDetailView, JobView, RelativeView, SourcesView, UnmetView};
pub use limit::{LimitDetailView, LimitJobView, LimitKeyView, LimitView};
pub use node::{NodeState, NodeView};
pub use pause::PauseView;
pub use plugin::{InstalledView, PluginCaseView, PluginCheckView, PluginInfoView, PluginRunView, PluginView};
pub use queue::{QueueChangedView, QueueSettingView, QueueSettingsView, QueueView};
pub use schedule::{
    ImportedView, NextTickView, ScheduleChangedView, ScheduleDetailView, ScheduleView, TickJobView, TickView,
};
pub use setting::SettingView;
pub use status::{StateCounts, StatusView};
