//! What people mean by the words of `enqueue` and `run` beyond their grammar: options behind a command that cannot be a
//! program's name, and `@FILE` as a file of jobs.

use std::ffi::OsString;

use anyhow::Result;

use super::EnqueueArgs;
use super::words::{is_file, is_no_program};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

const STRAY: &str = "there are words after the command and its options; a program whose name has blanks in it, or begins \
                     with @, is given after --";

impl Run for EnqueueArgs {
    fn reread(&mut self, words: &[OsString], is_again: bool) -> Result<Option<Vec<OsString>>, String> {
        reread("enqueue", &self.words, &mut self.exact, words, is_again)
    }

    fn run(self, context: &Context) -> Result<Exit> {
        super::run(self, context)
    }
}

/// Whether the word, the last one, stands for a file of jobs and not for a program.
pub fn names_file(word: &str, words: &[OsString]) -> bool {
    let before = words.len().checked_sub(2).and_then(|at| words.get(at));
    is_file(word) && before.is_none_or(|before| before != "--")
}

/// Rereads the command line of the command with this name, whose arguments begin with a job's command, as [`Run::reread`] does.
/// `typed` is that command with its arguments, `exact` becomes true if it stands behind `--`.
pub fn reread(
    name: &str,
    typed: &[String],
    exact: &mut bool,
    words: &[OsString],
    is_again: bool,
) -> Result<Option<Vec<OsString>>, String> {
    if is_again {
        // The command was put behind its options, alone.
        return match typed.len() {
            0 | 1 => Ok(None),
            _ => Err(format!("{STRAY}: queuectl {name} -- PROGRAM ARGUMENT...")),
        };
    }
    Ok(meant(typed, exact, words))
}

/// The command line that was meant, where its words say so: options after a command that can be no program's name are
/// options, and `@FILE` is a file of jobs. After `--` every word is what it is.
fn meant(typed: &[String], exact: &mut bool, words: &[OsString]) -> Option<Vec<OsString>> {
    let (before, command) = words.split_at(words.len().checked_sub(typed.len())?);
    let (first, rest) = command.split_first()?;
    let name = typed.first()?;
    if before.last().is_some_and(|word| word == "--") {
        *exact = true;
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
