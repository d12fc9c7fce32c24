//! What queuectl shows: jobs, attempts, nodes, queues, counts, settings, plugins, and what a command has done.
//!
//! Each type here is one document of `docs/json.md`, with its fields in the order in which they are printed. Programs read
//! them, so fields are added and never renamed or removed within a major version. How a view looks to people is up to
//! the code that prints it. This crate deliberately reads nothing: a view is made from types of the core, or field by field.

mod attempt;
mod change;
mod database;
mod dead;
mod doctor;
mod event;
mod explain;
mod graph;
mod group;
mod hook;
mod job;
mod limit;
mod node;
mod operation;
mod output;
mod pause;
mod plugin;
mod queue;
mod queue_limit;
mod schedule;
mod setting;
mod stats;
mod status;
mod token;

pub use attempt::{AttemptView, LogView, OutputPartView};
pub use change::{
    AskedView, CancelledView, ChangedView, CountView, EnqueuedView, LettersImportedView, RetriedView,
    StartedView, WouldView,
};
pub use database::{
    BackupView, CheckView, CompactView, CopyView, InitView, MigrateView, MigrationView, PathView,
};
pub use dead::{CauseView, DeadLetterView};
pub use doctor::{DoctorView, FindingView, Verdict};
pub use event::EventView;
pub use explain::{ExplainGroupView, ExplainView, ReasonView};
pub use graph::{GraphEdgeView, GraphJobView, GraphView};
pub use group::{GroupCancelledView, GroupDetailView, GroupRetriedView, GroupView, MemberView};
pub use hook::HookView;
pub use job::{
    HookJobView, JobDetailView, JobView, ListedView, ProgressView, RelativeView, SourcesView, UnmetView,
};
pub use limit::{LimitDetailView, LimitJobView, LimitKeyView, LimitResumedView, LimitView};
pub use node::{NodeState, NodeView};
pub use operation::{OperationView, UndoneView};
pub use output::{ChunkView, OutputView};
pub use pause::PauseView;
pub use plugin::{InstalledView, PluginCaseView, PluginCheckView, PluginInfoView, PluginRunView, PluginView};
pub use queue::{QueueChangedView, QueueSettingView, QueueSettingsView, QueueView};
pub use queue_limit::QueueLimitView;
pub use schedule::{
    ImportedView, NextTickView, ScheduleChangedView, ScheduleDetailView, ScheduleView, TickJobView, TickView,
};
pub use setting::SettingView;
pub use stats::{StatsOfView, StatsSource, StatsView, TimesView};
pub use status::{ProblemView, StateCounts, StatusView};
pub use token::{NewTokenView, TokenState, TokenView};
