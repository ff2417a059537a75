//! What the running invocation is part of, so that each message it sends can say so.
//!
//! It goes with the task and not through signatures: it decides nothing, and a use case has no opinion of it.

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use pullyard_domain::trace::TraceId;
use std::collections::HashMap;

tokio::task_local! {
    static CURRENT: TraceId;
}

/// Runs `future` as a part of `trace`.
pub async fn within<F: Future>(trace: TraceId, future: F) -> F::Output {
    CURRENT.scope(trace, future).await
}

/// What the caller is part of; none outside an invocation.
pub fn current() -> Option<TraceId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// What a message says of it: the one system attribute that a sender may set, which costs nothing.
///
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>.
pub(crate) fn of_message() -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let value = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(current()?.header())
        .build()
        // It has all that the builder asks for; a message without it is as good.
        .ok()?;
    Some(HashMap::from([(MessageSystemAttributeNameForSends::AwsTraceHeader, value)]))
}
