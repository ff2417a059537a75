//! Pushes a commit, once the control plane grants it.

use super::prepare::Preparation;
use crate::api::attempt::Attempt;
use crate::inputs::orders::Order;
use crate::publish::push::{self, PublishResult, Push, PushedBy};
use crate::secrets::access::ForgeAccess;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::job::DesiredState;
use tokio::time::{Instant, timeout_at};

/// Requests the right to push, then pushes. `None`: there is an input beyond the `input_count` that the agent has read.
pub(super) async fn publish(
    attempt: &Attempt<'_>,
    preparation: &Preparation<'_>,
    commit: &str,
    input_count: Option<u32>,
) -> Result<Option<PublishResult>, Stop> {
    let requested_at = Instant::now();
    // A pause must not interrupt the request, because its outcome would be unknown.
    let request = attempt.unless(Order::Cancel, attempt.request_push(input_count));
    // Without an answer there is no right to push.
    let answer = match timeout_at(push::deadline(requested_at, None), request).await {
        Ok(answer) => answer?,
        Err(_) => {
            let last_words = "the control plane did not answer in time before the push".into();
            return Err(Failure::Unknown { last_words }.into());
        }
    };
    match answer.want {
        DesiredState::Cancel => return Err(Stop::Order(Order::Cancel)),
        DesiredState::Pause if answer.push_for_secs.is_none() => return Err(Stop::Order(Order::Pause)),
        // A granted push takes precedence over a pause.
        DesiredState::Run | DesiredState::Pause => {}
    }
    if answer.has_unread_inputs {
        return Ok(None);
    }
    let Preparation { access: ForgeAccess { git, .. }, target, workspace, .. } = preparation;
    if target.adopted_commit.is_some() {
        let commit = commit.to_owned();
        let head = target.expected_head.clone().unwrap_or_else(|| commit.clone());
        return Ok(Some(PublishResult { head, commit, pushed_by: PushedBy::EarlierAttempt }));
    }
    let forge = attempt.assignment.repository.forge_name();
    let push = Push {
        git,
        repository: &workspace.repository(),
        target,
        commit,
        job: &attempt.assignment.job,
        forge: &forge,
        name: &attempt.assignment.repository.name,
    };
    attempt.unless_aborted(push.publish(push::deadline(requested_at, answer.push_for_secs))).await.map(Some)
}
