//! Verifies and parses webhook deliveries, without IO or a clock; decides nothing about jobs.
//! Headers are not signed, so a body counts only if it has the shape of its claimed event. Ids inside the body identify
//! repeated deliveries.

mod bitbucket;
mod event;
mod github;
mod language;
mod read;
mod shape;
mod signature;
mod value;

#[cfg(test)]
mod tests;

pub use event::{
    CommentAction, CommentEvent, Event, InstallationChange, InstallationEvent, PullRequestAction, PullRequestEvent,
    RepositoryChange, RepositoryEvent, RepositoryName, ReviewAction, ReviewEvent,
};
pub use language::Language;
pub use read::parse;
pub use signature::{Secret, SignatureFault, verify};
pub use value::Unreadable;
