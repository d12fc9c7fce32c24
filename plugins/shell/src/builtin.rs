//! Commands that are no programs on Windows but parts of `cmd`: an argument vector that begins with one becomes a line.
//!
//! `echo` prints its line as it stands, so its words get no quotes; for the others words are put into quotes. What neither
//! way can be said without `cmd` reading something into it is refused.

/// The commands of `cmd` that make sense alone. `echo` and `type` have programs of that name elsewhere.
const NAMES: [&str; 17] = [
    "assoc", "copy", "date", "del", "dir", "echo", "erase", "exit", "md", "mkdir", "mklink", "move", "rd",
    "ren", "rmdir", "type", "ver",
];

/// Characters with a meaning to `cmd`.
const SPECIAL: &str = "&|<>^()!\"";

/// The line for a command of `cmd`; none if the first word is no such command.
pub fn line<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Result<String, String>> {
    let name = words
        .next()
        .filter(|word| NAMES.iter().any(|name| name.eq_ignore_ascii_case(word)))?;
    let is_echo = name.eq_ignore_ascii_case("echo");
    let mut line = name.to_owned();
    for word in words {
        line.push(' ');
        let said = if is_echo { escape(word) } else { quote(word) };
        match said {
            Some(word) => line.push_str(&word),
            None => {
                return Some(Err(format!(
                    "'{}' cannot be an argument of {name}, which is a part of cmd; give the job a command line instead",
                    word.escape_debug()
                )));
            }
        }
    }
    Some(Ok(line))
}

/// Each special character with a caret before it. A variable cannot be kept from being one.
fn escape(word: &str) -> Option<String> {
    if word.contains(['%', '\r', '\n']) {
        return None;
    }
    let mut escaped = String::new();
    for c in word.chars() {
        if SPECIAL.contains(c) {
            escaped.push('^');
        }
        escaped.push(c);
    }
    Some(escaped)
}

/// In quotes if need be. Inside of them a quote or a variable cannot be written so that it means itself.
fn quote(word: &str) -> Option<String> {
    if word.contains(['"', '%', '\r', '\n']) {
        return None;
    }
    let plain = !word.is_empty()
        && !word.contains(|c: char| c.is_whitespace() || ",;=".contains(c) || SPECIAL.contains(c));
    Some(if plain {
        word.to_owned()
    } else {
        format!("\"{word}\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_cmd_become_lines_and_programs_do_not() {
        let of = |words: &[&str]| line(words.iter().copied());
        assert_eq!(
            of(&["echo", "Hello Queue"]),
            Some(Ok("echo Hello Queue".to_owned()))
        );
        assert_eq!(
            of(&["ECHO", "a&b", "\"q\""]),
            Some(Ok("ECHO a^&b ^\"q^\"".to_owned()))
        );
        assert_eq!(of(&["mkdir", "a b", "c"]), Some(Ok("mkdir \"a b\" c".to_owned())));
        assert_eq!(of(&["type", "a&b"]), Some(Ok("type \"a&b\"".to_owned())));
        assert_eq!(of(&["echoes", "x"]), None);
        assert_eq!(of(&[]), None);
        for words in [
            ["del", "%TEMP%"],
            ["del", "a\"b"],
            ["echo", "%PATH%"],
            ["echo", "a\nb"],
        ] {
            assert!(
                of(&words).unwrap().unwrap_err().contains("command line"),
                "{words:?}"
            );
        }
    }
}
