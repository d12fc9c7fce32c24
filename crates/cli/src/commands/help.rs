//! `help COMMAND`: the same as `COMMAND --help`; `help selectors` says how jobs are named.

use std::ffi::OsString;
use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use queuectl_core::selector::KEYS;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Same as COMMAND --help
#[derive(Debug, Args)]
pub struct HelpArgs {
    /// The command
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    words: Vec<OsString>,
}

impl Run for HelpArgs {
    fn reread(&mut self, words: &[OsString], _: bool) -> Result<Option<Vec<OsString>>, String> {
        if self.is_about_selectors() {
            return Ok(None);
        }
        let asked = words.iter().take(1).chain(&self.words).cloned();
        Ok(Some(asked.chain(["--help".into()]).collect()))
    }

    fn run(self, _: &Context) -> Result<Exit> {
        // Reading `COMMAND --help` has printed all other help.
        if self.is_about_selectors() {
            write!(io::stdout(), "{}", selectors())?;
        }
        Ok(Exit::OK)
    }
}

impl HelpArgs {
    fn is_about_selectors(&self) -> bool {
        matches!(self.words.as_slice(), [word] if word == "selectors")
    }
}

/// Returns how jobs are named, for all commands that take some.
fn selectors() -> String {
    let mut text = SELECTORS.to_owned();
    for key in &KEYS {
        text.push_str(&format!("  {:<20} {}\n", key.example, key.about));
    }
    text.push_str(RULES);
    text
}

const SELECTORS: &str = "\
Commands that take jobs take any number of these words:

  12                   the job with this number
  nightly-7            the job with this id
  12-20                the jobs with these numbers and those between them
  last, last~2         the newest job, the one two before it
  @import              the jobs of a group
  id=last              the job whose id would be read as something else

and filters, which narrow them to jobs

";

const RULES: &str = "
Without a word of the first kind, all jobs that fit every filter are meant. Values separated by commas are
alternatives. error~ and text~ find a part of a text, whatever the case of letters from A to Z, and may be
repeated; quote them if they have blanks: 'error~no route'. Lengths of time are such as 90s, 2d or 1h30m.

Jobs that are named by ids, numbers and last are changed one by one. What a range, a group or a filter means
is counted and asked about; without a terminal it needs --yes. Jobs that come later are not meant. --dry-run
only counts. A command that was interrupted goes on when it is repeated.
";
