//! The way back of an operation that changed schedules. A schedule goes back only if it is still as the operation left it. Its
//! ticks are not kept: one that was removed and comes back begins a new history.

use queuectl_core::{ScheduleName, Timestamp};

use super::edit::{add, check_room, find, pause, replace, resume};
use super::operation::{Changed, read};
use super::rows::ScheduleRow;
use super::tick::store;
use crate::StoreError;
use crate::backend::Db;

/// Whether two rows say the same of when and what runs, and of the pause.
fn is_alike(a: Option<&ScheduleRow>, b: Option<&ScheduleRow>) -> bool {
    let (Some(a), Some(b)) = (a, b) else {
        return a.is_none() && b.is_none();
    };
    let is_paused = |row: &ScheduleRow| row.paused_at.is_some();
    a.spec().ok() == b.spec().ok() && is_paused(a) == is_paused(b)
}

/// Takes an operation back. Returns how many schedules are as before it, and why others were left alone.
pub fn undo(conn: &mut Db, request: &str, now: Timestamp) -> Result<(u64, Vec<String>), StoreError> {
    let Ok(changed) = serde_json::from_str::<Vec<Changed>>(request) else {
        return Ok((0, vec!["what was changed cannot be read".to_owned()]));
    };
    conn.dialect().lock_schedules()?;
    let (mut back, mut left) = (0, Vec::new());
    for Changed { name, before, after } in changed {
        let found = read(conn, &name)?;
        if !is_alike(found.as_ref(), after.as_ref()) {
            left.push(format!("schedule {name} was changed since"));
            continue;
        }
        let Some(before) = before else {
            left.push(format!(
                "schedule {name} is new; `queuectl schedule:remove {name}` removes it"
            ));
            continue;
        };
        match put_back(conn, before, found, now) {
            Ok(()) => back += 1,
            // A limit that it names may be gone.
            Err(error @ (StoreError::BadSchedule { .. } | StoreError::TooManySchedules)) => {
                left.push(format!("schedule {name} stays as it is: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((back, left))
}

fn put_back(
    conn: &mut Db,
    before: ScheduleRow,
    found: Option<ScheduleRow>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let bad = |problem| StoreError::BadSchedule {
        name: before.name.clone(),
        problem,
    };
    let name = ScheduleName::as_stored(before.name.clone());
    let spec = before.spec().map_err(bad)?;
    match &found {
        None => {
            check_room(conn, 1)?;
            add(conn, &spec, now)?;
        }
        Some(found) if found.spec().ok().as_ref() != Some(&spec) => replace(conn, &spec, now)?,
        Some(_) => {}
    }
    let is_paused = found.is_some_and(|row| row.paused_at.is_some());
    match before.paused_at {
        Some(_) if !is_paused => {
            pause(conn, &name, before.paused_reason.as_deref(), now)?;
            // As long as it was, as far as anybody can see.
            let mut row = find(conn, &name)?;
            row.paused_at = before.paused_at;
            store(conn, &mut row, now)
        }
        None if is_paused => resume(conn, &name, now).map(drop),
        _ => Ok(()),
    }
}
