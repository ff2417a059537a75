//! Verifies and parses webhook deliveries, without IO or a clock.
//! Headers are not signed, so a body must have the shape of its claimed event; ids in the body identify repetitions.

mod bitbucket;
mod event;
mod github;
mod parser;
mod shape;
mod signature;
mod value;

#[cfg(test)]
mod tests;

pub use event::{
    CommentAction, CommentEvent, Event, EventRepository, PullRequestAction, PullRequestEvent, RepositoryChange,
    RepositoryEvent, ReviewAction, ReviewEvent,
};
pub use parser::{WebhookSource, parse};
pub use signature::{Secret, SignatureError, verify};
pub use value::ParseError;
