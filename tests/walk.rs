//! The crash walker: every external call of every use case is a numbered point, and each flow is walked once for
//! each way in which a point can break. What is left in the end is what an undisturbed story leaves.
//!
//! The functions are driven one event at a time, so that it is certain whose call is whose; nothing polls.
//! The number beside each flow is that of its points: it may only grow.

mod attempt;
mod base;
mod flows;
mod forge;
mod http;
mod inbox;
mod left;
mod raw;
mod step;
mod walker;
mod world;

use walker::walk;

#[tokio::test(flavor = "multi_thread")]
async fn a_tickets_job_completes_whatever_dies() {
    walk(flows::tickets::completed(), 36).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tickets_job_fails_whatever_dies() {
    walk(flows::tickets::failed(), 28).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_works_is_cancelled_whatever_dies() {
    walk(flows::tickets::cancelled_while_it_works(), 34).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_is_cancelled_whatever_dies() {
    walk(flows::tickets::cancelled_before_it_is_claimed(), 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_tasks_job_fails_whatever_else_dies() {
    walk(flows::tickets::died(), 70).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_started_when_there_is_room_whatever_dies() {
    walk(flows::tickets::started_when_there_is_room(), 73).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_job_is_made_retried_and_cancelled_whatever_dies() {
    walk(flows::requests::asked_retried_and_cancelled(), 44).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_asks_is_answered_paused_and_continued_whatever_dies() {
    walk(flows::rests::asked_paused_and_continued().own(), 83).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_job_that_asks_is_answered_paused_and_continued_wherever_it_dies() {
    walk(flows::rests::asked_paused_and_continued(), 83).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_projects_ticket_starts_when_it_is_released_whatever_dies() {
    walk(flows::holds::released_and_started(), 47).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_completes_a_job_whatever_dies() {
    walk(flows::runners::completed(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_runners_job_is_put_back_whatever_dies() {
    walk(flows::runners::silent(), 92).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_answered_whatever_dies() {
    walk(flows::reviews::told_and_revised(), 66).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_waits_gets_its_answer_whatever_dies() {
    walk(flows::reviews::held_and_revised().own(), 158).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_that_waits_gets_its_answer_wherever_it_dies() {
    walk(flows::reviews::held_and_revised(), 158).await;
}

// Or one more: by their ids, which are of the time, what is due is swept in one order or another.
#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_waits_for_a_job_that_completes_gets_its_own_whatever_dies() {
    walk(flows::reviews::held_and_completed().own(), 204).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_that_waits_for_a_job_that_completes_gets_its_own_wherever_it_dies() {
    walk(flows::reviews::held_and_completed(), 204).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_asks_gets_all_that_nobody_answered_whatever_dies() {
    walk(flows::reviews::asked_and_revised().own(), 60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_person_who_asks_gets_all_that_nobody_answered_wherever_it_dies() {
    walk(flows::reviews::asked_and_revised(), 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pull_request_ends_its_job_whatever_dies() {
    walk(flows::reviews::closed_while_it_waits(), 63).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_nobody_told_is_found_whatever_dies() {
    walk(flows::reviews::looked_for().own(), 112).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_that_nobody_told_is_found_wherever_it_dies() {
    walk(flows::reviews::looked_for(), 112).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_never_arrived_is_asked_for_again_whatever_dies() {
    walk(flows::reviews::redelivered().own(), 119).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_delivery_that_never_arrived_is_asked_for_again_wherever_it_dies() {
    walk(flows::reviews::redelivered(), 119).await;
}
