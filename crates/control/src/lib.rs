//! The use cases: load facts, decide in the domain, write once, send hints.
//!
//! One public async function per file. Business rules are in the domain; HTTP, Lambda and SDK types are in the
//! functions. Every use case may be repeated, and may crash after any line: the remaining work is derivable from the
//! table and found by [`sweep`].

pub mod attempt {
    mod checkpoint;
    mod credentials;
    mod events;
    mod finish;
    mod give_back;
    mod held;
    mod inputs;
    mod progress;
    mod start;

    pub use checkpoint::{Checkpoint, Left, Missing, checkpoint};
    pub use credentials::{Credentials, credentials};
    pub use events::{Heard, record_events};
    pub use finish::{Finish, finish};
    pub use give_back::{GaveBack, GivesBack, give_back};
    pub(crate) use held::{load_held, load_trusted};
    pub use inputs::inputs;
    pub use progress::{Progressed, progress};
    pub use start::{Assignment, start};
}
mod answer_job;
mod artifacts;
mod board;
mod board_view;
mod breaker;
mod cancel_job;
mod clock;
mod close_breaker;
mod connect_app;
mod context;
mod continue_job;
mod create_job;
mod dead_letters;
mod dispatch;
mod ending;
mod error;
mod facts;
mod forge;
mod forge_tokens;
mod hints;
mod hold;
pub mod hooks;
mod list_deliveries;
mod list_jobs;
mod move_ticket;
mod new_job;
mod pause_job;
mod poll;
mod projects;
mod proof;
mod put_off;
mod readiness;
mod removal;
mod remove_integration;
mod remove_repository;
mod replay;
mod requeue;
mod rest;
mod retry_job;
pub mod review;
mod rotate_secret;
pub mod runner;
mod secrets;
mod settle_ticket;
mod sign_in;
mod sweep;
mod tally;
mod task_stopped;
mod test_integration;
mod test_repository;
mod tokens;
mod unreadable;
mod views;
pub mod webhook;

pub use answer_job::answer_job;
pub use artifacts::{
    Place, artifact_address, artifact_stored, artifacts_of, attempts_of, context_of, reserve_artifact,
};
pub use board::{Changes, Edit, Move, NewTicket, create_ticket, edit_ticket, put_ticket};
pub use board_view::{BoardView, Card, board_view, jobs_of_ticket};
pub use cancel_job::cancel_job;
pub use clock::{Clock, Pause};
pub use close_breaker::{breakers, close_breaker};
pub use connect_app::{ExistingApp, connect_app, make_app};
pub use context::{Context, Parts};
pub use continue_job::continue_job;
pub use create_job::{JobRequest, Requester, create_job};
pub use dead_letters::{Letter, Letters, Moved, Order, dead_letter, dead_letters, move_dead_letters};
pub use dispatch::{Dispatched, dispatch};
pub use error::Error;
pub use forge_tokens::ForgeTokens;
pub use hold::{budget_of, hold_project, release_project};
pub use list_deliveries::{DeliveryList, list_deliveries};
pub use list_jobs::{JobList, list_jobs};
pub use move_ticket::{Answer, move_ticket};
pub use pause_job::pause_job;
pub use poll::{Looked, poll_now, poll_repository, set_ingress};
pub use projects::{RepositoryWork, add_repository, connect_forge, create_project, set_settings};
pub use proof::{Bootstrap, Keys, Session, SignInCode};
pub use pullyard_forge::Connections;
pub use pullyard_store::Token as StoredToken;
pub use readiness::{Snapshot, readiness, snapshot};
pub use remove_integration::remove_integration;
pub use remove_repository::{RemovedRepository, remove_repository};
pub use replay::replay;
pub use retry_job::retry_job;
pub use rotate_secret::{counts_until, rotate_secret};
pub use secrets::{UserSecret, secrets, set_secret};
pub use settle_ticket::{Settled, settle_ticket};
pub use sign_in::{SignInLink, SignedIn, current_token, sign_in, sign_in_link, sign_in_with_token};
pub use sweep::{Report, Round, sweep, sweep_by_hand};
pub use tally::{Count, Tally};
pub use task_stopped::task_stopped;
pub use test_integration::{Tested, test_integration};
pub use test_repository::{Feature, Need, RepositoryTested, Row, Verdict, test_repository};
pub use tokens::{MadeToken, create_token, revoke_token, token_hash, tokens};
pub use unreadable::record_unreadable;
pub use views::{
    JobEvents, JobView, RevisedPullRequest, TicketView, events_of, job_view, state_of_made, ticket_view, ticket_views,
};
