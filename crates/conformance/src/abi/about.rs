//! Cases about what a plugin is: its library, its functions, its description.

use queuectl_core::ExecutorName;
use queuectl_plugin_api::abi::MINOR;
use serde_json::{Map, Value};

use super::harness::Harness;
use super::outcome::{CaseResult, End, broken};
use super::subject::{description, slots};
use super::{Case, DESCRIBE, LOAD};

pub(super) const CASES: &[Case] = &[
    Case {
        name: LOAD,
        rule: "it is a library that may be trusted, with the magic function and the entry function of ABI 1",
        needs: &[],
        patience: 1,
        // The caller has loaded it.
        run: |_| Ok(()),
    },
    Case {
        name: "vtable",
        rule: "the entry function returns a vtable with describe, create, destroy and start, or NULL to a host of \
               another minor version",
        needs: &[LOAD],
        patience: 1,
        run: vtable,
    },
    Case {
        name: DESCRIBE,
        rule: "describe fills in one JSON object, always the same: name, version and about are texts, capabilities \
               is an array of texts, schema and settings_schema are objects",
        needs: &["vtable"],
        patience: 1,
        run: describe,
    },
    Case {
        name: "name",
        rule: "the name in the description is the one that the file is named by",
        needs: &[DESCRIBE],
        patience: 1,
        run: name,
    },
];

fn vtable(harness: &Harness) -> CaseResult {
    for minor in [0, MINOR, 999] {
        harness.step(format!("the entry function for a host of version 1.{minor}"));
        match slots(harness.entry, minor) {
            None if minor == MINOR => {
                return broken(format!(
                    "the entry function returned NULL to this host, which is 1.{minor}"
                ));
            }
            None => {}
            Some(slots) => {
                if let Some(slot) = slots.missing() {
                    return broken(format!(
                        "for a host of version 1.{minor}, the vtable lacks '{slot}' or is too small for it"
                    ));
                }
            }
        }
    }
    Ok(())
}

fn read(harness: &Harness) -> Result<Map<String, Value>, End> {
    let slots = harness.slots(MINOR)?;
    harness.step("describe");
    let Some(bytes) = description(&slots) else {
        return broken("describe filled in nothing");
    };
    let text = String::from_utf8_lossy(&bytes);
    let object = match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return broken(format!("describe filled in JSON that is not an object: {text}")),
        Err(error) => return broken(format!("describe filled in no JSON ({error}): {text}")),
    };
    harness.step("describe again");
    if description(&slots).as_deref() != Some(&bytes) {
        return broken("the second description differs from the first");
    }
    Ok(object)
}

fn describe(harness: &Harness) -> CaseResult {
    let object = read(harness)?;
    for field in ["name", "version", "about"] {
        if object.get(field).is_none_or(|value| !value.is_string()) {
            return broken(format!("'{field}' is not a text in the description"));
        }
    }
    let text = |word: &Value| word.is_string();
    let words = object.get("capabilities").unwrap_or(&Value::Null);
    if !words.is_null() && !words.as_array().is_some_and(|words| words.iter().all(text)) {
        return broken("'capabilities' is not an array of texts in the description");
    }
    for field in ["schema", "settings_schema"] {
        if object.get(field).is_some_and(|schema| !schema.is_object()) {
            return broken(format!("'{field}' is not a JSON object in the description"));
        }
    }
    Ok(())
}

fn name(harness: &Harness) -> CaseResult {
    let object = read(harness)?;
    let said = object.get("name").and_then(Value::as_str).unwrap_or_default();
    if let Err(error) = said.parse::<ExecutorName>() {
        return broken(error.to_string());
    }
    let plain = |name: &str| name.replace('-', "_");
    let file = &harness.input.executor;
    if plain(said) != plain(file) {
        return broken(format!("the description says '{said}', the file says '{file}'"));
    }
    Ok(())
}
