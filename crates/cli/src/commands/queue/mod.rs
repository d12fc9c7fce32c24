//! `queue:list`, `queue:show`, `queue:pause`, `queue:resume`, `queue:drain`: queues as a whole.

pub mod drain;
pub mod list;
pub mod pause;
pub mod resume;
pub mod show;
