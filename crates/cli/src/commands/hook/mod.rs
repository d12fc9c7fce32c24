//! `hook:add`, `hook:list`, `hook:show`, `hook:remove`: what runs when attempts of other jobs have ended.

pub mod add;
pub mod list;
pub mod remove;
pub mod show;
