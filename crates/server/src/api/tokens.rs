//! Tokens: what `queuectl token:add`, `token:list` and `token:revoke` do.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
use queuectl_core::{ExecutorName, QueueName, Role, TokenName, TokenScope, parse_duration};
use queuectl_frontend::token::{self, Asked};
use queuectl_views::{ChangedView, NewTokenView, TokenView};
use serde::Deserialize;

use super::{Answer, Named, named};
use crate::problem::Problem;
use crate::state::Server;
use crate::stream::body;

/// `queuectl token:list`.
pub async fn list(State(server): State<Arc<Server>>) -> Answer<Vec<TokenView>> {
    let tokens = server.stores.ask(|store| {
        let now = store.now()?;
        let tokens = store.tokens()?.into_iter();
        Ok(tokens.map(|token| TokenView::new(token, now)).collect())
    });
    Ok(Json(tokens.await?))
}

/// What a new token is to be.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct New {
    name: String,
    roles: Vec<String>,
    queues: Vec<QueueName>,
    executors: Vec<ExecutorName>,
    /// How long it is good, such as `90d`.
    expires: Option<String>,
}

/// `queuectl token:add`.
pub async fn add(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<(StatusCode, Json<NewTokenView>), Problem> {
    let new: New = body(&server.room, request).await?;
    let roles: Result<Vec<Role>, Problem> = new.roles.iter().map(|role| named(role)).collect();
    let expires = new.expires.as_deref().map(parse_duration).transpose();
    let asked = Asked {
        name: named(&new.name)?,
        roles: roles?.into_iter().collect(),
        scope: TokenScope {
            queues: new.queues,
            executors: new.executors,
        },
        life: expires.map_err(|error| Problem::usage(format!("expires: {error}")))?,
    };
    asked.check().map_err(Problem::usage)?;
    let secret = token::make().map_err(|error| {
        tracing::error!(error, "no token can be made");
        Problem::internal()
    })?;
    let by = server.stores.operator();
    let made = server.stores.ask(move |store| {
        let now = store.now()?;
        let token = asked.token(&secret, by, now);
        store.add_token(&token)?;
        Ok(NewTokenView {
            token: secret,
            about: TokenView::new(token, now),
        })
    });
    Ok((StatusCode::CREATED, Json(made.await?)))
}

/// `queuectl token:revoke`.
pub async fn revoke(
    State(server): State<Arc<Server>>,
    Named(name): Named<String>,
) -> Answer<ChangedView<'static>> {
    let token: TokenName = named(&name)?;
    let revoked = server
        .stores
        .ask(move |store| store.revoke_tokens(&[token], false));
    revoked.await?;
    Ok(Json(ChangedView {
        id: name,
        result: "revoked",
    }))
}
