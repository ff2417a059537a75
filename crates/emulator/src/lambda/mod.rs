//! What calls a Lambda function: an HTTP API, an SQS queue, a schedule, an EventBridge rule.
//!
//! Owns the triggers, generic over a function of whole events to whole responses. How a function
//! runs is its own business; limits of memory are deliberately not here.

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

/// A boxed future, the same type as `futures::future::BoxFuture<'static, T>`.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A function: a whole Lambda event in, a whole Lambda response or the error's message out.
pub type Function = Arc<dyn Fn(Value) -> BoxFuture<Result<Value, String>> + Send + Sync>;
