//! What other processes ask of a node, all of it in one look: to stop, to cancel jobs, to use other settings.

use queuectl_core::NodeId;

use crate::backend::ControlRequests;
use crate::{Store, StoreError};

impl Store {
    /// Looks what is asked of a node.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn control_requests(&mut self, node: NodeId) -> Result<ControlRequests, StoreError> {
        self.backend.control_requests(node)
    }
}
