//! Takes the terminal over, and gives it back however the program ends: in order, by a signal or by a panic.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Whether the terminal is ours, so that it is given back once.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Bytes of a frame that are written at once.
const BUFFER: usize = 64 * 1024;

/// The terminal while it is ours.
pub struct Screen {
    pub terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

/// Whether there is a terminal that can be drawn on and read from.
pub fn is_there() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// Whether the terminal is ours; a panic of any thread gives it back.
pub fn is_ours() -> bool {
    IS_TAKEN.load(Ordering::SeqCst)
}

impl Screen {
    pub fn take() -> io::Result<Screen> {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            previous(panic);
        }));
        enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        let taken = execute!(io::stdout(), EnterAlternateScreen, Hide);
        // An old console on Windows cannot tell pasted text from keys.
        let _ = execute!(io::stdout(), EnableBracketedPaste);
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout()));
        let terminal = taken.and_then(|()| Terminal::new(backend));
        terminal
            .map(|terminal| Screen { terminal })
            .inspect_err(|_| give_back())
    }
}

impl Screen {
    /// Asks the terminal to put a text into its clipboard. It does not say whether it did.
    pub fn copy(&mut self, text: String) -> io::Result<()> {
        execute!(
            self.terminal.backend_mut(),
            CopyToClipboard::to_clipboard_from(text)
        )
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.terminal.backend_mut().flush();
        give_back();
    }
}

/// Gives the terminal back. A terminal that is gone takes nothing any more.
fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableBracketedPaste);
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = io::stdout().flush();
        let _ = disable_raw_mode();
    }
}
