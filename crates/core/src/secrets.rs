//! What of a job may be a secret, and is hidden from whoever has not asked for just that.
//!
//! What is stored, and what a job is given, is never changed by it.

use serde_json::Value;

use crate::Payload;

/// What members of a payload are called whose values are hidden: a part of the name, in any case, without `-` and `_`.
pub const SECRET_NAMES: [&str; 7] = [
    "secret",
    "password",
    "passwd",
    "token",
    "authorization",
    "cookie",
    "apikey",
];

/// Members of a payload that hold environments, of which every value is hidden.
const ENVIRONMENTS: [&str; 2] = ["env", "environment"];

/// What is shown instead.
pub const HIDDEN: &str = "(hidden)";

impl Payload {
    /// Hides what may be a secret: the values of the environment, the input, and of the executor's own object what is
    /// called like a secret or an environment. A command is never hidden.
    pub fn hide_secrets(&mut self) {
        let given = self.env.values_mut().chain(&mut self.stdin);
        given.for_each(|value| HIDDEN.clone_into(value));
        for (name, value) in self.payload.iter_mut().flatten() {
            hide_member(name, value);
        }
    }
}

fn hide_member(name: &str, value: &mut Value) {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    if SECRET_NAMES.iter().any(|part| name.contains(part)) {
        *value = HIDDEN.into();
    } else if ENVIRONMENTS.contains(&name.as_str()) {
        hide_values(value);
    } else {
        hide_members(value);
    }
}

fn hide_members(value: &mut Value) {
    match value {
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(name, value)| hide_member(name, value)),
        Value::Array(values) => values.iter_mut().for_each(hide_members),
        _ => {}
    }
}

/// Leaves the names of an environment, if they are to be told from its values.
fn hide_values(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| *value = HIDDEN.into()),
        other => *other = HIDDEN.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use serde_json::json;

    #[test]
    fn what_may_be_a_secret_is_hidden_and_stays_stored() {
        let own = json!({
            "url": "http://a/", "headers": {"Authorization": "Bearer x", "X-Api-Key": ["x"], "Accept": "text"},
            "steps": [{"db_password": "x", "n": 1}], "env": {"A": "x"}, "Environment": ["A=x"],
        });
        let mut payload = Payload {
            payload: own.as_object().cloned(),
            env: [("A".to_owned(), "x".to_owned())].into(),
            stdin: Some("x".to_owned()),
            ..Payload::default()
        };
        let hidden = json!({
            "url": "http://a/",
            "headers": {"Authorization": HIDDEN, "X-Api-Key": HIDDEN, "Accept": "text"},
            "steps": [{"db_password": HIDDEN, "n": 1}], "env": {"A": HIDDEN}, "Environment": HIDDEN,
        });
        let displayed: Value = serde_json::from_str(&payload.display()).unwrap();
        assert_eq!(displayed, hidden, "also where it stands for a command");
        let stored = payload.to_stored().unwrap();
        assert_eq!(stored.matches("\"x\"").count(), 5, "{stored}");
        payload.hide_secrets();
        assert_eq!(payload.payload.as_ref(), hidden.as_object());
        assert_eq!(
            (payload.env["A"].as_str(), payload.stdin.as_deref()),
            (HIDDEN, Some(HIDDEN))
        );
    }

    #[test]
    fn a_command_is_not_hidden() {
        let line = || Payload {
            command: Some(Command::Line("echo token".to_owned())),
            ..Payload::default()
        };
        let mut payload = line();
        payload.hide_secrets();
        assert_eq!(payload, line());
    }
}
