//! Wake-up messages. They are hints to read the table, which holds the truth.

use crate::review::ReviewEvent;
use crate::text::id::{EndpointId, HookName, IntegrationId, JobId, NoticeId, ProjectId, RunId, TicketKey};
use crate::text::pull_request_id::PullRequestId;
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobWakeup {
    pub job: JobId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketWakeup {
    pub project: ProjectId,
    pub ticket: TicketKey,
}

/// The status or comment of a pull request may need an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequestWakeup {
    pub pull_request: PullRequestId,
}

/// A ticket may have changed in its tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookWakeup {
    /// The project.
    pub look: ProjectId,
    pub ticket: TicketKey,
}

/// A repository may need to be polled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollWakeup {
    pub poll: ProjectId,
    pub integration: IntegrationId,
    /// The forge's id.
    pub repository: u64,
}

/// A notice may be due at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeWakeup {
    pub notice: NoticeId,
    pub endpoint: EndpointId,
}

/// A run may have a next move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunWakeup {
    /// The run.
    pub advance: RunId,
}

/// A review that arrived with too many others and is decided in turn. It is the only message whose content is not in
/// the table. If it is lost, polling the forge finds the review again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedReview {
    pub hook: Option<HookName>,
    /// The projects that may decide it. The first one records it if it belongs to none.
    pub projects: Vec<ProjectId>,
    pub event: ReviewEvent,
}

/// A message of the ordered queues. Messages of the same group are handled one after the other.
/// `Tell`, `Poll`, `Look`, `Notify` and the write of `Settle` to a tool call addresses of users. They have a queue of
/// their own, so that a server that hangs does not delay the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EffectMessage {
    Settle(TicketWakeup),
    Admit(JobWakeup),
    Tell(PullRequestWakeup),
    Poll(PollWakeup),
    Look(LookWakeup),
    Review(Box<QueuedReview>),
    Notify(NoticeWakeup),
    Advance(RunWakeup),
}

/// Calls at once to one server. Each is a message group of the queue of calls, which has one message in flight.
pub const CALLS_AT_ONCE: u8 = 2;

/// The message group of a call to `server`, a host or the id of a connection. Calls about one subject share a group.
pub fn call_group(server: &str, subject: &str) -> String {
    let hash = |text: &str| Sha256::digest(text.as_bytes());
    let lane = hash(subject).first().map_or(0, |byte| byte % CALLS_AT_ONCE);
    // A group has at most 128 characters of ASCII.
    let server = BASE32_NOPAD.encode(&hash(server)).to_ascii_lowercase();
    format!("calls-{}-{lane}", server.get(..26).unwrap_or(&server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn calls_to_one_server_have_two_groups() {
        let groups: BTreeSet<_> = (0..200).map(|n| call_group("hooks.test:8443", &n.to_string())).collect();
        assert_eq!(groups.len(), usize::from(CALLS_AT_ONCE));
        assert_eq!(call_group("jira1", "APP-1"), call_group("jira1", "APP-1"));
        assert!((0..50).all(|n| !groups.contains(&call_group("other.test", &n.to_string()))));
        let long = call_group(&"h".repeat(253), "APP-1");
        assert!(long.len() <= 128 && long.is_ascii(), "{long}");
    }
}
