//! Every AWS service but the table: wake-ups (SQS), tasks (ECS), secrets (Secrets Manager).
//!
//! Knows how to ask and what the answers mean; decides nothing. No SDK type leaves this room.

mod error;
mod secret;
pub mod setup;
mod task;
mod wakeup;

pub use error::Error;
pub use secret::{SecretSeen, Secrets, Version, Versions};
pub use task::{Definitions, Network, Start, Started, Tasks};
pub use wakeup::Wakeups;
