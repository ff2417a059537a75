//! Calls to the control plane.

pub(crate) mod attempt;
pub(crate) mod ecs;
pub(crate) mod finish;
pub(crate) mod ids;
pub(crate) mod outbox;
pub(crate) mod reporter;
pub(crate) mod retry;
pub(crate) mod said;
pub(crate) mod start;
