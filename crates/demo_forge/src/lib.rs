//! A small forge for demos and tests: real git over HTTP, and the part of GitHub's REST API that
//! opening a pull request needs, refusing what GitHub refuses.
//!
//! It owns bare repositories, pull requests and a page for people, all under one folder.
//! It deliberately knows nothing of Pullyard, sends no webhooks, and is no place to keep work:
//! its pages ask for no password, which is why it serves loopback addresses only.

mod clock;
mod error;
mod forge;
mod git;
mod http_backend;
mod link;
mod names;
mod pages;
mod pulls;
mod record;
mod repositories;
mod rest;
mod smart_http;
mod users;

pub use error::Error;
pub use forge::{DemoForge, Options, Repository};
pub use link::link;
pub use users::User;
