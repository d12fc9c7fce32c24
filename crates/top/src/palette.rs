//! The palette: words that go to a tab or run an action. It only finds what is meant.

use crate::keys::Key;
use crate::tab::Tab;

/// What a line of the palette means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A tab, with what to filter it by, if that was typed.
    Tab(Tab, Option<String>),
    /// The same as a key.
    Key(Key),
}

/// Actions by their names.
const ACTIONS: [(&str, Key); 12] = [
    ("cancel", Key::Cancel),
    ("copy", Key::Copy),
    ("details", Key::Details),
    ("explain", Key::Explain),
    ("filter", Key::Filter),
    ("help", Key::Help),
    ("hold", Key::Hold),
    ("logs", Key::Logs),
    ("open", Key::Open),
    ("pause", Key::Pause),
    ("quit", Key::Quit),
    ("retry", Key::Retry),
];

fn names() -> impl Iterator<Item = &'static str> {
    let tabs = Tab::ALL.into_iter().map(Tab::name);
    tabs.chain(ACTIONS.iter().map(|(name, _)| *name))
}

/// Returns the names that begin so.
pub fn matching(text: &str) -> Vec<&'static str> {
    let word = text.trim_start();
    names().filter(|name| name.starts_with(word)).collect()
}

/// Returns what a line means.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Wanted, String> {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let matching = matching(word);
    let name = match matching.as_slice() {
        [one] => *one,
        _ if word == "q" => "quit",
        all if all.contains(&word) => word,
        [] => return Err(format!("'{word}' is not a tab or an action; ? lists the keys")),
        several => return Err(format!("'{word}' can be {}", several.join(", "))),
    };
    if let Some(tab) = Tab::ALL.into_iter().find(|tab| tab.name() == name) {
        let rest = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
        return Ok(Wanted::Tab(tab, rest));
    }
    let action = ACTIONS.iter().find(|(action, _)| *action == name);
    match action {
        Some((_, key)) if rest.is_empty() => Ok(Wanted::Key(*key)),
        _ => Err(format!(
            "'{name}' is for the marked jobs or the row; it takes no words"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_may_be_shortened_if_it_stays_clear() {
        assert_eq!(read("jo"), Ok(Wanted::Tab(Tab::Jobs, None)));
        let dead = Wanted::Tab(Tab::Jobs, Some("state=dead".to_owned()));
        assert_eq!(read(" jobs  state=dead "), Ok(dead));
        assert_eq!(read("q"), Ok(Wanted::Key(Key::Quit)));
        assert_eq!(read("quit"), Ok(Wanted::Key(Key::Quit)));
        assert_eq!(read("d"), Err("'d' can be dead, details".to_owned()));
        assert!(read("xyz").is_err() && read("cancel 12").is_err() && read("").is_err());
        assert_eq!(matching("l"), ["limits", "logs"]);
    }
}
