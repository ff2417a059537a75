//! The form of a plan: its JSON Schema, generated from the types, and the faults of a document by that schema.
//! The editor's check and ours therefore cannot differ.

use super::{MAX_DEPTH, MAX_NODES, Plan, PlanFault, old_names};
use crate::nearest::find_nearest;
use crate::text::truncate;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A hostile name is cut in messages.
pub(super) const MAX_SHOWN_CHARS: usize = 40;

static SCHEMA: LazyLock<Value> = LazyLock::new(generate);

/// JSON Schema of the plan file. Draft 7, because the YAML language server reads no later draft.
pub fn schema() -> &'static Value {
    &SCHEMA
}

fn generate() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Plan>().to_value();
    refine(&mut schema);
    schema["title"] = json!("Plan of a Pullyard run");
    schema
}

/// Refuses unknown keys, which derived schemas of flattened types cannot, and removes defaults that only Rust needs.
fn refine(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.contains_key("properties") {
            object.insert("additionalProperties".into(), json!(false));
        }
        object.remove("default");
        object.remove("format");
        let is_integer = object.get("type").is_some_and(|kind| kinds(kind).contains(&"integer"));
        if is_integer {
            object.entry("minimum").or_insert_with(|| json!(0));
        }
    }
    match schema {
        Value::Object(object) => object.iter_mut().for_each(|(key, value)| match key.as_str() {
            "properties" => value.as_object_mut().into_iter().flatten().for_each(|(_, value)| refine(value)),
            _ => refine(value),
        }),
        Value::Array(all) => all.iter_mut().for_each(refine),
        _ => {}
    }
}

/// Refuses a document that is too deep or too large to check. `serde_json` limits the depth of this recursion.
pub(super) fn check_size(json: &Value) -> Result<(), PlanFault> {
    fn count(json: &Value, depth: usize, nodes: &mut usize) -> bool {
        *nodes += 1;
        let is_small = *nodes <= MAX_NODES;
        match json {
            Value::Array(all) => {
                is_small && depth < MAX_DEPTH && all.iter().all(|value| count(value, depth + 1, nodes))
            }
            Value::Object(all) => {
                *nodes += all.len();
                is_small && depth < MAX_DEPTH && all.values().all(|value| count(value, depth + 1, nodes))
            }
            _ => is_small,
        }
    }
    let rule = || PlanFault::new("", format!("a plan has at most {MAX_DEPTH} levels and {MAX_NODES} nodes"));
    count(json, 0, &mut 0).then_some(()).ok_or_else(rule)
}

/// All faults of form. Faulty values are removed, or emptied in lists, so that the rest can be parsed.
pub(super) fn check_form(json: &mut Value) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    if !visit(schema(), json, "", &mut faults) {
        *json = json!({});
    }
    faults
}

/// Whether the value can be parsed.
fn visit(schema: &Value, value: &mut Value, pointer: &str, faults: &mut Vec<PlanFault>) -> bool {
    let Some(schema) = choose(schema, value) else {
        faults.push(PlanFault::new(pointer, describe_kind_fault(schema, value)));
        return false;
    };
    if let Some(fault) = find_fault(schema, value) {
        faults.push(PlanFault::new(pointer, fault));
        // A wrong length can still be parsed, and the members may have faults of their own.
        if value.is_number() || !words(schema).is_empty() {
            return false;
        }
    }
    match value {
        Value::Array(all) => {
            let item = &schema["items"];
            for (index, value) in all.iter_mut().enumerate() {
                if !visit(item, value, &format!("{pointer}/{index}"), faults) {
                    *value = if item["type"] == "object" { json!({}) } else { json!("") };
                }
            }
        }
        Value::Object(all) => {
            for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !all.contains_key(key) {
                    faults.push(PlanFault::new(format!("{pointer}/{key}"), format!("`{key}` is missing")));
                }
            }
            all.retain(|key, value| {
                let inner = format!("{pointer}/{}", escape(key));
                let of_key = schema["properties"].get(key).or_else(|| Some(&schema["additionalProperties"]));
                match of_key.filter(|schema| schema.is_object()) {
                    Some(schema) => visit(schema, value, &inner, faults),
                    None => {
                        faults.push(PlanFault::new(inner, describe_unknown(schema, key)));
                        false
                    }
                }
            });
        }
        _ => {}
    }
    true
}

