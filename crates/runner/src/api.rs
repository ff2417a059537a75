//! Calls to the control plane.

pub(crate) mod calls;
pub(crate) mod ecs;
pub(crate) mod event_draft;
pub(crate) mod finish;
pub(crate) mod forge_wait;
pub(crate) mod ids;
pub(crate) mod outbox;
pub(crate) mod reporter;
pub(crate) mod retry;
pub(crate) mod start;
