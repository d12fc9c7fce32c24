//! The image: a busybox and its names, in `/bin`. It is imported, since there is no registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::{Engine, EngineError};

/// Makes the image in the engine.
///
/// # Errors
/// The busybox needs libraries, or the engine takes no image.
pub fn import(engine: &Engine, busybox: &Path) -> Result<(), EngineError> {
    let root = tempfile::tempdir()?;
    let bin = root.path().join("bin");
    fs::create_dir(&bin)?;
    fs::copy(busybox, bin.join("busybox"))?;
    let names = Command::new(busybox).arg("--list").output()?.stdout;
    let names = String::from_utf8_lossy(&names);
    for name in names.lines().filter(|name| *name != "busybox") {
        symlink("busybox", bin.join(name))?;
    }
    let runs = Command::new("chroot")
        .arg(root.path())
        .args(["/bin/busybox", "true"])
        .output();
    if !runs.is_ok_and(|output| output.status.success()) {
        return Err(EngineError::NotStatic);
    }
    let mut tar = Command::new("tar");
    let tar = tar.arg("-C").arg(root.path()).args(["-c", "."]).output()?;
    let (name, tag) = engine.image.split_once(':').unwrap_or((engine.image, "1"));
    let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
    engine.must("POST", &path, &tar.stdout)?;
    Ok(())
}
