//! Reading and changing settings.

use diesel::prelude::*;
use queuectl_core::Settings;
use queuectl_core::settings::{Key, SettingError};

use crate::schema::settings;
use crate::{Store, StoreError};

impl Store {
    /// The settings that were set, as stored; all others have their defaults.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn stored_settings(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        Ok(settings::table
            .select((settings::key, settings::value))
            .order(settings::key)
            .load(&mut self.conn)?)
    }

    /// All settings, typed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn settings(&mut self) -> Result<Settings, StoreError> {
        let stored = self.stored_settings()?;
        Ok(Settings::from_stored(
            stored.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        ))
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
        self.write(|conn| {
            diesel::insert_into(settings::table)
                .values((settings::key.eq(key.name), settings::value.eq(&value)))
                .on_conflict(settings::key)
                .do_update()
                .set(settings::value.eq(&value))
                .execute(conn)?;
            Ok(())
        })?;
        self.beside.wake_all();
        Ok(Ok(value))
    }

    /// Gives a setting its default again. False if it had it already.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn unset_setting(&mut self, key: &Key) -> Result<bool, StoreError> {
        let removed = self.write(|conn| Ok(diesel::delete(settings::table.find(key.name)).execute(conn)?))?;
        self.beside.wake_all();
        Ok(removed > 0)
    }
}
