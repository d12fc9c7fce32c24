//! What only the command line knows of a job: the folder it was given in.

use std::path::PathBuf;
use std::sync::OnceLock;

use queuectl_core::{JobSpec, Timestamp, ValidJob};

/// Checks a job that was given here. Without a folder of its own it runs in the current one, and a relative folder begins
/// there: a node may have been started anywhere.
pub fn validate(mut spec: JobSpec, now: Timestamp) -> Result<ValidJob, String> {
    spec.payload.cwd = Some(folder(spec.payload.cwd)?);
    spec.validate(now).map_err(|error| error.to_string())
}

/// Returns an absolute folder: the one that is named, else the current one.
///
/// # Errors
/// The current folder is not known, or the folder is not valid UTF-8.
pub fn folder(named: Option<String>) -> Result<String, String> {
    // The current folder does not change while a command runs; of a million jobs only the first asks for it.
    static HERE: OnceLock<Result<String, String>> = OnceLock::new();
    match named {
        Some(named) => {
            let absolute = std::path::absolute(&named).map_err(|error| format!("cwd '{named}': {error}"))?;
            text_of(absolute)
        }
        None => HERE.get_or_init(here).clone(),
    }
}

fn here() -> Result<String, String> {
    let here = std::env::current_dir()
        .map_err(|error| format!("the current folder cannot be used ({error}); choose one with --cwd DIR"))?;
    text_of(here)
}

fn text_of(absolute: PathBuf) -> Result<String, String> {
    absolute.into_os_string().into_string().map_err(|folder| {
        format!(
            "the folder {} is not valid UTF-8; choose another with --cwd DIR",
            folder.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_in_an_absolute_folder() {
        let here = std::env::current_dir().unwrap();
        let cwd = |cwd: Option<&str>| {
            let mut spec = JobSpec::line("true");
            spec.payload.cwd = cwd.map(Into::into);
            let job = validate(spec, Timestamp(0)).unwrap();
            PathBuf::from(job.payload.cwd.clone().unwrap())
        };
        assert_eq!(cwd(None), here);
        assert_eq!(cwd(Some("sub")), here.join("sub"));
        // On Windows it is the root of the working folder's drive.
        assert_eq!(cwd(Some("/")), std::path::absolute("/").unwrap());
        assert!(validate(JobSpec::default(), Timestamp(0)).is_err());
    }
}
