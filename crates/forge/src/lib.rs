//! Client of the forges' REST APIs and parser of their webhook deliveries.
//! Handles limits, retries, redirects and refusals, but runs no git, stores no data and knows no jobs.
//! Tests keys of model providers over the same HTTP client.

mod accounts;
mod bitbucket;
mod endpoint;
mod error;
pub mod features;
mod forge;
mod github;
mod hook;
mod http_client;
mod message;
mod model_key;
mod names;
mod open_item;
mod page;
mod pull_request;
mod push_refusal;
mod rate_limit;
mod retry;
mod review;
mod stand_in;
mod status;
mod time;
mod token;
mod vendor;
pub mod webhook;

pub use accounts::{Access, Account, Actor, Permission};
pub use bitbucket::Bitbucket;
pub use endpoint::{Connections, Endpoint};
pub use error::{Error, ErrorKind};
pub use forge::{Forge, IssueClient, ReviewPosts, git_login};
pub use github::{
    APP_EVENTS, App, AppManifest, ChangedComment, CreatedApp, GitHub, GitHubApp, GitHubSite, Installation,
    InstallationToken, Issue, IssueChange, IssueChangeKind, Permissions, RepositorySelector, StartEvent, TokenAccess,
    TokenPermission, analysing_permissions, app_permissions, attempt_permissions, control_permissions,
    convert_manifest, is_account_name, minimum_app_permissions, missing_permissions, parse_start_event,
    reading_permissions, reviewing_permissions, revoke_installation_token,
};
pub use hook::{Delivery, Hook, HookScope, HookSettings};
pub use model_key::check_model_key;
pub use open_item::OpenItem;
pub use page::{Listing, Page};
pub use pull_request::{
    BaseRepository, NewPullRequest, NewState, PullRequest, PullRequestDetails, PullRequestState, Repository,
};
pub use push_refusal::{PushOutput, PushRefusal, parse_push_refusal};
pub use review::{
    Comment, Lines, NewLineComment, NewReview, Review, ReviewComment, ReviewState, Side, SummaryPart, Thread, Verdict,
};
pub use stand_in::{BoxFuture, Exchange, ExchangeResult};
pub use status::{CommitState, CommitStatus};
pub use time::Time;
pub use token::Token;
pub use vendor::GitLogin;
