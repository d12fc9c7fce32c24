//! `db:migrate`: bringing the schema up to date, or making it.

use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use queuectl_storage::{migrate, migrations};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{done, escape, json};

/// Create the queue's schema, or bring it up to date
#[derive(Debug, Args)]
#[command(after_help = "\
Any command of a newer version brings a file up to date. On PostgreSQL only this command does, while no node runs, \
and as a user with the right to change the schema; the first `enqueue` also creates a queue that does not exist.")]
pub struct MigrateArgs {
    /// Only say what the command would do
    #[arg(long)]
    dry_run: bool,
    /// Print the statements, to run them by hand
    #[arg(long)]
    show_sql: bool,
}

#[derive(Serialize)]
struct MigrateView {
    db: String,
    /// The version found; null if there was no queue.
    version: Option<i32>,
    migrations: Vec<MigrationView>,
    /// Whether they were run.
    done: bool,
}

#[derive(Serialize)]
struct MigrationView {
    version: i32,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<&'static str>,
}

pub fn run(args: &MigrateArgs, context: &Context) -> Result<Exit> {
    let found = migrations(&context.location)?;
    if !args.dry_run {
        migrate(&context.location)?;
    }
    let migrations = found.missing.iter().map(|step| MigrationView {
        version: step.version,
        name: step.name,
        sql: args.show_sql.then_some(step.sql),
    });
    let view = MigrateView {
        db: context.location.to_string(),
        version: found.version,
        migrations: migrations.collect(),
        done: !args.dry_run,
    };
    let printed = if context.json {
        json::print(&view)
    } else {
        print(&view)
    };
    if args.dry_run {
        printed?;
    } else {
        done::printed_or_warn(printed, || format!("{} is up to date", view.db));
    }
    Ok(Exit::OK)
}

fn print(view: &MigrateView) -> io::Result<()> {
    let mut out = io::stdout();
    if view.migrations.is_empty() {
        return writeln!(out, "{} is up to date", escape::line(&view.db));
    }
    let done = if view.done { "done" } else { "to do" };
    for step in &view.migrations {
        // A comment, so that the whole is what psql takes.
        writeln!(
            out,
            "-- {done}: {}, which makes version {}",
            step.name, step.version
        )?;
        if let Some(sql) = step.sql {
            writeln!(out, "{sql}")?;
        }
    }
    Ok(())
}
