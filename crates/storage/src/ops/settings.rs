//! Reading and changing settings.

use diesel::prelude::*;
use queuectl_core::settings::{Key, SettingError};
use queuectl_core::{ExecutorSetting, ExecutorSettingError, Settings};

use super::operations::SETTING_CHANGED;
use super::operator::Operator;
use crate::backend::Db;
use crate::backend::statements::StoreSetting;
use crate::schema::settings;
use crate::types::nodes::Wake;
use crate::types::text::Words;
use crate::{Store, StoreError, rows};

impl Store {
    /// The settings that were set, as stored; all others have their defaults.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn stored_settings(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        rows::stored_settings(self.conn()?)
    }

    /// All settings, typed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn settings(&mut self) -> Result<Settings, StoreError> {
        rows::settings(self.conn()?)
    }

    /// Sets a setting and wakes the nodes, which take it up. Returns the value as it was stored.
    ///
    /// # Errors
    /// The inner error says why the value was refused; nothing changed then.
    pub fn set_setting(
        &mut self,
        key: &Key,
        value: &str,
    ) -> Result<Result<String, SettingError>, StoreError> {
        let value = match key.parse(value) {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        };
        self.store_setting(key.name, &value)?;
        Ok(Ok(value))
    }

    /// Sets an executor's own setting and wakes the nodes, which take it up.
    ///
    /// # Errors
    /// The inner error says why the value was refused; nothing changed then.
    pub fn set_executor_setting(
        &mut self,
        setting: &ExecutorSetting,
        value: &str,
    ) -> Result<Result<(), ExecutorSettingError>, StoreError> {
        if let Err(error) = setting.check(value) {
            return Ok(Err(error));
        }
        self.store_setting(&setting.to_string(), value)?;
        Ok(Ok(()))
    }

    fn store_setting(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        let now = self.now()?;
        let operator = self.operator_at(now);
        self.write(|conn| {
            note_change(conn, &operator, key, Some(value))?;
            put(conn, key, Some(value)).map(drop)
        })?;
        self.wake_all(Wake::Control);
        Ok(())
    }

    /// Removes an executor's own setting. False if there was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn unset_executor_setting(&mut self, setting: &ExecutorSetting) -> Result<bool, StoreError> {
        self.remove_setting(&setting.to_string())
    }

    /// Gives a setting its default again. False if it had it already.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn unset_setting(&mut self, key: &Key) -> Result<bool, StoreError> {
        self.remove_setting(key.name)
    }

    fn remove_setting(&mut self, key: &str) -> Result<bool, StoreError> {
        let now = self.now()?;
        let operator = self.operator_at(now);
        let removed = self.write(|conn| {
            note_change(conn, &operator, key, None)?;
            put(conn, key, None)
        })?;
        self.wake_all(Wake::Control);
        Ok(removed > 0)
    }
}

/// Stores the value of a setting, or that it has none. Returns how many rows that changed.
pub(super) fn put(conn: &mut Db, key: &str, value: Option<&str>) -> Result<usize, StoreError> {
    if is_ledger(key) {
        conn.dialect().set_ledger(value.is_some_and(has_ledger))?;
    }
    let key = key.to_owned();
    Ok(match value.map(str::to_owned) {
        Some(value) => StoreSetting { key, value }.execute(conn)?,
        None => diesel::delete(settings::table.find(key)).execute(conn)?,
    })
}

/// The stored value of a setting.
pub fn value_of(conn: &mut Db, key: &str) -> Result<Option<String>, StoreError> {
    let value: Option<Words> = settings::table
        .find(key)
        .select(settings::value)
        .first(conn)
        .optional()?;
    Ok(value.map(|value| value.text))
}

/// Writes what becomes of a setting, before it is changed: what switches events off is among them.
fn note_change(conn: &mut Db, operator: &Operator, key: &str, to: Option<&str>) -> Result<(), StoreError> {
    let from = value_of(conn, key)?;
    operator.changed(
        conn,
        SETTING_CHANGED,
        &[("setting", key)],
        from,
        to.map(str::to_owned),
    )
}

/// Whether a setting is the one that the ledger of events follows.
fn is_ledger(key: &str) -> bool {
    key == EVENT_RETENTION
}

/// Whether events are to be recorded with that value.
fn has_ledger(value: &str) -> bool {
    let settings = Settings::from_stored([(EVENT_RETENTION, value)]);
    !settings.event_retention.is_zero()
}

const EVENT_RETENTION: &str = "event_retention";

/// Has the ledger of a copied store be as its settings say.
pub(crate) fn follow_ledger_setting(conn: &mut Db) -> Result<(), StoreError> {
    let settings = rows::settings(conn)?;
    if !settings.event_retention.is_zero() {
        conn.dialect().set_ledger(true)?;
    }
    Ok(())
}
