//! What operators change besides jobs and pauses, in the ledger of events: settings and limits, with who changed them, from
//! what to what. It is written by the transaction that changes them, if it changes anything and events are recorded. The same
//! is an operation, whether events are recorded or not.

use diesel::RunQueryDsl;
use queuectl_core::Timestamp;
use queuectl_core::settings::{KEYS, of_queue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::operations::{SETTING_CHANGED, insert};
use crate::backend::Db;
use crate::backend::statements::NoteOther;
use crate::types::operation::{Current, NewOperation, OperationState};
use crate::{Store, StoreError};

/// Who changes something, and when.
pub struct Operator {
    by: Option<String>,
    at: Timestamp,
    /// Whether the change is an operation of its own.
    enters: bool,
}

/// The change of a setting, as it is kept for an undo.
#[derive(Debug, Serialize, Deserialize)]
pub struct SettingChange {
    /// The queue, if it is one of a queue.
    pub queue: Option<String>,
    /// The setting.
    pub setting: String,
    /// Its value before; none for its default.
    pub from: Option<String>,
    /// Its value after.
    pub to: Option<String>,
}

impl SettingChange {
    /// The name under which it is stored.
    pub fn key(&self) -> String {
        match &self.queue {
            Some(queue) => format!("queue:{queue}.{}", self.setting),
            None => self.setting.clone(),
        }
    }

    /// Whether it is stored with the other settings, and not a limit of a queue.
    fn is_stored(&self) -> bool {
        self.queue.is_none() || of_queue(&self.key()).is_some()
    }
}

impl Store {
    /// Says who uses this store, as `user@machine`, for the events that tell of changes.
    pub fn act_as(&mut self, operator: String) {
        self.operator = Some(operator);
    }

    /// Who uses this store, at that time.
    pub(super) fn operator_at(&self, at: Timestamp) -> Operator {
        let by = self.operator.clone();
        let enters = true;
        Operator { by, at, enters }
    }
}

impl Operator {
    /// Somebody who is named.
    pub fn by(by: &str, at: Timestamp) -> Operator {
        let by = Some(by.to_owned());
        let enters = true;
        Operator { by, at, enters }
    }

    /// Somebody who undoes something, which is an operation already.
    pub fn undoing(by: &str, at: Timestamp) -> Operator {
        let by = Some(by.to_owned());
        let enters = false;
        Operator { by, at, enters }
    }

    /// Stores an operation that has ended.
    pub fn enter(
        &self,
        db: &mut Db,
        kind: &str,
        what: String,
        request: Option<String>,
    ) -> Result<(), StoreError> {
        if !self.enters {
            return Ok(());
        }
        let new = NewOperation {
            kind: kind.to_owned(),
            what,
            request,
            total: None,
        };
        let current = Current::new(new, self.by.clone(), false);
        insert(db, &current, OperationState::Done, None, self.at).map(drop)
    }

    /// Writes that something changed, in the transaction that changes it. Nothing is written if both sides are alike.
    pub fn changed(
        &self,
        db: &mut Db,
        kind: &str,
        what: &[(&str, &str)],
        from: Option<String>,
        to: Option<String>,
    ) -> Result<(), StoreError> {
        if from == to {
            return Ok(());
        }
        let named = |name: &str| what.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let mut words = in_words(what);
        // What an executor is set to can be a secret.
        let is_own = |setting| KEYS.iter().any(|key| key.name == setting);
        if named("setting").is_none_or(is_own) || named("queue").is_some() {
            // `none` is a value of some settings.
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
            words = format!("{words}: {} -> {}", value(&from), value(&to));
        }
        let change = named("setting").filter(|_| kind == SETTING_CHANGED);
        let change = change.map(|setting| SettingChange {
            queue: named("queue").map(str::to_owned),
            setting: setting.to_owned(),
            from: from.clone(),
            to: to.clone(),
        });
        let change = change.filter(SettingChange::is_stored);
        let request = change.and_then(|change| serde_json::to_string(&change).ok());
        self.enter(db, kind, words, request)?;
        self.write(db, kind, what, json!({ "from": from, "to": to }))
    }

    /// Writes what somebody did.
    pub fn note(
        &self,
        db: &mut Db,
        kind: &str,
        what: &[(&str, &str)],
        rest: Value,
    ) -> Result<(), StoreError> {
        self.enter(db, kind, in_words(what), None)?;
        self.write(db, kind, what, rest)
    }

    fn write(&self, db: &mut Db, kind: &str, what: &[(&str, &str)], rest: Value) -> Result<(), StoreError> {
        let mut detail = rest;
        for (name, value) in what {
            detail[*name] = Value::from(*value);
        }
        detail["by"] = Value::from(self.by.clone());
        NoteOther {
            at: self.at.0,
            kind: kind.to_owned(),
            detail: detail.to_string(),
        }
        .execute(db)?;
        Ok(())
    }
}

/// Names what was changed: `queue mail, max_retries`.
fn in_words(what: &[(&str, &str)]) -> String {
    let words = what.iter().map(|(key, name)| match *key {
        "setting" => (*name).to_owned(),
        key => format!("{key} {name}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
