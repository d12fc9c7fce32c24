//! `token:add`: makes a token, and shows it this once.

use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use queuectl_core::limits::TOKEN_LIFE;
use queuectl_core::{ExecutorName, QueueName, Role, TokenName, TokenScope};
use queuectl_frontend::token::{self, Asked};
use queuectl_views::{NewTokenView, TokenView};

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::number::length;
use crate::operator;
use crate::output::diagnostics;
use crate::output::time::local;
use crate::registry::Run;

/// Make a token with which a program may use the HTTP API
#[derive(Debug, Args)]
#[command(after_help = "\
The token is printed this once; only its hash is stored. Programs send it as `Authorization: Bearer TOKEN`. Once there is a \
token, every port of `queuectl serve` needs one; its Unix socket does not.

Roles: read looks at everything; enqueue stores jobs and sees nothing, unless it is given with read; operate changes jobs and \
queues, and includes both; admin may do everything. --queue and --executor are for enqueue.

Examples:
  queuectl token:add grafana --role read
  queuectl token:add shop --role enqueue --queue mail --executor http --expires 90d
  queuectl token:add ops --role operate --expires 30d > token")]
pub struct AddArgs {
    /// Its name, by which it is listed, revoked and known in op:list
    #[arg(value_name = "NAME")]
    name: TokenName,
    /// What it may be used for: read, enqueue, operate or admin, or read,enqueue
    #[arg(long = "role", value_name = "ROLE,...", value_delimiter = ',', required = true, value_parser = role())]
    roles: Vec<Role>,
    /// Stores jobs in this queue only; may be given several times
    #[arg(long, value_name = "NAME")]
    queue: Vec<QueueName>,
    /// Stores jobs of this executor only; may be given several times
    #[arg(long, value_name = "NAME")]
    executor: Vec<ExecutorName>,
    /// Not good any more after this time, such as 90d [default: good until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = length(TOKEN_LIFE))]
    expires: Option<Duration>,
}

fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    use clap::builder::TypedValueParser as _;

    clap::builder::PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(|name| name.parse::<Role>())
}

impl Run for AddArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let asked = Asked {
            name: self.name,
            roles: self.roles.into_iter().collect(),
            scope: TokenScope {
                queues: self.queue,
                executors: self.executor,
            },
            life: self.expires,
        };
        asked.check().map_err(Usage::new)?;
        let secret = token::make().map_err(|error| anyhow!(error))?;
        let mut store = context.open_or_create()?;
        let by = operator::name();
        store.act_as(by.clone());
        let now = store.now()?;
        let made = asked.token(&secret, by, now);
        store.add_token(&made)?;
        let until = made.expires_at.map(|at| format!(", until {}", local(at)));
        let (name, roles) = (made.name.clone(), made.roles);
        let view = NewTokenView {
            token: secret.clone(),
            about: TokenView::new(made, now),
        };
        context.output.done(&view, &secret);
        diagnostics::note(&format!(
            "token {name} may {roles}{}; it is not shown again",
            until.unwrap_or_default()
        ));
        Ok(Exit::OK)
    }
}
