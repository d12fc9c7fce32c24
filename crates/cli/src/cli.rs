//! The command line as it is typed: global options and the list of verbs.
//!
//! The forms with a colon (`dlq:list`) are the documented ones. The spaced forms (`dlq list`) are hidden groups over
//! the same argument types. What a verb's own options mean is up to its file under `verbs/`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::context::Context;
use crate::exit::Exit;
use crate::verbs::{
    cancel, config, db, dlq, enqueue, list, logs, plugin, purge, retry, show, status, wait, worker,
};

/// A durable background job queue: jobs are kept in one file or on PostgreSQL, so they survive crashes and power cuts
#[derive(Debug, Parser)]
#[command(name = "queuectl", version, after_help = EPILOGUE, max_term_width = 100)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct CommandLine {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

const EPILOGUE: &str = "\
Exit status:
  0    all went well
  1    it ran, with a negative result: a drained node had dead jobs, a check found damage, a list could not be printed
  2    the command line, a job or a setting has a mistake in it
  3    no such job or node
  4    conflict: the id exists already, or the job's state does not allow it
  5    the queue cannot be used: missing, damaged, another program's, or another version's
  6    the queue cannot be served right now: disk full, read-only, I/O error, locked, server not reached
  7    an executor plugin could not be found or loaded
  8    it is not known whether it was stored, since the server went away: look before you repeat it
  70   a fault in queuectl itself
  124  a timeout ran out (wait, worker:stop --wait)
`wait` and `enqueue --wait` end with the job's own status, as a shell would report it. A command that changed something \
ends with the status of that even if it cannot print it; a warning then says what was done.

Examples:
  queuectl enqueue echo \"Hello Queue\"     a program and its arguments
  queuectl enqueue 'sleep 1 && date'      a shell command line
  queuectl worker:start --count 2         run jobs with two worker processes
  queuectl dlq:list                       what failed for good, and why";

/// Options that every verb takes, before or after its name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The queue: a file path, sqlite:PATH or postgres://... [env: QUEUECTL_DB] [default: queuectl/queue.db in the user's
    /// data folder]
    #[arg(long, global = true, value_name = "PATH|URL")]
    pub db: Option<OsString>,
    /// Print machine-readable JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = false
    )]
    pub color: ColorWhen,
    /// Do not escape control characters in names and output
    #[arg(long, global = true)]
    pub raw: bool,
    /// Log more; twice: even more
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log less; twice: errors only
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
    /// How log lines on standard error look: for people, or one JSON object a line
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Look for executor plugins in this folder first; repeatable
    #[arg(long, global = true, value_name = "DIR")]
    pub plugin_dir: Vec<PathBuf>,
    /// Set for a process that gets the location by a pipe; see `secret`
    #[arg(long = crate::secret::OPTION, global = true, hide = true)]
    pub secret: Option<u32>,
}

