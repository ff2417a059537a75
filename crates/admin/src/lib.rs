//! What an operator asks of AWS about a deployed stack: its outputs, its first token, and what is wrong with it.
//!
//! Runs with the operator's own credentials, on their machine. It reads through AWS's own wire protocols
//! ([`Aws`]) instead of one SDK per service; the table alone is reached through the store. It changes nothing
//! but the first admin token, and knows nothing of the command line.

mod aws;
mod credentials;
pub mod doctor;
mod error;
mod first_token;
mod stack;
mod xml;

pub use aws::{Aws, Service};
pub use error::Error;
pub use first_token::{FirstToken, Renew, first_token, new_token};
pub use stack::Stack;
