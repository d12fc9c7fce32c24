//! `token:list`: the tokens, and which of them are good.

use anyhow::Result;
use clap::Args;
use queuectl_core::Role;
use queuectl_views::TokenView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::output::time::local;
use crate::registry::Run;

/// List the tokens of the HTTP API, with those that were revoked
#[derive(Debug, Args)]
#[command(after_help = "\
USED is when a token was last used, to the hour. While a token is listed, good or not, the ports of `queuectl serve` need one; \
`token:revoke --forget` takes it from the list.")]
pub struct ListArgs {}

const COLUMNS: [Column; 7] = [
    Column::name("TOKEN", 8),
    Column::whole("STATE"),
    Column::whole("ROLES"),
    Column::name("ONLY", 8),
    Column::whole("USED"),
    Column::whole("EXPIRES"),
    Column::name("BY", 8),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let mut list = context.output.list(&COLUMNS)?;
        for token in store.tokens()? {
            let view = TokenView::new(token, now);
            list.item(&view, || row(&view))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

fn row(view: &TokenView) -> Vec<String> {
    let roles: Vec<&str> = view.roles.iter().map(|role| Role::name(*role)).collect();
    let queues = view.queues.iter().flatten().map(|name| format!("queue {name}"));
    let executors = view
        .executors
        .iter()
        .flatten()
        .map(|name| format!("executor {name}"));
    let only: Vec<String> = queues.chain(executors).collect();
    vec![
        view.name.to_string(),
        view.state.name().to_owned(),
        roles.join(","),
        only.join(", "),
        view.used_at.map_or_else(|| "never".to_owned(), local),
        view.expires_at.map_or_else(|| "never".to_owned(), local),
        view.created_by.clone().unwrap_or_default(),
    ]
}
