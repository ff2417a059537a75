//! Finds the fields of all requests that can name a secret, an integration, a repository or a ticket tool.

use serde_json::Value;
use std::collections::BTreeSet;

/// Parts of the names of such fields, and types whose values are such names.
const WORDS: [&str; 6] = ["secret", "integration", "repositor", "connection", "tracker", "env_ref"];
const TYPES: [&str; 3] = ["SecretName", "IntegrationId", "RepositoryName"];

/// The operation and the path of each field, such as `set_settings` and `model_secrets.claude_token`.
pub(crate) fn find_name_fields(document: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let paths = document["paths"].as_object().into_iter().flatten();
    for operation in paths.flat_map(|(_, methods)| methods.as_object().into_iter().flatten().map(|(_, it)| it)) {
        let Some(id) = operation["operationId"].as_str() else { continue };
        let mut walker = Walker { document, id, found: &mut found };
        // Parameters of paths are those of the path; the tests of authorisation check them.
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let place = parameter["in"].as_str().unwrap_or_default();
            walker.visit(
                &format!("{place}:{}", parameter["name"].as_str().unwrap_or_default()),
                &parameter["schema"],
                &[],
            );
        }
        let bodies = operation["requestBody"]["content"].as_object().into_iter().flatten();
        bodies.for_each(|(_, body)| walker.visit("", &body["schema"], &[]));
    }
    found
}

/// The path of each field of a plan file, whose schema is not part of the API's document.
pub(crate) fn find_plan_fields(schema: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    Walker { document: schema, id: "plan", found: &mut found }.visit("", schema, &[]);
    found
}

struct Walker<'a> {
    document: &'a Value,
    id: &'a str,
    found: &'a mut BTreeSet<(String, String)>,
}

impl Walker<'_> {
    /// `types`: the types around this schema, in which a type may contain itself.
    fn visit(&mut self, path: &str, schema: &Value, types: &[&str]) {
        let reference = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        if let Some(name) = reference {
            if TYPES.contains(&name) {
                self.found.insert((self.id.to_owned(), path.to_owned()));
            }
            if !types.contains(&name) {
                let schemas = [&self.document["components"]["schemas"], &self.document["$defs"]];
                let target = schemas.iter().map(|all| &all[name]).find(|it| !it.is_null()).unwrap_or(&Value::Null);
                self.visit(path, target, &[types, &[name]].concat());
            }
            return;
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            schema[key].as_array().into_iter().flatten().for_each(|part| self.visit(path, part, types));
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (name, inner) in properties {
            self.visit(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, inner, types);
        }
        for (key, suffix) in [("items", "[]"), ("additionalProperties", ".*")] {
            if schema[key].is_object() {
                self.visit(&format!("{path}{suffix}"), &schema[key], types);
            }
        }
        let types = [&schema["type"]].into_iter().chain(schema["type"].as_array().into_iter().flatten());
        let is_text = types.into_iter().any(|it| it == "string");
        if is_text && WORDS.iter().any(|word| path.contains(word)) {
            self.found.insert((self.id.to_owned(), path.to_owned()));
        }
    }
}
