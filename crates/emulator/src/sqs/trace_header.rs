//! Preserves the `AWSTraceHeader` of SQS messages, which rustack accepts and drops.
//! `SendMessage` stores the header as a message attribute, and `ReceiveMessage` restores it. A table of headers by
//! message id would come too late: a consumer may receive the message before `SendMessage` returns its id.

use serde_json::{Value, json};

const TRACE_HEADER: &str = "AWSTraceHeader";
const CARRIER_ATTRIBUTE: &str = "emulated-trace-header";

/// Adds the attribute to the request: its value on send, its name on receive. `None`: the request needs no change.
pub(super) fn wrap_request(operation: &str, request: &Value) -> Option<Value> {
    let mut request = request.clone();
    match operation {
        "SendMessage" => {
            let header = request.pointer("/MessageSystemAttributes/AWSTraceHeader/StringValue")?.clone();
            let carrier = json!({ "DataType": "String", "StringValue": header });
            object_mut(&mut request, "MessageAttributes")?.insert(CARRIER_ATTRIBUTE.to_owned(), carrier);
        }
        "ReceiveMessage" => {
            let names = request.as_object_mut()?.entry("MessageAttributeNames").or_insert_with(|| json!([]));
            names.as_array_mut()?.push(json!(CARRIER_ATTRIBUTE));
        }
        _ => return None,
    }
    Some(request)
}

/// Removes the attribute from rustack's response, and returns the header if the caller's `request` names it.
pub(super) fn unwrap_response(operation: &str, request: &Value, answer: &mut Value) {
    if operation == "SendMessage" {
        // rustack's digest includes the carrier attribute, so a client that verifies it would fail.
        remove_field(answer, "MD5OfMessageAttributes");
    }
    let is_requested = ["MessageSystemAttributeNames", "AttributeNames"].iter().any(|list| {
        let names = request.get(list).and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|name| name == "All" || name == TRACE_HEADER))
    });
    for message in answer.get_mut("Messages").and_then(Value::as_array_mut).into_iter().flatten() {
        let attributes = message.get_mut("MessageAttributes").and_then(Value::as_object_mut);
        let Some((carrier, remaining)) =
            attributes.and_then(|all| all.remove(CARRIER_ATTRIBUTE).map(|carrier| (carrier, all.len())))
        else {
            continue;
        };
        remove_field(message, "MD5OfMessageAttributes");
        if remaining == 0 {
            remove_field(message, "MessageAttributes");
        }
        let header = carrier.get("StringValue").filter(|_| is_requested).cloned();
        if let Some(header) = header
            && let Some(attributes) = object_mut(message, "Attributes")
        {
            attributes.insert(TRACE_HEADER.to_owned(), header);
        }
    }
}

fn object_mut<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut serde_json::Map<String, Value>> {
    value.as_object_mut()?.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

fn remove_field(value: &mut Value, name: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_header_is_returned_only_on_request() {
        let header = "Root=1-67891233-abcdef012345678912345678";
        let request = json!({
            "MessageBody": "b",
            "MessageSystemAttributes": { "AWSTraceHeader": { "DataType": "String", "StringValue": header } },
        });
        let attributes = wrap_request("SendMessage", &request).unwrap()["MessageAttributes"].clone();
        let stored = json!({ "Messages": [
            { "MessageId": "1", "MessageAttributes": attributes, "MD5OfMessageAttributes": "x" },
            { "MessageId": "2", "Attributes": { "SenderId": "a" } },
        ] });
        for (request, expected) in [
            (json!({ "MessageSystemAttributeNames": ["All"] }), json!({ "AWSTraceHeader": header })),
            (json!({ "AttributeNames": ["AWSTraceHeader"] }), json!({ "AWSTraceHeader": header })),
            (json!({ "AttributeNames": ["SenderId"] }), Value::Null),
        ] {
            let mut answer = stored.clone();
            unwrap_response("ReceiveMessage", &request, &mut answer);
            let first = &answer["Messages"][0];
            assert_eq!(first["Attributes"], expected, "{request}");
            assert_eq!(first.get("MessageAttributes").or(first.get("MD5OfMessageAttributes")), None);
            assert_eq!(answer["Messages"][1], stored["Messages"][1]);
        }
    }

    #[test]
    fn request_without_trace_header_is_unchanged() {
        assert_eq!(wrap_request("SendMessage", &json!({ "MessageBody": "b" })), None);
        assert_eq!(wrap_request("DeleteMessage", &json!({})), None);
    }
}
