//! A line that the user types.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Longest input, in characters.
const MOST: usize = 1024;

/// The line and the place in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    text: Vec<char>,
    at: usize,
}

impl Input {
    pub fn new(text: &str) -> Input {
        let text: Vec<char> = text.chars().take(MOST).collect();
        let at = text.len();
        Input { text, at }
    }

    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// The text before the cursor.
    pub fn before(&self) -> String {
        self.text[..self.at].iter().collect()
    }

    /// Adds a text as if it was typed; control characters of it are left out.
    pub fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text.len() < MOST {
                self.text.insert(self.at, c);
                self.at += 1;
            }
        }
    }

    /// Takes a key that edits; others change nothing.
    pub fn key(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => drop(self.text.drain(..std::mem::take(&mut self.at))),
            KeyCode::Char('w') if control => self.word_back(),
            KeyCode::Char('a') if control => self.at = 0,
            KeyCode::Char('e') if control => self.at = self.text.len(),
            KeyCode::Char(c) if !control => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace if self.at > 0 => {
                self.at -= 1;
                self.text.remove(self.at);
            }
            KeyCode::Delete if self.at < self.text.len() => drop(self.text.remove(self.at)),
            KeyCode::Left => self.at = self.at.saturating_sub(1),
            KeyCode::Right => self.at = (self.at + 1).min(self.text.len()),
            KeyCode::Home => self.at = 0,
            KeyCode::End => self.at = self.text.len(),
            _ => {}
        }
    }

    fn word_back(&mut self) {
        let end = self.at;
        while self.at > 0 && self.text[self.at - 1].is_whitespace() {
            self.at -= 1;
        }
        while self.at > 0 && !self.text[self.at - 1].is_whitespace() {
            self.at -= 1;
        }
        self.text.drain(self.at..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(input: &mut Input, codes: &[KeyCode]) {
        codes
            .iter()
            .for_each(|code| input.key(KeyEvent::new(*code, KeyModifiers::NONE)));
    }

    #[test]
    fn a_line_is_edited_in_the_middle() {
        let mut input = Input::new("äb");
        keys(
            &mut input,
            &[
                KeyCode::Left,
                KeyCode::Char('日'),
                KeyCode::Home,
                KeyCode::Delete,
                KeyCode::Backspace,
            ],
        );
        assert_eq!((input.text(), input.before()), ("日b".to_owned(), String::new()));
        keys(&mut input, &[KeyCode::End, KeyCode::Backspace, KeyCode::Right]);
        assert_eq!(input.text(), "日");
        input.insert(" a\u{1b}[31m\nb c");
        input.key(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(input.text(), "日 a[31mb ");
        input.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!(input.text(), "");
    }
}
