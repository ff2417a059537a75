//! A small forge for demos and tests: real git over HTTP, and the part of GitHub's REST API, GraphQL and
//! webhooks that opening and reviewing a pull request needs, refusing what GitHub refuses. The part of Bitbucket Cloud's
//! REST API that opening and reviewing one needs is served beside it, over the same repositories.
//!
//! It owns bare repositories, pull requests with their reviews, hooks, Apps and a page for people, all under
//! one folder. It deliberately knows nothing of Pullyard, calls loopback addresses only, and is no place to
//! keep work: its pages ask for no password, which is why it serves loopback addresses only.

mod access;
mod answers;
mod apps;
mod bitbucket;
mod clock;
mod deletions;
mod deliveries;
mod diff;
mod error;
mod events;
mod faults;
mod forge;
mod git;
mod git_questions;
mod graphql;
mod group;
mod hooks;
mod host;
mod http_backend;
mod ids;
mod installations;
mod labels;
mod link;
mod merging;
mod names;
mod notes;
mod pages;
mod people;
mod pulls;
mod pushes;
mod record;
mod replies;
mod repositories;
mod rest;
mod reviews;
mod smart_http;
mod state;
mod users;
mod verdicts;

pub use access::Role;
pub use error::Error;
pub use faults::{Calls, DeliveryFault, Fault};
pub use forge::{DemoForge, Options, Repository};
pub use link::link;
pub use people::{Look, Remark};
pub use users::{AccountKind, User};
