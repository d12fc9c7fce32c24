//! Who runs a command, for those who later see what it did.

/// Returns `user@machine`.
pub fn name() -> String {
    let user = queuectl_worker::user_name();
    let user = user.as_deref().unwrap_or("someone");
    let name = format!("{user}@{}", queuectl_worker::host_name());
    // PostgreSQL cannot store such a character, and a line has no other.
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    name.chars().take(MOST).collect()
}

/// Longest name that is stored, in characters.
const MOST: usize = 256;
