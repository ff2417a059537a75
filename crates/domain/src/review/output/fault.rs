//! The refusal of an agent's output: a pointer into the output, and a sentence for the agent.

/// Why an output is refused. The pointer is empty for the whole output. The fault is one sentence without its end, for
/// the agent: `it has 130 characters; at most 120 are allowed`.
pub use crate::project::plan::PlanFault as OutputFault;

impl OutputFault {
    pub fn missing() -> Self {
        Self::new("", "the file does not exist")
    }
}
