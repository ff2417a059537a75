//! The address of a request before routing.

use axum::http::Uri;

#[derive(Clone)]
pub struct OriginalUri(pub Uri);
