//! `limit:set`, `limit:list`, `limit:show`, `limit:resume`, `limit:remove`: how many jobs of a key run at a time, and how fast they start.

pub mod list;
pub mod remove;
pub mod resume;
pub mod set;
pub mod show;
