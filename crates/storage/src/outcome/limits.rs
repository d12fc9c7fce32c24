//! Limits: gives back what a job held, waited for or was let through for, and lets others go on.

use queuectl_core::Timestamp;

use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::{Keys, LimitRows, place_ready, release, settle};

/// Does what follows for limits from the changes that were noted. For all of a transaction at once, because that takes as
/// many statements as for one.
pub fn after(db: &mut Db, keys: &mut Keys, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let (jobs, ready) = deltas.take_limited();
    let conn: &mut dyn LimitRows = on_any!(db, conn => conn);
    keys.put_off(conn)?;
    if jobs.is_empty() {
        return Ok(());
    }
    let mut which = release(conn, keys, &jobs)?;
    // Those that are ready now take their places in the order of those that wait.
    which.extend(place_ready(conn, keys, &ready, now, deltas)?);
    settle(conn, keys, which, now, deltas)
}
