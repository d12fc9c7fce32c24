//! Values that this version can read, and what is said of the others.

use queuectl_core::limits::PAYLOAD_BYTES;
use queuectl_core::{ExecutorName, JobName, Payload, QueueName};

/// Counts are stored as SQL integers and are never negative (the schema checks it).
pub fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// What of a job cannot be read, and why. Without a payload there is none in the store, or one over its limit.
pub fn fault(
    name: Option<&str>,
    queue: &str,
    executor: &str,
    payload: Option<&str>,
) -> Result<Payload, String> {
    name.map_or(Ok(()), |name| name.parse::<JobName>().map(drop))
        .map_err(|error| format!("its id: {error}"))?;
    queue
        .parse::<QueueName>()
        .map_err(|error| format!("its queue: {error}"))?;
    executor
        .parse::<ExecutorName>()
        .map_err(|error| format!("its executor: {error}"))?;
    match payload {
        None => Err(format!(
            "its payload is missing or has more than {PAYLOAD_BYTES} bytes"
        )),
        Some(payload) => serde_json::from_str(payload).map_err(|error| format!("its payload: {error}")),
    }
}
