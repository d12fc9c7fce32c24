//! What clients of the HTTP API send as a token: made here, and recognised by its hash.
//!
//! A token has 256 random bits, so none is found by trying, not even with its hash: there is no dictionary to try, and a hash
//! that is slow on purpose, as passwords need, would only slow down each request.

use std::time::Duration;

use queuectl_core::limits::{TOKEN_LIFE, TOKEN_SCOPE};
use queuectl_core::{Role, Roles, Timestamp, Token, TokenName, TokenScope, whole_ms};
use sha2::{Digest as _, Sha256};

/// How each begins, so that people and scanners of leaked secrets recognise one.
pub const PREFIX: &str = "qctl_";
/// Random bytes of one.
const BYTES: usize = 32;

/// Makes a token: letters and digits of the usual 16, behind the prefix.
///
/// # Errors
/// The system has no random bytes.
pub fn make() -> Result<String, String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{PREFIX}{digits}"))
}

/// Whether a text has the form of a token.
pub fn is_one(text: &str) -> bool {
    let digits = text.strip_prefix(PREFIX);
    digits.is_some_and(|digits| {
        digits.len() == 2 * BYTES
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Returns the hash of a token, which is what is stored.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A token that is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its name.
    pub name: TokenName,
    /// What it may be used for.
    pub roles: Roles,
    /// The jobs that it may store.
    pub scope: TokenScope,
    /// How long it is good; without end if absent.
    pub life: Option<Duration>,
}

impl Asked {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> Result<(), String> {
        if self.roles == Roles::default() {
            return Err("a token needs a role: read, enqueue, operate or admin".to_owned());
        }
        let TokenScope { queues, executors } = &self.scope;
        let is_limited = !queues.is_empty() || !executors.is_empty();
        if is_limited && (!self.roles.has(Role::Enqueue) || self.roles.allow(Role::Operate)) {
            let why =
                "queues and executors limit what the role enqueue may store; other roles have no such limits";
            return Err(why.to_owned());
        }
        if queues.len().max(executors.len()) > TOKEN_SCOPE {
            return Err(format!("a token names at most {TOKEN_SCOPE} queues or executors"));
        }
        match self.life.is_none_or(|life| TOKEN_LIFE.contains(whole_ms(life))) {
            true => Ok(()),
            false => Err(format!("a token is good for {TOKEN_LIFE}")),
        }
    }

    /// Returns the token as it is stored, of which clients send that.
    pub fn token(self, secret: &str, by: String, now: Timestamp) -> Token {
        Token {
            name: self.name,
            hash: hash(secret),
            roles: self.roles,
            scope: self.scope,
            created_at: now,
            created_by: Some(by),
            expires_at: self.life.map(|life| now.after(life)),
            used_at: None,
            revoked_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_form_and_are_never_the_same() {
        let (one, other) = (make().unwrap(), make().unwrap());
        assert!(is_one(&one) && is_one(&other) && one != other);
        assert_ne!(hash(&one), hash(&other));
        for wrong in [
            "",
            "qctl_",
            &one[..one.len() - 1],
            &one.to_uppercase(),
            &one[5..],
            &format!("{one}0"),
        ] {
            assert!(!is_one(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_not_made() {
        let asked = |roles: &[Role], queues: usize, life| Asked {
            name: "t".parse().unwrap(),
            roles: roles.iter().copied().collect(),
            scope: TokenScope {
                queues: (0..queues).map(|at| format!("q{at}").parse().unwrap()).collect(),
                executors: Vec::new(),
            },
            life: Some(Duration::from_secs(life)),
        };
        let day = 86_400;
        assert_eq!(asked(&[Role::Enqueue], TOKEN_SCOPE, day).check(), Ok(()));
        assert_eq!(asked(&[Role::Enqueue, Role::Read], 1, day).check(), Ok(()));
        assert_eq!(asked(&[Role::Admin], 0, day).check(), Ok(()));
        for wrong in [
            asked(&[], 0, day),
            asked(&[Role::Enqueue], TOKEN_SCOPE + 1, day),
            asked(&[Role::Read], 1, day),
            asked(&[Role::Enqueue, Role::Operate], 1, day),
            asked(&[Role::Read], 0, 0),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_hash_stays_what_it_is() {
        // `printf qctl_ | sha256sum`
        let known = hash(PREFIX);
        let digits: String = known.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            digits,
            "ee4a0cc21ec418bdac7dd1cb593ed5dc3e328d1dfe1a3e4d1f2f54e18c4e9cf3"
        );
    }
}
