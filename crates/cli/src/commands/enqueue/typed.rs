//! What people mean by the words of `enqueue` beyond its grammar: options behind a command that cannot be a program's name,
//! and `@FILE` as a file of jobs.

use std::ffi::OsString;

use anyhow::Result;

use super::EnqueueArgs;
use super::words::{is_file, is_no_program};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

const QUIET: &str =
    "-q is short for --quiet here, not for --queue: `--queue NAME` names a queue, and `--quiet` logs less";

const STRAY: &str = "there are words after the command and its options; a program whose name has blanks in it, or begins \
                     with @, is given after --: queuectl enqueue -- PROGRAM ARGUMENT...";

impl Run for EnqueueArgs {
    fn reread(&mut self, words: &[OsString], is_again: bool) -> Result<Option<Vec<OsString>>, String> {
        if is_again {
            // The command was put behind its options, alone.
            return match self.words.len() {
                0 | 1 => Ok(None),
                _ => Err(STRAY.to_owned()),
            };
        }
        if says_quiet(self, words) {
            return Err(QUIET.to_owned());
        }
        Ok(meant(self, words))
    }

    fn run(self, context: &Context) -> Result<Exit> {
        super::run(self, context)
    }
}

/// Whether the short option for less log stands among those of `enqueue`, which logs next to nothing: other tools name a
/// queue by it, whose name would then be the command.
fn says_quiet(enqueue: &EnqueueArgs, words: &[OsString]) -> bool {
    let before = words.len().saturating_sub(enqueue.words.len());
    let options: Vec<&OsString> = words[..before]
        .iter()
        .skip_while(|word| *word != "enqueue")
        .collect();
    options.windows(2).any(|pair| {
        let value = pair[0] == "--stdin" || pair[0] == "--command";
        pair[1] == "-q" && !value
    })
}

/// The command line that was meant, where the words of an `enqueue` say so: options after a command that can be no
/// program's name are options, and `@FILE` is a file of jobs. After `--` every word is what it is.
fn meant(enqueue: &mut EnqueueArgs, words: &[OsString]) -> Option<Vec<OsString>> {
    let typed = &enqueue.words;
    let (before, command) = words.split_at(words.len().checked_sub(typed.len())?);
    let (first, rest) = command.split_first()?;
    let name = typed.first()?;
    if before.last().is_some_and(|word| word == "--") {
        enqueue.exact = true;
        return None;
    }
    let options = typed
        .get(1)
        .is_some_and(|word| word.len() > 1 && word.starts_with('-') && word != "--");
    let is_file = is_file(name);
    if !(options && is_no_program(name) || is_file && rest.is_empty()) {
        return None;
    }
    let mut meant = [before, rest].concat();
    if is_file {
        meant.push(format!("--from={}", &name[1..]).into());
        return Some(meant);
    }
    meant.extend(["--".into(), first.clone()]);
    Some(meant)
}
