//! How the last hour went, from the history that nodes keep by the minute, and from the newest jobs that are not in it yet.
//!
//! Counting jobs that ended lately is bounded: of a queue that ends more than that in the minutes until its history is kept, the
//! charts end where the history does.

use queuectl_core::{State, Timestamp};
use queuectl_pages::{Charts, Series};
use queuectl_storage::{EndedWith, Ends, FAILURES, JobFilter, Sketch, Store, StoreError};

/// Parts of the time, and how long each is.
const PARTS: usize = 60;
const PART_MS: i64 = 60_000;
/// Jobs that are looked at which are not in the history.
const JOBS: u32 = 2000;

/// Reads it.
pub fn load(store: &mut Store) -> Result<Charts, StoreError> {
    let now = store.now()?;
    // Parts are whole minutes, as the history has them; the last is the one that goes on.
    let last = now.0 - now.0.rem_euclid(PART_MS);
    let first = last - (PARTS as i64 - 1) * PART_MS;
    let mut parts: Vec<Ends> = (0..PARTS).map(|_| Ends::default()).collect();
    let place = |at: Timestamp| usize::try_from((at.0 - first).div_euclid(PART_MS)).ok();
    let (since, end) = (Timestamp(first), Timestamp(last + PART_MS));
    let state = store.history(since, end, &JobFilter::default(), |entry| {
        if let Some(part) = place(entry.at).and_then(|part| parts.get_mut(part)) {
            part.merge(&entry.ends);
        }
    })?;
    let filter = JobFilter {
        states: State::ALL.into_iter().filter(|state| state.is_final()).collect(),
        since: Some(since),
        ..JobFilter::default()
    };
    let page = store.ended_page(&filter, EndedWith::Nothing, None, state.counted, JOBS)?;
    // What lies between the history and the oldest of these jobs is not known, with the minutes at both ends.
    let unknown = match (page.jobs.last(), page.next.is_some()) {
        (Some(oldest), true) => {
            let from = state.counted_to().and_then(&place);
            from.unwrap_or(0)..(place(oldest.ended_at).unwrap_or(0) + 1).min(PARTS)
        }
        _ => PARTS..PARTS,
    };
    for job in &page.jobs {
        if let Some(part) = place(job.ended_at).and_then(|part| parts.get_mut(part)) {
            part.add(job);
        }
    }
    let is_known = |part: usize| !unknown.contains(&part);
    let until = match unknown.end == PARTS && !unknown.is_empty() {
        true => Timestamp(first + unknown.start as i64 * PART_MS),
        false => now,
    };
    Ok(charts(&parts, is_known, until))
}

fn charts(parts: &[Ends], is_known: impl Fn(usize) -> bool, until: Timestamp) -> Charts {
    let known = |part: usize| is_known(part).then(|| &parts[part]);
    let count = |name, class, of: fn(&Ends) -> u64| Series {
        name,
        class,
        values: (0..parts.len())
            .map(|part| Some(of(known(part)?) as f64))
            .collect(),
    };
    let times = |name, class, of: fn(&Ends) -> &Sketch, share: f64| Series {
        name,
        class,
        values: (0..parts.len())
            .map(|part| of(known(part)?).at([share]).map(|([ms], _)| ms as f64))
            .collect(),
    };
    let mut all = Ends::default();
    parts.iter().for_each(|part| all.merge(part));
    let failures = FAILURES.iter().zip(all.failures);
    Charts {
        ended: vec![
            count("completed", "good", |ends| ends.completed),
            count("dead", "bad", |ends| ends.dead),
            count("cancelled", "plain", |ends| ends.cancelled),
        ],
        waited: vec![
            times("half", "busy", |ends| &ends.waited, 0.5),
            times("95 %", "warn", |ends| &ends.waited, 0.95),
        ],
        ran: vec![
            times("half", "busy", |ends| &ends.ran, 0.5),
            times("95 %", "warn", |ends| &ends.ran, 0.95),
        ],
        until,
        failures: failures
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| (kind.name(), count))
            .collect(),
    }
}
