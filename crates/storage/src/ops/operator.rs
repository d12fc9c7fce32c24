//! What operators change besides jobs and pauses, in the ledger of events: settings and limits, with who changed them, from
//! what to what. It is written by the transaction that changes them, if it changes anything and events are recorded.

use diesel::RunQueryDsl;
use queuectl_core::Timestamp;
use serde_json::{Value, json};

use crate::backend::Db;
use crate::backend::statements::NoteOther;
use crate::{Store, StoreError};

/// Who changes something, and when.
pub struct Operator {
    by: Option<String>,
    at: Timestamp,
}

impl Store {
    /// Says who uses this store, as `user@machine`, for the events that tell of changes.
    pub fn act_as(&mut self, operator: String) {
        self.operator = Some(operator);
    }

    /// Who uses this store, at that time.
    pub(super) fn operator_at(&self, at: Timestamp) -> Operator {
        let by = self.operator.clone();
        Operator { by, at }
    }
}

impl Operator {
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
        self.note(db, kind, what, json!({ "from": from, "to": to }))
    }

    /// Writes what somebody did.
    pub fn note(
        &self,
        db: &mut Db,
        kind: &str,
        what: &[(&str, &str)],
        rest: Value,
    ) -> Result<(), StoreError> {
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
