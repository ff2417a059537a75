//! `doctor --stack` and `init --stack` against an account of AWS whose answers are written down, with the embedded
//! services where there is one: every call goes over the wire.

mod account;
mod image;
mod init;
mod sick;
mod sso;
