//! Reads a crontab: entries with their environment and time zone. Nothing here knows the queue.
//!
//! Not read: the column with a user of `/etc/crontab`, and `@reboot`, which no queue can keep.

use std::collections::BTreeMap;

use queuectl_scheduler::cron::Expr;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line it stands on, from 1.
    pub line: usize,
    /// When it runs.
    pub when: String,
    /// The command line, with `\%` as `%`.
    pub command: String,
    /// What stands after the first `%`, with line breaks for the others.
    pub stdin: Option<String>,
    /// The variables set before it.
    pub env: BTreeMap<String, String>,
    /// The time zone set before it.
    pub tz: Option<String>,
    /// The shell set before it.
    pub shell: Option<String>,
    /// The address for mail set before it, if it is not empty.
    pub mail_to: Option<String>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Crontab {
    pub entries: Vec<Entry>,
    /// Lines with an address for mail.
    pub mail: Vec<usize>,
    /// Lines that cannot be read, and why.
    pub mistakes: Vec<(usize, String)>,
}

/// Reads a crontab; every mistake is named.
pub fn read(text: &str) -> Crontab {
    let mut crontab = Crontab::default();
    let (mut env, mut tz, mut shell, mut mail_to) = (BTreeMap::new(), None, None, None);
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = variable(line) {
            match name {
                "CRON_TZ" => tz = Some(value),
                "MAILTO" => {
                    crontab.mail.push(number);
                    mail_to = Some(value).filter(|address| !address.is_empty());
                }
                "MAILFROM" => crontab.mail.push(number),
                "SHELL" => shell = Some(value),
                _ => {
                    if name == "TZ" && tz.is_none() {
                        tz = Some(value.clone());
                    }
                    env.insert(name.to_owned(), value);
                }
            }
            continue;
        }
        match entry(line) {
            Ok((when, command, stdin)) => crontab.entries.push(Entry {
                line: number,
                when,
                command,
                stdin,
                env: env.clone(),
                tz: tz.clone(),
                shell: shell.clone(),
                mail_to: mail_to.clone(),
            }),
            Err(mistake) => crontab.mistakes.push((number, mistake)),
        }
    }
    crontab
}

/// Reads `NAME=value`, also with blanks around the sign and quotes around the value.
fn variable(line: &str) -> Option<(&str, String)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end().trim_matches(['"', '\'']);
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || !is_name || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value = value.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(inner.to_owned())
    });
    Some((name, quoted.unwrap_or_else(|| value.to_owned())))
}

/// Reads the time and the command of an entry.
fn entry(line: &str) -> Result<(String, String, Option<String>), String> {
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let mut rest = line;
    let mut when = Vec::new();
    for _ in 0..fields {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        when.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    if when == ["@every"] {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        when.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    let expr: Expr = when.join(" ").parse().map_err(|error| format!("{error}"))?;
    let (command, stdin) = percent(rest);
    if command.trim().is_empty() {
        return Err("there is no command after the time".to_owned());
    }
    Ok((expr.to_string(), command, stdin))
}

/// Splits at the first `%` that no backslash stands before; the others are line breaks.
fn percent(text: &str) -> (String, Option<String>) {
    let (mut command, mut stdin) = (String::new(), None::<String>);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' if chars.peek() == Some(&'%') => {
                chars.next();
                '%'
            }
            '%' if stdin.is_none() => {
                stdin = Some(String::new());
                continue;
            }
            '%' => '\n',
            c => c,
        };
        stdin.as_mut().unwrap_or(&mut command).push(plain);
    }
    // Cron ends the input with a line break.
    let stdin = stdin.map(|text: String| format!("{text}\n"));
    (command.trim_end().to_owned(), stdin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_environment_before_them() {
        let crontab = read(
            "# comment\n\
             SHELL=/bin/bash\n\
             PATH = \"/usr/bin:/bin\"\n\
             MAILTO=ann@example.com\n\
             CRON_TZ=Europe/Berlin\n\
             30 2 * * *\t/usr/local/bin/backup --full # nightly\n\
             A=b=c\n\
             @daily  mail -s 50\\% bob%Dear Bob,%see you%\n",
        );
        assert_eq!((crontab.mail, crontab.mistakes), (vec![4], vec![]));
        let [first, second] = &crontab.entries[..] else {
            panic!("{:?}", crontab.entries);
        };
        assert_eq!(first.when, "30 2 * * *");
        assert_eq!(first.command, "/usr/local/bin/backup --full # nightly");
        assert_eq!((first.line, first.tz.as_deref()), (6, Some("Europe/Berlin")));
        assert_eq!(first.shell.as_deref(), Some("/bin/bash"));
        assert_eq!(first.mail_to.as_deref(), Some("ann@example.com"));
        assert_eq!(first.env["PATH"], "/usr/bin:/bin");
        assert!(!first.env.contains_key("A") && !first.env.contains_key("CRON_TZ"));
        assert_eq!(
            (second.when.as_str(), second.command.as_str()),
            ("@daily", "mail -s 50% bob")
        );
        assert_eq!(second.stdin.as_deref(), Some("Dear Bob,\nsee you\n\n"));
        assert_eq!(second.env["A"], "b=c");
    }

    #[test]
    fn mistakes_are_named_with_their_lines() {
        let crontab = read("61 * * * * x\n@reboot y\n* * * * *\n0 0 30 2 * z\n1 2 3\n");
        let lines: Vec<usize> = crontab.mistakes.iter().map(|(line, _)| *line).collect();
        assert_eq!((lines, crontab.entries.len()), (vec![1, 2, 3, 4, 5], 0));
        assert!(crontab.mistakes[0].1.contains("invalid minute '61'"));
        assert!(crontab.mistakes[2].1.contains("no command"));
    }
}
