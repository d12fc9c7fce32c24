//! Texts about one thing: a job, a queue, what a job printed. Each is a list of lines, bounded in number and length.

mod around;
mod job;
mod logs;

use queuectl_core::Timestamp;
use queuectl_storage::{Store, StoreError};

use crate::keys;
use crate::snapshot::{Page, PageOf};

/// Reads a page.
pub fn load(store: &mut Store, of: &PageOf, now: Timestamp) -> Result<Page, StoreError> {
    match of {
        PageOf::Help => Ok(keys::help(false)),
        PageOf::Job(job) => job::details(store, *job, now),
        PageOf::Explain(job) => job::explain(store, *job, now),
        PageOf::Logs(job) => logs::load(store, *job),
        PageOf::Queue(queue) => around::queue(store, queue, now),
        PageOf::Limit(limit) => around::limit(store, limit, now),
        PageOf::Group(group) => around::group(store, group, now),
        PageOf::Schedule(schedule) => around::schedule(store, schedule, now),
        PageOf::Cause(cause) => around::cause(store, *cause, now),
        PageOf::Node(node) => around::node(store, *node, now),
        PageOf::Event(event) => around::event(store, *event),
    }
}
