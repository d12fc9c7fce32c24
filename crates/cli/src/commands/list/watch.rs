//! A list that is drawn again and again on a terminal, until Ctrl-C.
//!
//! It has the alternate screen for itself, so that what was there before is back when it ends. It reads no keys; `top` does.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anstream::AutoStream;
use anyhow::{Context as _, Result};
use queuectl_core::{Timestamp, show_short};
use queuectl_storage::StoreError;
use queuectl_worker::processes::on_stop_signal;
use terminal_size::{Height, Width, terminal_size_of};

use crate::exit::Usage;
use crate::output::escape::line;
use crate::output::time::local;

/// The alternate screen without a cursor, where lines that are too long end at its edge, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// To the first line; to the end of the line; to the end of the screen.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// The screen while a list is watched.
pub struct Screen {
    interval: Duration,
    stop: Receiver<()>,
    /// What was drawn last, for when the server is away.
    lines: Vec<String>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Standard output is not a terminal, or one that cannot draw.
    pub fn enter(interval: Duration) -> Result<Screen> {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !io::stdout().is_terminal() || is_dumb {
            let refused =
                Usage::new("--watch draws on a terminal, and standard output is not one that it can draw on");
            return Err(refused
                .hint("leave out --watch, or repeat `queuectl list` from a loop")
                .into());
        }
        let (told, stop) = channel();
        on_stop_signal(move || {
            let _ = told.send(());
        })
        .context("cannot listen for signals")?;
        // On Windows this also has the terminal understand what follows.
        let _ = anstream::stdout();
        print(ENTER)?;
        Ok(Screen {
            interval,
            stop,
            lines: Vec::new(),
        })
    }

    /// Returns the width of the terminal, and how many lines of a table it has room for, with the headings.
    pub fn size() -> (usize, usize) {
        let size = terminal_size_of(io::stdout());
        let (Width(width), Height(height)) = size.unwrap_or((Width(80), Height(24)));
        (
            usize::from(width).max(1),
            usize::from(height).saturating_sub(1).max(2),
        )
    }

    /// Draws lines, or why there are none, and waits. Returns false when it is time to end.
    pub fn draw(&mut self, now: Timestamp, lines: Result<Vec<String>>) -> Result<bool> {
        let every = show_short(self.interval);
        let mut head = format!("{}  every {every}, Ctrl-C ends", local(now));
        match lines {
            Ok(lines) => self.lines = lines,
            Err(error) => match error.downcast_ref::<StoreError>() {
                Some(away) if away.is_outage() => head = line(&away.to_string()).into_owned(),
                _ => return Err(error),
            },
        }
        let (_, height) = Screen::size();
        let mut frame = format!("{HOME}{head}{REST_OF_LINE}");
        for line in self.lines.iter().take(height) {
            frame.push_str("\r\n");
            frame.push_str(&plain_if_asked(line)?);
            frame.push_str(REST_OF_LINE);
        }
        frame.push_str(REST_OF_SCREEN);
        print(&frame)?;
        match self.stop.recv_timeout(self.interval) {
            Err(RecvTimeoutError::Timeout) => Ok(true),
            _ => Ok(false),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = print(LEAVE);
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Takes colours away if they are not wanted.
fn plain_if_asked(line: &str) -> io::Result<String> {
    let mut bytes = AutoStream::new(Vec::new(), AutoStream::choice(&io::stdout()));
    bytes.write_all(line.as_bytes())?;
    Ok(String::from_utf8_lossy(&bytes.into_inner()).into_owned())
}
