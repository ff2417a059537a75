//! The embedded AWS: DynamoDB, SQS, Secrets Manager, S3 and ECS on loopback ports, and Lambda's triggers.
//!
//! Owns generic AWS pieces for local runs and tests; each service speaks its own wire protocol.
//! It knows nothing of the program that runs on it: no table, queue or task is named here.

pub mod ecs;
pub mod lambda;
pub mod s3;
pub mod sqs;

mod aws;
mod dynamodb;
mod error;
mod memory;
mod moment;
mod secretsmanager;
mod server;
mod tap;

pub use aws::{ACCESS_KEY_ID, ACCOUNT, Aws, Endpoints, Options, REGION, SECRET_ACCESS_KEY};
pub use error::Error;
pub use memory::MemoryDynamoDb;
