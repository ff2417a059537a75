//! What a driver is told about one start of its agent.

use crate::options::Isolation;
use std::path::Path;

pub(super) struct Start<'a> {
    /// What is asked of it: the whole task, or that it goes on.
    pub(super) prompt: &'a str,
    pub(super) instructions: &'a str,
    /// The session to go on with; a new one without.
    pub(super) session: Option<&'a str>,
    /// The model to ask for.
    pub(super) model: Option<&'a str>,
    pub(super) turns_left: Option<u32>,
    /// How much may still be spent. Units: millionths of a US dollar.
    pub(super) cost_left: Option<u64>,
    /// The agent's home, which is this attempt's alone.
    pub(super) home: &'a Path,
    /// The files that it works on.
    pub(super) tree: &'a Path,
    pub(super) isolation: Isolation,
}
