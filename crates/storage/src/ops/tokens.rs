//! Tokens of the HTTP API as an operator handles them: made, listed, revoked. Only their hashes are here; what a token looks
//! like, and who sends the right one, is the server's business.

use diesel::prelude::*;
use queuectl_core::limits::TOKENS;
use queuectl_core::{ExecutorName, QueueName, Roles, Timestamp, Token, TokenName, TokenScope};
use serde_json::json;

use crate::backend::{Db, on_any};
use crate::schema::tokens;
use crate::types::text::{MaybeWords, Words};
use crate::{Store, StoreError};

/// A use within this time of the last one that is stored is not stored.
const COARSE_MS: i64 = 60 * 60 * 1000;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = tokens, treat_none_as_default_value = false)]
pub(super) struct TokenRow {
    #[diesel(deserialize_as = Words)]
    name: String,
    hash: Vec<u8>,
    roles: i16,
    #[diesel(deserialize_as = MaybeWords)]
    queues: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    executors: Option<String>,
    created_at: i64,
    #[diesel(deserialize_as = MaybeWords)]
    created_by: Option<String>,
    expires_at: Option<i64>,
    used_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TokenRow {
    fn new(token: &Token) -> TokenRow {
        let list = |names: Vec<&str>| Some(names.join(",")).filter(|names| !names.is_empty());
        TokenRow {
            name: token.name.as_str().to_owned(),
            hash: token.hash.to_vec(),
            roles: token.roles.code(),
            queues: list(token.scope.queues.iter().map(QueueName::as_str).collect()),
            executors: list(token.scope.executors.iter().map(ExecutorName::as_str).collect()),
            created_at: token.created_at.0,
            created_by: token.created_by.clone(),
            expires_at: token.expires_at.map(|at| at.0),
            used_at: token.used_at.map(|at| at.0),
            revoked_at: token.revoked_at.map(|at| at.0),
        }
    }

    /// The token. One whose hash is damaged counts as revoked: no client can have it.
    fn into_token(self) -> Token {
        let names = |list: Option<String>| -> Vec<String> {
            let list = list.unwrap_or_default();
            list.split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let hash = <[u8; 32]>::try_from(self.hash.as_slice()).ok();
        let revoked_at = self.revoked_at.or(hash.is_none().then_some(self.created_at));
        Token {
            name: TokenName::as_stored(self.name),
            hash: hash.unwrap_or_default(),
            roles: Roles::from_code(self.roles),
            scope: TokenScope {
                queues: names(self.queues).into_iter().map(QueueName::as_stored).collect(),
                executors: names(self.executors)
                    .into_iter()
                    .map(ExecutorName::as_stored)
                    .collect(),
            },
            created_at: Timestamp(self.created_at),
            created_by: self.created_by,
            expires_at: self.expires_at.map(Timestamp),
            used_at: self.used_at.map(Timestamp),
            revoked_at: revoked_at.map(Timestamp),
        }
    }
}

impl Store {
    /// Stores a token. One of that name which is not good any more gives way, and if there are too many, so does the oldest
    /// of those.
    ///
    /// # Errors
    /// [`StoreError::TokenTaken`]; [`StoreError::TooManyTokens`].
    pub fn add_token(&mut self, token: &Token) -> Result<(), StoreError> {
        let now = token.created_at;
        let operator = self.operator_at(now);
        self.write(|conn| {
            // Of two that add the last one that there may be, the second sees the first.
            conn.dialect().lock_schedules()?;
            let mut stored: Vec<Token> = all(conn)?.into_iter().map(TokenRow::into_token).collect();
            let mut over = Vec::new();
            if let Some(at) = stored.iter().position(|other| other.name == token.name) {
                let other = stored.remove(at);
                if other.is_good(now) {
                    return Err(StoreError::TokenTaken(other.name.to_string()));
                }
                over.push(other);
            }
            if stored.len() >= TOKENS {
                let oldest = stored
                    .into_iter()
                    .filter(|other| !other.is_good(now))
                    .min_by_key(|other| other.created_at);
                over.push(oldest.ok_or(StoreError::TooManyTokens)?);
            }
            for other in over {
                diesel::delete(tokens::table.find(other.name.as_str())).execute(conn)?;
            }
            insert(conn, &[TokenRow::new(token)])?;
            let scope = &token.scope;
            let rest = json!({
                "roles": token.roles.to_string(), "queues": scope.queues, "executors": scope.executors,
                "expires_at": token.expires_at,
            });
            operator.note(conn, "token added", &[("token", token.name.as_str())], rest)
        })
    }

    /// All tokens by name, with those that were revoked or have expired.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn tokens(&mut self) -> Result<Vec<Token>, StoreError> {
        let rows = all(self.conn()?)?;
        Ok(rows.into_iter().map(TokenRow::into_token).collect())
    }

    /// Revokes tokens, all or none; one that was revoked before stays as it is. With `forget` they are removed from the list, too.
    ///
    /// # Errors
    /// [`StoreError::NoSuchToken`].
    pub fn revoke_tokens(&mut self, names: &[TokenName], forget: bool) -> Result<(), StoreError> {
        let now = self.now()?;
        let operator = self.operator_at(now);
        self.write(|conn| {
            for name in names {
                let row = tokens::table.find(name.as_str());
                let revoked_at: Option<Option<i64>> =
                    row.select(tokens::revoked_at).first(conn).optional()?;
                let Some(revoked_at) = revoked_at else {
                    return Err(StoreError::NoSuchToken(name.to_string()));
                };
                if forget {
                    diesel::delete(row).execute(conn)?;
                } else if revoked_at.is_none() {
                    diesel::update(row)
                        .set(tokens::revoked_at.eq(now.0))
                        .execute(conn)?;
                }
                let kind = match revoked_at {
                    None => "token revoked",
                    Some(_) if forget => "token removed",
                    Some(_) => continue,
                };
                operator.note(conn, kind, &[("token", name.as_str())], json!({}))?;
            }
            Ok(())
        })
    }

    /// Stores that a token was used, unless that is stored for the last hour.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn token_used(&mut self, name: &TokenName, now: Timestamp) -> Result<(), StoreError> {
        self.write_busily(|conn| {
            let row = tokens::table.find(name.as_str());
            let used_at: Option<Option<i64>> = row.select(tokens::used_at).first(conn).optional()?;
            let is_new = used_at.is_some_and(|used| used.is_none_or(|used| used <= now.0 - COARSE_MS));
            if is_new {
                diesel::update(row).set(tokens::used_at.eq(now.0)).execute(conn)?;
            }
            Ok(())
        })
    }
}

/// All rows by name. There are few.
pub(super) fn all(conn: &mut Db) -> Result<Vec<TokenRow>, StoreError> {
    let rows = tokens::table.order(tokens::name).select(TokenRow::as_select());
    Ok(rows.load(conn)?)
}

/// Stores rows.
pub(super) fn insert(conn: &mut Db, rows: &[TokenRow]) -> Result<(), StoreError> {
    on_any!(conn, conn => diesel::insert_into(tokens::table).values(rows).execute(conn))?;
    Ok(())
}
