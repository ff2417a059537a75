//! Waits for a forge that is unavailable, for up to an hour or until a limit of calls ends, and shows the wait.
//! The attempt keeps its slot. In the phase `syncing` it also renews its push window, so that no other process ends it.

use crate::api::calls::Calls;
use crate::api::retry::BackOff;
use crate::deadline::push_deadline;
use crate::git::GitError;
use crate::inputs::orders::Order;
use crate::stop::Stop;
use pullyard_domain::job::{DesiredState, MAX_FORGE_WAIT};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::{Span, truncate};
use pullyard_protocol::attempt::Phase;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How often a wait is reported. Less than the push window, which each report renews.
const REPORT_INTERVAL: Duration = Duration::from_secs(45);
const LOG_INTERVAL: Duration = Duration::from_secs(300);
/// Added to the end of a limit of calls, for a few more tries.
const AFTER_RATE_LIMIT: Duration = Duration::from_secs(120);
/// A wait of this length counts as long.
const LONG_WAIT: Duration = Duration::from_secs(60);
const MAX_REASON_CHARS: usize = 200;

/// Why a call to the forge has no result.
#[derive(Debug)]
pub(crate) enum ForgeFault {
    /// The forge states it, or the cause is on this machine.
    Final(Stop),
    /// The forge did not answer, or another program answered for it.
    Away(Outage),
}

impl ForgeFault {
    /// A fault of git on this machine. Damage and a missing program stay, so they are final. A full disk and a killed
    /// process may pass, and a checkpoint needs the disk too.
    pub(crate) fn of_machine(error: &GitError) -> Self {
        if error.is_damage() || error.is_missing_program() {
            return error.to_workspace_failure().into();
        }
        Self::Away(Outage::from(format!("the runner's machine failed: {}", error.reason())))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) reason: String,
    /// The pause that the forge demands.
    pub(crate) retry_after: Duration,
}

impl From<String> for Outage {
    fn from(reason: String) -> Self {
        Self { reason, retry_after: Duration::ZERO }
    }
}

impl From<Stop> for ForgeFault {
    fn from(stop: Stop) -> Self {
        Self::Final(stop)
    }
}

impl From<Failure> for ForgeFault {
    fn from(failure: Failure) -> Self {
        Self::Final(failure.into())
    }
}

impl From<GitError> for ForgeFault {
    fn from(error: GitError) -> Self {
        Self::Final(error.into())
    }
}

pub(crate) struct ForgeWait<'a> {
    attempt: &'a Calls<'a>,
    phase: Phase,
    schedule: Schedule,
    logged_at: Instant,
    /// When the finished work was last stored, or its storage was last tried.
    kept_at: Option<Instant>,
    /// The reported reason of the wait.
    reason: Option<String>,
    push_deadline: Instant,
}

/// When the next try is, and when the wait ends.
struct Schedule {
    limit: Duration,
    back_off: BackOff,
    current: Option<Period>,
}

#[derive(Clone, Copy)]
struct Period {
    since: Instant,
    until: Instant,
}

impl Schedule {
    fn new(limit: Duration) -> Self {
        Self { limit, back_off: BackOff::new(), current: None }
    }

    /// The next try; `None` if it would be after the end of the wait.
    fn next(&mut self, now: Instant, retry_after: Duration) -> Option<Instant> {
        let next = now + self.back_off.next().max(retry_after.min(MAX_FORGE_WAIT));
        let limit = self.limit;
        let period = self.current.get_or_insert_with(|| Period { since: now, until: now + limit });
        if !retry_after.is_zero() && !limit.is_zero() {
            let end = (next + AFTER_RATE_LIMIT).min(period.since + MAX_FORGE_WAIT.max(limit));
            period.until = period.until.max(end);
        }
        (next <= period.until).then_some(next)
    }

    fn end(&mut self) -> Option<Period> {
        self.back_off = BackOff::new();
        self.current.take()
    }
}

