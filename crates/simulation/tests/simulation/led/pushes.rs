//! Scripted lives of attempts that lose their job before or after a push.

use super::*;

/// An attempt pushed and was lost before its finish.
async fn pushed_and_lost(mutant: Option<&'static Mutant>) -> Led {
    let mut led = Led::begin(RUNNERS, mutant).await;
    led.enters(TRIGGER).await;
    led.takes(0).await;
    let first = led.newest();
    led.goes_on(&first, |step| step == Step::Finish).await;
    led.passes_to(JobStatus::Ready).await;
    led
}

impl Led {
    /// The second runner claims the job, and its process dies before its first step.
    async fn is_taken_and_lost(&mut self) {
        self.takes(1).await;
        self.0.attempts.pop();
        for _ in 0..20 {
            if self.job().status.is_active() {
                self.passes(30).await;
            }
        }
    }
}

#[test]
fn lost_attempt_cannot_change_its_job() {
    led(&mutant::HELD_BY, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.enters(TRIGGER).await;
        led.takes(0).await;
        let first = led.newest();
        led.goes_on(&first, |step| step == Step::Executing).await;
        led.passes_to(JobStatus::Ready).await;
        led.takes(1).await;
        let second = led.newest();
        // Both attempts have reported a working agent.
        led.goes_on(&second, |step| matches!(step, Step::Working(_))).await;
        led.goes_on(&first, |step| step == Step::Finish).await;
        led
    });
}

#[test]
fn silent_runner_keeps_its_job_while_it_may_push() {
    led(&mutant::PUSH_UNTIL, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.enters(TRIGGER).await;
        led.takes(0).await;
        let attempt = led.newest();
        led.goes_on(&attempt, |step| step == Step::Syncing).await;
        // The runner falls silent, and shortly before the limit it may push.
        led.silence(80).await;
        led.goes_on(&attempt, |step| matches!(step, Step::Push(_))).await;
        led.silence(100).await;
        led
    });
}

#[test]
fn push_of_a_lost_attempt_is_searched_for_after_more_losses() {
    led(&mutant::LOST_PUSH, async |mutant| {
        let mut led = pushed_and_lost(mutant).await;
        for _ in 0..5 {
            let job = led.job();
            if job.adopts.is_some() || job.status.is_terminal() {
                break;
            }
            led.is_taken_and_lost().await;
        }
        assert!(led.job().adopts.is_some() || led.job().status.is_terminal(), "{:?}", led.job());
        led.judged(&["nobody looked for"]);
        led
    });
}

#[test]
fn failed_search_for_a_push_is_not_reported_as_nothing_found() {
    led(&mutant::WHO_LOOKED, async |mutant| {
        let mut led = pushed_and_lost(mutant).await;
        for _ in 0..8 {
            if led.job().status.is_terminal() {
                break;
            }
            led.is_taken_and_lost().await;
        }
        assert!(led.job().adopts.is_some() && led.job().status.is_terminal(), "{:?}", led.job());
        led.judged(&["does not say that it may have pushed"]);
        led
    });
}
