//! Crash walks: each flow runs once per external call and fault, and must end as the undisturbed run ends.
//!
//! The functions run one event at a time, so that each call belongs to a known step.
//! The number in each test is the flow's number of calls. `walk/covered.rs` maps use cases to tests.

mod attempt;
mod base;
mod beside;
mod covered;
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
async fn ticket_job_completes_after_a_crash() {
    walk(flows::tickets::completed(), 34).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_failure_fails_the_ticket_job_after_a_crash() {
    walk(flows::tickets::failed(), 26).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn working_job_is_cancelled_after_a_crash() {
    walk(flows::tickets::cancelled_while_it_works(), 32).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unclaimed_job_is_cancelled_after_a_crash() {
    walk(flows::tickets::cancelled_before_it_is_claimed(), 23).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_a_stopped_task_fails_after_a_crash() {
    walk(flows::tickets::died(), 68).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_starts_once_capacity_returns_after_a_crash() {
    walk(flows::tickets::started_when_there_is_room(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_job_is_retried_and_cancelled_after_a_crash() {
    walk(flows::requests::asked_retried_and_cancelled(), 43).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_is_answered_paused_and_resumed_after_a_crash() {
    walk(flows::rests::asked_paused_and_continued().own(), 81).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn job_is_answered_paused_and_resumed_in_a_full_walk() {
    walk(flows::rests::asked_paused_and_continued(), 81).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_ticket_starts_on_release_after_a_crash() {
    walk(flows::holds::released_and_started(), 42).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_completes_a_job_after_a_crash() {
    walk(flows::runners::completed(), 43).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_a_silent_runner_is_requeued_after_a_crash() {
    walk(flows::runners::silent(), 90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn review_is_revised_after_a_crash() {
    walk(flows::reviews::told_and_revised(), 58).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_failure_refuses_the_deferred_review_after_a_crash() {
    walk(flows::reviews::held_and_revised().own(), 144).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn job_failure_refuses_the_deferred_review_in_a_full_walk() {
    walk(flows::reviews::held_and_revised(), 144).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_review_gets_its_own_job_after_a_crash() {
    walk(flows::reviews::held_and_completed().own(), 188).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn deferred_review_gets_its_own_job_in_a_full_walk() {
    walk(flows::reviews::held_and_completed(), 188).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_revision_covers_all_reviews_after_a_crash() {
    walk(flows::reviews::asked_and_revised().own(), 71).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn requested_revision_covers_all_reviews_in_a_full_walk() {
    walk(flows::reviews::asked_and_revised(), 71).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_pr_cancels_its_job_after_a_crash() {
    walk(flows::reviews::closed_while_it_waits(), 54).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn review_found_by_polling_is_revised_after_a_crash() {
    walk(flows::reviews::looked_for().own(), 106).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn review_found_by_polling_is_revised_in_a_full_walk() {
    walk(flows::reviews::looked_for(), 106).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polled_review_waits_for_the_working_job_after_a_crash() {
    walk(flows::reviews::looked_for_while_it_works().own(), 244).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polled_close_of_a_pr_cancels_its_job_after_a_crash() {
    walk(flows::reviews::looked_for_and_closed().own(), 149).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_delivery_is_found_by_polling_after_a_crash() {
    walk(flows::reviews::found_by_polling().own(), 104).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn lost_delivery_is_found_by_polling_in_a_full_walk() {
    walk(flows::reviews::found_by_polling(), 104).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn review_webhook_lost_in_a_crash_is_still_revised() {
    walk(flows::told_once::reviewed_and_revised().own(), 58).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn review_webhook_lost_in_a_crash_waits_for_the_working_job() {
    walk(flows::told_once::reviewed_while_it_works().own(), 146).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn close_webhook_lost_in_a_crash_still_cancels_the_job() {
    walk(flows::told_once::closed_before_it_is_claimed().own(), 54).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn close_webhook_lost_in_a_crash_refuses_the_deferred_review() {
    walk(flows::told_once::closed_while_a_review_waits().own(), 146).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_review_is_revised_after_a_crash() {
    walk(flows::bitbucket::told_and_revised().own(), 65).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn bitbucket_review_is_revised_in_a_full_walk() {
    walk(flows::bitbucket::told_and_revised(), 65).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_webhook_lost_in_a_crash_is_still_revised() {
    walk(flows::bitbucket::told_once().own(), 65).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polled_bitbucket_review_is_revised_after_a_crash() {
    walk(flows::bitbucket::looked_for().own(), 115).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn polled_bitbucket_review_is_revised_in_a_full_walk() {
    walk(flows::bitbucket::looked_for(), 115).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_job_waits_for_a_late_comment_after_a_crash() {
    walk(flows::bitbucket::words_come_later().own(), 122).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn bitbucket_job_waits_for_a_late_comment_in_a_full_walk() {
    walk(flows::bitbucket::words_come_later(), 122).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn board_ticket_is_created_edited_and_moved_after_a_crash() {
    walk(flows::board::written_edited_and_moved().own(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_created_in_trigger_status_gets_job_after_a_crash() {
    walk(flows::board::written_into_the_trigger_status().own(), 49).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn board_ticket_is_created_edited_and_moved_in_a_full_walk() {
    walk(flows::board::written_edited_and_moved(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn ticket_created_in_trigger_status_gets_job_in_a_full_walk() {
    walk(flows::board::written_into_the_trigger_status(), 49).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_is_moved_with_idempotency_keys_after_a_crash() {
    walk(flows::board::moved_by_keys().own(), 38).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn ticket_is_moved_with_idempotency_keys_in_a_full_walk() {
    walk(flows::board::moved_by_keys(), 38).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_is_linked_after_a_crash() {
    walk(flows::board::linked_to_its_pull_request(), 24).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_is_unlinked_after_a_crash() {
    walk(flows::board::linked_and_unlinked().own(), 37).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_delivery_is_replayed_after_a_crash() {
    walk(flows::replays::refused_and_replayed().own(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn refused_delivery_is_replayed_in_a_full_walk() {
    walk(flows::replays::refused_and_replayed(), 80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_is_installed_and_repaired_after_a_crash() {
    walk(flows::hooks::installed_and_repaired(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_is_removed_here_and_at_the_forge_after_a_crash() {
    walk(flows::hooks::removed_everywhere(), 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_hook_is_installed_and_repaired_after_a_crash() {
    walk(flows::bitbucket::installed_and_repaired(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_hook_is_removed_after_a_crash() {
    walk(flows::bitbucket::removed_everywhere(), 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_hook_recovery_and_polling_run_after_a_crash() {
    walk(flows::hooks::recovered_and_polled(), 18).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forge_is_connected_and_its_secret_rotated_after_a_crash() {
    walk(flows::set_up::connected_and_rotated(), 23).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forge_is_disconnected_after_a_crash() {
    walk(flows::set_up::disconnected_forge(), 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_is_removed_after_a_crash() {
    walk(flows::set_up::repository_removed(), 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_created_once_after_a_crash() {
    walk(flows::tokens::made_once(), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_revoked_after_a_crash() {
    walk(flows::tokens::taken_back(), 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_event_is_recorded_after_a_crash() {
    walk(flows::tickets::unreadable(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_redriven_or_dropped_after_a_crash() {
    walk(flows::dead_letters::sent_back_and_dropped().own(), 31).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn dead_letters_are_redriven_or_dropped_in_a_full_walk() {
    walk(flows::dead_letters::sent_back_and_dropped(), 31).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_drains_and_resumes_after_a_crash() {
    walk(flows::fleet::drained_and_resumed(), 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_a_removed_runner_is_requeued_after_a_crash() {
    walk(flows::fleet::removed_under_its_job().own(), 93).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn job_of_a_removed_runner_is_requeued_in_a_full_walk() {
    walk(flows::fleet::removed_under_its_job(), 93).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_waits_until_its_breaker_closes_after_a_crash() {
    walk(flows::fleet::left_alone_and_asked_again().own(), 55).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn job_waits_until_its_breaker_closes_in_a_full_walk() {
    walk(flows::fleet::left_alone_and_asked_again(), 55).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_and_inputs_reach_the_next_attempt_after_a_crash() {
    walk(flows::artifacts::kept_told_and_gone_on().own(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn artifacts_and_inputs_reach_the_next_attempt_in_a_full_walk() {
    walk(flows::artifacts::kept_told_and_gone_on(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_result_is_stored_and_linked_after_a_crash() {
    walk(flows::artifacts::late().own(), 81).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn late_result_is_stored_and_linked_in_a_full_walk() {
    walk(flows::artifacts::late(), 81).await;
}
