//! The command line as it is typed: global options and the list of commands.
//!
//! The forms with a colon (`dlq:list`) are the documented ones. The spaced forms (`dlq list`) are in `groups`. What a
//! command's own options mean is up to its file under `commands/`.

mod groups;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use self::groups::{ConfigGroup, DbVerb, DlqGroup, PluginGroup, WorkerGroup};
use crate::commands::{
    cancel, config, db, dlq, enqueue, init, list, logs, plugin, purge, retry, show, status, wait, worker,
};
use crate::context::Context;
use crate::exit::Exit;

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
  0    success
  1    the command ran, with a negative result: a drained node had dead jobs, a check found damage, a list could not \
be printed
  2    there is a mistake in the command line, a job or a setting
  3    no such job or node
  4    conflict: the id already exists, or the job's state does not allow it
  5    the queue cannot be used: it is missing, damaged, or belongs to another program or version
  6    the queue cannot be used right now: disk full, read-only, I/O error, locked, server unreachable
  7    an executor plugin was not found or did not load
  8    the server went away, so the job may or may not be stored: check before you repeat the command
  70   a bug in queuectl
  124  timed out (wait, worker:stop --wait)
`wait` and `enqueue --wait` exit with the job's own status, as a shell would report it. A command that changed \
something exits with the status of that change even if it cannot print; a warning then says what was done.

Examples:
  queuectl enqueue echo \"Hello Queue\"     a program and its arguments
  queuectl enqueue 'sleep 1 && date'      a shell command line
  queuectl worker:start --count 2         run jobs with two worker processes
  queuectl dlq:list                       which jobs failed for good, and why";

