//! The input for one start of an agent.

use crate::Isolation;
use std::path::Path;

pub(super) struct StartInput<'a> {
    pub(super) prompt: &'a str,
    pub(super) instructions: &'a str,
    pub(super) session: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) remaining_turns: Option<u32>,
    /// The rest of the budget. Units: millionths of a US dollar.
    pub(super) remaining_cost: Option<u64>,
    pub(super) home: &'a Path,
    pub(super) tree: &'a Path,
    pub(super) isolation: Isolation,
    /// The port of the model's proxy. The agent then gets a placeholder instead of its key.
    pub(super) model_port: Option<u16>,
}
