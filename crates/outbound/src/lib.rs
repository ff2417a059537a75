//! HTTP requests to addresses that users give, such as the URL of a notification endpoint or of a ticket tool.
//!
//! Such an address must not lead into the network of the deployment: to the metadata service of its cloud, to a database,
//! to a program on 127.0.0.1. [`Client`] therefore requires public addresses, and checks each address that it connects
//! to, so that a second DNS answer has no effect. It follows no redirect and uses no proxy.
//! An operator allows further ranges by the variable `PULLYARD_OUTBOUND_ALLOW`.

mod allowed;
mod client;
mod error;
pub mod standard_webhooks;

pub use allowed::{AllowedRanges, RangeError};
pub use client::{Client, MAX_ANSWER, MAX_READ, Request, Response};
pub use error::Error;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Method, StatusCode, Url};
