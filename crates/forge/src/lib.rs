//! Client of the forges' REST APIs and parser of their webhook deliveries.
//! Handles limits, retries, redirects and refusals, but runs no git, stores no data and knows no jobs.

mod actor;
mod bitbucket;
mod call;
mod comment;
mod endpoint;
mod error;
pub mod features;
mod forge;
mod github;
mod hook;
mod listed;
mod names;
mod permission;
mod pull_request;
mod repeat;
mod repository;
mod review;
mod stand_in;
mod status;
mod time;
mod token;
pub mod webhook;
mod words;

pub use actor::Actor;
pub use bitbucket::{Bitbucket, bitbucket_git_login};
pub use comment::Comment;
pub use endpoint::{Connections, Endpoint};
pub use error::{Error, Meaning};
pub use forge::Forge;
pub use github::{
    App, ConvertedApp, GitHub, GitHubApp, Installation, InstallationToken, Only, Permissions, Right, TokenAccess,
    convert_manifest, revoke_installation_token,
};
pub use hook::{Delivery, Hook, HookScope, HookSettings};
pub use listed::{Listed, Page};
pub use permission::{Access, Permission};
pub use pull_request::{BaseRepository, NewPullRequest, PullRequest, PullRequestState};
pub use repository::{Account, Branch, Repository};
pub use review::{Lines, Part, Reply, Review, ReviewComment, ReviewState, Side, Thread};
pub use stand_in::{Awaited, Exchange, Exchanged};
pub use status::{CommitState, CommitStatus};
pub use time::Time;
pub use token::Token;
