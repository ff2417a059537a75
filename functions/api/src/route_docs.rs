//! Reads `route_docs.json`: summary, refusal codes and an example of each route, for the OpenAPI document. All examples
//! tell the story of ticket APP-1 in project acme. A test compares the file with the router.

use pullyard_domain::project::Settings;
use pullyard_entry::openapi::RouteDoc;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Default, Deserialize)]
pub(crate) struct RouteDocs {
    /// The tags of the routes with their descriptions, in the order of the document.
    pub(crate) tags: Value,
    pub(crate) routes: Vec<RouteDoc>,
}

/// Values that several routes contain: `"$name"` stands for one, and `"$base"` adds the fields of one to an object.
#[derive(Deserialize)]
struct Shared {
    shared: Map<String, Value>,
}

pub(crate) fn load_route_docs() -> serde_json::Result<RouteDocs> {
    let file: Value = serde_json::from_str(include_str!("../route_docs.json"))?;
    let Shared { mut shared } = Shared::deserialize(&file)?;
    shared.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    shared.insert("default_settings".into(), serde_json::to_value(Settings::default())?);
    serde_json::from_value(expand(&file, &shared))
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
