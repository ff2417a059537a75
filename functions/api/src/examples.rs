//! One example per route for the OpenAPI document. All tell the story of ticket APP-1 in project acme.

use pullyard_domain::project::Settings;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Deserialize)]
pub(crate) struct Example {
    pub(crate) request: Option<Value>,
    pub(crate) response: Value,
}

#[derive(Deserialize)]
struct ExampleFile {
    /// Values that several examples contain: `"$name"` stands for one, and `"$base"` adds the fields of one.
    shared: Map<String, Value>,
    operations: BTreeMap<String, Example>,
}

/// The examples by operation id.
pub(crate) fn load_examples() -> serde_json::Result<BTreeMap<String, Example>> {
    let ExampleFile { mut shared, mut operations } = serde_json::from_str(include_str!("../examples.json"))?;
    shared.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    shared.insert("default_settings".into(), serde_json::to_value(Settings::default())?);
    for Example { request, response } in operations.values_mut() {
        *request = request.as_ref().map(|request| expand(request, &shared));
        *response = expand(response, &shared);
    }
    Ok(operations)
}

fn expand(value: &Value, shared: &Map<String, Value>) -> Value {
    let find = |text: &str| shared.get(text.strip_prefix('$')?).map(|value| expand(value, shared));
    match value {
        Value::String(text) => find(text).unwrap_or_else(|| value.clone()),
        Value::Array(values) => values.iter().map(|value| expand(value, shared)).collect(),
        Value::Object(fields) => {
            let base = fields.get("$base").map(|base| expand(base, shared));
            let mut object = base.and_then(|base| base.as_object().cloned()).unwrap_or_default();
            let own = fields.iter().filter(|(name, _)| *name != "$base");
            object.extend(own.map(|(name, value)| (name.clone(), expand(value, shared))));
            object.into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
