//! Waits before an agent that could not reach its model is started again, and announces the wait.

use super::classify::Transient;
use super::restart_pauses::RestartPauses;
use crate::attempt::Attempt;
use crate::stop::Stop;
use pullyard_domain::text::Span;
use tokio::time::sleep;

/// Errors: no further start is left; the pause was interrupted.
pub(super) async fn wait_before_restart(
    transient: Transient,
    attempt: &Attempt<'_>,
    pauses: &RestartPauses,
) -> Result<(), Stop> {
    let (pauses, usage) = (&pauses.0, &attempt.usage);
    let restarts = usage.restart_count();
    let Some(wait) = pauses.get(restarts).copied() else {
        return Err(transient.into_failure(u64::try_from(restarts).unwrap_or(u64::MAX)).into());
    };
    usage.count_restart();
    let (cause, limit) = (transient.cause, pauses.len());
    let message = format!("{cause}. Trying again in {} ({} of {limit}).", Span::from(wait), restarts + 1);
    tracing::info!("{message}");
    attempt.events.log(message);
    let pause = async {
        sleep(wait).await;
        Ok(())
    };
    attempt.unless_ordered(pause).await
}
