//! What the simulator does to a store from outside: the world that the store sees is set in [`crate::env`].

use diesel::connection::SimpleConnection;
use queuectl_core::Timestamp;

pub use crate::env::simulated::*;
use crate::state_dir::NodeGuard;
use crate::{Store, StoreError};

impl NodeGuard {
    /// Lets go of the lock and leaves everything else, as the end of the process does.
    pub fn crash(self) {
        self.let_go();
    }
}

/// Has the server's clock be one that only [`set_server_time`] moves, in the schema of this store.
///
/// # Errors
/// [`StoreError::Database`]; also if the store is on no server.
pub fn own_server_clock(store: &mut Store) -> Result<(), StoreError> {
    on_server(
        store,
        "CREATE TABLE simulated_clock (now BIGINT NOT NULL); INSERT INTO simulated_clock VALUES (0); \
         CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE \
         AS $$ SELECT now FROM simulated_clock $$",
    )
}

/// From now on this is the server's time.
///
/// # Errors
/// [`StoreError::Database`]; also if the store is on no server.
pub fn set_server_time(store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    on_server(store, &format!("UPDATE simulated_clock SET now = {}", now.0))
}

fn on_server(store: &mut Store, sql: &str) -> Result<(), StoreError> {
    Ok(store.conn()?.postgres()?.batch_execute(sql)?)
}
