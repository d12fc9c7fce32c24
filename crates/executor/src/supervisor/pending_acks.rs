//! Ended runs whose outcome is not known to be durable.
//!
//! An executor that keeps something outside of this process (a container, say) lets go of it only then.

use std::collections::HashMap;
use std::sync::Arc;

use crate::RunKey;
use crate::plugin::Instance;

/// Runs that wait to be acknowledged, with the executors that want to hear of it.
#[derive(Default)]
pub(super) struct PendingAcks(HashMap<RunKey, (u64, Arc<Instance>)>);

impl PendingAcks {
    /// Notes an ended run. Returns whether its executor wants to know when the outcome is durable.
    pub(super) fn add(&mut self, key: RunKey, run_id: u64, instance: Arc<Instance>) -> bool {
        let wanted = instance.wants_recorded();
        if wanted {
            self.0.insert(key, (run_id, instance));
        }
        wanted
    }

    /// Tells the executors that the outcomes of these runs are durable.
    pub(super) fn recorded(&mut self, keys: &[RunKey]) {
        for key in keys {
            if let Some((run_id, instance)) = self.0.remove(key) {
                instance.recorded(run_id);
            }
        }
    }
}
