//! JSON of other programs, kept and passed on token by token as it was written, so that no number changes.
//!
//! An object that has a member twice is refused when it is given, because readers disagree on which one counts. Nothing
//! here knows what the members mean.

use std::fmt::Write as _;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::quote::excerpt;

/// Deepest nesting of arrays and objects, as in most readers of JSON.
const DEPTH: usize = 127;

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("this is not valid JSON: {0}")]
    Syntax(String),
    /// An object has a member twice; the way to it, with a `/` before each further step.
    #[error("\"{0}\" is given twice; give it once")]
    Twice(String),
    /// Arrays and objects deep within one another.
    #[error("\"{0}\" is nested too deep: at most {DEPTH} arrays and objects may lie within one another")]
    Deep(String),
    /// A number that no program could read as one.
    #[error("the number {0} is too large for any program to read; give it as a text")]
    Number(String),
    /// Something else where an object belongs.
    #[error("this is not a JSON object")]
    NoObject,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> JsonError {
        JsonError::Syntax(excerpt(&error.to_string()))
    }
}

/// Checks a whole text.
///
/// # Errors
/// The text is not JSON, or an object in it has a member twice.
pub fn check(text: &str) -> Result<(), JsonError> {
    let raw: &RawValue = serde_json::from_str(text)?;
    Rewrite::strict(DEPTH).value(raw)
}

/// Checks a whole text, and returns it without the blanks between its tokens.
///
/// # Errors
/// The text is not JSON, or an object in it has a member twice.
pub fn compact(text: &str) -> Result<String, JsonError> {
    let raw: &RawValue = serde_json::from_str(text)?;
    let mut strict = Rewrite::strict(DEPTH);
    strict.value(raw)?;
    Ok(strict.out)
}

/// Returns the text without the byte order mark that some programs put before UTF-8.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// An object as it was written, except for blanks between its tokens.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct JsonObject(Box<RawValue>);

impl JsonObject {
    /// Reads an object as a user gives it.
    ///
    /// # Errors
    /// The text is not an object, or an object in it has a member twice.
    pub fn parse(text: &str) -> Result<JsonObject, JsonError> {
        let raw: &RawValue = serde_json::from_str(text)?;
        if !is_object(raw) {
            return Err(JsonError::NoObject);
        }
        let mut strict = Rewrite::strict(DEPTH);
        strict.value(raw)?;
        Ok(JsonObject(RawValue::from_string(strict.out)?))
    }

    /// Checks that it is nested at most this deep.
    pub(crate) fn check(&self, deepest: usize) -> Result<(), JsonError> {
        Rewrite::strict(deepest).value(&self.0)
    }

    /// Returns its text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The same, on one line in any case, and with something else in place of what is to be hidden: `hides` says so of a
    /// member's name, and of a text. Returns pointers to those members, too. What cannot be looked into is hidden as a whole.
    pub(crate) fn hidden(&self, instead: &'static str, hides: Hides) -> (JsonObject, Vec<String>) {
        let mut hiding = Rewrite::new(Some((instead, hides)));
        let made = hiding
            .value(&self.0)
            .and_then(|()| Ok(RawValue::from_string(hiding.out)?));
        match made {
            Ok(raw) => (JsonObject(raw), hiding.hidden),
            Err(_) => (JsonObject::default(), vec![String::new()]),
        }
    }
}

impl Default for JsonObject {
    fn default() -> JsonObject {
        let empty = RawValue::from_string("{}".to_owned());
        JsonObject(empty.unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &JsonObject) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    /// Takes any object that a reader of JSON could read: of one that is stored, no member is refused.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonObject, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if !is_object(&raw) {
            return Err(D::Error::custom(JsonError::NoObject));
        }
        let mut readable = Rewrite {
            allows_twins: true,
            ..Rewrite::strict(DEPTH)
        };
        readable.value(&raw).map_err(D::Error::custom)?;
        Ok(JsonObject(raw))
    }
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().trim_ascii_start().starts_with('{')
}

