//! All AWS services but the table: queues (SQS), tasks (ECS), secrets (Secrets Manager) and artifacts (S3).
//! Makes calls and interprets their errors; decides nothing. No SDK type leaves this crate.

mod dead_letters;
mod dead_message;
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
pub use dead_message::parse_dead_letter;
pub use error::Error;
pub use objects::{Objects, Upload};
pub use secret::{SecretSeen, Secrets, Version, Versions};
pub use task::{Definitions, Network, Start, Started, Tasks};
pub use task_stopped::{TaskStateChange, Undelivered};
pub use wakeup::Wakeups;
