//! What the parts of a node are told about the rest of it when they decide something.

use queuectl_core::{NodeId, Settings};
use queuectl_storage::{Outputs, StoreClock};

use super::events::Events;
use super::shutdown::Phase;

/// See the module. The dispatcher alone changes it.
pub struct Context {
    /// The node.
    pub node: NodeId,
    /// The user's settings, as read last.
    pub settings: Settings,
    /// The store's clock, as read last.
    pub clock: StoreClock,
    /// Where jobs leave their output.
    pub outputs: Outputs,
    /// How urgently the node is stopping.
    pub phase: Phase,
    /// Whom to tell what happens.
    pub events: Events,
}
