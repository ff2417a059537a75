//! What the running invocation is part of, so that each message it sends can say so.
//!
//! It goes with the task and not through signatures: it decides nothing, and a use case has no opinion of it.

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use pullyard_domain::trace::{Lineage, TraceId};
use std::collections::HashMap;

tokio::task_local! {
    static CURRENT: TraceId;
    static LINEAGE: Option<Lineage>;
}

/// Runs `future` as a part of `trace`.
pub async fn within<F: Future>(trace: TraceId, future: F) -> F::Output {
    CURRENT.scope(trace, future).await
}

/// Runs `future` as a part of the invocation that Lambda gave `lineage`.
///
/// It is the invocation's and not that of what it works on: Lambda has counted this invocation in it, so that a
/// message that says it again counts on.
pub async fn after<F: Future>(lineage: Option<Lineage>, future: F) -> F::Output {
    LINEAGE.scope(lineage, future).await
}

/// What the caller is part of; none outside an invocation.
pub fn current() -> Option<TraceId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// What a message says of it: the one system attribute that a sender may set, which costs nothing.
///
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>.
pub(crate) fn of_message() -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let lineage = LINEAGE.try_with(Clone::clone).ok().flatten();
    let value = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(current()?.header_after(lineage.as_ref()))
        .build()
        // It has all that the builder asks for; a message without it is as good.
        .ok()?;
    Some(HashMap::from([(MessageSystemAttributeNameForSends::AwsTraceHeader, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1-67891233-abcdef012345678912345678";

    fn sent() -> Option<String> {
        let attributes = of_message()?;
        let value = attributes.get(&MessageSystemAttributeNameForSends::AwsTraceHeader)?;
        value.string_value().map(str::to_owned)
    }

    #[tokio::test]
    async fn a_message_says_its_senders_trace_and_the_lineage_of_the_invocation_around_it() {
        let lineage = || Lineage::from_header("Root=1-0-0;Lineage=2:a87bd80c:1");
        let within_trace = || within(ID.parse().unwrap(), async { sent() });
        assert_eq!(sent(), None);
        assert_eq!(within_trace().await, Some(format!("Root={ID}")));
        assert_eq!(after(None, within_trace()).await, Some(format!("Root={ID}")));
        assert_eq!(after(lineage(), within_trace()).await, Some(format!("Root={ID};Lineage=2:a87bd80c:1")));
        assert_eq!(after(lineage(), async { sent() }).await, None);
    }
}
