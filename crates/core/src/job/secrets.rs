//! Hides the parts of a job that may be secret from everyone who has not asked for them.
//!
//! The stored job, and the job that an executor gets, are never changed.

use std::collections::BTreeMap;

use super::payload::Payload;
use crate::json::{Hide, Hides, JsonObject};
use crate::redact::{is_secret, redact};

/// Members of a payload that hold environments, of which every value is hidden.
const ENVIRONMENTS: [&str; 2] = ["env", "environment"];

/// The parts of a job's payload that may be secret, as they are shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// The environment; None for a hidden value.
    pub env: BTreeMap<String, Option<String>>,
    /// The input, unless it is hidden.
    pub stdin: Option<String>,
    /// The executor's own object, in which null stands for what is hidden.
    pub payload: Option<JsonObject>,
    /// Pointers (RFC 6901) to all that is hidden: `/env/TOKEN`, `/stdin`, `/payload/headers/Authorization`.
    pub hidden: Vec<String>,
}

impl Payload {
    /// Returns what everyone may see. Hidden are the values of the environment, the input, and in the executor's own object
    /// members named like a secret or an environment, and texts with a secret in them, such as a URL. A command is never
    /// hidden.
    pub fn without_secrets(&self) -> Shown {
        let mut shown = Shown::default();
        for name in self.env.keys() {
            shown.env.insert(name.clone(), None);
            let name = name.replace('~', "~0").replace('/', "~1");
            shown.hidden.push(format!("/env/{name}"));
        }
        if self.stdin.is_some() {
            shown.hidden.push("/stdin".to_owned());
        }
        if let Some(own) = &self.payload {
            let (own, hidden) = own.hidden("null", SECRETS);
            shown.payload = Some(own);
            let hidden = hidden.into_iter().map(|place| format!("/payload{place}"));
            shown.hidden.extend(hidden);
        }
        shown
    }

    /// Returns everything.
    pub fn with_secrets(&self) -> Shown {
        let value = |(name, value): (&String, &String)| (name.clone(), Some(value.clone()));
        Shown {
            env: self.env.iter().map(value).collect(),
            stdin: self.stdin.clone(),
            // On one line, however it is stored.
            payload: self
                .payload
                .as_ref()
                .map(|own| own.hidden("null", Hides::NOTHING).0),
            hidden: Vec::new(),
        }
    }

    /// Returns what lists show for the job, secrets included.
    pub fn display_all(&self) -> String {
        match (&self.command, self.with_secrets().payload) {
            (None, Some(payload)) => payload.as_str().to_owned(),
            _ => self.display(),
        }
    }

    /// Returns what lists and logs show for the job. Secrets are hidden in a payload without a command.
    pub fn display(&self) -> String {
        match (&self.command, &self.payload) {
            (Some(command), _) => command.display(),
            (None, Some(payload)) => payload.marked(),
            (None, None) => String::new(),
        }
    }
}

impl JsonObject {
    /// Returns an executor's own object for people, with a mark in place of each secret.
    pub fn marked(&self) -> String {
        let (marked, _) = self.hidden("\"(hidden)\"", SECRETS);
        marked.as_str().to_owned()
    }
}

/// What may be a secret.
const SECRETS: Hides = Hides {
    member: hides,
    text: redact,
};

/// What is hidden of a member of that name.
fn hides(name: &str) -> Option<Hide> {
    if is_secret(name) {
        Some(Hide::Value)
    } else if ENVIRONMENTS.contains(&name.to_ascii_lowercase().as_str()) {
        Some(Hide::Values)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Command;

    #[test]
    fn what_may_be_a_secret_is_hidden_and_stays_stored() {
        let own = r#"{"url":"http://a/","headers":{"Authorization":"Bearer x","X-Api-Key":["x"],"Accept":"text"},
            "steps":[{"db_password":"x","n":1e5}],"env":{"A":"x"},"Environment":["A=x"],"no_token":null}"#;
        let payload = Payload {
            payload: Some(JsonObject::parse(own).unwrap()),
            env: [("A/B".to_owned(), "x".to_owned())].into(),
            stdin: Some("x".to_owned()),
            ..Payload::default()
        };
        let marked = r#"{"url":"http://a/","headers":{"Authorization":"(hidden)","X-Api-Key":"(hidden)","Accept":"text"},"steps":[{"db_password":"(hidden)","n":1e5}],"env":{"A":"(hidden)"},"Environment":"(hidden)","no_token":null}"#;
        assert_eq!(payload.display(), marked, "also where it stands for a command");
        let stored = payload.to_stored().unwrap();
        assert_eq!(stored.matches("\"x\"").count(), 5, "{stored}");
        let shown = payload.without_secrets();
        let own = shown.payload.unwrap();
        assert_eq!(own.as_str(), marked.replace("\"(hidden)\"", "null"));
        assert_eq!((&shown.env["A/B"], &shown.stdin), (&None, &None));
        assert_eq!(
            shown.hidden,
            [
                "/env/A~1B",
                "/stdin",
                "/payload/headers/Authorization",
                "/payload/headers/X-Api-Key",
                "/payload/steps/0/db_password",
                "/payload/env/A",
                "/payload/Environment",
            ]
        );
        let all = payload.with_secrets();
        assert_eq!((all.payload, all.stdin), (payload.payload, payload.stdin));
        assert_eq!(all.hidden, [""; 0]);
    }

    /// People see the rest of such a text. JSON, which may be given to `enqueue` again, leaves the text out.
    #[test]
    fn a_text_with_a_secret_in_it_is_hidden() {
        let own = r#"{"url":"http://u:x@a/?token=x&n=1","pass":"x","command":["psql","--password=x","-c"],
            "headers":["Authorization: Bearer x","Accept: y"],"author":"y"}"#;
        let payload = Payload {
            payload: Some(JsonObject::parse(own).unwrap()),
            ..Payload::default()
        };
        assert_eq!(
            payload.display(),
            r#"{"url":"http://u:(hidden)@a/?token=(hidden)&n=1","pass":"(hidden)","command":["psql","--password=(hidden)","-c"],"headers":["Authorization: (hidden)","Accept: y"],"author":"y"}"#
        );
        let shown = payload.without_secrets();
        assert_eq!(
            shown.payload.unwrap().as_str(),
            r#"{"url":null,"pass":null,"command":["psql",null,"-c"],"headers":[null,"Accept: y"],"author":"y"}"#
        );
        assert_eq!(
            shown.hidden,
            [
                "/payload/url",
                "/payload/pass",
                "/payload/command/1",
                "/payload/headers/0"
            ]
        );
    }

    #[test]
    fn a_command_is_not_hidden() {
        let payload = Payload {
            command: Some(Command::Line("echo token".to_owned())),
            ..Payload::default()
        };
        assert_eq!(payload.without_secrets(), Shown::default());
        assert_eq!(payload.display(), "echo token");
    }
}
