//! What an attempt delivers, by the kind of its job.

pub(super) mod change;
pub(super) mod read;

use super::attempt::Attempt;
use crate::deadline::push_deadline;
use crate::inputs::orders::Order;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::job::DesiredState;
use tokio::time::{Instant, timeout_at};

/// Requests the time in which no other process ends the job, and returns its end. `None`: there is an input beyond the
/// `input_count` that the agent has read.
/// Errors: a cancel or a pause that came first.
async fn request_window(attempt: &Attempt<'_>, input_count: Option<u32>) -> Result<Option<Instant>, Stop> {
    let requested_at = Instant::now();
    // A pause must not interrupt the request, because its outcome would be unknown.
    let request = attempt.unless(Order::Cancel, attempt.request_push(input_count));
    // Without an answer there is no right to push.
    let answer = match timeout_at(push_deadline(requested_at, None), request).await {
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
    let until = push_deadline(requested_at, answer.push_for_secs);
    Ok((!answer.has_unread_inputs).then_some(until))
}
