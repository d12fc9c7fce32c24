//! Who runs a command, for those who later see what it did.

/// Returns `user@machine`, as far as both are known.
pub fn name() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| {
        let user = std::env::var_os(name)?.to_string_lossy().into_owned();
        Some(user).filter(|user| !user.is_empty())
    });
    let user = user.as_deref().unwrap_or("someone");
    let name = format!("{user}@{}", queuectl_worker::host_name());
    // PostgreSQL cannot store such a character, and a line has no other.
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    name.chars().take(MOST).collect()
}

/// Longest name that is stored, in characters.
const MOST: usize = 256;
