//! Reading jobs for a list, a few at a time.

use anyhow::Result;
use queuectl_core::{Job, JobId};
use queuectl_storage::{ListFilter, Page, Position, Store};

/// Jobs per query; each can be as large as a payload.
const PAGE: u32 = 100;

/// Visits matching jobs page by page, oldest first; with a limit only the newest. Returns whether older ones were left
/// out.
pub fn pages(
    store: &mut Store,
    filter: ListFilter,
    limit: Option<u32>,
    mut visit: impl FnMut(&mut Store, Job) -> Result<()>,
) -> Result<bool> {
    let mut left = limit.map_or(u64::MAX, u64::from);
    let first = match limit {
        Some(limit) => store.newest_from(&ListFilter {
            limit,
            ..filter.clone()
        })?,
        None => None,
    };
    let mut page = ListFilter {
        above: first.map(Position::before),
        oldest_first: true,
        ..filter
    };
    loop {
        page.limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let Page { jobs, more } = store.list_page(&page)?;
        left -= jobs.len() as u64;
        page.above = jobs.last().map(|job| page.position(job)).or(page.above);
        for job in jobs {
            visit(store, job)?;
        }
        if !more || left == 0 {
            return Ok(first.is_some());
        }
    }
}

/// Visits the jobs with these numbers, in that order.
pub fn numbered(
    store: &mut Store,
    mut numbers: &[JobId],
    mut visit: impl FnMut(&mut Store, Job) -> Result<()>,
) -> Result<()> {
    while !numbers.is_empty() {
        let (jobs, read) = store.jobs(&numbers[..numbers.len().min(PAGE as usize)])?;
        for job in jobs {
            visit(store, job)?;
        }
        numbers = &numbers[read.max(1)..];
    }
    Ok(())
}
