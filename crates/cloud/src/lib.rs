//! Every AWS service but the table: wake-ups and dead letters (SQS), tasks (ECS), secrets (Secrets Manager), and the
//! bucket of artifacts (S3).
//!
//! Knows how to ask and what the answers mean; decides nothing. No SDK type leaves this room.

mod dead_letters;
mod error;
mod lazy;
mod objects;
mod secret;
pub mod setup;
mod task;
mod task_stopped;
pub mod trace;
mod wakeup;

pub use dead_letters::{DeadLetters, DeadMessage, Lane, Look, Wanted};
pub use error::Error;
pub use objects::{Objects, Upload};
pub use secret::{SecretSeen, Secrets, Version, Versions};
pub use task::{Definitions, Network, Start, Started, Tasks};
pub use task_stopped::{TaskStateChange, Undelivered};
pub use wakeup::Wakeups;
