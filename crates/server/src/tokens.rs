//! The tokens of the store, as they were within the last second: a token that is revoked stops working within that time, and a
//! request costs no query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use queuectl_core::{Timestamp, Token, TokenName};
use queuectl_frontend::token::hash;
use queuectl_storage::Store;
use subtle::ConstantTimeEq as _;

use crate::problem::Problem;
use crate::stores::Stores;

/// How long what was read counts.
const FRESH: Duration = Duration::from_secs(1);
/// A use within this time of the last one that is stored is not stored.
const COARSE_MS: i64 = 60 * 60 * 1000;

/// What was read.
#[derive(Clone)]
pub struct Known {
    read_at: Instant,
    /// The store's clock then.
    now: Timestamp,
    all: Arc<[Token]>,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < FRESH
    }

    /// Whether there is any token, good or not.
    pub fn is_any(&self) -> bool {
        !self.all.is_empty()
    }

    /// The time by the store's clock.
    pub fn now(&self) -> Timestamp {
        self.now.after(self.read_at.elapsed())
    }

    /// Finds the token that was sent. How long this takes says nothing about any of them: all are compared, whole.
    pub fn find(&self, sent: &str) -> Option<&Token> {
        let sent = hash(sent);
        let mut found = None;
        for token in self.all.iter() {
            if bool::from(token.hash.ct_eq(&sent)) {
                found = Some(token);
            }
        }
        found
    }

    /// Whether the same token is still good.
    pub fn has(&self, token: &Token) -> bool {
        let now = self.now();
        let same = |other: &&Token| other.name == token.name && other.hash == token.hash;
        self.all.iter().find(same).is_some_and(|found| found.is_good(now))
    }
}

/// The tokens, read when they are asked for.
#[derive(Default)]
pub struct Tokens {
    known: Mutex<Option<Known>>,
    /// Held by the one that reads; others wait for what it reads.
    reading: tokio::sync::Mutex<()>,
    /// When uses of tokens were last stored.
    used: Mutex<HashMap<TokenName, Timestamp>>,
}

impl Tokens {
    /// Returns what is known, and reads it if that is too old.
    pub async fn known(&self, stores: &Stores) -> Result<Known, Problem> {
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let _reading = self.reading.lock().await;
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let read_at = Instant::now();
        let read = |store: &mut Store| Ok((store.now()?, store.tokens()?));
        let (now, all) = stores.ask(read).await?;
        let known = Known {
            read_at,
            now,
            all: all.into(),
        };
        *self.lock() = Some(known.clone());
        Ok(known)
    }

    /// Whether a token is used for the first time within an hour, as far as this server knows.
    pub fn is_first_use(&self, token: &Token, now: Timestamp) -> bool {
        let is_recent = |at: Timestamp| now.0 - at.0 < COARSE_MS;
        if token.used_at.is_some_and(is_recent) {
            return false;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, at| is_recent(*at));
        match used.contains_key(&token.name) {
            true => false,
            false => used.insert(token.name.clone(), now).is_none(),
        }
    }

    fn fresh(&self) -> Option<Known> {
        self.lock().clone().filter(Known::is_fresh)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use queuectl_core::{Role, TokenScope};

    use super::*;

    fn token(name: &str, secret: &str) -> Token {
        Token {
            name: name.parse().unwrap(),
            hash: hash(secret),
            roles: [Role::Read].into_iter().collect(),
            scope: TokenScope::default(),
            created_at: Timestamp(0),
            created_by: None,
            expires_at: Some(Timestamp(1_000_000)),
            used_at: None,
            revoked_at: None,
        }
    }

    fn known(now: i64, all: Vec<Token>) -> Known {
        Known {
            read_at: Instant::now(),
            now: Timestamp(now),
            all: all.into(),
        }
    }

    #[test]
    fn a_token_is_found_by_what_is_sent_and_counts_while_it_is_good() {
        let (one, other) = (token("one", "qctl_1"), token("other", "qctl_2"));
        let both = known(5, vec![one.clone(), other.clone()]);
        assert_eq!(both.find("qctl_1"), Some(&one));
        assert_eq!(both.find("qctl_2"), Some(&other));
        assert_eq!(both.find("qctl_3"), None);
        assert!(both.has(&one));
        assert!(!known(5, vec![other]).has(&one), "removed");
        assert!(!known(1_000_000, vec![one.clone()]).has(&one), "expired");
        let again = token("one", "qctl_3");
        assert!(!known(5, vec![again]).has(&one), "another of its name");
        let revoked = Token {
            revoked_at: Some(Timestamp(4)),
            ..one.clone()
        };
        assert!(!known(5, vec![revoked]).has(&one), "revoked");
    }
}
