//! Processes: groups, namespaces, signals, and processes that outlive an agent.

pub(crate) mod enclosed;
pub(crate) mod group;
pub(crate) mod orphans;
pub(crate) mod parent;
pub(crate) mod pid_namespace;
pub(crate) mod program;
pub(crate) mod proxy_variables;
pub(crate) mod refused_hosts;
pub(crate) mod root_folder;
pub(crate) mod sandbox;
pub(crate) mod signals;
pub(crate) mod visible_program;
