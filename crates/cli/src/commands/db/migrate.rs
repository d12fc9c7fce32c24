//! `db:migrate`: creates the schema or brings it up to date.

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_storage::{migrate, migrations};
use queuectl_views::{MigrateView, MigrationView};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::warn_unprinted;
use crate::registry::Run;

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

impl Run for MigrateArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let found = migrations(&context.location)?;
        if !self.dry_run {
            migrate(&context.location)?;
        }
        let migrations = found.missing.iter().map(|step| MigrationView {
            version: step.version,
            name: step.name,
            sql: self.show_sql.then_some(step.sql),
        });
        let view = MigrateView {
            db: context.location.to_string(),
            version: found.version,
            migrations: migrations.collect(),
            done: !self.dry_run,
        };
        let printed = context.output.document(&view, |page| print(&view, page));
        if self.dry_run {
            printed?;
        } else {
            warn_unprinted(printed, || format!("{} is up to date", view.db));
        }
        Ok(Exit::OK)
    }
}

fn print(view: &MigrateView, page: &mut Page) -> io::Result<()> {
    if view.migrations.is_empty() {
        return page.line(&format!("{} is up to date", view.db));
    }
    let done = if view.done { "done" } else { "to do" };
    for step in &view.migrations {
        // A comment, so that psql accepts the whole output.
        let (name, version) = (step.name, step.version);
        page.line(&format!("-- {done}: {name}, which makes version {version}"))?;
        if let Some(sql) = step.sql {
            page.text(sql)?;
        }
    }
    Ok(())
}
