//! Tests the OpenAPI document: served, complete, and true about request bodies.

mod examples;
mod schema;
mod times;

use crate::authorisation::World;
use crate::prelude::*;
use serde_json::Map;

const SERVER: &str = "https://pullyard.example.com";

fn document() -> Value {
    pullyard_function_api::document(SERVER)
}

pub(crate) fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

fn resolve_schema<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn unknown_field_bodies(document: &Value, schema: &Value, found: &mut Vec<(Value, String)>) {
    let schema = resolve_schema(document, schema);
    for kind in ["oneOf", "anyOf"] {
        for one in schema[kind].as_array().into_iter().flatten() {
            unknown_field_bodies(document, one, found);
        }
    }
    if schema["items"].is_object() {
        let mut inner = Vec::new();
        unknown_field_bodies(document, &schema["items"], &mut inner);
        found.extend(inner.into_iter().map(|(body, pointer)| (json!([body]), format!("/0{pointer}"))));
    }
    let object = schema["type"] == "object" || schema["properties"].is_object();
    if !object {
        return;
    }
    // The names of a map are its keys.
    if schema["additionalProperties"].is_object() {
        return;
    }
    assert_eq!(schema["additionalProperties"], json!(false), "unknown fields are accepted: {schema}");
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    // Constants select the variant.
    let constant = |(name, value): (&String, &Value)| Some((name.clone(), value.get("const")?.clone()));
    let constants: Map<_, _> = properties.iter().filter_map(constant).collect();
    let with_constants = |name: &str, value: Value| {
        let mut body = constants.clone();
        body.insert(name.into(), value);
        Value::from(body)
    };
    found.push((with_constants("colour", "red".into()), "/colour".into()));
    for (name, value) in properties {
        let mut inner = Vec::new();
        unknown_field_bodies(document, value, &mut inner);
        // serde buffers a variant, so the path inside it is lost.
        let path = |pointer: String| if constants.is_empty() { format!("/{name}{pointer}") } else { "/colour".into() };
        found.extend(inner.into_iter().map(|(body, pointer)| (with_constants(name, body), path(pointer))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_bodies_refuse_unknown_fields_with_their_pointer() {
    let document = document();
    let world = World::new().await;
    let (mut bodies, mut fields) = (0, 0);
    for route in world.routes(&world.acme) {
        let method = route.method.as_str().to_lowercase();
        let operation = &document["paths"][route.route][&method];
        let content = &operation["requestBody"]["content"]["application/json"];
        let schema = &content["schema"];
        if schema.is_null() {
            continue;
        }
        bodies += 1;
        let mut found = Vec::new();
        unknown_field_bodies(&document, schema, &mut found);
        // The unknown field is last, so the handler's type accepted all fields of the example.
        let mut example = content["example"].clone();
        example["zzz"] = "red".into();
        found.push((example, "/zzz".into()));
        let bearer = format!("Bearer {}", world.credential(&world.acme, route.needs));
        let headers = [("authorization", bearer.as_str()), ("if-match", "\"1\""), ("content-type", "application/json")];
        for (body, pointer) in found {
            let case = format!("{method} {} {body}", route.path);
            let bytes = body.to_string().into_bytes();
            let (status, _, problem) =
                world.story.request_with_headers(route.method.clone(), &route.path, &headers, bytes).await;
            assert_eq!((status, &problem["code"]), (400, &json!("body_unreadable")), "{case}: {problem}");
            assert_eq!(problem["pointer"], json!(pointer), "{case}: {problem}");
            fields += 1;
        }
    }
    assert!(bodies >= 20 && fields > bodies, "{bodies} bodies, {fields} unknown fields");
    println!("{bodies} bodies, {fields} unknown fields");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_of_api_and_plan_are_served_without_a_token() {
    let story = Story::start_with_waiting_tasks().await;
    let (status, headers, served) = story.request(Method::GET, "/openapi.json", None, Vec::new()).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!(served, pullyard_function_api::document(story.local.api_url()));
    let (status, headers, served) = story.request(Method::GET, "/plan.schema.json", None, Vec::new()).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!(&served, pullyard_domain::project::plan::schema());
}

#[test]
fn every_operation_has_an_id_a_summary_and_described_responses() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operation id"));
        assert!(ids.insert(id), "{id} names two operations");
        let summary = operation["summary"].as_str().unwrap();
        assert!(summary.ends_with('.') && summary.len() <= 100, "{name}: {summary}");
        let answers = operation["responses"].as_object().unwrap();
        let ends_well = |status: &String| status.starts_with('2') || status == "302";
        assert!(answers.keys().any(ends_well), "{name} never succeeds");
        for (status, answer) in answers {
            assert_ne!(answer["description"], json!(""), "{name} {status}");
            if status == "302" {
                // A redirect has no body.
                continue;
            }
            let kind = match (status.starts_with('2'), name.contains("/metrics")) {
                (true, true) => "text/plain",
                (true, false) => "application/json",
                (false, _) => "application/problem+json",
            };
            assert!(answer["content"][kind]["schema"].is_object(), "{name} {status}: {answer}");
        }
        let secured = operation["security"].as_array().is_some_and(|all| !all.is_empty());
        assert_eq!(secured, answers.contains_key("401"), "{name}");
        assert_eq!(operation["requestBody"].is_object(), answers.contains_key("413"), "{name}");
    }
}

fn instants(document: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
    match resolve_schema(document, schema) {
        Value::Object(object) => {
            if object.get("format") == Some(&json!("date-time")) {
                found.push(place.into());
            }
            for (name, value) in object {
                let is_one = ["_at", "_until", "_deadline"].iter().any(|end| name.ends_with(end));
                if is_one || ["expires", "deadline", "now"].contains(&name.as_str()) {
                    found.push(format!("{place}/{name}"));
                }
                instants(document, value, &format!("{place}/{name}"), found);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| instants(document, value, place, found)),
        _ => {}
    }
}

#[test]
fn runner_responses_contain_durations_and_no_instants() {
    let document = document();
    let (mut answers, mut lengths) = (0, 0);
    for (name, operation) in operations(&document) {
        let to_runners = ["/claim", "/heartbeat", "post /v1/runners"].iter().any(|end| name.ends_with(end));
        if !to_runners && !name.contains("/attempts/{attempt}/") {
            continue;
        }
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let schema = &answer["content"]["application/json"]["schema"];
            if !status.starts_with('2') || schema.is_null() {
                continue;
            }
            let mut found = Vec::new();
            instants(&document, schema, "", &mut found);
            // The times of the forge in a report are compared only with each other.
            found.retain(|path| !path.starts_with("/properties/analysis/"));
            assert!(found.is_empty(), "{name} contains instants: {found:?}");
            answers += 1;
            let text = resolve_schema(&document, schema).to_string();
            lengths += usize::from(text.contains("_secs") || text.contains("_ms"));
        }
    }
    assert!(answers >= 8 && lengths >= 3, "{answers} answers, {lengths} with lengths");
    // Check the check: a job does contain an instant.
    let mut found = Vec::new();
    let jobs = &document["paths"]["/v1/jobs/{job}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    instants(&document, jobs, "", &mut found);
    assert!(!found.is_empty(), "no instant was found in a job");
}

#[test]
fn openapi_references_and_schemas_match() {
    fn check(document: &Value, value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                    names.insert(reference.clone());
                }
                object.values().for_each(|value| check(document, value, names));
            }
            Value::Array(all) => all.iter().for_each(|value| check(document, value, names)),
            _ => {}
        }
    }
    let document = document();
    let mut used = BTreeSet::new();
    check(&document, &document, &mut used);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let schemas: BTreeSet<_> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(used, schemas, "referenced and defined schemas differ");
}
