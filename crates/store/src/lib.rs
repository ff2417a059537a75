//! Reads and writes the table.
//! Only this crate knows its keys, conditions and transactions.
//! A write stores a state that the domain computed. Its condition proves that the state which was read has not changed
//! (`rev`). It decides nothing: a refused condition is returned as [`Write::Stale`], and the caller reads and decides
//! again. The table is never scanned. Every item that needs a next step has a row of the `work` index. The domain
//! computes the row from the whole item in the same write ([`item`]).

mod error;
mod item;
mod key;
mod mark;
mod schema;
mod transaction;
mod read {
    mod batch_get;
    mod breaker;
    mod comment;
    mod event;
    mod hook;
    mod host;
    mod job;
    mod ledger;
    mod limit;
    mod list;
    mod notice;
    mod partition;
    mod project;
    mod review;
    mod run;
    mod runner;
    mod secret;
    mod ticket;
    mod token;
    mod tracker;
    mod work;

    pub use event::StoredBatch;
    pub use list::VisibleRows;
    pub use ticket::StoredText;
    pub use work::{DuePage, ReadyPage, WorkKey};
}
mod write {
    mod breaker;
    mod budget;
    mod claim;
    mod comment;
    mod context;
    mod event;
    mod hook;
    mod host;
    mod job;
    mod ledger;
    mod limit;
    mod notice;
    mod output;
    mod project;
    mod register;
    mod review;
    mod run;
    mod runner;
    mod secret;
    mod sign_in;
    mod snapshot;
    mod sweeps;
    mod ticket;
    mod token;
    mod tracker;
    mod trigger;

    pub use claim::RunnerCondition;
    pub use comment::CommentCreation;
    pub use event::EventBatch;
    pub use job::JobWrite;
    pub use ledger::Conclusion;
    pub use project::RepositoryRemoval;
    pub use register::RegistrationWrite;
    pub use review::{ReviewTrigger, ReviewWait};
    pub use run::RunWrite;
    pub use ticket::{TextEdit, TicketCreation};
    pub use trigger::{JobCreation, Request};
}

pub use error::Error;
pub use item::hook::{HookStats, Rotation};
pub use item::secret::SecretRecord;
pub use item::sweeper_state::{Gauges, MAX_CLOCK_SKEW, ReadyCursors, SweeperState};
pub use item::token::{Scope, Token, TokenKind, hash_token, to_stored_token};
pub use read::{DuePage, ReadyPage, StoredBatch, StoredText, VisibleRows, WorkKey};
pub use write::{
    CommentCreation, Conclusion, EventBatch, JobCreation, JobWrite, RegistrationWrite, RepositoryRemoval, Request,
    ReviewTrigger, ReviewWait, RunWrite, RunnerCondition, TextEdit, TicketCreation,
};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::AsyncSleep;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The write is stored, by this call or by an earlier one whose answer was lost.
    Applied,
    /// The stored state has changed since it was read: read and decide again.
    Stale,
}

#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    /// Whether an item with fields of a newer version was read; see `item::unknown`.
    unknown_fields: Arc<AtomicBool>,
}

impl Store {
    /// Uses the table of this name, reached with `config`. `endpoint` replaces the address of AWS.
    pub fn new(config: &aws_config::SdkConfig, endpoint: Option<&str>, table: impl Into<String>) -> Self {
        let mut builder = aws_sdk_dynamodb::config::Builder::from(config);
        builder.set_endpoint_url(endpoint.map(str::to_owned));
        Self { client: Client::from_conf(builder.build()), table: table.into(), unknown_fields: Arc::default() }
    }

    /// Waits with the sleep function that the SDK uses between retries.
    async fn pause(&self, by: Duration) {
        match self.client.config().sleep_impl() {
            Some(sleep) => sleep.sleep(by).await,
            None => tokio::time::sleep(by).await,
        }
    }
}
