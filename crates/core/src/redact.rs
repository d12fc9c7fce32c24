//! Secrets by their names, and within texts: in a URL, in a header, in an argument.
//!
//! It errs on the side of hiding: `--secrets` shows what only looks like a secret.

/// What people are shown instead of a secret. JSON has null there.
pub const HIDDEN: &str = "(hidden)";

/// Parts of the names of secrets, in any case and without what separates words.
pub const SECRET_NAMES: [&str; 18] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "token",
    "authorization",
    "cookie",
    "credential",
    "signature",
    "bearer",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "sshkey",
    "accountkey",
];

/// Whole words in the names of secrets, which mean something else as parts of others.
const SECRET_WORDS: [&str; 10] = [
    "pass", "pw", "pwd", "auth", "jwt", "sig", "sas", "otp", "psk", "creds",
];

/// What else is a secret as a parameter of a URL.
const SECRET_PARAMETERS: [&str; 1] = ["key"];

/// Whether what has this name may be a secret.
pub fn is_secret(name: &str) -> bool {
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let letters = letters.to_lowercase();
    SECRET_NAMES.iter().any(|part| letters.contains(part))
        || words(name)
            .iter()
            .any(|word| SECRET_WORDS.contains(&word.as_str()))
}

/// The words of a name: `dbPass`, `DB_PASS` and `db-pass2` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphabetic() || before.is_lowercase() && c.is_uppercase() {
            words.push(String::new());
        }
        if c.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

/// A text without the secrets that stand in it; none if there are none.
pub fn redact(text: &str) -> Option<String> {
    if let Some((scheme, rest)) = text.split_once(' ')
        && ["bearer", "basic"].contains(&scheme.to_ascii_lowercase().as_str())
        && !rest.trim().is_empty()
    {
        return Some(format!("{scheme} {HIDDEN}"));
    }
    // `Authorization: ...`, `--token=...`, `DB_PASS=...`; but not a URL.
    for separator in [':', '='] {
        if let Some((name, value)) = text.split_once(separator)
            && is_name(name)
            && !(value.is_empty() || value.starts_with("//"))
            && is_secret(name)
        {
            let blank = if value.starts_with(' ') { " " } else { "" };
            return Some(format!("{name}{separator}{blank}{HIDDEN}"));
        }
    }
    if !text.contains("://") && !text.contains('?') {
        return None;
    }
    let redacted: String = text
        .split_inclusive(char::is_whitespace)
        .map(redact_url)
        .collect();
    (redacted != text).then_some(redacted)
}

fn is_name(text: &str) -> bool {
    let name = text.trim_start_matches('-');
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A URL without the password, or what else stands for one, before its host, and without parameters that are secrets.
fn redact_url(url: &str) -> String {
    let mut redacted = String::with_capacity(url.len());
    let mut rest = url;
    if let Some((scheme, after)) = url.split_once("://") {
        redacted.push_str(&format!("{scheme}://"));
        rest = after;
        // A password may have a question mark in it; a parameter may have an at sign.
        let before_path = &after[..after.find(['/', '\\']).unwrap_or(after.len())];
        if let Some((user, _)) = before_path.rsplit_once('@')
            && let user_name = user.split([':', '?', '#']).next().unwrap_or_default()
            && (user_name == user || user[user_name.len()..].starts_with(':'))
        {
            match user.len() > user_name.len() {
                true => redacted.push_str(&format!("{user_name}:{HIDDEN}")),
                // A name is needed where there is no password; elsewhere a token may stand for both.
                false if scheme.to_ascii_lowercase().ends_with("ssh") => redacted.push_str(user),
                false => redacted.push_str(HIDDEN),
            }
            rest = &after[user.len()..];
        }
    }
    let (place, rest) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    redacted.push_str(place);
    for pair in rest.split_inclusive(['?', '#', '&', ';']) {
        let (pair, separator) = pair.split_at(pair.trim_end_matches(['?', '#', '&', ';']).len());
        match pair.split_once('=') {
            Some((name, value)) if !value.trim().is_empty() && is_secret_parameter(name) => {
                let blank = &value[value.trim_end().len()..];
                redacted.push_str(&format!("{name}={HIDDEN}{blank}"));
            }
            _ => redacted.push_str(pair),
        }
        redacted.push_str(separator);
    }
    redacted
}

fn is_secret_parameter(name: &str) -> bool {
    let decoded = name
        .replace("%5F", "_")
        .replace("%5f", "_")
        .replace("%2D", "-")
        .replace("%2d", "-");
    is_secret(&decoded) || SECRET_PARAMETERS.contains(&decoded.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_whole_words_or_by_parts_that_mean_nothing_else() {
        for name in [
            "secret",
            "client_secret",
            "db-password",
            "Passwd",
            "passphrase",
            "private_key",
            "privateKey",
            "pass",
            "dbPass",
            "DB_PASS",
            "pass2",
            "pw",
            "user.pw",
            "bearer",
            "jwt",
            "auth",
            "X-Auth",
            "authToken",
            "api_key",
            "X-Api-Key",
            "ACCESS_KEY",
            "Cookie",
            "credentials",
            "sig",
            "x-amz-signature",
            "ssh_key",
            "PGPASSWORD",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "url",
            "author",
            "authored_by",
            "bypass",
            "compass",
            "passed",
            "pwm",
            "key",
            "keyboard",
            "design",
            "signed",
            "passenger",
            "jwtless",
            "image",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn secrets_in_texts_are_hidden_and_the_rest_stays() {
        for (text, redacted) in [
            ("http://a/x?token=Zebra&n=1", "http://a/x?token=(hidden)&n=1"),
            (
                "http://a/x?n=1&api_key=Zebra#access_token=Zebra",
                "http://a/x?n=1&api_key=(hidden)#access_token=(hidden)",
            ),
            (
                "http://a/?access%5Ftoken=Zebra;x=2",
                "http://a/?access%5Ftoken=(hidden);x=2",
            ),
            ("https://maps/?key=Zebra", "https://maps/?key=(hidden)"),
            ("https://u:Zebra@h:1/p", "https://u:(hidden)@h:1/p"),
            ("https://u:Ze@bra@h/p", "https://u:(hidden)@h/p"),
            ("https://Zebra@h/p.git", "https://(hidden)@h/p.git"),
            ("postgres://u:Zebra@h/d", "postgres://u:(hidden)@h/d"),
            ("postgres://u:pw?Zebra@h/d", "postgres://u:(hidden)@h/d"),
            (
                "http://a?mail=x@b&token=Zebra",
                "http://a?mail=x@b&token=(hidden)",
            ),
            ("/hook?sig=Zebra", "/hook?sig=(hidden)"),
            ("get http://a/?jwt=Zebra now", "get http://a/?jwt=(hidden) now"),
            ("Bearer Zebra", "Bearer (hidden)"),
            ("basic Zebra", "basic (hidden)"),
            ("Authorization: Bearer Zebra", "Authorization: (hidden)"),
            ("--password=Zebra", "--password=(hidden)"),
            ("DB_PASS=Zebra", "DB_PASS=(hidden)"),
        ] {
            assert_eq!(redact(text).as_deref(), Some(redacted));
        }
        for text in [
            "",
            "Zebra",
            "http://a/x?n=1&author=b",
            "ssh://git@h/p",
            "Accept: text/html",
            "--verbose=1",
            "a=b",
            "why?",
            "http://a/@user/x",
            "token",
            "token=",
            "12:30",
            "Bearer",
        ] {
            assert_eq!(redact(text), None, "{text}");
        }
    }
}
