//! Which nodes of the store live, by their marks, so that executors end what dead nodes left outside of any process.

use crate::plugin::Instance;

/// This process's node and the nodes that live.
pub(super) struct LiveNodes {
    /// The mark of this process's node, `STORE.NODE`.
    pub(super) own_mark: String,
    /// None until the first message about them.
    alive: Option<Vec<String>>,
}

impl LiveNodes {
    pub(super) fn new(own_mark: String) -> LiveNodes {
        LiveNodes {
            own_mark,
            alive: None,
        }
    }

    pub(super) fn set_alive(&mut self, marks: Vec<String>) {
        self.alive = Some(marks);
    }

    /// Has an executor end what dead nodes of this store left behind.
    pub(super) fn reap(&self, instance: &Instance) {
        if let (Some(alive), Some((store, _))) = (&self.alive, self.own_mark.split_once('.')) {
            instance.reap(store, alive);
        }
    }
}
