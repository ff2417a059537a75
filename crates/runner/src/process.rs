//! Processes: groups, namespaces, signals, and what outlives an agent.

pub(crate) mod enclosure;
pub(crate) mod group;
pub(crate) mod parent;
pub(crate) mod signals;
pub(crate) mod stray;
