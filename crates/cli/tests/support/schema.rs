//! JSON Schemas of what commands print: `docs/json/v1`, one file a command, made of the tables of docs/json.md by the test
//! `json_schemas`, and a check of documents against them.
//!
//! The files allow further fields, because those may be added; the check does not, so that none is forgotten in the tables. Of
//! JSON Schema it knows what the files use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of the schemas.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json/v1")
}

/// The name of the file of a command.
pub fn file_of(command: &str) -> String {
    format!("{}.json", command.replace(':', "-"))
}

/// The schemas by their files.
pub struct Schemas(pub BTreeMap<String, Value>);

impl Schemas {
    /// Reads them.
    pub fn read() -> Schemas {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder()).expect("docs/json/v1").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(entry.path()).expect("a schema can be read");
            let schema = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            files.insert(name, schema);
        }
        Schemas(files)
    }

    /// Checks what a command line printed. Lines of commands without a schema pass, and those that choose fields.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub fn check(&self, words: &[String], printed: &Value) -> Result<(), String> {
        let chooses = ["--columns", "--fields", "--format"];
        let is_partial = |word: &String| chooses.iter().any(|option| word.starts_with(option));
        if words.iter().any(is_partial) {
            return Ok(());
        }
        let Some(file) = self.file(words) else {
            return Ok(());
        };
        let schema = &self.0[&file];
        self.fits(schema, printed, "")
            .map_err(|why| format!("docs/json/v1/{file}: {why}: {printed}"))
    }

    fn file(&self, words: &[String]) -> Option<String> {
        let mut names = words.iter().filter(|word| !word.starts_with('-'));
        let first = names.next()?;
        let joined = names.next().map(|second| file_of(&format!("{first}:{second}")));
        let named = [Some(file_of(first)), joined].into_iter().flatten();
        named.into_iter().find(|file| self.0.contains_key(file))
    }

    /// Checks a value against a schema.
    pub fn fits(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(any) = schema["anyOf"].as_array() {
            let tried: Vec<String> = any
                .iter()
                .map_while(|schema| self.fits(schema, value, at).err())
                .collect();
            return match tried.len() == any.len() {
                true => Err(tried.join("; or ")),
                false => Ok(()),
            };
        }
        let parts = self.parts(schema);
        for part in &parts {
            self.fits_type(part, value, at)?;
        }
        let described: Vec<&Value> = parts.iter().map(|part| &part["properties"]).collect();
        let is_described = described.iter().any(|properties| properties.is_object());
        if let (true, Some(object)) = (is_described, value.as_object()) {
            for name in object.keys() {
                if described.iter().all(|properties| properties[name].is_null()) {
                    return Err(format!("{at}/{name} is not described"));
                }
            }
        }
        Ok(())
    }

    /// The schema, or those that it joins.
    fn parts<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(target) = schema["$ref"].as_str() {
            let (file, name) = target
                .split_once("#/$defs/")
                .expect("a reference to a definition");
            return self.parts(&self.0[file]["$defs"][name]);
        }
        match schema["allOf"].as_array() {
            Some(all) => all.iter().flat_map(|part| self.parts(part)).collect(),
            None => vec![schema],
        }
    }

    fn fits_type(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let types = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is = |name: &str| match name {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "null" => value.is_null(),
            other => panic!("{at}: the type {other} is not known"),
        };
        if !types.is_empty() && !types.iter().any(|name| is(name)) {
            return Err(format!("{at} is not {}", types.join(" or ")));
        }
        if let (Some("date-time"), Some(text)) = (schema["format"].as_str(), value.as_str())
            && text.parse::<jiff::Timestamp>().is_err()
        {
            return Err(format!("{at} is not a time"));
        }
        if let (Some(items), false) = (value.as_array(), schema["items"].is_null()) {
            for (number, item) in items.iter().enumerate() {
                self.fits(&schema["items"], item, &format!("{at}/{number}"))?;
            }
        }
        let Some(object) = value.as_object() else {
            return Ok(());
        };
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().expect("a name");
            if !object.contains_key(name) {
                return Err(format!("{at}/{name} is missing"));
            }
        }
        for (name, value) in object {
            let schema = match schema["properties"][name].is_null() {
                true => &schema["additionalProperties"],
                false => &schema["properties"][name],
            };
            if schema.is_object() {
                self.fits(schema, value, &format!("{at}/{name}"))?;
            }
        }
        Ok(())
    }
}
