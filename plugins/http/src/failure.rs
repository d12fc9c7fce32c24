//! What kept a request from being answered, in words for the job's record.
//!
//! Urls are not repeated, only the host: the rest of a url often holds a secret.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use queuectl_plugin_api::Outcome;

use crate::address::Refused;

/// Everything an error and its causes say, each thing once.
pub fn text(error: &(dyn Error + 'static)) -> String {
    if let Some(refused) = find::<Refused>(error) {
        return refused.to_string();
    }
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = cause.to_string();
        // Many errors end with what their cause says.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// The outcome of a request that got no head of an answer. A redirect may lead elsewhere next time, the job does not.
pub fn unanswered(host: &str, error: &legacy::Error, redirected: bool) -> Outcome {
    let cause = error.source().map_or_else(|| text(error), text);
    if lacks_files(error) {
        return Outcome::system_failure(format!("cannot open a connection: {cause}"));
    }
    if find::<Refused>(error).is_some() && redirected {
        return Outcome::failed(cause);
    }
    if find::<Refused>(error).is_some() {
        // Only the operator can change that, who then says so with `retry`.
        return Outcome::failed_for_good(cause);
    }
    Outcome::failed(if error.is_connect() {
        format!("cannot reach {host}: {cause}")
    } else {
        format!("no usable answer from {host}: {cause}")
    })
}

/// Whether this process has too many files open, which is not the job's fault.
fn lacks_files(error: &(dyn Error + 'static)) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    let code = find::<io::Error>(error).and_then(io::Error::raw_os_error);
    cfg!(unix) && matches!(code, Some(EMFILE | ENFILE))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(&'static str, io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn every_cause_is_said_once() {
        let inner = || io::Error::other("no route");
        assert_eq!(text(&Outer("connect", inner())), "connect: no route");
        assert_eq!(text(&Outer("connect: no route", inner())), "connect: no route");
    }

    #[test]
    #[cfg(unix)]
    fn running_out_of_files_is_told_apart() {
        assert!(lacks_files(&Outer("connect", io::Error::from_raw_os_error(24))));
        assert!(!lacks_files(&Outer("connect", io::Error::from_raw_os_error(111))));
    }
}
