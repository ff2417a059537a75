//! The result of the phase `preparing`.

use crate::agent::AgentChoice;
use crate::agent::model_keys::ModelKeys;
use crate::checkpoint::restore::CheckpointPlan;
use crate::git::target::Target;
use crate::git::workspace::Workspace;
use crate::git::workspace::mirror::Mirror;
use crate::secrets::access::ForgeAccess;

pub(crate) struct Preparation<'a> {
    pub(crate) access: ForgeAccess,
    pub(crate) agent: AgentChoice,
    pub(crate) model_keys: ModelKeys,
    pub(crate) mirror: Mirror,
    pub(crate) target: Target,
    pub(super) checkpoint: CheckpointPlan,
    pub(crate) workspace: &'a Workspace,
}
