//! Reads and diagnoses a deployed stack, and creates its first token.
//! Runs on the operator's machine with their credentials, and writes only the first admin token.

mod aws;
mod credentials;
pub mod doctor;
mod error;
mod first_token;
mod stack;
mod xml;

pub use aws::Aws;
pub use error::Error;
pub use first_token::{FirstTokenOutcome, Renew, create_first_token, generate_token};
pub use stack::Stack;
