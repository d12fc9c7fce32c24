//! Environment variables from a file of lines `NAME=VALUE`, as docker and dotenv take it.
//!
//! Nothing is expanded: `$` is a plain character. A value on several lines is not read; a job can read such a file itself.

/// Reads the variables of a file. `outside` returns the value of a variable whose line has only its name.
///
/// # Errors
/// Names the first line that is wrong, and says why.
pub fn read(
    text: &str,
    outside: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<(String, String)>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (number, line) in (1_u64..).zip(text.lines()) {
        let read = variable(line, &outside).map_err(|error| format!("line {number}: {error}"))?;
        variables.extend(read);
    }
    Ok(variables)
}

/// Reads one line; none if it is blank or a comment.
fn variable(
    line: &str,
    outside: impl Fn(&str) -> Result<String, String>,
) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let exported = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = match exported.split_once('=') {
        Some((name, value)) => (name.trim_end(), Some(value)),
        None => (exported, None),
    };
    let name = name.trim_start();
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "\"'`#$".contains(c)) {
        return Err("write it as NAME=VALUE".to_owned());
    }
    let value = match value {
        Some(value) => unquoted(value.trim())?,
        None => outside(name)?,
    };
    Ok(Some((name.to_owned(), value)))
}

/// Takes the quotes of a value away. Only between double quotes, `\` has a meaning.
fn unquoted(value: &str) -> Result<String, String> {
    let Some(quote) = value.chars().next().filter(|first| "\"'".contains(*first)) else {
        let end = value.find(" #").or_else(|| value.starts_with('#').then_some(0));
        return Ok(value[..end.unwrap_or(value.len())].trim_end().to_owned());
    };
    let mut plain = String::new();
    let mut rest = value[1..].chars();
    while let Some(next) = rest.next() {
        match next {
            _ if next == quote => {
                let behind = rest.as_str().trim_start();
                if behind.is_empty() || behind.starts_with('#') {
                    return Ok(plain);
                }
                return Err(format!("there is text behind the closing {quote}"));
            }
            '\\' if quote == '"' => match rest.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some('t') => plain.push('\t'),
                Some(other @ ('"' | '\\' | '$' | '`')) => plain.push(other),
                Some(other) => plain.extend(['\\', other]),
                None => break,
            },
            other => plain.push(other),
        }
    }
    Err(format!("the value has no closing {quote} on its line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<String, String> {
        let outside = |name: &str| match name {
            "HOME" => Ok("/home/ann".to_owned()),
            _ => Err(format!("the variable {name} is not set here")),
        };
        read(line, outside).map(|mut found| found.pop().map(|(_, value)| value).unwrap_or_default())
    }

    #[test]
    fn values_are_plain_or_quoted() {
        for (line, value) in [
            ("A=b=c", "b=c"),
            ("A=", ""),
            ("export A = b c ", "b c"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", ""),
            ("A='b # $HOME \\n'", "b # $HOME \\n"),
            (r#"A="b\tc \"d\" \$e \x" # f"#, "b\tc \"d\" $e \\x"),
            ("A=$HOME", "$HOME"),
            ("HOME", "/home/ann"),
            ("A=it's", "it's"),
        ] {
            assert_eq!(one(line), Ok(value.to_owned()), "{line}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_none_and_the_last_value_counts() {
        let text = "\u{feff}A=1\r\n\r\n  # B=2\r\nC.d=3\nA=4\n";
        let found = read(text, |_| unreachable!()).unwrap();
        let pairs: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("C.d", "3"), ("A", "4")]);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, wanted) in [
            ("A=1\nB C=2", "line 2: write it as NAME=VALUE"),
            ("=1", "line 1: write it as NAME=VALUE"),
            ("A=\"b", "line 1: the value has no closing \""),
            ("A='b' c", "line 1: there is text behind the closing '"),
            ("\n\nNONE", "line 3: the variable NONE is not set here"),
        ] {
            assert_eq!(one(text).unwrap_err().find(wanted), Some(0), "{text}");
        }
    }
}
