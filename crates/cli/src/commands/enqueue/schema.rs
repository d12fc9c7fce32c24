//! Whether a payload fits the JSON Schema that its plugin gives: the part of JSON Schema that payloads are described with.
//!
//! Known are `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, `anyOf`, `oneOf`, `allOf`,
//! `not`, `$ref` into the same schema, and limits of numbers, lengths and counts. All else, `pattern` for one, is left to
//! the plugin, which is asked as well. A full library would be half as large as the rest of this program.

use queuectl_core::excerpt;
use serde_json::{Map, Value};

/// How often a schema may refer to another before it counts as going in circles.
const REFERENCES: u32 = 32;

/// What of a value does not fit, in words; none if it fits.
pub fn fault(schema: &Value, value: &Value) -> Option<String> {
    let whole = Whole { schema };
    whole.check(schema, value, "payload", 0).err()
}

/// The schema to which references refer.
struct Whole<'a> {
    schema: &'a Value,
}

impl Whole<'_> {
    fn check(&self, schema: &Value, value: &Value, path: &str, references: u32) -> Result<(), String> {
        let rules = match schema {
            Value::Bool(false) => return Err(format!("\"{path}\" is not allowed")),
            Value::Object(rules) => rules,
            _ => return Ok(()),
        };
        let again = |schema: &Value| self.check(schema, value, path, references);
        if let Some(place) = rules.get("$ref").and_then(Value::as_str)
            && references < REFERENCES
            && let Some(found) = place
                .strip_prefix('#')
                .and_then(|place| self.schema.pointer(place))
        {
            self.check(found, value, path, references + 1)?;
        }
        kind(rules, value, path)?;
        limits(rules, value, path)?;
        for part in list(rules, "allOf") {
            again(part)?;
        }
        let any = list(rules, "anyOf");
        if !any.is_empty() && any.iter().all(|part| again(part).is_err()) {
            return Err(none_fits(any, value, path));
        }
        let one = list(rules, "oneOf");
        let fitting = one.iter().filter(|part| again(part).is_ok()).count();
        if !one.is_empty() && fitting == 0 {
            return Err(none_fits(one, value, path));
        }
        if fitting > 1 {
            return Err(format!(
                "\"{path}\" fits {fitting} of the forms of which it must be one"
            ));
        }
        if rules.get("not").is_some_and(|part| again(part).is_ok()) {
            return Err(excluded(&rules["not"], path));
        }
        match value {
            Value::Object(members) => self.members(rules, members, path, references),
            Value::Array(values) => {
                let Some(items) = rules.get("items") else {
                    return Ok(());
                };
                let mut values = values.iter().enumerate();
                values
                    .try_for_each(|(at, value)| self.check(items, value, &format!("{path}/{at}"), references))
            }
            _ => Ok(()),
        }
    }

    fn members(
        &self,
        rules: &Map<String, Value>,
        members: &Map<String, Value>,
        path: &str,
        references: u32,
    ) -> Result<(), String> {
        let required = list(rules, "required").iter().filter_map(Value::as_str);
        if let Some(missing) = required.into_iter().find(|name| !members.contains_key(*name)) {
            return Err(format!("\"{path}\" needs a member \"{missing}\""));
        }
        let known = rules.get("properties").and_then(Value::as_object);
        // What a pattern allows is not known here.
        let patterns = rules.contains_key("patternProperties");
        for (name, value) in members {
            let at = format!("{path}/{}", excerpt(name));
            match (
                known.and_then(|known| known.get(name)),
                rules.get("additionalProperties"),
            ) {
                (Some(schema), _) => self.check(schema, value, &at, references)?,
                (None, Some(Value::Bool(false))) if !patterns => {
                    let names = known.into_iter().flat_map(Map::keys);
                    let names: Vec<&str> = names.map(String::as_str).collect();
                    return Err(format!(
                        "\"{at}\" is not known; \"{path}\" takes {}",
                        names.join(", ")
                    ));
                }
                (None, Some(schema)) if !patterns => self.check(schema, value, &at, references)?,
                (None, _) => {}
            }
        }
        Ok(())
    }
}

fn kind(rules: &Map<String, Value>, value: &Value, path: &str) -> Result<(), String> {
    let wanted: Vec<&str> = match rules.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = |wanted: &&str| match *wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    };
    if !wanted.is_empty() && !wanted.iter().any(fits) {
        return Err(format!(
            "\"{path}\" must be of type {}, not {}",
            wanted.join(" or "),
            shown(value)
        ));
    }
    let same = |other: &Value| match (other.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => other == value,
    };
    let choices = list(rules, "enum");
    if !choices.is_empty() && !choices.iter().any(same) {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        return Err(format!(
            "\"{path}\" must be one of {}, not {}",
            choices.join(", "),
            shown(value)
        ));
    }
    match rules.get("const") {
        Some(only) if !same(only) => Err(format!("\"{path}\" must be {only}, not {}", shown(value))),
        _ => Ok(()),
    }
}

