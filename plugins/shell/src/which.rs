//! Where a shell is, for jobs that bring a PATH of their own.
//!
//! The host looks a program up in the PATH that its process gets. For all other jobs that is the node's, and right.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::path::Path;

/// The PATH that a job sets.
pub fn path_of(env: &BTreeMap<String, String>) -> Option<&str> {
    let is_it = |name: &str| {
        if cfg!(windows) {
            name.eq_ignore_ascii_case("PATH")
        } else {
            name == "PATH"
        }
    };
    env.iter()
        .find(|(name, _)| is_it(name))
        .map(|(_, path)| path.as_str())
}

/// The program with its folder in this process's PATH; as it is if it has one or is not there.
pub fn in_node(program: &str) -> Cow<'_, str> {
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    match find(program, &path) {
        Some(found) => found.into(),
        None => program.into(),
    }
}

/// The program with its folder in a search path; none if it names its place itself.
pub fn find(program: &str, path: &OsStr) -> Option<String> {
    if program.contains(std::path::is_separator) {
        return Some(program.to_owned());
    }
    let names = [program.to_owned(), format!("{program}.exe")];
    let names = if cfg!(windows) { &names[..] } else { &names[..1] };
    // A relative folder would be one of this process's own.
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    folders
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|file| is_program(file))?
        .into_os_string()
        .into_string()
        .ok()
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_found_in_absolute_folders() {
        let shell = if cfg!(windows) { "cmd" } else { "sh" };
        let found = in_node(shell);
        assert!(
            Path::new(&*found).is_absolute() && is_program(Path::new(&*found)),
            "{found}"
        );
        assert_eq!(find(shell, OsStr::new("")), None);
        assert_eq!(in_node("no-such-shell"), "no-such-shell");
        let path = format!(".{0}x", std::path::MAIN_SEPARATOR);
        assert_eq!(find(&path, OsStr::new("")), Some(path.clone()));
    }
}
