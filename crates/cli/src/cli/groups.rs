//! The spaced forms (`dlq list`): hidden groups over the same argument types. A group alone lists.

use clap::{Args, Subcommand};

use super::Verb;
use crate::commands::{config, db, dlq, plugin, worker};

/// `worker` and a command; alone, it lists.
#[derive(Debug, Args)]
pub struct WorkerGroup {
    #[command(subcommand)]
    verb: Option<WorkerVerb>,
    #[command(flatten)]
    list: worker::list::ListArgs,
}

impl From<WorkerGroup> for Verb {
    fn from(group: WorkerGroup) -> Verb {
        group.verb.unwrap_or(WorkerVerb::List(group.list)).into()
    }
}

/// `dlq` and a command; alone, it lists.
#[derive(Debug, Args)]
pub struct DlqGroup {
    #[command(subcommand)]
    verb: Option<DlqVerb>,
    #[command(flatten)]
    list: dlq::ListArgs,
}

impl From<DlqGroup> for Verb {
    fn from(group: DlqGroup) -> Verb {
        group.verb.unwrap_or(DlqVerb::List(group.list)).into()
    }
}

/// `config` and a command; alone, it lists.
#[derive(Debug, Args)]
pub struct ConfigGroup {
    #[command(subcommand)]
    verb: Option<ConfigVerb>,
    #[command(flatten)]
    list: config::ListArgs,
}

impl From<ConfigGroup> for Verb {
    fn from(group: ConfigGroup) -> Verb {
        group.verb.unwrap_or(ConfigVerb::List(group.list)).into()
    }
}

/// `plugin` and a command; alone, it lists.
#[derive(Debug, Args)]
pub struct PluginGroup {
    #[command(subcommand)]
    verb: Option<PluginVerb>,
    #[command(flatten)]
    list: plugin::list::ListArgs,
}

impl From<PluginGroup> for Verb {
    fn from(group: PluginGroup) -> Verb {
        group.verb.unwrap_or(PluginVerb::List(group.list)).into()
    }
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum WorkerVerb {
    Start(worker::start::StartArgs),
    Stop(worker::stop::StopArgs),
    #[command(alias = "status")]
    List(worker::list::ListArgs),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum DlqVerb {
    List(dlq::ListArgs),
    Show(dlq::ShowArgs),
    Retry(dlq::RetryArgs),
    Purge(dlq::PurgeArgs),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ConfigVerb {
    List(config::ListArgs),
    #[command(alias = "show")]
    Get(config::GetArgs),
    Set(config::SetArgs),
    Unset(config::UnsetArgs),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum PluginVerb {
    List(plugin::list::ListArgs),
    Info(plugin::info::InfoArgs),
    Run(plugin::run::RunArgs),
    Check(plugin::check::CheckArgs),
    Install(plugin::install::InstallArgs),
    New(plugin::new::NewArgs),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum DbVerb {
    Check(db::CheckArgs),
    Backup(db::BackupArgs),
    Copy(db::copy::CopyArgs),
    Migrate(db::migrate::MigrateArgs),
    Path(db::path::PathArgs),
    Compact(db::CompactArgs),
}

impl From<WorkerVerb> for Verb {
    fn from(verb: WorkerVerb) -> Verb {
        match verb {
            WorkerVerb::Start(args) => Verb::WorkerStart(args),
            WorkerVerb::Stop(args) => Verb::WorkerStop(args),
            WorkerVerb::List(args) => Verb::WorkerList(args),
        }
    }
}

impl From<DlqVerb> for Verb {
    fn from(verb: DlqVerb) -> Verb {
        match verb {
            DlqVerb::List(args) => Verb::DlqList(args),
            DlqVerb::Show(args) => Verb::DlqShow(args),
            DlqVerb::Retry(args) => Verb::DlqRetry(args),
            DlqVerb::Purge(args) => Verb::DlqPurge(args),
        }
    }
}

impl From<ConfigVerb> for Verb {
    fn from(verb: ConfigVerb) -> Verb {
        match verb {
            ConfigVerb::List(args) => Verb::ConfigList(args),
            ConfigVerb::Get(args) => Verb::ConfigGet(args),
            ConfigVerb::Set(args) => Verb::ConfigSet(args),
            ConfigVerb::Unset(args) => Verb::ConfigUnset(args),
        }
    }
}

impl From<PluginVerb> for Verb {
    fn from(verb: PluginVerb) -> Verb {
        match verb {
            PluginVerb::List(args) => Verb::PluginList(args),
            PluginVerb::Info(args) => Verb::PluginInfo(args),
            PluginVerb::Run(args) => Verb::PluginRun(args),
            PluginVerb::Check(args) => Verb::PluginCheck(args),
            PluginVerb::Install(args) => Verb::PluginInstall(args),
            PluginVerb::New(args) => Verb::PluginNew(args),
        }
    }
}

impl From<DbVerb> for Verb {
    fn from(verb: DbVerb) -> Verb {
        match verb {
            DbVerb::Check(args) => Verb::DbCheck(args),
            DbVerb::Backup(args) => Verb::DbBackup(args),
            DbVerb::Copy(args) => Verb::DbCopy(args),
            DbVerb::Migrate(args) => Verb::DbMigrate(args),
            DbVerb::Path(args) => Verb::DbPath(args),
            DbVerb::Compact(args) => Verb::DbCompact(args),
        }
    }
}
