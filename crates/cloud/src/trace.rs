//! Stores the trace and the lineage of the running invocation in task-local variables, for the messages that it sends.

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use pullyard_domain::text::trace::TraceId;
use std::collections::HashMap;

/// Lambda's loop counter. Lambda stops a chain of messages after about sixteen calls of one function, except the effects
/// function (`RecursiveLoop` in `infra/functions.yaml`). The format is internal to Lambda, so the text is forwarded
/// unparsed.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage(String);

impl Lineage {
    /// Limit for the forwarded text. Each function adds 18 characters. Units: bytes.
    const MAX_BYTES: usize = 256;

    /// `None` for text that Lambda would not write, because the text goes into a message's header.
    pub fn from_header(header: &str) -> Option<Self> {
        let text = header.split(';').find_map(|part| part.trim().strip_prefix("Lineage="))?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'|');
        (!text.is_empty() && text.len() <= Self::MAX_BYTES && text.bytes().all(is_allowed))
            .then(|| Self(text.to_owned()))
    }
}

fn header(trace: &TraceId, lineage: Option<&Lineage>) -> String {
    match lineage {
        Some(lineage) => format!("{};Lineage={}", trace.to_header(), lineage.0),
        None => trace.to_header(),
    }
}

tokio::task_local! {
    static TRACE: TraceId;
    static LINEAGE: Option<Lineage>;
}

pub async fn with_trace<F: Future>(trace: TraceId, future: F) -> F::Output {
    TRACE.scope(trace, future).await
}

/// Runs `future` with this invocation's `lineage`. Its messages repeat the lineage, so that Lambda keeps counting.
pub async fn with_lineage<F: Future>(lineage: Option<Lineage>, future: F) -> F::Output {
    LINEAGE.scope(lineage, future).await
}

pub fn current_trace() -> Option<TraceId> {
    TRACE.try_with(Clone::clone).ok()
}

/// The trace header is the only system attribute that a sender may set, and it is free of charge.
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>.
pub(crate) fn message_attributes() -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let lineage = LINEAGE.try_with(Clone::clone).ok().flatten();
    let value = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(header(&current_trace()?, lineage.as_ref()))
        .build()
        .ok()?;
    Some(HashMap::from([(MessageSystemAttributeNameForSends::AwsTraceHeader, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1-67891233-abcdef012345678912345678";

    fn trace_header_of_message() -> Option<String> {
        let attributes = message_attributes()?;
        let value = attributes.get(&MessageSystemAttributeNameForSends::AwsTraceHeader)?;
        value.string_value().map(str::to_owned)
    }

    #[tokio::test]
    async fn message_header_has_the_trace_and_the_current_lineage() {
        let lineage = || Lineage::from_header("Root=1-0-0;Lineage=2:a87bd80c:1");
        let within_trace = || with_trace(ID.parse().unwrap(), async { trace_header_of_message() });
        assert_eq!(trace_header_of_message(), None);
        assert_eq!(within_trace().await, Some(format!("Root={ID}")));
        assert_eq!(with_lineage(None, within_trace()).await, Some(format!("Root={ID}")));
        assert_eq!(with_lineage(lineage(), within_trace()).await, Some(format!("Root={ID};Lineage=2:a87bd80c:1")));
        assert_eq!(with_lineage(lineage(), async { trace_header_of_message() }).await, None);
    }

    #[test]
    fn lineage_is_passed_on_unchanged() {
        let trace: TraceId = ID.parse().unwrap();
        for lineage in ["1:a87bd80c:1", "a87bd80c:0|68fd508a:5|c512fbe3:2", "32767:a87bd80c:255"] {
            let received = format!("Root={ID};Parent=53995c3f42cd8ad8;Sampled=0; Lineage={lineage}");
            let found = Lineage::from_header(&received);
            let header_text = header(&trace, found.as_ref());
            assert_eq!(header_text, format!("Root={ID};Lineage={lineage}"));
            assert_eq!(Lineage::from_header(&header_text), found, "{lineage}");
            assert_eq!(TraceId::from_header(&header_text).as_ref(), Some(&trace), "{lineage}");
        }
    }

    #[test]
    fn malformed_lineage_is_ignored() {
        let long = "a".repeat(257);
        for lineage in ["", "a b", "1:a,2:b", "1:a87bd80c:1\r\nX: y", "1:\u{e4}:1", "1=2", long.as_str()] {
            assert_eq!(Lineage::from_header(&format!("Root={ID};Lineage={lineage}")), None, "{lineage}");
        }
        assert_eq!(Lineage::from_header(&format!("Root={ID};Sampled=1")), None);
        assert!(Lineage::from_header(&format!("Lineage={}", "a".repeat(256))).is_some());
    }
}
