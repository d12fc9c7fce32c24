//! Settings of single queues. They are stored with all others, so that a node reads them with those.

use std::collections::BTreeSet;

use diesel::prelude::*;
use queuectl_core::QueueSetting;
use queuectl_core::limits::QUEUES_WITH_SETTINGS;
use queuectl_core::settings::of_queue;

use super::operations::SETTING_CHANGED;
use super::operator::Operator;
use super::settings::value_of;
use crate::backend::Db;
use crate::backend::statements::StoreSetting;
use crate::schema::settings;
use crate::types::nodes::Wake;
use crate::{Store, StoreError, rows};

impl Store {
    /// Sets settings of queues, all or none, and wakes the nodes, which take them up. The values are as [`Key::parse`] returns
    /// them; one that is absent is removed.
    ///
    /// [`Key::parse`]: queuectl_core::settings::Key::parse
    ///
    /// # Errors
    /// [`StoreError::TooMany`]: too many queues would have settings of their own.
    pub fn change_queue_settings(
        &mut self,
        changes: &[(QueueSetting, Option<String>)],
    ) -> Result<(), StoreError> {
        let now = self.now()?;
        let operator = self.operator_at(now);
        self.write(|conn| change_settings(conn, changes, &operator))?;
        self.wake_all(Wake::Control);
        Ok(())
    }
}

/// Stores changed settings of queues.
pub(super) fn change_settings(
    conn: &mut Db,
    changes: &[(QueueSetting, Option<String>)],
    operator: &Operator,
) -> Result<(), StoreError> {
    for (setting, value) in changes {
        let key = setting.to_string();
        let what = [("queue", setting.queue.as_str()), ("setting", setting.key.name)];
        let before = value_of(conn, &key)?;
        operator.changed(conn, SETTING_CHANGED, &what, before, value.clone())?;
        match value.clone() {
            Some(value) => StoreSetting { key, value }.execute(conn)?,
            None => diesel::delete(settings::table.find(key)).execute(conn)?,
        };
    }
    check_queues(conn)
}

/// Refuses more queues with settings than there may be.
pub(super) fn check_queues(conn: &mut Db) -> Result<(), StoreError> {
    let stored = rows::stored_settings(conn)?;
    let with_settings = stored.iter().filter_map(|(name, _)| Some(of_queue(name)?.0));
    match with_settings.collect::<BTreeSet<_>>().len() {
        ..=QUEUES_WITH_SETTINGS => Ok(()),
        _ => Err(StoreError::TooMany {
            what: "queues with settings of their own",
            most: QUEUES_WITH_SETTINGS,
        }),
    }
}