impl<'a> ForgeWait<'a> {
    pub(crate) fn new(attempt: &'a Calls<'a>, phase: Phase, limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            attempt,
            phase,
            schedule: Schedule::new(limit),
            logged_at: now,
            kept_at: None,
            reason: None,
            push_deadline: now,
        }
    }

    /// Repeats a call until the forge decides. `to_failure` is the failure when the time is up.
    /// Errors: `Final` ones of the call, orders, and `to_failure`.
    pub(crate) async fn retry<T>(
        &mut self,
        to_failure: impl Fn(String) -> Failure,
        mut call: impl AsyncFnMut() -> Result<T, ForgeFault>,
    ) -> Result<T, Stop> {
        loop {
            let outage = match call().await {
                Ok(result) => {
                    self.end().await;
                    return Ok(result);
                }
                Err(ForgeFault::Final(stop)) => return Err(stop),
                Err(ForgeFault::Away(outage)) => outage,
            };
            self.pause(&outage, &to_failure).await?;
        }
    }

    /// Reports the wait for a call that repeats itself.
    /// Errors: from the call and from `pause`.
    pub(crate) async fn watch<T>(
        &mut self,
        reason: &str,
        to_failure: impl Fn(String) -> Failure,
        call: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        tokio::pin!(call);
        loop {
            if let Ok(result) = timeout(REPORT_INTERVAL, &mut call).await {
                let result = result?;
                self.end().await;
                return Ok(result);
            }
            self.pause(&Outage::from(reason.to_owned()), &to_failure).await?;
        }
    }

    /// Waits before the next try, and reports the wait.
    /// Errors: `to_failure` if the time is up or the push window is not renewed; a cancel and more urgent orders.
    pub(crate) async fn pause(&mut self, outage: &Outage, to_failure: impl Fn(String) -> Failure) -> Result<(), Stop> {
        let reason = self.attempt.redactor.redact_text(&outage.reason).into_owned();
        let reason = truncate(&reason, MAX_REASON_CHARS);
        let (is_new, now) = (self.schedule.current.is_none(), Instant::now());
        let Some(next) = self.schedule.next(now, outage.retry_after) else {
            return Err(to_failure(reason).into());
        };
        if is_new || self.logged_at.elapsed() >= LOG_INTERVAL {
            self.log(now, &reason);
        }
        self.reason = Some(reason.clone());
        tracing::warn!(job.id = %self.attempt.assignment.job, "waiting for the forge: {reason}");
        loop {
            if !self.report(Some(&reason)).await? {
                return Err(to_failure(reason).into());
            }
            let step = next.min(Instant::now() + REPORT_INTERVAL);
            if self.phase != Phase::Syncing {
                // The control plane does not count a reported wait either.
                self.attempt.deadline.extend(step.saturating_duration_since(Instant::now()));
            }
            tokio::select! {
                biased;
                order = self.attempt.orders.wait_at_least(Order::Cancel) => return Err(Stop::Order(order)),
                () = sleep_until(step) => {}
            }
            if step == next {
                return Ok(());
            }
        }
    }

    /// Renews the push window before or during a push. Returns when git must be done.
    /// Errors: orders.
    pub(crate) async fn renew_push(&mut self) -> Result<Instant, Stop> {
        let reason = self.reason.clone();
        self.report(reason.as_deref()).await?;
        Ok(self.push_deadline)
    }

    pub(crate) fn is_long(&self) -> bool {
        self.schedule.current.is_some_and(|wait| wait.since.elapsed() >= LONG_WAIT)
    }

    /// Whether the finished work must be stored. Again after a while, because the bucket may be away too.
    pub(crate) fn must_keep_work(&mut self) -> bool {
        let is_due = self.kept_at.is_none_or(|kept_at| kept_at.elapsed() >= LOG_INTERVAL);
        if is_due {
            self.kept_at = Some(Instant::now());
        }
        is_due
    }

    /// Ends the wait, if there is one. A cancel comes too late here, because the call has succeeded.
    pub(crate) async fn end(&mut self) {
        let Some(wait) = self.schedule.end() else { return };
        self.reason = None;
        let forge = self.attempt.assignment.repository.forge_name();
        self.attempt.events.log(format!("{forge} works again after {}.", Span::from(wait.since.elapsed())));
        if let Err(stop) = self.report(None).await {
            tracing::info!("the end of the wait was not reported: {stop:?}");
        }
    }

    fn log(&mut self, now: Instant, reason: &str) {
        self.logged_at = now;
        let forge = self.attempt.assignment.repository.forge_name();
        let until = self.schedule.current.map_or(now, |wait| wait.until);
        let left = Span::from(until.saturating_duration_since(now));
        self.attempt.events.log(format!("Waiting for {forge}, for up to {left}: {}.", reason.trim_end_matches('.')));
    }

    /// Reports the wait. `false` if the attempt may not push any more.
    async fn report(&mut self, reason: Option<&str>) -> Result<bool, Stop> {
        let requested_at = Instant::now();
        let request = self.attempt.repeat_phase(self.phase, reason);
        // Without an answer the window may end; the next report decides.
        let answer = tokio::select! {
            biased;
            order = self.attempt.orders.wait_at_least(Order::Cancel) => return Err(Stop::Order(order)),
            () = sleep_until(requested_at + REPORT_INTERVAL) => return Ok(true),
            answer = request => answer,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(Stop::Failure(failure)) => {
                tracing::warn!("the wait for the forge was not recorded: {}", failure.sentence());
                return Ok(true);
            }
            Err(stop) => return Err(stop),
        };
        if answer.want == DesiredState::Cancel {
            return Err(Stop::Order(Order::Cancel));
        }
        if self.phase != Phase::Syncing {
            return Ok(true);
        }
        let deadline = push_deadline(requested_at, answer.push_for_secs);
        self.push_deadline = deadline;
        Ok(deadline > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// The length of a wait in which each try has this result.
    fn length_of_wait(limit: Duration, retry_after: Duration) -> (u32, Duration) {
        let (mut schedule, begin) = (Schedule::new(limit), Instant::now());
        let (mut now, mut tries) = (begin, 0);
        while let Some(next) = schedule.next(now, retry_after) {
            (now, tries) = (next, tries + 1);
        }
        (tries, now - begin)
    }

    #[test]
    fn unavailable_forge_is_retried_for_an_hour() {
        let (tries, length) = length_of_wait(HOUR, Duration::ZERO);
        assert!((HOUR - Duration::from_secs(15)..=HOUR).contains(&length), "{length:?}");
        assert!((240..600).contains(&tries), "{tries}");
        assert_eq!(length_of_wait(Duration::ZERO, Duration::ZERO).0, 0);
    }

    #[test]
    fn rate_limit_is_waited_out_beyond_the_hour() {
        let first_try = |retry_after| {
            let begin = Instant::now();
            Schedule::new(HOUR).next(begin, retry_after).map(|next| next - begin)
        };
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(first_try(minutes(2)), Some(minutes(2)));
        assert_eq!(first_try(minutes(61)), Some(minutes(61)));
        assert_eq!(first_try(Duration::MAX), Some(MAX_FORGE_WAIT));
        // A forge that demands pauses without end.
        let (tries, length) = length_of_wait(HOUR, minutes(40));
        assert_eq!((tries, length), (3, minutes(120)));
    }

    #[test]
    fn next_outage_has_its_own_hour() {
        let (mut schedule, begin) = (Schedule::new(HOUR), Instant::now());
        assert!(schedule.next(begin, Duration::ZERO).is_some());
        assert!(schedule.next(begin + HOUR, Duration::ZERO).is_none());
        schedule.end();
        let next = schedule.next(begin + HOUR, Duration::ZERO).unwrap();
        assert!(next - (begin + HOUR) <= Duration::from_millis(200), "the back-off begins anew");
    }
}
