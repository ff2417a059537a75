//! The use cases: load facts, decide in the domain, write once, send hints.
//!
//! Business rules are in the domain; HTTP, Lambda and SDK types are in the functions. Every use case may be repeated,
//! and may crash after any line: [`sweep`] finds the remaining work in the table.

pub mod attempt {
    pub(crate) mod breaker;
    mod checkpoint;
    pub(crate) mod close_breaker;
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
mod admin;
mod clock;
mod context;
mod corrupt;
mod error;
mod facts;
mod forge;
mod hints;
pub mod hooks;
mod jobs;
mod poll;
pub mod review;
pub mod runner;
mod sweep;
mod tally;
mod tickets;
pub mod webhook;

pub use admin::connect_app::{ExistingApp, connect_app, make_app};
pub use admin::dead_letters::{Letter, Letters, Moved, Order, dead_letter, dead_letters, move_dead_letters};
pub use admin::forge_tokens::ForgeTokens;
pub use admin::hold::{budget_of, hold_project, release_project};
pub use admin::projects::{RepositoryWork, add_repository, connect_forge, create_project, set_settings};
pub use admin::proof::{Bootstrap, Keys, Session, SignInCode};
pub use admin::readiness::{Snapshot, readiness, snapshot};
pub use admin::remove_integration::remove_integration;
pub use admin::remove_repository::{RemovedRepository, remove_repository};
pub use admin::rotate_secret::{counts_until, rotate_secret};
pub use admin::secrets::{UserSecret, secrets, set_secret};
pub use admin::sign_in::{SignInLink, SignedIn, current_token, sign_in, sign_in_link, sign_in_with_token};
pub use admin::test_integration::{Tested, test_integration};
pub use admin::test_repository::{Feature, Need, RepositoryTested, Row, Verdict, test_repository};
pub use admin::tokens::{MadeToken, create_token, revoke_token, token_hash, tokens};
pub use admin::unreadable::record_unreadable;
pub use attempt::close_breaker::{breakers, close_breaker};
pub use clock::{Clock, Pause};
pub use context::{Context, Parts};
pub use error::Error;
pub use jobs::answer_job::answer_job;
pub use jobs::artifacts::{
    Place, artifact_address, artifact_stored, artifacts_of, attempts_of, context_of, reserve_artifact,
};
pub use jobs::cancel_job::cancel_job;
pub use jobs::continue_job::continue_job;
pub use jobs::create_job::{JobRequest, Requester, create_job};
pub use jobs::dispatch::{Dispatched, dispatch};
pub use jobs::list_jobs::{JobList, list_jobs};
pub use jobs::pause_job::pause_job;
pub use jobs::retry_job::retry_job;
pub use jobs::task_stopped::task_stopped;
pub use jobs::views::{
    JobEvents, JobView, RevisedPullRequest, TicketView, events_of, job_view, state_of_made, ticket_view, ticket_views,
};
pub use poll::{Looked, poll_now, poll_repository, set_ingress};
pub use pullyard_forge::Connections;
pub use pullyard_store::Token as StoredToken;
pub use review::list_deliveries::{DeliveryList, list_deliveries};
pub use review::replay::replay;
pub use sweep::{Report, Round, sweep, sweep_by_hand};
pub use tally::{Count, Tally};
pub use tickets::board::{Changes, Edit, Move, NewTicket, create_ticket, edit_ticket, put_ticket};
pub use tickets::board_view::{BoardView, Card, board_view, jobs_of_ticket};
pub use tickets::move_ticket::{Answer, move_ticket};
pub use tickets::settle_ticket::{Settled, settle_ticket};