/// What is hidden of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hide {
    /// Its value.
    Value,
    /// Its value, or if that is an object, the values of its members: their names tell nothing.
    Values,
}

/// What is to be hidden.
#[derive(Clone, Copy)]
pub(crate) struct Hides {
    /// What of a member of that name.
    pub member: fn(&str) -> Option<Hide>,
    /// What is left of a text with a secret in it.
    pub text: fn(&str) -> Option<String>,
}

impl Hides {
    pub const NOTHING: Hides = Hides {
        member: |_| None,
        text: |_| None,
    };
}

/// Writes JSON out again, every token as it is, without blanks in between.
struct Rewrite {
    /// Whether what some readers could not read, or not as others do, is refused.
    strict: bool,
    /// Whether members given twice are none of that.
    allows_twins: bool,
    hiding: Option<(&'static str, Hides)>,
    out: String,
    /// The place under way, as a JSON pointer.
    path: String,
    depth: usize,
    deepest: usize,
    /// Pointers to what is hidden.
    hidden: Vec<String>,
}

impl Rewrite {
    fn new(hiding: Option<(&'static str, Hides)>) -> Rewrite {
        Rewrite {
            strict: false,
            allows_twins: false,
            hiding,
            out: String::new(),
            path: String::new(),
            depth: 0,
            deepest: DEPTH,
            hidden: Vec::new(),
        }
    }

    fn strict(deepest: usize) -> Rewrite {
        Rewrite {
            strict: true,
            deepest,
            ..Rewrite::new(None)
        }
    }

    fn value(&mut self, raw: &RawValue) -> Result<(), JsonError> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => self.within(|this| this.object(text, None)),
            Some(b'[') => self.within(|this| this.array(text)),
            Some(b'"') => {
                // A string that is skipped is not looked at as closely as one that is read.
                let string: String = serde_json::from_str(text)?;
                let hidden = self
                    .hiding
                    .and_then(|(instead, hides)| Some((instead, (hides.text)(&string)?)));
                match hidden {
                    // What a program reads has all of it or nothing.
                    Some(("null", _)) => {
                        self.out.push_str("null");
                        self.hidden.push(self.path.clone());
                    }
                    Some((_, redacted)) => {
                        let redacted = serde_json::to_string(&redacted)?;
                        self.out.push_str(&redacted);
                        self.hidden.push(self.path.clone());
                    }
                    None => self.out.push_str(text),
                }
                Ok(())
            }
            _ => {
                // Many a reader refuses the whole text for a number that it cannot hold even roughly.
                let number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
                let large = number && (text.len() > 300 || text.contains(['e', 'E']));
                if self.strict && large && serde_json::from_str::<f64>(text).is_err() {
                    return Err(JsonError::Number(excerpt(text)));
                }
                self.out.push_str(text);
                Ok(())
            }
        }
    }

    fn within(
        &mut self,
        inside: impl FnOnce(&mut Rewrite) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        if self.depth >= self.deepest {
            return Err(JsonError::Deep(excerpt(self.path.trim_start_matches('/'))));
        }
        self.depth += 1;
        inside(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self, text: &str, all: Option<Hide>) -> Result<(), JsonError> {
        let Members(members) = serde_json::from_str(text)?;
        let mut names: Vec<String> = Vec::with_capacity(members.len());
        self.out.push('{');
        for (at, (key, value)) in members.into_iter().enumerate() {
            let name: String = serde_json::from_str(key.get())?;
            let length = self.path.len();
            self.path.push('/');
            self.path.push_str(&name.replace('~', "~0").replace('/', "~1"));
            if at > 0 {
                self.out.push(',');
            }
            self.out.push_str(key.get());
            self.out.push(':');
            self.member(&name, value, all)?;
            self.path.truncate(length);
            names.push(name);
        }
        self.out.push('}');
        if self.strict && !self.allows_twins {
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                let name = pair[0].replace('~', "~0").replace('/', "~1");
                let path = format!("{}/{name}", self.path);
                return Err(JsonError::Twice(excerpt(path.trim_start_matches('/'))));
            }
        }
        Ok(())
    }

