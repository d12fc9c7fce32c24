//! Reading the command line: what `clap::Parser::parse` does, but sooner, and with what people mean beyond the grammar.
//!
//! `grammar` says which words there are, `tips` what is said about others. What a command means by words that the grammar
//! takes otherwise is up to the command, see [`Run::reread`](crate::registry::Run::reread).

use std::ffi::OsString;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::global::Global;
use crate::registry::{Reading, Ready};
use crate::{exit, grammar, tips};

/// Reads the command line of this process. If it asks for help, or has a mistake in it, that is printed, and the status is
/// what comes back.
pub fn parse() -> Result<(Global, Ready), ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    understand(words).map_err(|error| refuse(&error))
}

fn understand(mut words: Vec<OsString>) -> Result<(Global, Ready), clap::Error> {
    let mut is_again = false;
    loop {
        let (global, reading) = read(&words, is_again)?;
        let mistake = match reading {
            Reading::Ready(ready) => return Ok((global, ready)),
            Reading::Mistake(mistake) => mistake,
            Reading::Again(meant) if !is_again => {
                words = meant;
                is_again = true;
                continue;
            }
            Reading::Again(_) => "the command line can be read in two ways".to_owned(),
        };
        return Err(grammar::whole().error(ErrorKind::ArgumentConflict, mistake));
    }
}

/// Reads these words. All of clap takes longer than many a command, so a command line without a mistake is read by a grammar
/// of one command. Nothing is taken down again; the process ends soon enough.
fn read(words: &[OsString], is_again: bool) -> Result<(Global, Reading), clap::Error> {
    if let Some(mut one) = grammar::with_one_command(words).map(ManuallyDrop::new)
        && let Ok(matches) = one.try_get_matches_from_mut(words).map(ManuallyDrop::new)
        && let Ok(Some(read)) = grammar::read(&matches, words, is_again)
    {
        return Ok(read);
    }
    // Help, or a mistake: what is said of it may need the whole.
    let mut whole = ManuallyDrop::new(grammar::whole());
    whole.build();
    let matches = whole.try_get_matches_from_mut(words);
    let read = matches.and_then(|matches| {
        let read = grammar::read(&matches, words, is_again).map_err(|error| error.format(&mut whole))?;
        read.ok_or_else(|| whole.error(ErrorKind::MissingSubcommand, "a command is missing"))
    });
    read.map_err(|error| tips::amend(error, &whole, words))
}

/// Prints help or what is wrong with the command line, as clap would, but does not pass over that it cannot be printed.
fn refuse(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(unprinted) if !error.use_stderr() => exit::report_unprinted(&unprinted),
        _ => u8::try_from(error.exit_code()).map_or(exit::Exit::USAGE.into(), ExitCode::from),
    }
}
