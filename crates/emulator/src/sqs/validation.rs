//! Refuses messages with characters, group ids or deduplication ids that SQS refuses and rustack accepts.
//! Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>.

use serde_json::Value;

const ID_FIELDS: [&str; 2] = ["MessageGroupId", "MessageDeduplicationId"];

/// Returns the code and message of a refusal, or `None` for an acceptable request.
pub(super) fn validate(operation: &str, request: &Value) -> Option<(&'static str, String)> {
    if operation != "SendMessage" {
        return None;
    }
    let text = |field: &str| request.get(field).and_then(Value::as_str);
    if let Some(invalid) = text("MessageBody").and_then(|body| body.chars().find(|c| !is_valid_char(*c))) {
        let message = format!(
            "Invalid binary character '#x{:X}' was found in the message body, the set of allowed characters is \
             #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
            u32::from(invalid)
        );
        return Some(("InvalidMessageContents", message));
    }
    ID_FIELDS.into_iter().find_map(|field| {
        let name = text(field)?;
        let is_valid = (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        let message = || {
            format!(
                "Value {name} for parameter {field} is invalid. Reason: {field} can only include alphanumeric and \
                 punctuation characters. 1 to 128 in length."
            )
        };
        (!is_valid).then(|| ("InvalidParameterValue", message()))
    })
}

fn is_valid_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
