//! `token:add`, `token:list`, `token:revoke`: who may use the HTTP API.

pub mod add;
pub mod list;
pub mod revoke;
