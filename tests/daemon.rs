//! Tests the real daemon of a self-hosted runner against a real system.

mod away;
mod deaths;
mod hands;
mod leaving;
mod work;

pub(crate) use hands::Machine;
