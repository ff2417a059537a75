//! A failed call of a ticket tool.

use pullyard_tracker::Error as ToolError;
use std::time::Duration;

const REFUSED_REST: Duration = Duration::from_secs(600);
/// A shorter pause could end before the answer arrives, and the write would be repeated at once.
const MIN_REST: Duration = Duration::from_secs(60);
const MAX_REST: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug)]
pub(crate) struct CallError {
    pub(crate) error: ToolError,
    /// The pause before the next call through the connection.
    pub(crate) rest: Option<Duration>,
}

impl From<ToolError> for CallError {
    fn from(error: ToolError) -> Self {
        let rest = match &error {
            ToolError::Refused { .. } => Some(REFUSED_REST),
            ToolError::Resting { after } => Some((*after).clamp(MIN_REST, MAX_REST)),
            _ => None,
        };
        Self { error, rest }
    }
}
