//! Crash walks: each flow runs once per external call and fault, and must end as the undisturbed run ends.
//!
//! The functions run one event at a time, so that each call belongs to a known step.
//! The number of each test is the flow's number of calls. `walk/covered.rs` maps use cases to tests.
//! `PULLYARD_WALK=all` also walks the steps that `.own()` leaves to other flows.

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

macro_rules! walks {
    ($($name:ident: $flow:expr, $points:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                walk($flow, $points).await;
            }
        )*
    };
}

walks! {
    ticket_job_completes_after_a_crash: flows::tickets::completed(), 34;
    agent_failure_fails_the_ticket_job_after_a_crash: flows::tickets::failed(), 26;
    working_job_is_cancelled_after_a_crash: flows::tickets::cancelled_while_it_works(), 32;
    unclaimed_job_is_cancelled_after_a_crash: flows::tickets::cancelled_before_it_is_claimed(), 23;
    job_of_a_stopped_task_fails_after_a_crash: flows::tickets::died(), 68;
    task_starts_once_capacity_returns_after_a_crash: flows::tickets::started_when_there_is_room(), 79;
    requested_job_is_retried_and_cancelled_after_a_crash: flows::requests::asked_retried_and_cancelled(), 43;
    job_is_answered_paused_and_resumed_after_a_crash: flows::rests::asked_paused_and_continued().own(), 81;
    held_ticket_starts_on_release_after_a_crash: flows::holds::released_and_started(), 42;
    runner_completes_a_job_after_a_crash: flows::runners::completed(), 43;
    job_of_a_silent_runner_is_requeued_after_a_crash: flows::runners::silent(), 90;
    review_is_revised_after_a_crash: flows::reviews::told_and_revised(), 58;
    job_failure_refuses_the_deferred_review_after_a_crash: flows::reviews::held_and_revised().own(), 144;
    deferred_review_gets_its_own_job_after_a_crash: flows::reviews::held_and_completed().own(), 188;
    requested_revision_covers_all_reviews_after_a_crash: flows::reviews::asked_and_revised().own(), 71;
    closing_a_pr_cancels_its_job_after_a_crash: flows::reviews::closed_while_it_waits(), 54;
    review_found_by_polling_is_revised_after_a_crash: flows::reviews::looked_for().own(), 106;
    polled_review_waits_for_the_working_job_after_a_crash: flows::reviews::looked_for_while_it_works().own(), 244;
    polled_close_of_a_pr_cancels_its_job_after_a_crash: flows::reviews::looked_for_and_closed().own(), 149;
    lost_delivery_is_found_by_polling_after_a_crash: flows::reviews::found_by_polling().own(), 104;
    review_webhook_lost_in_a_crash_waits_for_the_working_job: flows::told_once::reviewed_while_it_works().own(), 146;
    close_webhook_lost_in_a_crash_still_cancels_the_job: flows::told_once::closed_before_it_is_claimed().own(), 54;
    close_webhook_lost_in_a_crash_refuses_the_deferred_review: flows::told_once::closed_while_a_review_waits().own(), 146;
    bitbucket_review_is_revised_after_a_crash: flows::bitbucket::told_and_revised().own(), 65;
    bitbucket_webhook_lost_in_a_crash_is_still_revised: flows::bitbucket::told_once().own(), 65;
    polled_bitbucket_review_is_revised_after_a_crash: flows::bitbucket::looked_for().own(), 115;
    bitbucket_job_waits_for_a_late_comment_after_a_crash: flows::bitbucket::words_come_later().own(), 122;
    board_ticket_is_created_edited_and_moved_after_a_crash: flows::board::written_edited_and_moved().own(), 45;
    ticket_created_in_trigger_status_gets_job_after_a_crash: flows::board::written_into_the_trigger_status().own(), 49;
    ticket_is_moved_with_idempotency_keys_after_a_crash: flows::board::moved_by_keys().own(), 38;
    pull_request_is_linked_after_a_crash: flows::board::linked_to_its_pull_request(), 24;
    pull_request_is_unlinked_after_a_crash: flows::board::linked_and_unlinked().own(), 37;
    refused_delivery_is_replayed_after_a_crash: flows::replays::refused_and_replayed().own(), 79;
    hook_is_installed_and_repaired_after_a_crash: flows::hooks::installed_and_repaired(), 45;
    hook_is_removed_here_and_at_the_forge_after_a_crash: flows::hooks::removed_everywhere(), 8;
    bitbucket_hook_is_installed_and_repaired_after_a_crash: flows::bitbucket::installed_and_repaired(), 45;
    bitbucket_hook_is_removed_after_a_crash: flows::bitbucket::removed_everywhere(), 10;
    requested_hook_recovery_and_polling_run_after_a_crash: flows::hooks::recovered_and_polled(), 18;
    forge_is_connected_and_its_secret_rotated_after_a_crash: flows::set_up::connected_and_rotated(), 23;
    forge_is_disconnected_after_a_crash: flows::set_up::disconnected_forge(), 15;
    repository_is_removed_after_a_crash: flows::set_up::repository_removed(), 10;
    token_is_created_once_after_a_crash: flows::tokens::made_once(), 3;
    token_is_revoked_after_a_crash: flows::tokens::taken_back(), 4;
    unreadable_event_is_recorded_after_a_crash: flows::tickets::unreadable(), 2;
    dead_letters_are_redriven_or_dropped_after_a_crash: flows::dead_letters::sent_back_and_dropped().own(), 31;
    runner_drains_and_resumes_after_a_crash: flows::fleet::drained_and_resumed(), 25;
    job_of_a_removed_runner_is_requeued_after_a_crash: flows::fleet::removed_under_its_job().own(), 93;
    job_waits_until_its_breaker_closes_after_a_crash: flows::fleet::left_alone_and_asked_again().own(), 55;
    artifacts_and_inputs_reach_the_next_attempt_after_a_crash: flows::artifacts::kept_told_and_gone_on().own(), 79;
    late_result_is_stored_and_linked_after_a_crash: flows::artifacts::late().own(), 81;
}
