//! What became of a job that was to be stored, as programs see it.

use queuectl_core::ValidJob;
use queuectl_storage::Placed;
use queuectl_views::EnqueuedView;

/// Returns the id that users see of the job that counts: the new one, or the one that has its key.
pub fn public_id(job: &ValidJob, placed: &Placed) -> String {
    match (&placed.existing, &job.id) {
        (Some(existing), _) => existing.public_id.clone(),
        (None, Some(name)) => name.to_string(),
        (None, None) => placed.id.to_string(),
    }
}

/// Returns what programs see, with the id that [`public_id`] returns.
pub fn view<'a>(id: &'a str, placed: &'a Placed) -> EnqueuedView<'a> {
    let replaced = placed.replaced.as_ref();
    EnqueuedView {
        id,
        existing: placed.existing.is_some(),
        replaced: replaced.map(|replaced| replaced.public_id.as_str()),
    }
}
