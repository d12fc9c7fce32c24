//! Where a store keeps long outputs on this machine.

use crate::state_dir::StateDir;
use crate::state_dir::outputs::Outputs;
use crate::{Store, StoreError};

impl Store {
    /// Where this store keeps long outputs on this machine.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn outputs(&mut self) -> Result<Outputs, StoreError> {
        if let Some(outputs) = &self.outputs {
            return Ok(outputs.clone());
        }
        let state_dir = self.location().state_dir();
        Ok(match self.backend.number()? {
            Some(number) => Outputs::find(&state_dir, &number),
            None => Outputs::nameless(&state_dir),
        })
    }

    /// The same for a store that writes or removes outputs: it takes the folder as its own.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`].
    pub fn own_outputs(&mut self) -> Result<Outputs, StoreError> {
        if let Some(outputs) = &self.outputs {
            return Ok(outputs.clone());
        }
        let number = self.backend.own_number()?;
        let folder = self.location().state_dir();
        let lock = StateDir::new(self.location()).lock_creation()?;
        let outputs = Outputs::claim(&folder, &number)
            .map_err(StoreError::file("use", Outputs::nameless(&folder).folder()))?;
        drop(lock);
        self.outputs = Some(outputs.clone());
        Ok(outputs)
    }

    /// Removes the long outputs of jobs that are gone. What cannot be removed is harmless.
    pub(crate) fn remove_outputs(&mut self, jobs: &[i64]) {
        match self.outputs() {
            Ok(outputs) => outputs.remove(jobs),
            Err(error) => tracing::debug!("long outputs were not removed: {error}"),
        }
    }
}
