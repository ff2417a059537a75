//! Finds the attributes in a request's key and expressions, in the form of the condition key `dynamodb:Attributes`:
//! top-level names only, each once.
//! The scanner separates the words of DynamoDB's expressions without parsing their meaning.

use std::collections::BTreeSet;

use serde_json::Value;

/// Keywords of the language. Functions are recognised by their parenthesis.
const KEYWORDS: [&str; 9] = ["SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"];

pub(super) fn attributes(request: &Value) -> Vec<String> {
    let key = request.get("Key").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.clone());
    let mut all: BTreeSet<String> = key.collect();
    for field in ["UpdateExpression", "ConditionExpression"] {
        let expression = request.get(field).and_then(Value::as_str).unwrap_or_default();
        all.extend(attribute_names(expression, |placeholder| {
            let name = request.get("ExpressionAttributeNames").and_then(|names| names.get(placeholder));
            name.and_then(Value::as_str).unwrap_or(placeholder).to_owned()
        }));
    }
    all.into_iter().collect()
}

fn attribute_names(expression: &str, resolve_name: impl Fn(&str) -> String) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '#' | ':' | '.');
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_part) {
        let from = rest.get(start..).unwrap_or_default();
        let end = from.find(|c: char| !is_part(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        rest = after;
        let is_call = after.trim_start().starts_with('(');
        // The part after a dot is inside the attribute.
        let name = word.split('.').next().unwrap_or_default();
        let is_value = name.starts_with(|c: char| c == ':' || c.is_ascii_digit());
        let is_word = KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(name));
        if is_word || is_value || is_call || name.is_empty() {
            continue;
        }
        found.push(if name.starts_with('#') { resolve_name(name) } else { name.to_owned() });
    }
    found
}
