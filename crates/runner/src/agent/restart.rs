//! Waits before an agent that could not reach its model is started again, and announces the wait.

use super::Run;
use super::classify::Transient;
use crate::stop::Stop;
use pullyard_domain::text::Span;
use std::time::Duration;
use tokio::time::sleep;

/// The pause before each further start. Their number limits the further starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPauses(Vec<Duration>);

impl Default for RestartPauses {
    fn default() -> Self {
        Self([30, 60, 90].map(Duration::from_secs).to_vec())
    }
}

/// Parses pauses such as `30,60,90`, in seconds: at most ten. An empty text allows no further start.
pub(crate) fn parse_pauses(text: &str) -> Result<RestartPauses, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let secs: Result<Vec<u64>, _> = parts.map(str::parse).collect();
    match secs {
        Ok(secs) if secs.len() <= 10 && secs.iter().all(|secs| *secs <= 3_600) => {
            Ok(RestartPauses(secs.into_iter().map(Duration::from_secs).collect()))
        }
        _ => Err("use at most ten whole numbers up to 3600, such as 30,60,90".into()),
    }
}

/// Errors: no further start is left; the pause was interrupted.
pub(super) async fn wait_before_restart(transient: Transient, run: &Run<'_>) -> Result<(), Stop> {
    let (pauses, usage) = (&run.options.agent_waits.0, &run.attempt.usage);
    let restarts = usage.restart_count();
    let Some(wait) = pauses.get(restarts).copied() else {
        return Err(transient.into_failure(u64::try_from(restarts).unwrap_or(u64::MAX)).into());
    };
    usage.count_restart();
    let (cause, limit) = (transient.cause, pauses.len());
    let message = format!("{cause}. Trying again in {} ({} of {limit}).", Span::from(wait), restarts + 1);
    tracing::info!("{message}");
    run.attempt.events.log(message);
    let pause = async {
        sleep(wait).await;
        Ok(())
    };
    run.attempt.unless_ordered(pause).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_default_to_30_60_90_and_reject_bad_lists() {
        assert_eq!(RestartPauses::default(), parse_pauses("30, 60,90").unwrap());
        assert_eq!(parse_pauses(""), Ok(RestartPauses(Vec::new())));
        for wrong in ["30;60", "-1", "x", "9999", "1,1,1,1,1,1,1,1,1,1,1"] {
            assert!(parse_pauses(wrong).is_err(), "{wrong}");
        }
    }
}
