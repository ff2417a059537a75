//! The parts of an attempt that a run of its agent needs.

use super::agent_event::Tokens;
use crate::attempt::Attempt;
use crate::git::Git;
use crate::git::target::Target;
use crate::git::workspace::Workspace;
use crate::inputs::messages::InputTracker;
use crate::process::sandbox::JobSandbox;
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use pullyard_domain::text::Quoted;
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::Assignment;

pub(crate) struct SessionResume {
    pub(crate) session: String,
    pub(crate) prompt: String,
    pub(crate) tokens: Tokens,
}

pub(crate) struct Run<'a> {
    pub(crate) attempt: &'a Attempt<'a>,
    pub(crate) options: &'a RunJob,
    /// Its prompt contains the conversation.
    pub(crate) assignment: &'a Assignment,
    pub(crate) resume: Option<&'a SessionResume>,
    pub(crate) has_earlier_work: bool,
    pub(crate) workspace: &'a Workspace,
    pub(crate) inputs: &'a InputTracker<'a>,
    pub(crate) git: &'a Git,
    pub(crate) target: &'a Target,
    pub(crate) isolation: Isolation,
    pub(crate) sandbox: Option<&'a JobSandbox>,
}

/// A relative path names a file of the repository if there is a checkout, any other name a program of the machine.
pub(super) fn agent_missing(run: &Run<'_>, agent: &str, reason: &dyn std::fmt::Display) -> Stop {
    run.attempt.events.log(format!("The agent could not be started: {reason}."));
    if run.assignment.kind.spec().checkout && agent.contains('/') && !agent.starts_with('/') {
        // The fault of its first line, if it has one.
        let reason = Quoted(reason.to_string().strip_prefix(&format!("{agent}: ")).map(str::to_owned));
        return Failure::AgentScriptMissing { agent: agent.to_owned(), reason }.into();
    }
    Failure::AgentMissing { agent: agent.to_owned(), runner: "the runner".into() }.into()
}
