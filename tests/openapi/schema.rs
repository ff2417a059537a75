//! Validates a JSON value against a schema of the OpenAPI document.

use super::resolve_schema;
use crate::prelude::*;
use pullyard_domain::text::id::{
    ArtifactId, ArtifactName, ClaimId, EndpointId, InstanceId, MessageId, NoticeId, RunId, RunnerId, ScheduleName,
    Sha256Hex, TemplateName, TokenId,
};

pub(super) fn validate(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()).unwrap_or_default();
    let schema = resolve_schema(document, schema);
    let mut faults = Vec::new();
    let mut check = |good: bool, fault: &str| {
        if !good {
            faults.push(format!("{place}: {fault}: {value}"));
        }
    };
    for kind in ["oneOf", "anyOf"] {
        if let Some(all) = schema[kind].as_array() {
            let fits = all.iter().any(|one| validate(document, one, value, place).is_empty());
            check(fits, "fits no variant");
        }
    }
    check(schema.get("const").is_none_or(|only| only == value), "is not the constant");
    check(schema["enum"].as_array().is_none_or(|all| all.contains(value)), "is not one of the values");
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    check(types.is_empty() || types.iter().any(|kind| has_type(value, kind)), "has another type");
    let size = match value {
        Value::String(text) => Some((text.chars().count() as f64, "minLength", "maxLength")),
        Value::Array(all) => Some((all.len() as f64, "minItems", "maxItems")),
        Value::Number(number) => number.as_f64().map(|number| (number, "minimum", "maximum")),
        _ => None,
    };
    if let Some((size, least, most)) = size {
        check(schema[least].as_f64().is_none_or(|least| size >= least), least);
        check(schema[most].as_f64().is_none_or(|most| size <= most), most);
    }
    if let Value::String(text) = value {
        check(schema["format"] != "date-time" || Timestamp::parse(text).is_ok(), "is no time");
        check(name.is_empty() || schema["pattern"].is_null() || is_id(name, text), "is no valid id");
    }
    if let Value::Array(all) = value {
        let items = &schema["items"];
        faults.extend(
            all.iter().enumerate().flat_map(|(n, one)| validate(document, items, one, &format!("{place}/{n}"))),
        );
    }
    if let (Value::Object(fields), true) = (value, types.contains(&"object")) {
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(required) {
                faults.push(format!("{place}: {required} is missing"));
            }
        }
        for (name, value) in fields {
            let place = format!("{place}/{name}");
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(property), _) => faults.extend(validate(document, property, value, &place)),
                (None, Value::Bool(true)) => {}
                (None, more @ Value::Object(_)) => faults.extend(validate(document, more, value, &place)),
                (None, _) => faults.push(format!("{place}: unknown field")),
            }
        }
    }
    faults
}

fn has_type(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

/// Validates an id with its own type, because no test depends on a library for regular expressions.
fn is_id(schema: &str, text: &str) -> bool {
    match schema {
        "ArtifactId" => ArtifactId::new(text).is_ok(),
        "ArtifactName" => ArtifactName::new(text).is_ok(),
        "ClaimId" => ClaimId::new(text).is_ok(),
        "DeliveryId" => DeliveryId::new(text).is_ok(),
        "EndpointId" => EndpointId::new(text).is_ok(),
        "EventId" => EventId::new(text).is_ok(),
        "FinishId" => FinishId::new(text).is_ok(),
        "HookName" => HookName::new(text).is_ok(),
        "InstanceId" => InstanceId::new(text).is_ok(),
        "IntegrationId" => IntegrationId::new(text).is_ok(),
        "JobId" => JobId::new(text).is_ok(),
        "MessageId" => MessageId::new(text).is_ok(),
        "NoticeId" => NoticeId::new(text).is_ok(),
        "ProjectId" => ProjectId::new(text).is_ok(),
        "RepositoryName" => RepositoryName::new(text).is_ok(),
        "ReviewId" => ReviewId::new(text).is_ok(),
        "RunId" => RunId::new(text).is_ok(),
        "RunnerId" => RunnerId::new(text).is_ok(),
        "ScheduleName" => ScheduleName::new(text).is_ok(),
        "TemplateName" => TemplateName::new(text).is_ok(),
        "SecretName" => SecretName::new(text).is_ok(),
        "Sha256Hex" => Sha256Hex::new(text).is_ok(),
        "TicketKey" => TicketKey::new(text).is_ok(),
        "TokenId" => TokenId::new(text).is_ok(),
        other => panic!("no check for the pattern of {other}"),
    }
}