fn limits(rules: &Map<String, Value>, value: &Value, path: &str) -> Result<(), String> {
    let limit = |name: &str| rules.get(name).and_then(Value::as_f64);
    if let Some(number) = value.as_f64() {
        let bad = [
            (
                "minimum",
                "at least",
                limit("minimum").filter(|least| number < *least),
            ),
            (
                "maximum",
                "at most",
                limit("maximum").filter(|most| number > *most),
            ),
            (
                "exclusiveMinimum",
                "more than",
                limit("exclusiveMinimum").filter(|bound| number <= *bound),
            ),
            (
                "exclusiveMaximum",
                "less than",
                limit("exclusiveMaximum").filter(|bound| number >= *bound),
            ),
        ];
        if let Some((_, words, Some(bound))) = bad.into_iter().find(|(_, _, bound)| bound.is_some()) {
            return Err(format!(
                "\"{path}\" must be {words} {bound}, not {}",
                shown(value)
            ));
        }
    }
    let (what, count, least, most) = match value {
        Value::String(text) => ("characters", text.chars().count(), "minLength", "maxLength"),
        Value::Array(values) => ("items", values.len(), "minItems", "maxItems"),
        Value::Object(members) => ("members", members.len(), "minProperties", "maxProperties"),
        _ => return Ok(()),
    };
    let bound = |name: &str| rules.get(name).and_then(Value::as_u64);
    let count = count as u64;
    match (bound(least), bound(most)) {
        (Some(least), _) if count < least => Err(format!("\"{path}\" must have at least {least} {what}")),
        (_, Some(most)) if count > most => Err(format!("\"{path}\" must have at most {most} {what}")),
        _ => Ok(()),
    }
}

fn list<'a>(rules: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    rules
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn none_fits(forms: &[Value], value: &Value, path: &str) -> String {
    let types: Vec<&str> = forms
        .iter()
        .filter_map(|form| form.get("type")?.as_str())
        .collect();
    if types.len() == forms.len() {
        format!(
            "\"{path}\" does not fit: it takes {}, and is {}",
            types.join(" or "),
            shown(value)
        )
    } else {
        format!("\"{path}\" has none of the forms that it may have")
    }
}

/// What members exclude each other, if that is what is meant.
fn excluded(not: &Value, path: &str) -> String {
    let names: Vec<String> = not["required"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect();
    if names.len() > 1 {
        format!("{} in \"{path}\" exclude each other", names.join(" and "))
    } else {
        format!("\"{path}\" has the form that it must not have")
    }
}

/// Texts are not repeated: they may be secrets.
fn shown(value: &Value) -> String {
    match value {
        Value::String(_) => "a text".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        other => excerpt(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_fit_is_named() {
        let schema = json!({
            "type": "object",
            "required": ["name"],
            "additionalProperties": false,
            "not": {"required": ["a", "b"]},
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10},
                "mode": {"enum": ["fast", "slow", 1]},
                "list": {"type": "array", "items": {"$ref": "#/$defs/pair"}, "maxItems": 2},
                "open": {"type": "object", "additionalProperties": {"type": "string"}},
                "either": {"anyOf": [{"type": "number"}, {"type": "string"}]},
                "one": {"oneOf": [{"type": "number"}, {"minimum": 5}]},
                "all": {"allOf": [{"type": ["number", "null"]}, {"const": 3}]},
                "a": true, "b": true, "never": false,
                "round": {"$ref": "#/properties/round"}
            },
            "$defs": {"pair": {"type": "object", "required": ["x"], "additionalProperties": false, "properties": {"x": {}}}}
        });
        let with = |name: &str, value: Value| json!({"name": "n", name: value});
        for (value, wanted) in [
            (json!([]), "\"payload\" must be of type object, not an array"),
            (json!({}), "\"payload\" needs a member \"name\""),
            (
                json!({"name": 5}),
                "\"payload/name\" must be of type string, not 5",
            ),
            (json!({"name": ""}), "at least 1 characters"),
            (
                with("nmae", json!(1)),
                "\"payload/nmae\" is not known; \"payload\" takes a, all,",
            ),
            (with("count", json!(1.5)), "must be of type integer, not 1.5"),
            (with("count", json!(0)), "must be at least 1, not 0"),
            (with("count", json!(10)), "must be less than 10, not 10"),
            (
                with("mode", json!("odd")),
                "must be one of \"fast\", \"slow\", 1, not a text",
            ),
            (
                with("list", json!([{"x": 1}, {"y": 1}])),
                "\"payload/list/1\" needs a member \"x\"",
            ),
            (
                with("list", json!([{"x": 1}, {"x": 1, "y": 1}])),
                "\"payload/list/1/y\" is not known",
            ),
            (
                with("list", json!([{"x": 1}, {"x": 1}, {"x": 1}])),
                "at most 2 items",
            ),
            (
                with("open", json!({"k": null})),
                "\"payload/open/k\" must be of type string, not null",
            ),
            (
                with("either", json!(null)),
                "it takes number or string, and is null",
            ),
            (with("one", json!(7)), "fits 2 of the forms"),
            (with("all", json!(4)), "must be 3, not 4"),
            (
                json!({"name": "n", "a": 1, "b": 1}),
                "\"a\" and \"b\" in \"payload\" exclude each other",
            ),
            (with("never", json!(1)), "\"payload/never\" is not allowed"),
        ] {
            let said = fault(&schema, &value).unwrap_or_default();
            assert!(said.contains(wanted), "{value}\n  said: {said}\n  want: {wanted}");
        }
        for value in [
            json!({"name": "n"}),
            with("count", json!(9.0)),
            with("mode", json!(1.0)),
            with("list", json!([{"x": null}])),
            with("open", json!({"k": ""})),
            with("either", json!("")),
            with("one", json!(3)),
            with("all", json!(3)),
            with("a", json!(null)),
            with("round", json!([])),
        ] {
            assert_eq!(fault(&schema, &value), None, "{value}");
        }
        assert_eq!(
            fault(&json!({"pattern": "("}), &json!("x")),
            None,
            "for the plugin to say"
        );
    }
}
