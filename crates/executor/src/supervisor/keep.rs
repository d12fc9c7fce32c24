//! What executors keep outside of this process beyond the end of a run, and when they may let go of it.
//!
//! An executor that wants to know when an outcome is durable is told here; and those that start things which outlive
//! the process (containers, say) are told which nodes live, so that they can end what others left.

use std::collections::HashMap;
use std::sync::Arc;

use crate::RunKey;
use crate::plugin::Instance;

/// Ended runs whose outcome is not known to be durable, and the nodes that live.
pub(super) struct Keep {
    /// The mark of this process's node.
    pub(super) mark: String,
    /// None until they were told.
    alive: Option<Vec<String>>,
    awaiting: HashMap<RunKey, (u64, Arc<Instance>)>,
}

impl Keep {
    pub(super) fn new(mark: String) -> Keep {
        Keep {
            mark,
            alive: None,
            awaiting: HashMap::new(),
        }
    }

    /// A run ended. Says whether its executor wants to know when that is durable.
    pub(super) fn await_recorded(&mut self, key: RunKey, handle: u64, instance: Arc<Instance>) -> bool {
        let wanted = instance.wants_recorded();
        if wanted {
            self.awaiting.insert(key, (handle, instance));
        }
        wanted
    }

    /// The outcomes of these runs are durable.
    pub(super) fn recorded(&mut self, keys: &[RunKey]) {
        for key in keys {
            if let Some((handle, instance)) = self.awaiting.remove(key) {
                instance.recorded(handle);
            }
        }
    }

    pub(super) fn set_alive(&mut self, marks: Vec<String>) {
        self.alive = Some(marks);
    }

    /// Has an executor end what nodes of this store left behind that live no more.
    pub(super) fn reap(&self, instance: &Instance) {
        if let (Some(alive), Some((store, _))) = (&self.alive, self.mark.split_once('.')) {
            instance.reap(store, alive);
        }
    }
}
