//! The form of a plan: its JSON Schema, generated from the types, and the faults of a document by that schema.

use super::{MAX_DEPTH, MAX_FAULTS, MAX_KEY_BYTES, MAX_NODES, Plan, PlanFault, old_names};
use crate::text::nearest::find_nearest;
use crate::text::truncate;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::{Map, Value, json};
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
    let mut schema = settings.into_generator().into_root_schema_for::<Plan>();
    refine(&mut schema);
    schema.insert("title".into(), json!("Plan of a Pullyard run"));
    schema.to_value()
}

/// Refuses unknown keys, which derived schemas of flattened types cannot, and `null`, and removes defaults that only
/// Rust needs.
fn refine(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some([Value::Object(alternative), null]) = object.get("anyOf").and_then(Value::as_array).map(Vec::as_slice)
        && null["type"] == "null"
    {
        let alternative = alternative.clone();
        object.remove("anyOf");
        for (key, value) in alternative {
            object.entry(key).or_insert(value);
        }
    }
    if object.contains_key("properties") {
        object.insert("additionalProperties".into(), json!(false));
    }
    object.remove("default");
    object.remove("format");
    if let Some([kind, _]) = object.get("type").and_then(Value::as_array).map(Vec::as_slice) {
        let kind = kind.clone();
        object.insert("type".into(), kind);
    }
    if object.get("type").is_some_and(|kind| kind == "integer") {
        object.entry("minimum").or_insert_with(|| json!(0));
    }
    transform_subschemas(&mut refine, schema);
}

/// Refuses a document that is too deep or too large to check. `serde_json` limits the depth of this recursion.
pub(super) fn check_size(json: &Value) -> Result<(), PlanFault> {
    fn count(json: &Value, depth: usize, nodes: &mut usize) -> Result<(), String> {
        *nodes += 1 + json.as_object().map_or(0, Map::len);
        if *nodes > MAX_NODES || depth > MAX_DEPTH || depth == MAX_DEPTH && (json.is_array() || json.is_object()) {
            return Err(format!("a plan has at most {MAX_DEPTH} levels and {MAX_NODES} nodes"));
        }
        match json {
            Value::Array(all) => all.iter().try_for_each(|value| count(value, depth + 1, nodes)),
            Value::Object(all) if all.keys().any(|key| key.len() > MAX_KEY_BYTES) => {
                Err(format!("a key has at most {MAX_KEY_BYTES} bytes"))
            }
            Value::Object(all) => all.values().try_for_each(|value| count(value, depth + 1, nodes)),
            _ => Ok(()),
        }
    }
    count(json, 0, &mut 0).map_err(|fault| PlanFault::new("", fault))
}

/// The first `MAX_FAULTS` faults of form.
pub(super) fn check_form(json: &Value) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    visit(schema(), json, "", &mut faults);
    faults.truncate(MAX_FAULTS);
    faults
}

fn visit(schema: &Value, value: &Value, pointer: &str, faults: &mut Vec<PlanFault>) {
    if faults.len() >= MAX_FAULTS {
        return;
    }
    let Some(schema) = choose(schema, value) else {
        faults.push(PlanFault::new(pointer, describe_kind_fault(schema, value)));
        return;
    };
    faults.extend(find_fault(schema, value).map(|fault| PlanFault::new(pointer, fault)));
    match value {
        Value::Array(all) => {
            for (index, value) in all.iter().enumerate() {
                visit(&schema["items"], value, &format!("{pointer}/{index}"), faults);
            }
        }
        Value::Object(all) => {
            for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                // An old plan has its steps in `agents`, which gets a fault of its own.
                let is_given = all.contains_key(key) || key == "steps" && all.contains_key("agents");
                if !is_given {
                    faults.push(PlanFault::new(format!("{pointer}/{key}"), format!("`{key}` is missing")));
                }
            }
            for (key, value) in all {
                let inner = format!("{pointer}/{}", escape(key));
                let of_key = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                match of_key.is_object() {
                    true => visit(of_key, value, &inner, faults),
                    false if faults.len() >= MAX_FAULTS => return,
                    false => {
                        faults.push(PlanFault::new(&inner, describe_unknown(schema, key)));
                        match &schema["properties"]["steps"] {
                            // The items of an old plan are checked as steps, so that all faults come at once.
                            steps if key == "agents" && steps.is_object() => visit(steps, value, &inner, faults),
                            _ => visit_old(value, &inner, faults),
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

/// The faults of old keys below an unknown one, such as `orchestration`.
fn visit_old(value: &Value, pointer: &str, faults: &mut Vec<PlanFault>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let inner = format!("{pointer}/{}", escape(key));
        faults.extend(old_names::find_fault(key).map(|fault| PlanFault::new(&inner, fault)));
        visit_old(value, &inner, faults);
    }
}

/// A key as a part of a JSON pointer.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The alternative of the schema that has the value's kind.
fn choose<'a>(schema: &'a Value, value: &Value) -> Option<&'a Value> {
    let fits = |schema: &&Value| match kind(schema) {
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => false,
    };
    alternatives(schema).iter().find(fits)
}

fn alternatives(schema: &Value) -> &[Value] {
    schema["anyOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice)
}

/// The type of an alternative. The values of an enumeration with descriptions are in `oneOf`.
fn kind(schema: &Value) -> &str {
    if schema["oneOf"].is_array() { "string" } else { schema["type"].as_str().unwrap_or_default() }
}

fn describe_kind_fault(schema: &Value, value: &Value) -> String {
    let mut kinds: Vec<&str> = alternatives(schema).iter().map(kind).collect();
    // Text may be a parameter, which is rarely the intention.
    kinds.retain(|kind| *kind != "object" || alternatives(schema).len() == 1);
    let name = |kind: &&str| match *kind {
        "string" => "text",
        "array" => "a list",
        "object" => "keys with values",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "true or false",
    };
    let is_unquoted = kinds.contains(&"string") && (value.is_number() || value.is_boolean());
    let quotes = if is_unquoted { ", in quotes" } else { "" };
    format!("write {}{quotes}", kinds.iter().map(name).collect::<Vec<_>>().join(" or "))
}

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

/// Long names of a hostile file are not compared, because the time grows with the product of both lengths.
pub(super) fn did_you_mean<'a>(sentence: String, typed: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let is_short = |word: &&str| word.len() <= MAX_SHOWN_CHARS;
    let nearest = is_short(&typed).then(|| find_nearest(typed, words.into_iter().filter(is_short))).flatten();
    match nearest {
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
