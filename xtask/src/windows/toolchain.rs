//! Debian's packages for building for other systems and for running Windows programs: what is missing, and how they are
//! called.
//!
//! Debian's own cargo and rustc build the standard library as well; rustup's are not mixed in.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// What is built for.
pub const TARGET: &str = "x86_64-pc-windows-gnu";
/// What has to be installed for it.
pub const PACKAGES: &str = "rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-win32 wine64";

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
/// The standard library's sources, where Debian's rustc looks for them.
const SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const GCC: &str = "/usr/bin/x86_64-w64-mingw32-gcc";
/// The package does not put it into the search path.
const WINE: &str = "/usr/lib/wine/wine64";
const SERVER: &str = "/usr/lib/wine/wineserver64";

/// Longest that Wine may take to make its folder.
const PREFIX_MOST: Duration = Duration::from_secs(5 * 60);

/// Wine 8 has no `bcryptprimitives.dll`, and every Rust program ends without a word. It would forward the one function
/// that the standard library takes from it to this one.
const RANDOM: &str = "#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) {
    return SystemFunction036(bytes, (ULONG)count);
}
";

/// Where everything is.
pub struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    /// Looks for the packages.
    ///
    /// # Errors
    /// Names what is missing, and how to install it.
    pub fn find(workspace: &Workspace) -> anyhow::Result<Toolchain> {
        let missing: Vec<&str> = [CARGO, RUSTC, SOURCES, GCC, WINE, SERVER]
            .into_iter()
            .filter(|path| !Path::new(path).exists())
            .collect();
        if !missing.is_empty() {
            bail!(
                "building for other systems needs Debian's packages; {} is missing. Install them as root:\n  \
                apt-get install --no-install-recommends {PACKAGES}",
                missing.join(", ")
            );
        }
        let folder = workspace.metadata.target_directory.as_std_path().join("cross");
        Ok(Toolchain { folder })
    }

    /// `cargo build` for Windows.
    pub fn cargo_build(&self, workspace: &Workspace) -> Command {
        let mut cargo = self.cargo(workspace, "build", TARGET);
        cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", GCC);
        cargo
    }

    /// Debian's cargo for another system. Warnings are errors.
    pub fn cargo(&self, workspace: &Workspace, verb: &str, target: &str) -> Command {
        let mut cargo = Command::new(CARGO);
        cargo.current_dir(workspace.root());
        for name in [
            "RUSTUP_TOOLCHAIN",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "CARGO_BUILD_TARGET",
        ] {
            cargo.env_remove(name);
        }
        // What cargo told this task about itself is about another cargo.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        cargo
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("CARGO", CARGO)
            .env("RUSTC", RUSTC)
            .env("RUSTDOC", "/usr/bin/rustdoc")
            // For -Zbuild-std: Debian has the standard library's sources, not the library for other systems.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", &self.folder)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .arg(verb);
        let mut set = |setting: String| {
            cargo.args(["--config", &setting]);
        };
        // Everything is built for a run that takes minutes: optimising it would take longer than it saves.
        set("profile.dev.package.\"*\".opt-level=0".to_owned());
        set("build.warnings='deny'".to_owned());
        cargo.args(["-Zbuild-std", "-Zwarnings", "--target", target]);
        cargo
    }

    /// The folder with the binary and the plugins.
    pub fn binaries(&self) -> PathBuf {
        self.folder.join(TARGET).join("debug")
    }

    /// A Windows program.
    pub fn wine(&self, program: &Path) -> Command {
        let mut wine = Command::new(WINE);
        wine.arg(program)
            .env("WINEPREFIX", self.prefix())
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml,winedbg.exe=")
            .env_remove("DISPLAY");
        wine
    }

    /// Runs a Windows program with a time limit: how it ended, unless it had to be killed, and what it printed.
    pub fn output(
        &self,
        mut command: Command,
        log: &Path,
        limit: Duration,
    ) -> anyhow::Result<(Option<ExitStatus>, String)> {
        // To a file: a process that is left over would keep a pipe open.
        let file = File::create(log)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut child = command.spawn().context("cannot start Wine")?;
        let begun = Instant::now();
        let ended = loop {
            let ended = child.try_wait()?;
            if ended.is_some() || begun.elapsed() > limit {
                break ended;
            }
            thread::sleep(Duration::from_millis(20));
        };
        if ended.is_none() {
            child.kill()?;
            child.wait()?;
            self.end_all();
        }
        Ok((ended, String::from_utf8_lossy(&fs::read(log)?).into_owned()))
    }

    /// Kills every Windows process that there is in Wine's folder.
    pub fn end_all(&self) {
        // It fails if there is none.
        let _ = Command::new(SERVER)
            .arg("-k")
            .env("WINEPREFIX", self.prefix())
            .stderr(Stdio::null())
            .status();
    }

    fn prefix(&self) -> PathBuf {
        self.folder.join("wine")
    }

    /// Makes Wine's own folder, once, with what Wine lacks.
    pub fn make_prefix(&self) -> anyhow::Result<()> {
        let system = self.prefix().join("drive_c/windows/system32");
        let random = system.join("bcryptprimitives.dll");
        if random.exists() {
            return Ok(());
        }
        fs::create_dir_all(self.prefix())?;
        let mut boot = self.wine(Path::new("wineboot"));
        boot.arg("-i");
        let (made, said) = self.output(boot, &self.folder.join("wineboot.log"), PREFIX_MOST)?;
        if !made.is_some_and(|status| status.success()) || !system.is_dir() {
            bail!(
                "Wine could not make its folder {}: {said}",
                self.prefix().display()
            );
        }
        let source = self.folder.join("random.c");
        fs::write(&source, RANDOM)?;
        let built = Command::new(GCC)
            .args(["-shared", "-o"])
            .args([&random, &source])
            .arg("-ladvapi32")
            .status()?;
        if !built.success() {
            bail!("bcryptprimitives.dll could not be built for Wine");
        }
        Ok(())
    }
}

/// A path as Windows programs see it under Wine.
pub fn seen_by_windows(path: &Path) -> String {
    format!("Z:{}", path.display())
}
