//! Trace and lineage of the running invocation, for the messages that it sends.
//! Task-local instead of parameters, because no use case depends on them.

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use pullyard_domain::trace::{Lineage, TraceId};
use std::collections::HashMap;

tokio::task_local! {
    static CURRENT: TraceId;
    static LINEAGE: Option<Lineage>;
}

pub async fn within<F: Future>(trace: TraceId, future: F) -> F::Output {
    CURRENT.scope(trace, future).await
}

/// `lineage` is Lambda's loop counter of this invocation, not of the work; messages repeat it so that Lambda keeps
/// counting.
pub async fn after<F: Future>(lineage: Option<Lineage>, future: F) -> F::Output {
    LINEAGE.scope(lineage, future).await
}

pub fn current() -> Option<TraceId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The only system attribute that a sender may set; free of charge.
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>.
pub(crate) fn of_message() -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let lineage = LINEAGE.try_with(Clone::clone).ok().flatten();
    let value = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(current()?.header_after(lineage.as_ref()))
        .build()
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
