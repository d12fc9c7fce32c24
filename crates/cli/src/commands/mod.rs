//! The commands, one file each, and the table of all.
//!
//! A command's file has its arguments as they are typed, resolves them, does the work through the store and hands views to
//! [`Output`](crate::output::Output). A new command is such a file, its `mod` here and its line in [`COMMANDS`].

mod asked;
mod batch;
mod cancel;
mod complete;
mod completions;
mod config;
mod confirm;
mod db;
mod dlq;
mod doctor;
mod doing;
mod edit;
mod enqueue;
mod events;
mod explain;
mod group;
mod help;
mod hold;
mod hook;
mod init;
mod job;
mod kill;
mod limit;
mod list;
mod logs;
mod manual;
mod move_jobs;
mod op;
mod plugin;
mod priority;
mod purge;
mod queue;
mod release;
mod rerun;
mod resume;
mod retry;
mod run;
mod schedule;
mod select;
mod serve;
mod show;
mod start;
mod stats;
mod status;
mod suspend;
mod token;
mod top;
mod version;
mod wait;
mod waiter;
mod watch;
mod worker;

use crate::registry::{Entry, command};

/// All commands, in the order of the help.
pub static COMMANDS: &[Entry] = &[
    command::<enqueue::EnqueueArgs>("enqueue")
        .aliases(&["add"])
        .harmless(),
    command::<run::RunArgs>("run"),
    command::<init::InitArgs>("init"),
    command::<list::ListArgs>("list").aliases(&["ls"]).harmless(),
    command::<show::ShowArgs>("show").harmless(),
    command::<explain::ExplainArgs>("explain")
        .aliases(&["why"])
        .harmless(),
    command::<logs::LogsArgs>("logs").aliases(&["log"]).harmless(),
    command::<events::EventsArgs>("events").harmless(),
    command::<status::StatusArgs>("status").harmless(),
    command::<top::TopArgs>("top").harmless(),
    command::<serve::ServeArgs>("serve"),
    command::<stats::StatsArgs>("stats").harmless(),
    command::<wait::WaitArgs>("wait").harmless(),
    command::<cancel::CancelArgs>("cancel"),
    command::<kill::KillArgs>("kill"),
    command::<suspend::SuspendArgs>("suspend"),
    command::<resume::ResumeArgs>("resume"),
    command::<retry::RetryArgs>("retry"),
    command::<rerun::RerunArgs>("rerun"),
    command::<hold::HoldArgs>("hold"),
    command::<release::ReleaseArgs>("release"),
    command::<start::StartArgs>("start"),
    command::<edit::EditArgs>("edit"),
    command::<priority::PriorityArgs>("priority"),
    command::<move_jobs::MoveArgs>("move").aliases(&["mv"]),
    command::<purge::PurgeArgs>("purge"),
    command::<op::list::ListArgs>("op:list").harmless(),
    command::<op::show::ShowArgs>("op:show").harmless(),
    command::<op::undo::UndoArgs>("op:undo"),
    command::<op::resume::ResumeArgs>("op:resume"),
    command::<job::progress::ProgressArgs>("job:progress").harmless(),
    command::<job::checkpoint::CheckpointArgs>("job:checkpoint").harmless(),
    command::<job::result::ResultArgs>("job:result").harmless(),
    command::<queue::list::ListArgs>("queue:list").harmless(),
    command::<queue::show::ShowArgs>("queue:show").harmless(),
    command::<queue::pause::PauseArgs>("queue:pause"),
    command::<queue::resume::ResumeArgs>("queue:resume"),
    command::<queue::drain::DrainArgs>("queue:drain"),
    command::<queue::set::SetArgs>("queue:set").harmless(),
    command::<queue::unset::UnsetArgs>("queue:unset").harmless(),
    command::<worker::start::StartArgs>("worker:start").node(),
    command::<worker::stop::StopArgs>("worker:stop"),
    command::<worker::list::ListArgs>("worker:list")
        .aliases(&["worker:status"])
        .harmless(),
    command::<worker::run::RunArgs>("worker:run").hidden().node(),
    command::<dlq::list::ListArgs>("dlq:list").harmless(),
    command::<dlq::causes::CausesArgs>("dlq:causes").harmless(),
    command::<dlq::show::ShowArgs>("dlq:show").harmless(),
    command::<dlq::retry::RetryArgs>("dlq:retry"),
    command::<dlq::purge::PurgeArgs>("dlq:purge"),
    command::<dlq::export::ExportArgs>("dlq:export").harmless(),
    command::<dlq::import::ImportArgs>("dlq:import").harmless(),
    command::<group::create::CreateArgs>("group:create").harmless(),
    command::<group::close::CloseArgs>("group:close"),
    command::<group::list::ListArgs>("group:list").harmless(),
    command::<group::show::ShowArgs>("group:show").harmless(),
    command::<group::graph::GraphArgs>("group:graph").harmless(),
    command::<group::wait::WaitArgs>("group:wait").harmless(),
    command::<group::cancel::CancelArgs>("group:cancel"),
    command::<group::retry::RetryArgs>("group:retry"),
    command::<group::remove::RemoveArgs>("group:remove"),
    command::<limit::set::SetArgs>("limit:set").harmless(),
    command::<limit::list::ListArgs>("limit:list").harmless(),
    command::<limit::show::ShowArgs>("limit:show").harmless(),
    command::<limit::resume::ResumeArgs>("limit:resume").harmless(),
    command::<limit::remove::RemoveArgs>("limit:remove"),
    command::<hook::add::AddArgs>("hook:add").harmless(),
    command::<hook::list::ListArgs>("hook:list").harmless(),
    command::<hook::show::ShowArgs>("hook:show").harmless(),
    command::<hook::remove::RemoveArgs>("hook:remove"),
    command::<schedule::add::AddArgs>("schedule:add").harmless(),
    command::<schedule::list::ListArgs>("schedule:list").harmless(),
    command::<schedule::show::ShowArgs>("schedule:show").harmless(),
    command::<schedule::next::NextArgs>("schedule:next").harmless(),
    command::<schedule::edit::EditArgs>("schedule:edit"),
    command::<schedule::pause::PauseArgs>("schedule:pause"),
    command::<schedule::resume::ResumeArgs>("schedule:resume"),
    command::<schedule::run::RunArgs>("schedule:run"),
    command::<schedule::backfill::BackfillArgs>("schedule:backfill"),
    command::<schedule::import::ImportArgs>("schedule:import"),
    command::<schedule::apply::ApplyArgs>("schedule:apply"),
    command::<schedule::remove::RemoveArgs>("schedule:remove"),
    command::<token::add::AddArgs>("token:add").harmless(),
    command::<token::list::ListArgs>("token:list").harmless(),
    command::<token::revoke::RevokeArgs>("token:revoke"),
    command::<config::list::ListArgs>("config:list").harmless(),
    command::<config::get::GetArgs>("config:get")
        .aliases(&["config:show"])
        .harmless(),
    command::<config::set::SetArgs>("config:set").harmless(),
    command::<config::unset::UnsetArgs>("config:unset").harmless(),
    command::<db::check::CheckArgs>("db:check").harmless(),
    command::<db::backup::BackupArgs>("db:backup").harmless(),
    command::<db::copy::CopyArgs>("db:copy").naming_queues(),
    command::<db::migrate::MigrateArgs>("db:migrate"),
    command::<db::path::PathArgs>("db:path").harmless(),
    command::<db::compact::CompactArgs>("db:compact"),
    command::<doctor::DoctorArgs>("doctor").harmless(),
    command::<plugin::list::ListArgs>("plugin:list").harmless(),
    command::<plugin::info::InfoArgs>("plugin:info").harmless(),
    command::<plugin::run::RunArgs>("plugin:run"),
    command::<plugin::check::CheckArgs>("plugin:check"),
    command::<plugin::check::CaseArgs>("plugin:check-case").hidden(),
    command::<plugin::install::InstallArgs>("plugin:install"),
    command::<plugin::new::NewArgs>("plugin:new"),
    command::<plugin::probe::ProbeArgs>("plugin:probe").hidden(),
    command::<completions::CompletionsArgs>("completions").aliases(&["completion"]),
    command::<complete::CompleteArgs>("complete").hidden(),
    command::<manual::ManualArgs>("manual").hidden(),
    command::<help::HelpArgs>("help").hidden(),
    command::<version::VersionArgs>("version").hidden(),
];

/// Returns the command with that name or alias.
pub fn find(word: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.is_named(word))
}