/// A key as a part of a JSON pointer.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The alternative of the schema that has the value's kind.
fn choose<'a>(schema: &'a Value, value: &Value) -> Option<&'a Value> {
    if let Some(alternatives) = schema["anyOf"].as_array() {
        return alternatives.iter().find_map(|alternative| choose(alternative, value));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_whole = value.is_i64() || value.is_u64();
    let fits = |allowed: &&str| *allowed == kind || *allowed == "integer" && is_whole;
    // Alternatives with descriptions are words.
    let allowed = if schema["oneOf"].is_array() { vec!["string"] } else { kinds(&schema["type"]) };
    allowed.iter().any(fits).then_some(schema)
}

fn kinds(kind: &Value) -> Vec<&str> {
    kind.as_array()
        .map_or_else(|| kind.as_str().into_iter().collect(), |all| all.iter().filter_map(Value::as_str).collect())
}

fn describe_kind_fault(schema: &Value, value: &Value) -> String {
    fn collect<'a>(schema: &'a Value, names: &mut Vec<&'a str>) {
        schema["anyOf"].as_array().into_iter().flatten().for_each(|alternative| collect(alternative, names));
        names.extend(schema["oneOf"].is_array().then_some("string"));
        names.extend(kinds(&schema["type"]));
    }
    let mut names = Vec::new();
    collect(schema, &mut names);
    let is_text = names.contains(&"string");
    let names = names.into_iter().filter_map(|name| match name {
        "string" => Some("text"),
        "array" => Some("a list"),
        "object" => Some("keys with values"),
        "integer" => Some("a whole number"),
        "number" => Some("a number"),
        "boolean" => Some("true or false"),
        _ => None,
    });
    let quotes = if is_text && (value.is_number() || value.is_boolean()) { ", in quotes" } else { "" };
    format!("write {}{quotes}", names.collect::<Vec<_>>().join(" or "))
}

/// The words of an enumeration.
fn words(schema: &Value) -> Vec<&str> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten();
    let described = described.flat_map(|word| word["enum"].as_array().into_iter().flatten().chain(word.get("const")));
    listed.chain(described).filter_map(Value::as_str).collect()
}

fn find_fault(schema: &Value, value: &Value) -> Option<String> {
    let words = words(schema);
    if let Some(text) = value.as_str()
        && !words.is_empty()
    {
        return (!words.contains(&text)).then(|| format!("use {}", join_or(&words)));
    }
    let (size, low, high, unit) = match value {
        Value::Number(number) => (number.as_f64()?, "minimum", "maximum", ""),
        Value::String(text) => (to_size(text.chars().count()), "minLength", "maxLength", " characters"),
        Value::Array(all) => (to_size(all.len()), "minItems", "maxItems", " items"),
        Value::Object(all) => (to_size(all.len()), "minProperties", "maxProperties", " keys"),
        Value::Null | Value::Bool(_) => return None,
    };
    let (low, high) = (schema[low].as_f64(), schema[high].as_f64());
    let is_out = low.is_some_and(|low| size < low) || high.is_some_and(|high| size > high);
    is_out.then(|| match (low, high) {
        (Some(low), None) => format!("use at least {low}{unit}"),
        (None, Some(high)) => format!("use at most {high}{unit}, not {size}"),
        (low, high) => format!("use {} to {}{unit}", low.unwrap_or_default(), high.unwrap_or_default()),
    })
}

fn to_size(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

fn describe_unknown(schema: &Value, key: &str) -> String {
    if let Some(fault) = old_names::find_fault(key) {
        return fault;
    }
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    did_you_mean(format!("there is no key `{}`", truncate(key, MAX_SHOWN_CHARS)), key, known)
}

pub(super) fn did_you_mean<'a>(sentence: String, typed: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    match find_nearest(typed, words) {
        Some(nearest) => format!("{sentence}; did you mean `{nearest}`?"),
        None => sentence,
    }
}

pub(super) fn join_or(words: &[&str]) -> String {
    match words {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        _ => words.join(""),
    }
}
