//! The real daemon of a self-hosted runner against a real system: real registrations, claims, processes,
//! pushes; and everything of it that can be killed.

mod away;
mod deaths;
mod hands;
mod leaving;
mod wire;
mod work;

pub(crate) use hands::Machine;
