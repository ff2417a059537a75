//! Corrects the generated OpenAPI document where it differs from the API.

use serde_json::{Map, Value};

pub(super) fn normalize(document: &mut Value) {
    match document {
        Value::Object(object) => {
            if object.contains_key("in") && object.contains_key("schema") {
                remove_null(object);
            }
            if object.get("type").is_some() {
                normalize_schema(object);
            }
            object.values_mut().for_each(normalize);
        }
        Value::Array(all) => all.iter_mut().for_each(normalize),
        _ => {}
    }
}

fn normalize_schema(schema: &mut Map<String, Value>) {
    // The API accepts duplicates in a set and counts them once.
    schema.remove("uniqueItems");
    let maximum = match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => u64::from(u16::MAX),
        Some("uint32") => u64::from(u32::MAX),
        Some("uint64" | "uint") => u64::MAX,
        _ => return,
    };
    // OpenAPI does not define these formats: replace them with a maximum.
    schema.remove("format");
    schema.entry("maximum").or_insert(maximum.into());
}

/// An optional query parameter may be absent but never null.
fn remove_null(parameter: &mut Map<String, Value>) {
    let Some(Value::Object(schema)) = parameter.get_mut("schema") else { return };
    // The parameter already has the description.
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
