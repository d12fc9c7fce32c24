//! Which processes this one can see, and so can kill.

/// What tells them from all others: the boot of the kernel and the namespace of process numbers; where these are not
/// known, the machine's name. Two machines, or two containers, may well share a folder.
pub fn current() -> String {
    #[cfg(feature = "sim")]
    let scope = crate::sim::machine().to_string();
    #[cfg(not(feature = "sim"))]
    let scope = of_this_process();
    scope
}

#[cfg(not(feature = "sim"))]
fn of_this_process() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let numbers = std::fs::read_link("/proc/self/ns/pid");
    match (boot, numbers) {
        (Ok(boot), Ok(numbers)) => format!("{} {}", boot.trim_end(), numbers.display()),
        _ => machine_name(),
    }
}

#[cfg(all(unix, not(feature = "sim")))]
fn machine_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(all(not(unix), not(feature = "sim")))]
fn machine_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
