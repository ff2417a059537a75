//! Tests the real daemon of a self-hosted runner against a real system.

mod deaths;
mod frozen;
mod machine;
mod setup;
mod shutdown;
mod unreachable;
mod wake;
mod work;

pub(crate) use machine::Machine;
