//! How tasks show their steps and the table at the end.
//!
//! Colour only on a terminal; that is decided by `anstream`.

use std::fmt;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Passed,
    /// Badly.
    Failed,
    /// It was not run, for this reason.
    NotRun(&'static str),
}

/// One step of a longer task.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name in the table.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
}

/// The steps as a table, one line each, ready to print.
pub struct Table<'a>(pub &'a [Step]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for Step { name, verdict, time } in self.0 {
            let (style, word) = match verdict {
                Verdict::Passed => (AnsiColor::Green.on_default(), "ok"),
                Verdict::Failed => (AnsiColor::Red.on_default().bold(), "FAILED"),
                Verdict::NotRun(_) => (AnsiColor::Yellow.on_default(), "not run"),
            };
            write!(f, "  {name:width$}  {style}{word:7}{style:#}  ")?;
            match verdict {
                Verdict::NotRun(reason) => writeln!(f, "{reason}")?,
                _ => writeln!(f, "{:>7.1} s", time.as_secs_f64())?,
            }
        }
        Ok(())
    }
}

/// The style of a warning that is no error.
pub fn warning() -> Style {
    AnsiColor::Yellow.on_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_step_and_its_end() {
        let step = |name, verdict| Step {
            name,
            verdict,
            time: Duration::from_millis(1250),
        };
        let steps = [
            step("format", Verdict::Passed),
            step("tests", Verdict::NotRun("no build")),
            step("tidy", Verdict::Failed),
        ];
        let text = anstream::adapter::strip_str(&Table(&steps).to_string()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "  format  ok           1.2 s",
                "  tests   not run  no build",
                "  tidy    FAILED       1.2 s"
            ]
        );
    }
}
