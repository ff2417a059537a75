//! The account of the embedded AWS.

pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "000000000000";
/// The credentials of clients of an open AWS, whose S3 checks signatures nevertheless.
pub const ACCESS_KEY_ID: &str = "local";
pub const SECRET_ACCESS_KEY: &str = "local";
