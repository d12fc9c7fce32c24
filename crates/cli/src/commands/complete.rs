//! `complete`, hidden: what can stand at the cursor of a command line, for the scripts of `completions`.
//!
//! The first line says what is offered (`values`, `files`, `folders`, `programs`), the others have a value each, with a
//! description behind a tab.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Result;
use clap::Args;

use super::COMMANDS;
use crate::completion::values::Here;
use crate::completion::{Commands, Offer, complete};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Say what can stand at the end of a command line
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// The last word is a new one, and still empty
    #[arg(long)]
    new_word: bool,
    /// The words before the cursor, with the program
    #[arg(value_name = "WORD", last = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Run for CompleteArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut words: Vec<String> = self.words.iter().map(|word| unquoted(word)).collect();
        if self.new_word {
            words.push(String::new());
        }
        let offer = complete(Commands(COMMANDS), &words, &Here(context));
        let mut text = format!("{}\n", offer.name());
        if let Offer::Values(values) = offer {
            for value in values {
                // Writing to a string cannot fail.
                let about: String = value.about.split_whitespace().collect::<Vec<_>>().join(" ");
                let _ = writeln!(text, "{}\t{about}", value.value);
            }
        }
        io::stdout().write_all(text.as_bytes())?;
        Ok(Exit::OK)
    }
}

/// The word without the quotes of the shell.
fn unquoted(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    let mut chars = word.chars();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote != Some('\'') => plain.extend(chars.next()),
            '\'' | '"' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use queuectl_storage::{Suggest, Suggestion};

    use super::*;
    use crate::completion::Look;
    use crate::completion::values::{Source, plain};
    use queuectl_core::limits::COMPLETIONS;

    struct Known;

    impl Look for Known {
        fn look(&self, source: Source, _: &str, db: Option<&str>) -> Vec<Suggestion> {
            let names: &[&str] = match source {
                Source::Listed(names) => return names.iter().map(|name| plain(name)).collect(),
                Source::Store(Suggest::Jobs(_)) | Source::Selector(_) => &["7", "backup"],
                Source::Store(Suggest::Queues) if db == Some("other") => &["elsewhere"],
                Source::Store(Suggest::Queues) => &["default", "mail"],
                Source::Settings => &["job_timeout"],
                Source::Causes => &["kkkkkkkk"],
                _ => &[],
            };
            names.iter().map(|name| plain(name)).collect()
        }
    }

    /// What is offered, with two jobs, a queue and a setting to be found.
    fn offered(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match complete(Commands(COMMANDS), &words, &Known) {
            Offer::Values(values) => values.into_iter().map(|value| value.value).collect(),
            other => vec![format!("({})", other.name())],
        }
    }

    #[test]
    fn commands_are_offered_in_every_form() {
        assert_eq!(offered("queuectl worker:sta"), ["worker:start"]);
        assert_eq!(offered("queuectl dlq-l"), ["dlq-list"]);
        assert_eq!(offered("queuectl worker st"), ["start", "stop"]);
        assert_eq!(offered("queuectl -q --db x sho"), ["show"]);
        assert_eq!(offered("queuectl help enq"), ["enqueue"]);
        assert_eq!(offered("queuectl nonsense x"), [""; 0]);
        let all = offered("queuectl ");
        assert!(all.contains(&"enqueue".to_owned()) && !all.contains(&"worker:run".to_owned()));
        assert!(all.len() <= COMPLETIONS);
    }

    #[test]
    fn options_are_those_of_the_command_and_the_global_ones() {
        assert_eq!(offered("queuectl logs --f"), ["--follow", "--format", "--fields"]);
        assert_eq!(
            offered("queuectl logs --follow --f"),
            ["--format", "--fields"],
            "given once"
        );
        assert_eq!(offered("queuectl logs -f --fo"), ["--format"]);
        assert_eq!(offered("queuectl dlq retry --a"), ["--all"]);
        assert_eq!(offered("queuectl --js"), ["--json"]);
        assert!(
            !offered("queuectl worker:start --")
                .iter()
                .any(|option| option.contains("internal"))
        );
        // Behind the command of a job nothing is ours.
        assert_eq!(offered("queuectl enqueue ls --f"), ["(files)"]);
        assert_eq!(offered("queuectl wait -- --f"), [""; 0]);
    }

    #[test]
    fn values_are_looked_for_where_they_are() {
        assert_eq!(offered("queuectl show "), ["7", "backup"]);
        assert_eq!(offered("queuectl show b"), ["backup"]);
        assert_eq!(offered("queuectl wait 7 "), ["backup"], "a job that was named");
        assert_eq!(offered("queuectl show 7 "), [""; 0], "it takes one job");
        assert_eq!(offered("queuectl list --queue m"), ["mail"]);
        assert_eq!(offered("queuectl --db other list --queue "), ["elsewhere"]);
        assert_eq!(offered("queuectl list --queue=m"), ["--queue=mail"]);
        assert_eq!(offered("queuectl enqueue --queue "), ["default", "mail"]);
        assert_eq!(offered("queuectl worker start --queue d"), ["default"]);
        assert_eq!(offered("queuectl config set j"), ["job_timeout"]);
        assert_eq!(offered("queuectl list --state de"), ["dead"]);
        assert_eq!(offered("queuectl list --format c"), ["csv"]);
        assert_eq!(offered("queuectl list --limit "), [""; 0]);
        assert_eq!(offered("queuectl stats --by e"), ["executor"]);
        assert_eq!(offered("queuectl kill --signal US"), ["USR1", "USR2"]);
        assert_eq!(offered("queuectl kill -s HU"), ["HUP"]);
        assert_eq!(offered("queuectl dlq:retry --cause k"), ["kkkkkkkk"]);
        assert_eq!(offered("queuectl move m"), ["mail"]);
        for (line, wanted) in [
            ("queuectl --db ", "(files)"),
            ("queuectl enqueue ", "(programs)"),
            ("queuectl run tar ", "(files)"),
            ("queuectl run --cwd ", "(folders)"),
            ("queuectl enqueue --from ", "(files)"),
        ] {
            assert_eq!(offered(line), [wanted], "{line}");
        }
    }

    #[test]
    fn lists_go_on_after_a_comma() {
        assert_eq!(offered("queuectl list --columns num"), ["number"]);
        assert_eq!(offered("queuectl list --columns id,du"), ["id,duration"]);
        assert_eq!(
            offered("queuectl list --columns=id,du"),
            ["--columns=id,duration"]
        );
        assert_eq!(offered("queuectl list --columns id,i"), [""; 0], "it is there");
        assert_eq!(offered("queuectl list --sort -du"), ["-duration"]);
        assert_eq!(offered("queuectl list --sort state,-du"), ["state,-duration"]);
        assert_eq!(offered("queuectl list --sort -duration,du"), [""; 0]);
        assert_eq!(offered("queuectl list --state failed,de"), ["failed,dead"]);
    }

    #[test]
    fn quotes_of_the_shell_are_taken_away() {
        for (word, plain) in [
            ("a b", "a b"),
            ("'a b'c", "a bc"),
            ("\"a'b", "a'b"),
            ("a\\ b", "a b"),
            ("'a\\", "a\\"),
            ("a\\", "a"),
        ] {
            assert_eq!(unquoted(word), plain);
        }
    }
}
