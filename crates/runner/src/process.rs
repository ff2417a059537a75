//! Processes: groups, namespaces, signals, and processes that outlive an agent.

pub(crate) mod enclosure;
pub(crate) mod group;
pub(crate) mod parent;
pub(crate) mod signals;
pub(crate) mod stray;
