//! What the newest dead jobs died of.

use std::time::Duration;

use queuectl_dlq::{CauseCount, Selected};
use queuectl_storage::{Store, StoreError};
use queuectl_views::CauseView;

/// Dead jobs that are looked at, the newest, and causes that are told apart.
const JOBS: usize = 2000;
const CAUSES: usize = 200;

/// Reads the causes of the newest dead jobs, and how many those are if there are more.
pub fn newest(store: &mut Store) -> Result<(Vec<CauseView>, Option<usize>), StoreError> {
    let now = store.now()?;
    let filter = Selected {
        queue: None,
        cause: None,
        age: Duration::ZERO,
        now,
    }
    .filter();
    let (found, more) = queuectl_dlq::causes_of_newest(store, &filter, CAUSES, JOBS)?;
    let mut causes: Vec<CauseView> = (1..)
        .zip(found.list)
        .map(|(number, count)| view(number, count))
        .collect();
    if found.other > 0 {
        causes.push(CauseView {
            jobs: found.other,
            ..CauseView::default()
        });
    }
    Ok((causes, more.then_some(JOBS)))
}

fn view(number: usize, count: CauseCount) -> CauseView {
    let cause = count.cause;
    CauseView {
        number: Some(number),
        cause: Some(count.key.to_string()),
        error: Some(cause.error),
        outcome: cause.outcome,
        exit_code: cause.exit_code,
        signal: cause.signal,
        program: Some(cause.program),
        jobs: count.jobs,
        queues: count.queues,
        first_died_at: Some(count.first),
        last_died_at: Some(count.last),
        example: Some(count.example),
    }
}
