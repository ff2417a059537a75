//! What the generator says otherwise than the API means it.

use serde_json::{Map, Value};

/// Goes over a whole description.
pub(super) fn tidy(document: &mut Value) {
    match document {
        Value::Object(object) => {
            if object.contains_key("in") && object.contains_key("schema") {
                unnull(object);
            }
            if object.get("type").is_some() {
                of_schema(object);
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(all) => all.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn of_schema(schema: &mut Map<String, Value>) {
    // A set may be sent with doubles; they count once.
    schema.remove("uniqueItems");
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => u64::from(u16::MAX),
        Some("uint32") => u64::from(u32::MAX),
        Some("uint64" | "uint") => u64::MAX,
        _ => return,
    };
    // A format of its own that nobody knows, and a number that JSON can't say otherwise.
    schema.remove("format");
    schema.entry("maximum").or_insert(most.into());
}

/// A value of the query that may be left out is never null.
fn unnull(parameter: &mut Map<String, Value>) {
    let Some(Value::Object(schema)) = parameter.get_mut("schema") else { return };
    // Said of the parameter already.
    schema.remove("description");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|it| it.get("type").is_none_or(|it| it != "null"));
        if let [Value::Object(only)] = any.as_slice() {
            *schema = only.clone();
        }
    }
}
