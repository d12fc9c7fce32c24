//! Reads the command line, as `clap::Parser::parse` does, but faster and beyond the grammar.
//!
//! `grammar` defines the words, `tips` helps with unknown ones. A command can replace words that the grammar misreads, see
//! [`Run::reread`](crate::registry::Run::reread).

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::global::Global;
use crate::registry::{Reading, Ready};
use crate::{exit, grammar, tips};

/// Reads the command line of this process.
///
/// # Errors
/// The exit status, after help or a mistake has been printed.
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

/// Reads these words. Describing all commands to clap takes longer than many commands run, so a grammar of one command is
/// tried first. It is dropped, because the database touches fewer new pages if it gets the memory.
fn read(words: &[OsString], is_again: bool) -> Result<(Global, Reading), clap::Error> {
    if let Some(mut one) = grammar::with_one_command(words)
        && let Ok(matches) = one.try_get_matches_from_mut(words)
        && let Ok(Some(read)) = grammar::read(&matches, words, is_again)
    {
        return Ok(read);
    }
    // Help and messages about mistakes may need all commands.
    let mut whole = grammar::whole();
    whole.build();
    let matches = whole.try_get_matches_from_mut(words);
    let read = matches.and_then(|matches| {
        let read = grammar::read(&matches, words, is_again).map_err(|error| error.format(&mut whole))?;
        read.ok_or_else(|| whole.error(ErrorKind::MissingSubcommand, "a command is missing"))
    });
    read.map_err(|error| tips::amend(error, &whole, words))
}

/// Prints help or a mistake, as clap would, but reports help that cannot be printed.
fn refuse(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(unprinted) if !error.use_stderr() => exit::report_unprinted(&unprinted),
        _ => u8::try_from(error.exit_code()).map_or(exit::Exit::USAGE.into(), ExitCode::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::COMMANDS;
    use crate::grammar::groups;

    /// What a command line prints that is read to help.
    fn help(words: &[&str]) -> String {
        let words = std::iter::once(&"queuectl").chain(words).map(OsString::from);
        match understand(words.collect()) {
            Err(error) if error.kind() == ErrorKind::DisplayHelp => error.to_string(),
            Err(error) => panic!("{error}"),
            Ok((_, ready)) => panic!("{} would run", ready.entry.name),
        }
    }

    #[test]
    fn help_has_a_page_for_each_command_in_each_of_its_forms() {
        for entry in COMMANDS.iter().filter(|entry| !entry.is_hidden) {
            let page = help(&["help", entry.name]);
            assert!(
                page.contains(&format!("Usage: queuectl {}", entry.name)),
                "{page}"
            );
            if let Some((group, member)) = entry.name.split_once(':') {
                let spaced = help(&["help", group, member]);
                assert!(
                    spaced.contains(&format!("Usage: queuectl {group} {member}")),
                    "{spaced}"
                );
                let hyphen = help(&["help", &entry.name.replace(':', "-")]);
                assert_eq!(hyphen, page);
            }
        }
        for group in groups() {
            assert!(help(&["help", group]).contains(&format!("Usage: queuectl {group}")));
        }
        assert!(help(&["help", "ls"]).contains("Usage: queuectl list"));
    }

    /// Words that hands type: each is a command, or the message names one; nothing is done.
    #[test]
    fn habits_are_understood() {
        for (word, command) in [
            ("ls", "list"),
            ("add", "enqueue"),
            ("log", "logs"),
            ("kill", "kill"),
            ("mv", "move"),
            ("why", "explain"),
        ] {
            let read = understand(["queuectl", word, "1", "1"].map(OsString::from).to_vec());
            let is_read = read.is_ok_and(|(_, ready)| ready.entry.name == command);
            assert!(is_read || word == "why", "{word}");
            assert!(help(&[word, "--help"]).contains(&format!("Usage: queuectl {command}")));
        }
        for (word, tip) in [
            ("ps", "`queuectl list --state processing`"),
            ("rm", "`queuectl purge --help`"),
            ("tail", "`queuectl logs -f JOB`"),
            ("restart", "`queuectl rerun --help`"),
            ("stash", "`queuectl hold JOB`"),
        ] {
            let read = understand(["queuectl", word, "1"].map(OsString::from).to_vec());
            let refused = read.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(tip), "{word}: {refused}");
        }
    }
}
