//! Reads and diagnoses a deployed stack, creates its first token and protects its table.
//! Runs on the operator's machine with their credentials, and writes only these two.

mod aws;
mod credentials;
pub mod doctor;
mod error;
mod first_token;
mod protection;
mod stack;

pub use aws::Aws;
pub use error::Error;
pub use first_token::{FirstTokenOutcome, Renew, create_first_token, generate_token};
pub use protection::{ProtectionOutcome, protect_table};
pub use stack::{DeletionProtection, Stack};
