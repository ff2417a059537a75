//! Speaking to forges: the one crate that calls a forge's REST API.
//!
//! It owns how a call is made (limits, repeats, redirects) and what the answers and refusals mean.
//! It deliberately runs no git, verifies no webhooks, keeps nothing, and decides nothing about jobs.

mod endpoint;
mod error;
mod forge;
mod github;
mod names;
mod pull_request;
mod repository;
mod token;

pub use endpoint::Endpoint;
pub use error::Error;
pub use forge::Forge;
pub use github::GitHub;
pub use pull_request::{NewPullRequest, PullRequest, PullRequestState};
pub use repository::{Account, Branch, Repository};
pub use token::Token;
