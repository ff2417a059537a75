//! The stored form of a wanted state: moves for a tool only are a field of their own, because an older version of the
//! program cannot read their targets.

use super::{Badge, DesiredState, JobComment, StatusMove, Target};
use crate::text::id::EventId;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredState {
    version: u32,
    status: Option<StatusMove>,
    badge: Option<Badge>,
    by: Option<String>,
    comment: Option<JobComment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool: Option<ToolState>,
}

/// The parts that an older version of the program does not know and therefore keeps when it raises the version.
#[derive(Serialize, Deserialize)]
struct ToolState {
    version: u32,
    status: Option<StatusMove>,
    event: Option<EventId>,
    #[serde(default)]
    replaced: Vec<Target>,
}

impl From<DesiredState> for StoredState {
    fn from(wanted: DesiredState) -> Self {
        let DesiredState { version, status, badge, by, event, comment, replaced } = wanted;
        let is_for_tool = status.as_ref().is_some_and(|status| status.to.is_for_tool());
        let (own, status) = if is_for_tool { (None, status) } else { (status, None) };
        let has_more = status.is_some() || event.is_some() || !replaced.is_empty();
        let tool = has_more.then_some(ToolState { version, status, event, replaced });
        Self { version, status: own, badge, by, comment, tool }
    }
}

impl From<StoredState> for DesiredState {
    fn from(stored: StoredState) -> Self {
        let StoredState { version, status, badge, by, comment, tool } = stored;
        let wanted = Self { version, status, badge, by, comment, ..Self::default() };
        match tool.filter(|tool| tool.version == version) {
            Some(ToolState { status, event, replaced, .. }) => {
                Self { status: wanted.status.or(status), event, replaced, ..wanted }
            }
            None => wanted,
        }
    }
}
