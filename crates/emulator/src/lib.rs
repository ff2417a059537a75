//! The embedded AWS: DynamoDB, SQS, Secrets Manager, S3 and ECS on loopback ports, and Lambda triggers.
//! Each service serves its own wire protocol. The crate is generic: it names no table, queue or task.

pub mod ecs;
pub mod lambda;
pub mod s3;
pub mod sqs;

mod access;
mod account;
mod aws;
mod direct;
mod dynamodb;
mod error;
mod memory;
mod secretsmanager;
mod server;
mod timestamp;

pub use access::{Access, Credentials};
pub use account::{ACCESS_KEY_ID, ACCOUNT, REGION, SECRET_ACCESS_KEY};
pub use aws::{Aws, Endpoints, Options};
pub use direct::Direct;
pub use error::Error;
pub use memory::MemoryDynamoDb;
