//! Crash walks: each flow runs once per external call and fault, and must end as the undisturbed run ends.
//!
//! The functions run one event at a time, so that each call belongs to a known step.
//! The number of each test is the flow's number of calls. `walk/coverage.rs` maps use cases to tests.
//! `PULLYARD_WALK=all` also walks the steps that `.only_own_steps()` leaves to other flows.

mod attempt;
mod base;
mod coverage;
mod flows;
mod forge;
mod http;
mod inbox;
mod outcome;
mod outside_table;
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

        #[test]
        fn no_two_flows_have_one_name() {
            let names = [$($flow.name),*];
            assert_eq!(std::collections::BTreeSet::from(names).len(), names.len(), "{names:?}");
        }
    };
}

walks! {
    ticket_job_completes_after_a_crash: flows::tickets::complete_job().with_lost_table_answers(), 40;
    agent_failure_fails_the_ticket_job_after_a_crash: flows::tickets::fail_job(), 32;
    working_job_is_cancelled_after_a_crash: flows::tickets::cancel_working_job(), 38;
    unclaimed_job_is_cancelled_after_a_crash: flows::tickets::cancel_unclaimed_job(), 30;
    job_of_a_stopped_task_fails_after_a_crash: flows::tickets::task_death(), 72;
    silent_attempt_fails_its_job_after_a_crash: flows::tickets::silent_attempt(), 68;
    job_of_a_silent_attempt_is_requeued_after_a_crash: flows::tickets::requeued_silent_attempt().only_own_steps(), 82;
    task_starts_once_capacity_returns_after_a_crash: flows::tickets::capacity_returns(), 88;
    job_of_a_limited_project_starts_after_a_crash_at_an_end: flows::tickets::limited_job().only_own_steps(), 95;
    requested_job_is_retried_and_cancelled_after_a_crash: flows::requests::request_retry_and_cancel(), 48;
    question_is_answered_after_a_crash: flows::requests::ask_and_answer(), 30;
    repository_is_analysed_after_a_crash: flows::requests::analyse(), 35;
    job_is_answered_paused_and_resumed_after_a_crash: flows::suspensions::question_pause_and_resume().only_own_steps(), 93;
    run_asks_and_completes_after_a_crash: flows::runs::approve_and_complete(), 73;
    run_is_cancelled_after_a_crash: flows::runs::cancel().only_own_steps(), 62;
    reviewed_run_adds_a_second_commit_after_a_crash: flows::runs::contribute().only_own_steps(), 168;
    manager_has_its_next_turn_after_a_crash: flows::runs::manage().only_own_steps(), 128;
    place_of_a_group_is_given_on_after_a_crash: flows::runs::group().only_own_steps(), 126;
    pull_request_of_a_step_opens_once_after_a_crash: flows::runs::open_pull_request().only_own_steps(), 73;
    due_schedule_starts_its_analysis_after_a_crash: flows::schedules::run_when_due(), 43;
    submission_starts_one_run_after_a_crash: flows::templates::submit().only_own_steps(), 28;
    submission_in_the_queue_starts_one_run_after_a_crash: flows::templates::submit_by_queue().only_own_steps(), 31;
    schedule_starts_one_run_per_repository_after_a_crash: flows::templates::start_each_repository().only_own_steps(), 65;
    webhook_starts_one_run_after_a_crash: flows::templates::start_by_webhook().only_own_steps(), 26;
    template_is_deleted_after_a_crash: flows::templates::delete_template().only_own_steps(), 10;
    schedule_is_deleted_after_a_crash: flows::schedules::delete_schedule().only_own_steps(), 8;
    end_of_a_job_is_sent_after_a_crash: flows::notices::send(), 58;
    endpoint_is_enabled_and_deleted_after_a_crash: flows::notices::enable_redeliver_and_delete().only_own_steps(), 136;
    ticket_tool_shows_a_completed_job_after_a_crash: flows::trackers::complete_job().only_own_steps(), 61;
    ticket_tool_confirms_a_move_on_the_board_after_a_crash: flows::trackers::move_on_board().only_own_steps(), 92;
    ticket_is_synced_with_a_tool_that_was_away_after_a_crash: flows::trackers::sync_after_failure().only_own_steps(), 75;
    ticket_tool_is_connected_and_deleted_after_a_crash: flows::trackers::connect_and_delete().only_own_steps(), 33;
    dragged_ticket_of_jira_fails_and_is_polled_after_a_crash: flows::scoped_trackers::use_and_remove("jira").only_own_steps(), 337;
    dragged_ticket_of_linear_fails_and_is_polled_after_a_crash: flows::scoped_trackers::use_and_remove("linear").only_own_steps(), 334;
    held_ticket_starts_on_release_after_a_crash: flows::holds::hold_and_release(), 49;
    runner_completes_a_job_after_a_crash: flows::runners::complete_job().with_lost_table_answers(), 68;
    job_of_a_silent_runner_is_requeued_after_a_crash: flows::runners::silent_runner(), 143;
    review_is_revised_after_a_crash: flows::reviews::review().with_lost_table_answers(), 84;
    job_failure_refuses_the_deferred_review_after_a_crash: flows::reviews::deferred_and_refused().only_own_steps(), 183;
    deferred_review_gets_its_own_job_after_a_crash: flows::reviews::deferred_and_started().only_own_steps(), 250;
    requested_revision_covers_all_reviews_after_a_crash: flows::reviews::requested_revision().only_own_steps(), 97;
    requested_review_is_posted_after_a_crash: flows::reviews::requested_review(), 60;
    pushed_commit_is_reviewed_once_after_a_crash: flows::reviews::automatic_review().only_own_steps(), 183;
    requested_resolve_is_reported_after_a_crash: flows::reviews::requested_resolve().only_own_steps(), 63;
    closing_a_pr_cancels_its_job_after_a_crash: flows::reviews::close_before_claim(), 83;
    review_found_by_polling_is_revised_after_a_crash: flows::reviews::polled_review().only_own_steps(), 141;
    polled_review_waits_for_the_working_job_after_a_crash: flows::reviews::polled_during_job().only_own_steps(), 308;
    polled_close_of_a_pr_cancels_its_job_after_a_crash: flows::reviews::polled_close().only_own_steps(), 196;
    lost_delivery_is_found_by_polling_after_a_crash: flows::reviews::lost_delivery().only_own_steps(), 138;
    review_webhook_lost_in_a_crash_waits_for_the_working_job: flows::lost_webhooks::lost_review_during_job().only_own_steps(), 185;
    close_webhook_lost_in_a_crash_still_cancels_the_job: flows::lost_webhooks::lost_close().only_own_steps(), 83;
    close_webhook_lost_in_a_crash_refuses_the_deferred_review: flows::lost_webhooks::lost_close_with_deferred_review().only_own_steps(), 195;
    bitbucket_webhook_lost_in_a_crash_is_still_revised: flows::bitbucket::lost_webhook().only_own_steps(), 91;
    polled_bitbucket_review_is_revised_after_a_crash: flows::bitbucket::polled_review().only_own_steps(), 151;
    bitbucket_job_waits_for_a_late_comment_after_a_crash: flows::bitbucket::late_comment().only_own_steps(), 156;
    board_ticket_is_created_edited_and_moved_after_a_crash: flows::board::create_edit_and_move().only_own_steps(), 56;
    ticket_created_in_trigger_status_gets_job_after_a_crash: flows::board::create_in_trigger_status().only_own_steps(), 59;
    ticket_is_moved_with_idempotency_keys_after_a_crash: flows::board::move_with_keys().only_own_steps(), 48;
    ticket_gets_comments_after_a_crash: flows::board::comments(), 10;
    ticket_is_deleted_after_a_crash: flows::board::delete_ticket(), 7;
    column_is_renamed_after_a_crash: flows::board::rename_column(), 9;
    pull_request_is_linked_after_a_crash: flows::board::link_flow(), 30;
    pull_request_is_unlinked_after_a_crash: flows::board::unlink_flow().only_own_steps(), 43;
    refused_delivery_is_replayed_after_a_crash: flows::replays::replay_refused().only_own_steps(), 114;
    hook_is_installed_and_repaired_after_a_crash: flows::hooks::hook_repair(), 45;
    hook_is_removed_here_and_at_the_forge_after_a_crash: flows::hooks::hook_removal(), 8;
    bitbucket_hook_is_installed_and_repaired_after_a_crash: flows::bitbucket::hook_repair(), 45;
    ingress_is_changed_after_a_crash: flows::hooks::change_ingress(), 5;
    forge_is_connected_and_its_secret_rotated_after_a_crash: flows::setup::connect_and_rotate(), 28;
    forge_is_disconnected_after_a_crash: flows::setup::disconnect_forge(), 17;
    secret_is_deleted_after_a_crash: flows::setup::secret_removal().only_own_steps(), 22;
    repository_is_removed_after_a_crash: flows::setup::repository_removal(), 10;
    project_is_deleted_after_a_crash: flows::setup::project_deletion(), 12;
    token_is_created_once_after_a_crash: flows::tokens::token_creation(), 3;
    token_is_revoked_after_a_crash: flows::tokens::token_revocation(), 4;
    unreadable_event_is_recorded_after_a_crash: flows::tickets::unreadable(), 2;
    dead_letters_are_redriven_or_dropped_after_a_crash: flows::dead_letters::redrive_and_drop().only_own_steps(), 36;
    runner_drains_and_resumes_after_a_crash: flows::fleet::drain_and_resume(), 25;
    runner_restarts_after_a_crash: flows::fleet::restart(), 19;
    job_of_a_removed_runner_is_requeued_after_a_crash: flows::fleet::remove_during_job().only_own_steps(), 141;
    job_waits_until_its_breaker_closes_after_a_crash: flows::fleet::breaker_closed_by_user().only_own_steps(), 83;
    artifacts_and_inputs_reach_the_next_attempt_after_a_crash: flows::artifacts::artifacts_and_input().only_own_steps(), 85;
    late_result_is_stored_and_linked_after_a_crash: flows::artifacts::late_result().only_own_steps(), 88;
}
