//! Calls the AWS services other than the table: queues (SQS), tasks (ECS), secrets (Secrets Manager), artifacts (S3).
//! Interprets errors and makes no decisions. No SDK type leaves this crate.

mod dead_letters;
mod dead_message;
mod error;
mod lazy;
mod objects;
mod region;
mod secret;
pub mod signed;
mod tags;
mod task;
mod task_stop;
mod timeouts;
pub mod trace;
mod wakeup;
pub mod xml;

pub use dead_letters::{DeadLetters, DeadMessage, QueuePair, ReceivedBatch, Selection};
pub use dead_message::parse_dead_letter;
pub use error::Error;
pub use objects::{Objects, Upload};
pub use region::dns_suffix;
pub use secret::{Secrets, Version, Versions};
pub use tags::Tags;
pub use task::{RUNNER_CONTAINER, StartOutcome, TaskDefinitions, TaskNetwork, TaskStart, Tasks};
pub use task_stop::{TaskStateChange, Undelivered};
pub use timeouts::{CONNECT_TIMEOUT, with_timeouts};
pub use wakeup::Wakeups;