    fn member(&mut self, name: &str, value: &RawValue, all: Option<Hide>) -> Result<(), JsonError> {
        let Some((instead, hides)) = self.hiding else {
            return self.value(value);
        };
        let text = value.get();
        match all.or_else(|| (hides.member)(name)) {
            None => self.value(value),
            Some(Hide::Values) if text.starts_with('{') => {
                self.within(|this| this.object(text, Some(Hide::Value)))
            }
            // Nothing to be hidden.
            Some(_) if text == "null" => self.value(value),
            Some(_) => {
                self.out.push_str(instead);
                self.hidden.push(self.path.clone());
                Ok(())
            }
        }
    }

    fn array(&mut self, text: &str) -> Result<(), JsonError> {
        let values: Vec<&RawValue> = serde_json::from_str(text)?;
        self.out.push('[');
        for (at, value) in values.into_iter().enumerate() {
            let length = self.path.len();
            // Writing to a text cannot fail.
            let _ = write!(self.path, "/{at}");
            if at > 0 {
                self.out.push(',');
            }
            self.value(value)?;
            self.path.truncate(length);
        }
        self.out.push(']');
        Ok(())
    }
}

/// The members of an object in their order, also those of the same name.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_stays_as_it_was_written() {
        let text = r#"{ "z" : 123456789012345678901234567890, "b":18446744073709551616 ,"c":-0,"a":[1.0, 1e5 ,-0.0],
            "\u0061b":"\u00e4\/", "n":{ } , "e":[ ], "small":1E-400, "t":[true,false,null]}"#;
        let kept = JsonObject::parse(text).unwrap();
        assert_eq!(
            kept.as_str(),
            r#"{"z":123456789012345678901234567890,"b":18446744073709551616,"c":-0,"a":[1.0,1e5,-0.0],"\u0061b":"\u00e4\/","n":{},"e":[],"small":1E-400,"t":[true,false,null]}"#
        );
        let again: JsonObject = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        assert_eq!(again, kept);
    }

    #[test]
    fn what_is_given_twice_is_named() {
        for (text, place) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"{"x":[0,{"k/~":1,"k/~":2}]}"#, "x/1/k~1~0"),
            (r#"[{"":1,"":2}]"#, "0/"),
        ] {
            assert_eq!(check(text), Err(JsonError::Twice(place.to_owned())), "{text}");
        }
        assert_eq!(
            check(r#"{"a":{"a":1},"b":{"a":1},"A":[{"a":1},{"a":1}]}"#),
            Ok(())
        );
        assert_eq!(JsonObject::parse("[1]"), Err(JsonError::NoObject));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            r#"{"a":01}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":+1}"#,
            "{} {}",
            r#"{"a":NaN}"#,
        ] {
            assert!(
                matches!(JsonObject::parse(text), Err(JsonError::Syntax(_))),
                "{text}"
            );
        }
        assert_eq!(
            JsonObject::parse(r#"{"a":[1e400]}"#),
            Err(JsonError::Number("1e400".to_owned()))
        );
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(JsonObject::parse(&nested(DEPTH - 1)).is_ok());
        assert!(matches!(
            JsonObject::parse(&nested(DEPTH)),
            Err(JsonError::Deep(_))
        ));
        for stored in [&nested(100_000), r#"{"a":1e400}"#, "[]"] {
            assert!(
                serde_json::from_str::<JsonObject>(stored).is_err(),
                "{stored:.20}"
            );
        }
        let twins = r#"{"a":1,"a":2}"#;
        let stored: JsonObject = serde_json::from_str(twins).unwrap();
        assert_eq!(stored.hidden("null", Hides::NOTHING).0.as_str(), twins);
    }
}
