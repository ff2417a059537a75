//! Verifies and parses webhook deliveries, without IO or a clock.
//! Headers are not signed, so a body must have the shape of its claimed event; ids in the body identify repetitions.

pub(crate) mod event;
pub(crate) mod parser;
pub(crate) mod shape;
mod signature;
pub(crate) mod value;

#[cfg(test)]
mod tests;

pub use event::{
    CommentAction, CommentEvent, Event, EventRepository, PullRequestAction, PullRequestEvent, RepositoryChange,
    RepositoryEvent, ReviewAction, ReviewEvent,
};
pub use parser::parse;
pub use signature::{Secret, SignatureError, verify};
pub use value::ParseError;
