//! Pauses for people.

use queuectl_core::{Timestamp, show_left, show_rough};
use queuectl_views::PauseView;

/// Returns what a narrow column has room for: `5 m, 2 h left: disk full`.
pub fn in_short(pause: &PauseView, now: Timestamp) -> String {
    let mut text = show_rough(now.since(pause.since));
    if let Some(until) = pause.until {
        text.push_str(&format!(", {} left", show_left(until.since(now))));
    }
    with_reason(text, pause)
}

/// Returns a part of a sentence: `paused 5 m ago by ann@host, for another 2 h: disk full`.
pub fn in_words(pause: &PauseView, now: Timestamp) -> String {
    let mut text = format!("paused {} ago", show_rough(now.since(pause.since)));
    if !pause.by.is_empty() {
        text.push_str(&format!(" by {}", pause.by));
    }
    if let Some(until) = pause.until {
        text.push_str(&format!(", for another {}", show_left(until.since(now))));
    }
    with_reason(text, pause)
}

fn with_reason(text: String, pause: &PauseView) -> String {
    match &pause.reason {
        Some(reason) => format!("{text}: {reason}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_says_since_when_how_long_and_why() {
        let now = Timestamp(1_000_000_000);
        let mut pause = PauseView {
            since: Timestamp(now.0 - 300_000),
            until: Some(Timestamp(now.0 + 7_200_000)),
            by: "ann@host".to_owned(),
            reason: Some("disk full".to_owned()),
        };
        assert_eq!(in_short(&pause, now), "5 m, 2 h left: disk full");
        let words = "paused 5 m ago by ann@host, for another 2 h: disk full";
        assert_eq!(in_words(&pause, now), words);
        (pause.until, pause.reason) = (None, None);
        assert_eq!(in_short(&pause, now), "5 m");
        assert_eq!(in_words(&pause, now), "paused 5 m ago by ann@host");
    }
}