/// Options that every command takes, before or after its name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The queue: a file path, sqlite:PATH or postgres://... [env: QUEUECTL_DB] [default: queuectl/queue.db in the
    /// user's data folder]
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
    /// Format of log lines on standard error: text for people, or one JSON object a line
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
    Init(init::InitArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Logs(logs::LogsArgs),
    Status(status::StatusArgs),
    Wait(wait::WaitArgs),
    Cancel(cancel::CancelArgs),
    Retry(retry::RetryArgs),
    Purge(purge::PurgeArgs),
    #[command(name = "worker:start", alias = "worker-start")]
    WorkerStart(worker::start::StartArgs),
    #[command(name = "worker:stop", alias = "worker-stop")]
    WorkerStop(worker::stop::StopArgs),
    #[command(name = "worker:list", aliases = ["worker-list", "worker:status", "worker-status"])]
    WorkerList(worker::list::ListArgs),
    #[command(name = "worker:run", hide = true)]
    WorkerRun(worker::run::RunArgs),
    #[command(name = "dlq:list", alias = "dlq-list")]
    DlqList(dlq::ListArgs),
    #[command(name = "dlq:show", alias = "dlq-show")]
    DlqShow(dlq::ShowArgs),
    #[command(name = "dlq:retry", alias = "dlq-retry")]
    DlqRetry(dlq::RetryArgs),
    #[command(name = "dlq:purge", alias = "dlq-purge")]
    DlqPurge(dlq::PurgeArgs),
    #[command(name = "config:list", alias = "config-list")]
    ConfigList(config::ListArgs),
    #[command(name = "config:get", aliases = ["config-get", "config:show", "config-show"])]
    ConfigGet(config::GetArgs),
    #[command(name = "config:set", alias = "config-set")]
    ConfigSet(config::SetArgs),
    #[command(name = "config:unset", alias = "config-unset")]
    ConfigUnset(config::UnsetArgs),
    #[command(name = "db:check", alias = "db-check")]
    DbCheck(db::CheckArgs),
    #[command(name = "db:backup", alias = "db-backup")]
    DbBackup(db::BackupArgs),
    #[command(name = "db:copy", alias = "db-copy")]
    DbCopy(db::copy::CopyArgs),
    #[command(name = "db:migrate", alias = "db-migrate")]
    DbMigrate(db::migrate::MigrateArgs),
    #[command(name = "db:path", alias = "db-path")]
    DbPath(db::path::PathArgs),
    #[command(name = "db:compact", alias = "db-compact")]
    DbCompact(db::CompactArgs),
    #[command(name = "plugin:list", alias = "plugin-list")]
    PluginList(plugin::list::ListArgs),
    #[command(name = "plugin:info", alias = "plugin-info")]
    PluginInfo(plugin::info::InfoArgs),
    #[command(name = "plugin:run", alias = "plugin-run")]
    PluginRun(plugin::run::RunArgs),
    #[command(name = "plugin:check", alias = "plugin-check")]
    PluginCheck(plugin::check::CheckArgs),
    #[command(name = "plugin:check-case", hide = true)]
    PluginCheckCase(plugin::check::CaseArgs),
    #[command(name = "plugin:install", alias = "plugin-install")]
    PluginInstall(plugin::install::InstallArgs),
    #[command(name = "plugin:new", alias = "plugin-new")]
    PluginNew(plugin::new::NewArgs),
    #[command(name = "plugin:probe", hide = true)]
    PluginProbe(plugin::probe::ProbeArgs),
    #[command(hide = true)]
    Help(HelpArgs),
    /// Same as --version
    #[command(hide = true)]
    Version,
    /// Same as worker:start, worker:stop and worker:list
    #[command(hide = true, args_conflicts_with_subcommands = true)]
    Worker(WorkerGroup),
    /// Same as dlq:list, dlq:show, dlq:retry and dlq:purge
    #[command(hide = true, args_conflicts_with_subcommands = true)]
    Dlq(DlqGroup),
    /// Same as config:list, config:get, config:set and config:unset
    #[command(hide = true, args_conflicts_with_subcommands = true)]
    Config(ConfigGroup),
    /// Same as plugin:list, plugin:info, plugin:run, plugin:check, plugin:install and plugin:new
    #[command(hide = true, args_conflicts_with_subcommands = true)]
    Plugin(PluginGroup),
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

impl Verb {
    /// Whether the command is a node or a worker process: those log what they do.
    pub fn is_node(&self) -> bool {
        matches!(self, Verb::WorkerStart(_) | Verb::WorkerRun(_))
    }

    /// The command that a spaced form stands for.
    pub fn plain(self) -> Verb {
        match self {
            Verb::Worker(group) => group.into(),
            Verb::Dlq(group) => group.into(),
            Verb::Config(group) => group.into(),
            Verb::Plugin(group) => group.into(),
            Verb::Db(verb) => verb.into(),
            plain => plain,
        }
    }

    /// Whether the queue that it is about is the one that the global options name.
    pub fn has_one_location(&self) -> bool {
        !matches!(self, Verb::DbCopy(_) | Verb::Db(DbVerb::Copy(_)))
    }

    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Verb::Enqueue(args) => enqueue::run(*args, context),
            Verb::Init(args) => init::run(&args, context),
            Verb::List(args) => list::run(&args, context),
            Verb::Show(args) => show::run(&args, context),
            Verb::Logs(args) => logs::run(&args, context),
            Verb::Status(args) => status::run(&args, context),
            Verb::Wait(args) => wait::run(&args, context),
            Verb::Cancel(args) => cancel::run(&args, context),
            Verb::Retry(args) => retry::run(&args, context),
            Verb::Purge(args) => purge::run(&args, context),
            Verb::WorkerStart(args) => worker::start::run(args, context),
            Verb::WorkerStop(args) => worker::stop::run(&args, context),
            Verb::WorkerList(args) => worker::list::run(&args, context),
            Verb::WorkerRun(args) => worker::run::run(&args, context),
            Verb::DlqList(args) => dlq::list(&args, context),
            Verb::DlqShow(args) => dlq::show(&args, context),
            Verb::DlqRetry(args) => dlq::retry(&args, context),
            Verb::DlqPurge(args) => dlq::purge(&args, context),
            Verb::ConfigList(args) => config::list(&args, context),
            Verb::ConfigGet(args) => config::get(&args, context),
            Verb::ConfigSet(args) => config::set(&args, context),
            Verb::ConfigUnset(args) => config::unset(&args, context),
            Verb::PluginList(args) => plugin::list::run(&args, context),
            Verb::PluginInfo(args) => plugin::info::run(&args, context),
            Verb::PluginRun(args) => plugin::run::run(&args, context),
            Verb::PluginCheck(args) => plugin::check::run(&args, context),
            Verb::PluginCheckCase(args) => plugin::check::run_case(&args, context),
            Verb::PluginInstall(args) => plugin::install::run(&args, context),
            Verb::PluginNew(args) => plugin::new::run(&args, context),
            Verb::PluginProbe(args) => plugin::probe::run(&args, context),
            // `parse` has printed it.
            Verb::Help(_) => Ok(Exit::OK),
            Verb::Version => {
                writeln!(io::stdout(), "queuectl {}", env!("CARGO_PKG_VERSION"))?;
                Ok(Exit::OK)
            }
            Verb::DbCheck(args) => db::check(&args, context),
            Verb::DbBackup(args) => db::backup(&args, context),
            Verb::DbCopy(args) => db::copy::copy(&args, context),
            Verb::DbMigrate(args) => db::migrate::run(&args, context),
            Verb::DbPath(args) => db::path::run(&args, context),
            Verb::DbCompact(args) => db::compact(&args, context),
            group @ (Verb::Worker(_) | Verb::Dlq(_) | Verb::Config(_) | Verb::Plugin(_) | Verb::Db(_)) => {
                group.plain().run(context)
            }
        }
    }
}
