//! Groups as an operator handles them: made, closed, read, cancelled, retried, removed. What the end of a member does is in
//! `outcome/groups.rs`.
//!
//! What concerns every member is done in steps, each a transaction of its own, so that others can write between them.

pub(super) mod copy;
mod edit;
mod members;
mod read;
mod tend;

use queuectl_core::group::{Group, Progress};

pub use self::members::{CancelledMembers, RetriedMembers};
pub(super) use self::read::group_use;
pub use self::read::{GroupFilter, Member};
use crate::StoreError;
use crate::backend::Db;
use crate::outcome::{GroupRow, group_named};

/// A group with its members, counted.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupUse {
    /// The group.
    pub group: Group,
    /// Its members by what they do.
    pub progress: Progress,
}

/// The group of that name.
pub(super) fn find(db: &mut Db, name: &str) -> Result<GroupRow, StoreError> {
    group_named(db, name)?.ok_or_else(|| StoreError::NoSuchGroup(name.to_owned()))
}
