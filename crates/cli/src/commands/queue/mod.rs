//! `queue:list`, `queue:show`, `queue:pause`, `queue:resume`, `queue:drain`, `queue:set`, `queue:unset`: queues
//! as a whole.

pub mod drain;
pub mod list;
pub mod pause;
pub mod resume;
pub mod set;
pub mod show;
pub mod unset;
