//! A small forge for demos and tests, with git over HTTP.
//! It implements the parts of GitHub's REST API, GraphQL and webhooks that a pull request and its reviews need.
//! Repositories, reviews and hooks are stored in one folder. The forge speaks plain HTTP, so it uses only
//! loopback addresses. `forge_state::Extension` is the interface of the fake forge, which only tests link.

#![expect(missing_docs, reason = "the public modules serve one crate of this workspace")]

pub mod access;
pub mod branches;
pub mod clock;
pub mod deliveries;
mod diff;
mod error;
pub mod events;
mod existing;
pub mod forge;
pub mod forge_state;
mod git;
pub mod git_queries;
mod git_service;
pub mod hooks;
mod host;
mod ids;
pub mod issue_comments;
mod link;
pub mod merge;
mod names;
mod pages;
mod process_group;
pub mod pulls;
mod pushes;
pub mod record;
pub mod render;
pub mod replies;
pub mod repositories;
mod repository_check;
pub mod rest;
pub mod reviews;
pub mod role;
mod sending;
mod smart_http;
pub mod state;
pub mod users;

pub use error::Error;
pub use existing::GitFault;
pub use forge::{LocalForge, Options};
pub use forge_state::{Extension, NoExtension, Repository};
pub use host::{LineComment, PullSnapshot};
pub use link::link;
pub use repository_check::{RepositoryFault, check_linked_repository, check_repository};
pub use role::Role;
pub use users::{AccountKind, User};
