//! Lambda triggers: an HTTP API, an SQS queue, a schedule, an EventBridge rule.
//! A function maps a complete event to a complete response; its memory is not limited.

pub mod event_source;
pub mod events;
pub mod gateway;
pub mod schedule;

mod invoke;
mod trigger;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
pub use trigger::Trigger;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A function: receives a Lambda event, returns a Lambda response or an error message.
pub type Function = Arc<dyn Fn(Value) -> BoxFuture<Result<Value, String>> + Send + Sync>;
