//! Scripted lives of reviews, each with the time at which a review gets its job.

use super::*;

/// Jobs on runners, with a webhook.
const REVIEWS: Mood = Mood { reviews: 1, coalesces: 100, ..RUNNERS };

/// A pull request that was revised once.
async fn revised(mutant: Option<&'static Mutant>) -> Led {
    let mut led = Led::begin(REVIEWS, mutant).await;
    led.enters(TRIGGER).await;
    led.completes(0).await;
    led.reviewed(1).await;
    led.received(Queue::Effects).await;
    led.completes(0).await;
    led
}

#[test]
fn second_review_within_the_hour_starts_no_job() {
    led(&mutant::LAST_REVISION, async |mutant| {
        let mut led = revised(mutant).await;
        led.reviewed(1).await;
        led
    });
}

#[test]
fn deferred_review_gets_its_job_after_the_hour() {
    led(&mutant::WAITING_REVIEWS, async |mutant| {
        let mut led = revised(mutant).await;
        led.reviewed(1).await;
        for _ in 0..62 {
            led.passes(61).await;
            led.received(Queue::Effects).await;
        }
        led.judged(&["and nobody settles it"]);
        led
    });
}

#[test]
fn ledger_names_the_job_of_a_deferred_review() {
    led(&mutant::NAMED_BY_ITS_ENTRY, async |mutant| {
        let mut led = Led::begin(REVIEWS, mutant).await;
        led.enters(TRIGGER).await;
        led.completes(0).await;
        led.reviewed(1).await;
        led.received(Queue::Effects).await;
        led.takes(0).await;
        let attempt = led.newest();
        led.reviewed(1).await;
        led.goes_on(&attempt, |step| step == Step::Over).await;
        // The hour has passed, and the new job has read the review.
        for _ in 0..62 {
            led.passes(61).await;
            led.received(Queue::Effects).await;
        }
        led.judged(&["is that it waits"]);
        led
    });
}

#[test]
fn review_without_a_webhook_is_found_by_polling() {
    led(&mutant::LOOKED_FOR, async |mutant| {
        let mut led = Led::begin(REVIEWS, mutant).await;
        led.enters(TRIGGER).await;
        led.completes(0).await;
        led.reviewed(0).await;
        for _ in 0..8 {
            led.passes(61).await;
            led.received(Queue::Effects).await;
        }
        led.judged(&["nobody answered"]);
        led
    });
}
