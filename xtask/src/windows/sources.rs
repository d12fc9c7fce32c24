//! Every test that the sources have, for any system: what is compared with what ran.
//!
//! Found by reading the text: `#[test]` and the next `fn`. Tests that macros make are not found; they run, or their
//! macro's use is left out with its file.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::workspace::Workspace;

/// A test in the sources.
#[derive(Debug, PartialEq, Eq)]
pub struct Test {
    /// `queuectl-cli/end_to_end`.
    program: String,
    /// The module that its file is.
    module: String,
    function: String,
}

impl Test {
    /// Its name, without modules inside of its file.
    pub fn name(&self) -> String {
        match self.module.as_str() {
            "" => format!("{} {}", self.program, self.function),
            module => format!("{} {module}::{}", self.program, self.function),
        }
    }

    /// Whether that is the full name of this test.
    pub fn is(&self, name: &str) -> bool {
        let Some((program, path)) = name.split_once(' ') else {
            return false;
        };
        let (module, function) = path.rsplit_once("::").unwrap_or(("", path));
        let inner = module.strip_prefix(self.module.as_str());
        let fits =
            inner.is_some_and(|inner| self.module.is_empty() || inner.is_empty() || inner.starts_with("::"));
        program == self.program && function == self.function && fits
    }
}

/// All tests of the workspace.
pub fn tests(workspace: &Workspace) -> anyhow::Result<Vec<Test>> {
    let mut all = Vec::new();
    for package in workspace.metadata.workspace_packages() {
        let folder = workspace.root().join(workspace.folder(package));
        // Where there are both, the binary only calls the library.
        let main = if folder.join("src/lib.rs").exists() {
            "lib"
        } else {
            "bin"
        };
        walk(
            &folder.join("src"),
            "",
            &format!("{}/{main}", package.name),
            &mut all,
        )?;
        let Ok(entries) = fs::read_dir(folder.join("tests")) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let stem = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let program = format!("{}/{stem}", package.name);
            if path.is_dir() && path.join("main.rs").exists() {
                walk(&path, "", &program, &mut all)?;
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                read(&path, "", &program, &mut all)?;
            }
        }
    }
    Ok(all)
}

fn walk(folder: &Path, module: &str, program: &str, all: &mut Vec<Test>) -> anyhow::Result<()> {
    let below = |name: &str| match module {
        "" => name.to_owned(),
        module => format!("{module}::{name}"),
    };
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            walk(&path, &below(&name), program, all)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            match name.as_str() {
                "lib" | "main" | "mod" => read(&path, module, program, all)?,
                name => read(&path, &below(name), program, all)?,
            }
        }
    }
    Ok(())
}

fn read(path: &Path, module: &str, program: &str, all: &mut Vec<Test>) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    for function in functions(&text) {
        all.push(Test {
            program: program.to_owned(),
            module: module.to_owned(),
            function,
        });
    }
    Ok(())
}

/// The names of the functions that follow a line `#[test]`.
fn functions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
            // One with a `$` is a macro's.
            let name = rest.split('(').next().filter(|name| !name.contains('$'));
            found.extend(name.map(str::to_owned));
            is_test = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_the_functions_under_the_attribute() {
        let text = "#[test]\n#[cfg(unix)]\nfn a() {}\nfn b() {}\nmod tests {\n    #[test]\n    fn c_d() {}\n}\n#[test]\nfn $e() {}\n";
        assert_eq!(functions(text), ["a", "c_d"]);
    }

    #[test]
    fn a_test_is_known_by_its_file_and_its_function() {
        let test = Test {
            program: "p/lib".to_owned(),
            module: "os::windows".to_owned(),
            function: "f".to_owned(),
        };
        assert!(test.is("p/lib os::windows::f") && test.is("p/lib os::windows::tests::f"));
        for other in [
            "p/lib os::f",
            "p/lib os::windows_too::f",
            "p/x os::windows::f",
            "p/lib os::windows::g",
        ] {
            assert!(!test.is(other), "{other}");
        }
        assert_eq!(test.name(), "p/lib os::windows::f");
    }
}
