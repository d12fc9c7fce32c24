//! Tokens of the HTTP API: who may do what with one. How they look and are checked is the server's business.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::id::{ExecutorName, QueueName, TokenName};
use crate::job::JobSpec;
use crate::time::Timestamp;
use crate::unique::OnConflict;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looking at everything.
    Read,
    /// Storing jobs, perhaps of some queues and executors only. It sees nothing else.
    Enqueue,
    /// Changing jobs and queues, and all of the above.
    Operate,
    /// Everything.
    Admin,
}

/// A word that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a role; use read, enqueue, operate or admin")]
pub struct UnknownRole(String);

impl Role {
    /// All, in the order of the help.
    pub const ALL: [Role; 4] = [Role::Read, Role::Enqueue, Role::Operate, Role::Admin];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Enqueue => "enqueue",
            Role::Operate => "operate",
            Role::Admin => "admin",
        }
    }

    fn bit(self) -> i16 {
        1 << (self as i16)
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Role, UnknownRole> {
        let found = Role::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| UnknownRole(name.to_owned()))
    }
}

/// The roles of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(i16);

impl Roles {
    /// Those of that number as it is stored. Roles of a later version are left out.
    pub fn from_code(code: i16) -> Roles {
        let known = Role::ALL.into_iter().fold(0, |all, role| all | role.bit());
        Roles(code & known)
    }

    /// The number that is stored.
    pub fn code(self) -> i16 {
        self.0
    }

    /// Whether the role was given.
    pub fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether what needs that role may be done: `operate` includes `read` and `enqueue`, and `admin` all.
    pub fn allow(self, needed: Role) -> bool {
        let enough: &[Role] = match needed {
            Role::Read => &[Role::Read, Role::Operate, Role::Admin],
            Role::Enqueue => &[Role::Enqueue, Role::Operate, Role::Admin],
            Role::Operate => &[Role::Operate, Role::Admin],
            Role::Admin => &[Role::Admin],
        };
        enough.iter().any(|role| self.has(*role))
    }

    /// Returns them.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        Roles(roles.into_iter().fold(0, |all, role| all | role.bit()))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Role::name).collect();
        f.pad(&names.join(","))
    }
}

/// The jobs that may be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenScope {
    /// Those of these queues; of all, if there is none.
    pub queues: Vec<QueueName>,
    /// Those of these executors; of all, if there is none.
    pub executors: Vec<ExecutorName>,
}

impl TokenScope {
    /// Says why a job may not be stored, if it may not. What it would have stored or changed besides counts, too.
    pub fn refusal(&self, job: &JobSpec) -> Option<String> {
        if !self.queues.is_empty() {
            let default = QueueName::default();
            let queue = job.queue.as_ref().unwrap_or(&default);
            let queues = std::iter::once(queue).chain(&job.hooks.to_queue);
            for queue in queues {
                if !self.queues.contains(queue) {
                    let allowed = list(&self.queues);
                    return Some(format!(
                        "this token may not store jobs in queue {queue}, only in {allowed}"
                    ));
                }
            }
        }
        if !self.executors.is_empty() {
            let default = ExecutorName::default();
            let executor = job.executor.as_ref().unwrap_or(&default);
            if !self.executors.contains(executor) {
                let allowed = list(&self.executors);
                return Some(format!(
                    "this token may not store jobs of the executor {executor}, only of {allowed}"
                ));
            }
            if !job.hooks.is_empty() && !self.executors.contains(&default) {
                let why = "this token may not store jobs with hooks, which the executor shell would run";
                return Some(why.to_owned());
            }
        }
        // The job that has the key may be in any queue, and of any executor.
        let is_limited = !self.queues.is_empty() || !self.executors.is_empty();
        if is_limited && (job.on_conflict == Some(OnConflict::Replace) || job.debounce_ms.is_some()) {
            let why = "this token is limited to some queues or executors; a job that replaces or puts off another could change one of others";
            return Some(why.to_owned());
        }
        None
    }
}

fn list(names: &[impl fmt::Display]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A token as it is known: not what it is, but how it can be recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: TokenName,
    /// The hash of what clients send.
    pub hash: [u8; 32],
    /// What it may be used for.
    pub roles: Roles,
    /// The jobs that it may store, if it may do nothing but that and look.
    pub scope: TokenScope,
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

impl Token {
    /// Whether it can be used at that time.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(queues: &[&str], executors: &[&str]) -> TokenScope {
        TokenScope {
            queues: queues.iter().map(|name| name.parse().unwrap()).collect(),
            executors: executors.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn is_refused(scope: &TokenScope, json: &str) -> bool {
        scope.refusal(&JobSpec::from_written(json).unwrap()).is_some()
    }

    #[test]
    fn roles_include_what_is_below_them() {
        let may = |role: Role| {
            let roles = Roles::from_iter([role]);
            assert_eq!(Roles::from_code(roles.code()), roles);
            Role::ALL.map(|needed| roles.allow(needed))
        };
        assert_eq!(may(Role::Read), [true, false, false, false]);
        assert_eq!(may(Role::Enqueue), [false, true, false, false]);
        assert_eq!(may(Role::Operate), [true, true, true, false]);
        assert_eq!(may(Role::Admin), [true; 4]);
        assert_eq!(Role::ALL.map(|needed| Roles::default().allow(needed)), [false; 4]);
        let both = Roles::from_iter([Role::Enqueue, Role::Read]);
        assert_eq!(both.to_string(), "read,enqueue");
        assert_eq!(Roles::from_code(both.code() | 1 << 9), both);
    }

    #[test]
    fn a_scope_counts_for_all_that_a_job_brings_about() {
        let mail = scope(&["mail", "web"], &[]);
        assert!(!is_refused(&mail, r#"{"command":"x","queue":"web"}"#));
        assert!(!is_refused(
            &mail,
            r#"{"command":"x","queue":"mail","unique":"k"}"#
        ));
        for wrong in [
            r#"{"command":"x"}"#,
            r#"{"command":"x","queue":"other"}"#,
            r#"{"command":"x","queue":"mail","on_death":"y","hook_queue":"other"}"#,
            r#"{"command":"x","queue":"mail","unique":"k","on_conflict":"replace"}"#,
            r#"{"command":"x","queue":"mail","unique":"k","debounce":"1m"}"#,
        ] {
            assert!(is_refused(&mail, wrong), "{wrong}");
            assert!(!is_refused(&TokenScope::default(), wrong), "the control: {wrong}");
        }
        let http = scope(&[], &["http"]);
        assert!(!is_refused(&http, r#"{"executor":"http","payload":{}}"#));
        for wrong in [
            r#"{"command":"x"}"#,
            r#"{"executor":"docker","payload":{}}"#,
            r#"{"executor":"http","payload":{},"on_success":"rm -r /"}"#,
            r#"{"executor":"http","payload":{},"unique":"k","on_conflict":"replace"}"#,
            r#"{"executor":"http","payload":{},"unique":"k","debounce":"1m"}"#,
        ] {
            assert!(is_refused(&http, wrong), "{wrong}");
            assert!(!is_refused(&TokenScope::default(), wrong), "the control: {wrong}");
        }
        assert!(!is_refused(
            &scope(&[], &["http", "shell"]),
            r#"{"executor":"http","payload":{},"on_success":"x"}"#
        ));
    }
}