impl Global {
    /// Makes the choice of `--color` hold for all that is printed from here on.
    pub fn choose_color(&self) {
        match self.color {
            ColorWhen::Auto => anstream::ColorChoice::Auto,
            ColorWhen::Always => anstream::ColorChoice::AlwaysAnsi,
            ColorWhen::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    // No documentation on the values: clap would then print every help page in its long form.
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    Enqueue(Box<enqueue::EnqueueArgs>),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Logs(logs::LogsArgs),
    Status(status::StatusArgs),
    Wait(wait::WaitArgs),
    Cancel(cancel::CancelArgs),
    Retry(retry::RetryArgs),
    Purge(purge::PurgeArgs),
    #[command(name = "worker:start")]
    WorkerStart(worker::start::StartArgs),
    #[command(name = "worker:stop")]
    WorkerStop(worker::stop::StopArgs),
    #[command(name = "worker:list")]
    WorkerList(worker::list::ListArgs),
    #[command(name = "worker:run", hide = true)]
    WorkerRun(worker::run::RunArgs),
    #[command(name = "dlq:list")]
    DlqList(dlq::ListArgs),
    #[command(name = "dlq:show")]
    DlqShow(dlq::ShowArgs),
    #[command(name = "dlq:retry")]
    DlqRetry(dlq::RetryArgs),
    #[command(name = "dlq:purge")]
    DlqPurge(dlq::PurgeArgs),
    #[command(name = "config:list")]
    ConfigList(config::ListArgs),
    #[command(name = "config:get")]
    ConfigGet(config::GetArgs),
    #[command(name = "config:set")]
    ConfigSet(config::SetArgs),
    #[command(name = "config:unset")]
    ConfigUnset(config::UnsetArgs),
    #[command(name = "db:check")]
    DbCheck(db::CheckArgs),
    #[command(name = "db:backup")]
    DbBackup(db::BackupArgs),
    #[command(name = "db:copy")]
    DbCopy(db::copy::CopyArgs),
    #[command(name = "db:migrate")]
    DbMigrate(db::migrate::MigrateArgs),
    #[command(name = "db:path")]
    DbPath(db::path::PathArgs),
    #[command(name = "db:compact")]
    DbCompact(db::CompactArgs),
    #[command(name = "plugin:list")]
    PluginList(plugin::list::ListArgs),
    #[command(name = "plugin:info")]
    PluginInfo(plugin::info::InfoArgs),
    #[command(name = "plugin:run")]
    PluginRun(plugin::run::RunArgs),
    #[command(name = "plugin:check")]
    PluginCheck(plugin::check::CheckArgs),
    #[command(name = "plugin:check-case", hide = true)]
    PluginCheckCase(plugin::check::CaseArgs),
    #[command(name = "plugin:install")]
    PluginInstall(plugin::install::InstallArgs),
    #[command(name = "plugin:new")]
    PluginNew(plugin::new::NewArgs),
    #[command(name = "plugin:probe", hide = true)]
    PluginProbe(plugin::probe::ProbeArgs),
    #[command(hide = true)]
    Help(HelpArgs),
    /// Same as --version
    #[command(hide = true)]
    Version,
    /// Same as worker:start, worker:stop and worker:list
    #[command(hide = true, subcommand)]
    Worker(WorkerVerb),
    /// Same as dlq:list, dlq:show, dlq:retry and dlq:purge
    #[command(hide = true, subcommand)]
    Dlq(DlqVerb),
    /// Same as config:list, config:get, config:set and config:unset
    #[command(hide = true, subcommand)]
    Config(ConfigVerb),
    /// Same as plugin:list, plugin:info, plugin:run, plugin:check, plugin:install and plugin:new
    #[command(hide = true, subcommand)]
    Plugin(PluginVerb),
    /// Same as db:check, db:backup and db:compact
    #[command(hide = true, subcommand)]
    Db(DbVerb),
}

/// Same as COMMAND --help
#[derive(Debug, Args)]
pub struct HelpArgs {
    /// The command
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub words: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum WorkerVerb {
    Start(worker::start::StartArgs),
    Stop(worker::stop::StopArgs),
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

impl Verb {
    /// Whether the verb is a node or a worker process: those log what they do.
    pub fn is_node(&self) -> bool {
        matches!(
            self,
            Verb::WorkerStart(_) | Verb::WorkerRun(_) | Verb::Worker(WorkerVerb::Start(_))
        )
    }

    /// Whether the queue that it is about is the one that the global options name.
    pub fn has_one_location(&self) -> bool {
        !matches!(self, Verb::DbCopy(_) | Verb::Db(DbVerb::Copy(_)))
    }

    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Verb::Enqueue(args) => enqueue::run(*args, context),
            Verb::List(args) => list::run(&args, context),
            Verb::Show(args) => show::run(&args, context),
            Verb::Logs(args) => logs::run(&args, context),
            Verb::Status(args) => status::run(&args, context),
            Verb::Wait(args) => wait::run(&args, context),
            Verb::Cancel(args) => cancel::run(&args, context),
            Verb::Retry(args) => retry::run(&args, context),
            Verb::Purge(args) => purge::run(&args, context),
            Verb::WorkerStart(args) | Verb::Worker(WorkerVerb::Start(args)) => {
                worker::start::run(args, context)
            }
            Verb::WorkerStop(args) | Verb::Worker(WorkerVerb::Stop(args)) => {
                worker::stop::run(&args, context)
            }
            Verb::WorkerList(args) | Verb::Worker(WorkerVerb::List(args)) => {
                worker::list::run(&args, context)
            }
            Verb::WorkerRun(args) => worker::run::run(&args, context),
            Verb::DlqList(args) | Verb::Dlq(DlqVerb::List(args)) => dlq::list(&args, context),
            Verb::DlqShow(args) | Verb::Dlq(DlqVerb::Show(args)) => dlq::show(&args, context),
            Verb::DlqRetry(args) | Verb::Dlq(DlqVerb::Retry(args)) => dlq::retry(&args, context),
            Verb::DlqPurge(args) | Verb::Dlq(DlqVerb::Purge(args)) => dlq::purge(&args, context),
            Verb::ConfigList(args) | Verb::Config(ConfigVerb::List(args)) => config::list(&args, context),
            Verb::ConfigGet(args) | Verb::Config(ConfigVerb::Get(args)) => config::get(&args, context),
            Verb::ConfigSet(args) | Verb::Config(ConfigVerb::Set(args)) => config::set(&args, context),
            Verb::ConfigUnset(args) | Verb::Config(ConfigVerb::Unset(args)) => config::unset(&args, context),
            Verb::PluginList(args) | Verb::Plugin(PluginVerb::List(args)) => {
                plugin::list::run(&args, context)
            }
            Verb::PluginInfo(args) | Verb::Plugin(PluginVerb::Info(args)) => {
                plugin::info::run(&args, context)
            }
            Verb::PluginRun(args) | Verb::Plugin(PluginVerb::Run(args)) => plugin::run::run(&args, context),
            Verb::PluginCheck(args) | Verb::Plugin(PluginVerb::Check(args)) => {
                plugin::check::run(&args, context)
            }
            Verb::PluginCheckCase(args) => plugin::check::run_case(&args, context),
            Verb::PluginInstall(args) | Verb::Plugin(PluginVerb::Install(args)) => {
                plugin::install::run(&args, context)
            }
            Verb::PluginNew(args) | Verb::Plugin(PluginVerb::New(args)) => plugin::new::run(&args, context),
            Verb::PluginProbe(args) => plugin::probe::run(&args, context),
            // `parse` has printed it.
            Verb::Help(_) => Ok(Exit::OK),
            Verb::Version => {
                writeln!(io::stdout(), "queuectl {}", env!("CARGO_PKG_VERSION"))?;
                Ok(Exit::OK)
            }
            Verb::DbCheck(args) | Verb::Db(DbVerb::Check(args)) => db::check(&args, context),
            Verb::DbBackup(args) | Verb::Db(DbVerb::Backup(args)) => db::backup(&args, context),
            Verb::DbCopy(args) | Verb::Db(DbVerb::Copy(args)) => db::copy::copy(&args, context),
            Verb::DbMigrate(args) | Verb::Db(DbVerb::Migrate(args)) => db::migrate::run(&args, context),
            Verb::DbPath(args) | Verb::Db(DbVerb::Path(args)) => db::path::run(&args, context),
            Verb::DbCompact(args) | Verb::Db(DbVerb::Compact(args)) => db::compact(&args, context),
        }
    }
}
