//! Who may do what: the one place that decides it, for every route, by what its line of the table needs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use queuectl_core::Token;
use queuectl_frontend::token::{hash, is_one};

use crate::caller::{self, Caller, Needs, Peer};
use crate::problem::Problem;
use crate::state::Server;
use crate::tokens::Known;

/// How often a stream looks whether its token is still good.
const LOOK: Duration = Duration::from_secs(1);

/// Lets those through who may.
pub async fn allow(
    State((server, needs)): State<(Arc<Server>, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    // Without it, nothing is known about who asks.
    let peer = request.extensions().get::<Peer>().copied();
    let caller = match (needs, peer) {
        (Needs::Nothing, _) => Ok(Caller::default()),
        (Needs::Role(_), None) => Err(Problem::internal()),
        (Needs::Role(_), Some(peer)) => identify(&server, peer, request.headers()).await,
    };
    let is_refused = server.readonly && !request.method().is_safe();
    let caller = match caller.and_then(|caller| judge(caller, needs, is_refused)) {
        Ok(caller) => Arc::new(caller),
        Err(problem) => return problem.into_response(),
    };
    let (pass, is_safe, begun) = (
        Pass::of(&caller, needs, peer),
        request.method().is_safe(),
        Instant::now(),
    );
    let response = caller::act(caller, next.run(request)).await;
    let Some(pass) = pass else { return response };
    // One who waited for something may have lost it meanwhile. What was changed is said in any case.
    if is_safe && begun.elapsed() >= LOOK && pass.is_lost(&server).await {
        return pass.refusal().into_response();
    }
    match is_stream(&response) {
        true => cut_off(response, server, pass),
        false => response,
    }
}

/// What lets one in that can be lost.
enum Pass {
    /// A token.
    Token(Token),
    /// That there are no tokens.
    NoTokens,
}

impl Pass {
    /// What a caller has. The owner needs none, nor does a request that says nothing about the queue.
    fn of(caller: &Caller, needs: Needs, peer: Option<Peer>) -> Option<Pass> {
        match (&caller.token, needs, peer) {
            (Some(token), _, _) => Some(Pass::Token(token.clone())),
            (None, Needs::Role(_), Some(Peer::Machine(_))) => Some(Pass::NoTokens),
            _ => None,
        }
    }

    /// Whether it is lost. While the store cannot be asked, that is not known, and it has nothing to send either.
    async fn is_lost(&self, server: &Server) -> bool {
        let known = server.tokens.known(&server.stores).await;
        known.is_ok_and(|known| match self {
            Pass::Token(token) => !known.has(token),
            Pass::NoTokens => known.is_any(),
        })
    }

    fn refusal(&self) -> Problem {
        match self {
            Pass::Token(token) => unknown(&format!("token {} is not good any more", token.name)),
            Pass::NoTokens => needs_token(),
        }
    }
}

fn needs_token() -> Problem {
    unknown("this server needs a token: send `Authorization: Bearer TOKEN`")
}

/// Finds out who asks.
async fn identify(server: &Arc<Server>, peer: Peer, headers: &HeaderMap) -> Result<Caller, Problem> {
    let tokens = &server.tokens;
    let Some(sent) = headers.get(AUTHORIZATION) else {
        return match peer {
            Peer::Owner => Ok(Caller::admin()),
            Peer::Machine(_) if !tokens.known(&server.stores).await?.is_any() => Ok(Caller::admin()),
            _ => Err(needs_token()),
        };
    };
    let Some(sent) = sent.to_str().ok().and_then(token_of) else {
        return Err(unknown(
            "only tokens are taken: send `Authorization: Bearer TOKEN`",
        ));
    };
    let known = tokens.known(&server.stores).await?;
    // Only those wait whose token is not found: others behind the same address have done nothing wrong.
    let Some(token) = is_one(&sent).then(|| known.find(&sent)).flatten() else {
        if let Some(address) = peer.address() {
            let now = Instant::now();
            if let Some(wait) = server.guesses.wait(address, now) {
                return Err(Problem::guesses(wait));
            }
            if server.guesses.note(address, hash(&sent), now) {
                tracing::warn!(%address, "a token that is not known was refused");
            }
        }
        return Err(unknown(
            "this token is not known; `queuectl token:list` shows the tokens there are",
        ));
    };
    if !token.is_good(known.now()) {
        let why = match token.revoked_at {
            Some(_) => "was revoked",
            None => "has expired",
        };
        return Err(unknown(&format!("token {} {why}", token.name)));
    }
    note_use(server, token, &known);
    Ok(Caller::with(token.clone()))
}

/// Reads the token behind `Bearer`, in letters of any case, or of `Basic` the password, for which browsers ask people.
fn token_of(header: &str) -> Option<String> {
    let (scheme, sent) = header.split_once(' ')?;
    let sent = sent.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(sent.to_owned());
    }
    let sent = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| STANDARD.decode(sent).ok())??;
    let sent = String::from_utf8(sent).ok()?;
    sent.split_once(':').map(|(_, password)| password.to_owned())
}

fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

/// Decides whether a caller may. What `is_refused` is not for any role.
fn judge(caller: Caller, needs: Needs, is_refused: bool) -> Result<Caller, Problem> {
    let Needs::Role(role) = needs else {
        return Ok(caller);
    };
    if !caller.roles.allow(role) {
        let name = caller.token.as_ref().map_or("", |token| token.name.as_str());
        let detail = format!(
            "token {name} may {}; this needs a token with the role {}",
            caller.roles,
            role.name()
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    if is_refused {
        let detail = "this server only shows the queue; it was started with --readonly";
        return Err(Problem::new(StatusCode::FORBIDDEN, "readonly", detail));
    }
    Ok(caller)
}

/// Has it stored that a token was used, if that was not done within the last hour. That it cannot be stored is no reason to refuse.
fn note_use(server: &Arc<Server>, token: &Token, known: &Known) {
    let now = known.now();
    if server.readonly || !server.tokens.is_first_use(token, now) {
        return;
    }
    let (server, name) = (Arc::clone(server), token.name.clone());
    tokio::spawn(async move {
        let stored = server.stores.ask(move |store| store.token_used(&name, now));
        if let Err(problem) = stored.await {
            tracing::debug!(problem = problem.detail, "the use of a token is not stored");
        }
    });
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Ends a stream when that is lost which let its client in.
fn cut_off(response: Response, server: Arc<Server>, pass: Pass) -> Response {
    let over = async move {
        loop {
            tokio::time::sleep(LOOK).await;
            if pass.is_lost(&server).await {
                return;
            }
        }
    };
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(over))))
}

#[cfg(test)]
mod tests {
    use queuectl_core::Role;

    use super::*;

    #[test]
    fn the_scheme_may_have_letters_of_any_case() {
        for right in ["Bearer x", "bearer  x ", "Basic bWU6eA==", "basic Ong="] {
            assert_eq!(token_of(right).as_deref(), Some("x"), "{right}");
        }
        for wrong in [
            "",
            "x",
            "Bearer",
            "Basic x",
            "Basic bWU=",
            "Bearerx x",
            "Digest x",
        ] {
            assert_eq!(token_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_may_not_be_done_is_refused_and_what_only_shows_changes_nothing() {
        let status = |roles: &[Role], needs, is_refused| {
            let caller = Caller {
                roles: roles.iter().copied().collect(),
                token: None,
            };
            judge(caller, needs, is_refused).map_or_else(|problem| problem.code, |_| "allowed")
        };
        let operate = Needs::Role(Role::Operate);
        assert_eq!(status(&[], Needs::Nothing, false), "allowed");
        assert_eq!(status(&[], Needs::Role(Role::Read), false), "forbidden");
        assert_eq!(status(&[Role::Read], operate, false), "forbidden");
        assert_eq!(status(&[Role::Read], operate, true), "forbidden");
        assert_eq!(status(&[Role::Operate], operate, false), "allowed");
        assert_eq!(status(&[Role::Operate], operate, true), "readonly");
        assert_eq!(status(&[Role::Admin], Needs::Role(Role::Read), false), "allowed");
    }
}
