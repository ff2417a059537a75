//! Carries the `AWSTraceHeader` of messages, which rustack accepts and drops.
//! The header travels as a message attribute, added before rustack stores the message and removed on receive. It must
//! be inside the message, because a poller may receive it before the sender has a response.

use serde_json::{Value, json};

const TRACE_HEADER: &str = "AWSTraceHeader";
const CARRIER_ATTRIBUTE: &str = "emulated-trace-header";

/// Returns the request for rustack, or `None` if it needs no change.
pub(super) fn wrap_request(operation: &str, request: &Value) -> Option<Value> {
    let mut request = request.clone();
    match operation {
        "SendMessage" => {
            let header = request.pointer("/MessageSystemAttributes/AWSTraceHeader/StringValue")?.clone();
            let carried = json!({ "DataType": "String", "StringValue": header });
            object_mut(&mut request, "MessageAttributes")?.insert(CARRIER_ATTRIBUTE.to_owned(), carried);
        }
        "ReceiveMessage" => {
            let names = request.as_object_mut()?.entry("MessageAttributeNames").or_insert_with(|| json!([]));
            names.as_array_mut()?.push(json!(CARRIER_ATTRIBUTE));
        }
        _ => return None,
    }
    Some(request)
}

/// Restores the response for the caller that sent `request`.
pub(super) fn unwrap_response(operation: &str, request: &Value, answer: &mut Value) {
    if operation == "SendMessage" {
        // rustack computed this digest with the added attribute.
        remove_field(answer, "MD5OfMessageAttributes");
    }
    let wanted = ["MessageSystemAttributeNames", "AttributeNames"].iter().any(|list| {
        let names = request.get(list).and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|name| name == "All" || name == TRACE_HEADER))
    });
    for message in answer.get_mut("Messages").and_then(Value::as_array_mut).into_iter().flatten() {
        let attributes = message.get_mut("MessageAttributes").and_then(Value::as_object_mut);
        let Some((carried, left)) =
            attributes.and_then(|all| all.remove(CARRIER_ATTRIBUTE).map(|carried| (carried, all.len())))
        else {
            continue;
        };
        remove_field(message, "MD5OfMessageAttributes");
        if left == 0 {
            remove_field(message, "MessageAttributes");
        }
        let header = carried.get("StringValue").filter(|_| wanted).cloned();
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
        let sent = json!({
            "MessageBody": "b",
            "MessageSystemAttributes": { "AWSTraceHeader": { "DataType": "String", "StringValue": header } },
        });
        let carried = wrap_request("SendMessage", &sent).unwrap()["MessageAttributes"].clone();
        let stored = json!({ "Messages": [
            { "MessageId": "1", "MessageAttributes": carried, "MD5OfMessageAttributes": "x" },
            { "MessageId": "2", "Attributes": { "SenderId": "a" } },
        ] });
        for (request, attributes) in [
            (json!({ "MessageSystemAttributeNames": ["All"] }), json!({ "AWSTraceHeader": header })),
            (json!({ "AttributeNames": ["AWSTraceHeader"] }), json!({ "AWSTraceHeader": header })),
            (json!({ "AttributeNames": ["SenderId"] }), Value::Null),
        ] {
            let mut answer = stored.clone();
            unwrap_response("ReceiveMessage", &request, &mut answer);
            let first = &answer["Messages"][0];
            assert_eq!(first["Attributes"], attributes, "{request}");
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
