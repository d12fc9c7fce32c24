//! Which key means what, and the text of the help. The app decides what that does.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::snapshot::{Page, Tone};

/// What a key means while no line is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    NextTab,
    PreviousTab,
    /// A tab, from 1.
    Tab(usize),
    Mark,
    Details,
    Logs,
    Explain,
    Open,
    Retry,
    Cancel,
    Pause,
    Hold,
    Copy,
    Palette,
    Filter,
    Help,
    Back,
    Quit,
}

/// Returns what a key means.
pub fn meaning(key: KeyEvent) -> Option<Key> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Key::Quit),
            KeyCode::Char('f') => Some(Key::PageDown),
            KeyCode::Char('b') => Some(Key::PageUp),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Key::Top,
        KeyCode::End | KeyCode::Char('G') => Key::Bottom,
        KeyCode::Tab | KeyCode::Right => Key::NextTab,
        KeyCode::BackTab | KeyCode::Left => Key::PreviousTab,
        KeyCode::Char(digit @ '1'..='9') => Key::Tab(digit as usize - '0' as usize),
        KeyCode::Char(' ') => Key::Mark,
        KeyCode::Enter | KeyCode::Char('d') => Key::Details,
        KeyCode::Char('l') => Key::Logs,
        KeyCode::Char('e') => Key::Explain,
        KeyCode::Char('o') => Key::Open,
        KeyCode::Char('r') => Key::Retry,
        KeyCode::Char('c') => Key::Cancel,
        KeyCode::Char('p') => Key::Pause,
        KeyCode::Char('h') => Key::Hold,
        KeyCode::Char('y') => Key::Copy,
        KeyCode::Char(':') => Key::Palette,
        KeyCode::Char('/') => Key::Filter,
        KeyCode::Char('?') => Key::Help,
        KeyCode::Esc => Key::Back,
        KeyCode::Char('q') => Key::Quit,
        _ => return None,
    })
}

/// The keys, for the help: the keys, what they do, and whether that changes the queue.
const HELP: &[(&str, &str, bool)] = &[
    ("1-9 Tab", "go to a tab", false),
    (
        "j k g G",
        "move, to the first, to the last; arrows, Home, End, PgUp, PgDn",
        false,
    ),
    ("Enter d", "details of what is chosen", false),
    ("l", "what the job printed, as it comes", false),
    ("e", "why the job does not run", false),
    ("o", "the jobs of the queue, group or schedule", false),
    ("y", "copy the id or name, by the terminal (OSC 52)", false),
    (
        "Space",
        "mark a job; r, c, h and y are then for all marked jobs",
        false,
    ),
    ("r", "retry the jobs, those of the cause or the group", true),
    ("c", "cancel the jobs, or those of the group; asks", true),
    ("h", "hold the jobs; release them if all are held", true),
    ("p", "pause or resume the queue or the schedule", true),
    (
        "/",
        "filter: jobs by selectors, other tabs by a part of any column",
        false,
    ),
    (
        ":",
        "go to a tab or run an action by name: `:jobs state=dead`, `:retry`",
        false,
    ),
    ("Esc", "back; clear the marks, then the filter", false),
    ("q Ctrl-C", "quit", false),
];

/// Returns the help.
pub fn help(readonly: bool) -> Page {
    let mut page = Page::new("keys");
    for (keys, what, acts) in HELP {
        match *acts && readonly {
            true => page.toned_field(keys, format!("(off: --readonly) {what}"), Tone::Dim),
            false => page.field(keys, what),
        }
    }
    page.heading("filters: state= queue= error~ older= 12-20 @group; see `queuectl help selectors`");
    page
}

/// Returns the line of keys at the bottom.
pub fn hints(is_page: bool, readonly: bool) -> &'static str {
    match (is_page, readonly) {
        (true, true) => "j k move  l output  e explain  Esc back  ? help  q quit  (readonly)",
        (true, false) => "j k move  l output  e explain  r retry  c cancel  h hold  Esc back  ? help",
        (false, true) => "/ filter  : go  Enter details  l output  e explain  ? help  q quit  (readonly)",
        (false, false) => "/ filter  : go  Enter details  l output  e explain  r retry  c cancel  ? help",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_fit_the_smallest_screen() {
        for is_page in [true, false] {
            for readonly in [true, false] {
                assert!(
                    hints(is_page, readonly).len() <= 80,
                    "{}",
                    hints(is_page, readonly)
                );
            }
        }
        let lines = help(false).lines;
        assert!(lines.len() <= 18, "the help fits the smallest screen");
        assert!(lines.iter().all(|line| line.text.len() <= 80));
    }

    #[test]
    fn a_key_with_control_is_not_the_key() {
        let key = |code, modifiers| meaning(KeyEvent::new(KeyCode::Char(code), modifiers));
        assert_eq!(key('c', KeyModifiers::NONE), Some(Key::Cancel));
        assert_eq!(key('c', KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(key('r', KeyModifiers::CONTROL), None);
        assert_eq!(key('G', KeyModifiers::SHIFT), Some(Key::Bottom));
    }
}
