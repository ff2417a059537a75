//! Publishes work at the forge: pushes, pull requests, replies.

pub(crate) mod description_update;
pub(crate) mod pull_request;
pub(crate) mod push;
mod push_refusal;
pub(crate) mod replies;
pub(crate) mod secret_scan;
