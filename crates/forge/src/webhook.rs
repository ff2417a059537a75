//! Webhooks: whether a delivery is from who knows the secret, and what it says.
//!
//! Pure: no IO and no clock. It doesn't know the deliveries that came before, and decides nothing about jobs.
//! The names in the headers are not signed, so a body counts only where it has the shape of the event it claims
//! to be; what must not be done twice is recognised by ids inside the body.

mod bitbucket;
mod event;
mod github;
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
pub use read::{Language, parse};
pub use signature::{Secret, SignatureFault, verify};
pub use value::Unreadable;
