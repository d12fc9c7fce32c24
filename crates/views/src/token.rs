//! A token of the HTTP API.

use queuectl_core::{ExecutorName, QueueName, Role, Timestamp, Token, TokenName};
use serde::Serialize;

/// Whether a token can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// It can.
    Good,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

impl TokenState {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            TokenState::Good => "good",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        }
    }
}

/// A token, but for what clients send.
#[derive(Debug, Clone, Serialize)]
pub struct TokenView {
    /// Its name.
    pub name: TokenName,
    /// Whether it can be used.
    pub state: TokenState,
    /// What it may be used for.
    pub roles: Vec<Role>,
    /// The queues in which it may store jobs; null for all.
    pub queues: Option<Vec<QueueName>>,
    /// The executors whose jobs it may store; null for all.
    pub executors: Option<Vec<ExecutorName>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Option<String>,
    /// Until when it is good.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenView {
    /// Shows a token at that time.
    pub fn new(token: Token, now: Timestamp) -> TokenView {
        let state = match token.revoked_at {
            _ if token.is_good(now) => TokenState::Good,
            Some(_) => TokenState::Revoked,
            None => TokenState::Expired,
        };
        TokenView {
            name: token.name,
            state,
            roles: token.roles.iter().collect(),
            queues: Some(token.scope.queues).filter(|names| !names.is_empty()),
            executors: Some(token.scope.executors).filter(|names| !names.is_empty()),
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            used_at: token.used_at,
            revoked_at: token.revoked_at,
        }
    }
}

/// A token that was just made, with what clients send, which is shown this once.
#[derive(Debug, Serialize)]
pub struct NewTokenView {
    /// What clients send.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub about: TokenView,
}
