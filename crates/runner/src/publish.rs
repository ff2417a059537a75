//! Everything that goes to the forge: pushes, pull requests, replies.

pub(crate) mod leak;
pub(crate) mod pull_request;
pub(crate) mod push;
pub(crate) mod renewal;
pub(crate) mod replies;
