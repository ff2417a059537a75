//! The crash walker: every external call of every use case is a numbered point, and each flow is walked once for
//! each way in which a point can break. What is left in the end is what an undisturbed story leaves.
//!
//! The functions are driven one event at a time, so that it is certain whose call is whose; nothing polls.
//! The number beside each flow is that of its points, of which it may have a few more. Which use case is walked by which
//! of these tests, and which by none, stands in `walk/covered.rs`.

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
async fn a_tickets_job_completes_whatever_dies() {
    walk(flows::tickets::completed(), 34).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tickets_job_fails_whatever_dies() {
    walk(flows::tickets::failed(), 26).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_works_is_cancelled_whatever_dies() {
    walk(flows::tickets::cancelled_while_it_works(), 32).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_is_cancelled_whatever_dies() {
    walk(flows::tickets::cancelled_before_it_is_claimed(), 23).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_tasks_job_fails_whatever_else_dies() {
    walk(flows::tickets::died(), 68).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_started_when_there_is_room_whatever_dies() {
    walk(flows::tickets::started_when_there_is_room(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_job_is_made_retried_and_cancelled_whatever_dies() {
    walk(flows::requests::asked_retried_and_cancelled(), 43).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_asks_is_answered_paused_and_continued_whatever_dies() {
    walk(flows::rests::asked_paused_and_continued().own(), 81).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_job_that_asks_is_answered_paused_and_continued_wherever_it_dies() {
    walk(flows::rests::asked_paused_and_continued(), 81).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_projects_ticket_starts_when_it_is_released_whatever_dies() {
    walk(flows::holds::released_and_started(), 42).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_completes_a_job_whatever_dies() {
    walk(flows::runners::completed(), 43).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_runners_job_is_put_back_whatever_dies() {
    walk(flows::runners::silent(), 90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_answered_whatever_dies() {
    walk(flows::reviews::told_and_revised(), 58).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_waits_gets_its_answer_whatever_dies() {
    walk(flows::reviews::held_and_revised().own(), 144).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_that_waits_gets_its_answer_wherever_it_dies() {
    walk(flows::reviews::held_and_revised(), 144).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_waits_for_a_job_that_completes_gets_its_own_whatever_dies() {
    walk(flows::reviews::held_and_completed().own(), 188).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_that_waits_for_a_job_that_completes_gets_its_own_wherever_it_dies() {
    walk(flows::reviews::held_and_completed(), 188).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_asks_gets_all_that_nobody_answered_whatever_dies() {
    walk(flows::reviews::asked_and_revised().own(), 71).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_person_who_asks_gets_all_that_nobody_answered_wherever_it_dies() {
    walk(flows::reviews::asked_and_revised(), 71).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pull_request_ends_its_job_whatever_dies() {
    walk(flows::reviews::closed_while_it_waits(), 54).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_nobody_told_is_found_whatever_dies() {
    walk(flows::reviews::looked_for().own(), 106).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_that_nobody_told_is_found_wherever_it_dies() {
    walk(flows::reviews::looked_for(), 106).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_nobody_told_while_a_job_works_is_found_and_waits_whatever_dies() {
    walk(flows::reviews::looked_for_while_it_works().own(), 244).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_nobody_told_was_closed_ends_its_job_whatever_dies() {
    walk(flows::reviews::looked_for_and_closed().own(), 149).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_never_arrived_is_found_by_polling_whatever_dies() {
    walk(flows::reviews::found_by_polling().own(), 104).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_delivery_that_never_arrived_is_found_by_polling_wherever_it_dies() {
    walk(flows::reviews::found_by_polling(), 104).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_is_told_once_is_answered_whoever_heard_it_dies() {
    walk(flows::told_once::reviewed_and_revised().own(), 58).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_is_told_once_while_a_job_works_waits_for_it_whoever_heard_it_dies() {
    walk(flows::told_once::reviewed_while_it_works().own(), 146).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_of_which_it_is_told_once_that_it_was_closed_ends_its_job_whoever_heard_it_dies() {
    walk(flows::told_once::closed_before_it_is_claimed().own(), 54).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_waits_is_answered_once_its_pull_request_is_closed_whoever_heard_it_dies() {
    walk(flows::told_once::closed_while_a_review_waits().own(), 146).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_on_bitbucket_is_answered_whatever_dies() {
    walk(flows::bitbucket::told_and_revised().own(), 65).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_on_bitbucket_is_answered_wherever_it_dies() {
    walk(flows::bitbucket::told_and_revised(), 65).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_on_bitbucket_that_is_told_once_is_answered_whoever_heard_it_dies() {
    walk(flows::bitbucket::told_once().own(), 65).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_on_bitbucket_that_nobody_told_is_found_whatever_dies() {
    walk(flows::bitbucket::looked_for().own(), 115).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_on_bitbucket_that_nobody_told_is_found_wherever_it_dies() {
    walk(flows::bitbucket::looked_for(), 115).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_on_bitbucket_whose_words_come_later_is_answered_with_them_whatever_dies() {
    walk(flows::bitbucket::words_come_later().own(), 122).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_review_on_bitbucket_whose_words_come_later_is_answered_with_them_wherever_it_dies() {
    walk(flows::bitbucket::words_come_later(), 122).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_the_board_is_written_changed_and_moved_whatever_dies() {
    walk(flows::board::written_edited_and_moved().own(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_written_into_the_trigger_status_gets_its_job_whatever_dies() {
    walk(flows::board::written_into_the_trigger_status().own(), 49).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_ticket_of_the_board_is_written_changed_and_moved_wherever_it_dies() {
    walk(flows::board::written_edited_and_moved(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_ticket_that_is_written_into_the_trigger_status_gets_its_job_wherever_it_dies() {
    walk(flows::board::written_into_the_trigger_status(), 49).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_moved_by_keys_whatever_dies() {
    walk(flows::board::moved_by_keys().own(), 38).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_ticket_is_moved_by_keys_wherever_it_dies() {
    walk(flows::board::moved_by_keys(), 38).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_linked_to_its_ticket_whatever_dies() {
    walk(flows::board::linked_to_its_pull_request(), 24).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_pull_request_is_taken_away_whatever_dies() {
    walk(flows::board::linked_and_unlinked().own(), 37).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_delivery_is_decided_again_whatever_dies() {
    walk(flows::replays::refused_and_replayed().own(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_refused_delivery_is_decided_again_wherever_it_dies() {
    walk(flows::replays::refused_and_replayed(), 80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_installed_and_repaired_whatever_dies() {
    walk(flows::hooks::installed_and_repaired(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_removed_here_and_at_its_forge_whatever_dies() {
    walk(flows::hooks::removed_everywhere(), 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_on_bitbucket_is_installed_and_repaired_whatever_dies() {
    walk(flows::bitbucket::installed_and_repaired(), 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_on_bitbucket_is_removed_here_and_at_its_forge_whatever_dies() {
    walk(flows::bitbucket::removed_everywhere(), 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_looks_for_what_it_missed_when_somebody_asks_whatever_dies() {
    walk(flows::hooks::recovered_and_polled(), 18).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_is_connected_and_its_secret_rotated_whatever_dies() {
    walk(flows::set_up::connected_and_rotated(), 23).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_is_disconnected_whatever_dies() {
    walk(flows::set_up::disconnected_forge(), 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_removed_with_all_that_is_of_it_whatever_dies() {
    walk(flows::set_up::repository_removed(), 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_once_whatever_dies() {
    walk(flows::tokens::made_once(), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_back_whatever_dies() {
    walk(flows::tokens::taken_back(), 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_written_down_whatever_dies() {
    walk(flows::tickets::unreadable(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_sent_back_or_dropped_or_still_there_whatever_dies() {
    walk(flows::dead_letters::sent_back_and_dropped().own(), 31).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn dead_letters_are_sent_back_or_dropped_or_still_there_wherever_it_dies() {
    walk(flows::dead_letters::sent_back_and_dropped(), 31).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_drains_and_goes_on_whatever_dies() {
    walk(flows::fleet::drained_and_resumed(), 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_removed_gives_its_job_back_whatever_dies() {
    walk(flows::fleet::removed_under_its_job().own(), 93).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_runner_that_is_removed_gives_its_job_back_wherever_it_dies() {
    walk(flows::fleet::removed_under_its_job(), 93).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_its_model_and_goes_on_whatever_dies() {
    walk(flows::fleet::left_alone_and_asked_again().own(), 55).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_job_waits_for_its_model_and_goes_on_wherever_it_dies() {
    walk(flows::fleet::left_alone_and_asked_again(), 55).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_attempt_keeps_and_hears_is_there_for_the_next_whatever_dies() {
    walk(flows::artifacts::kept_told_and_gone_on().own(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn what_an_attempt_keeps_and_hears_is_there_for_the_next_wherever_it_dies() {
    walk(flows::artifacts::kept_told_and_gone_on(), 79).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_too_late_is_kept_and_linked_whatever_dies() {
    walk(flows::artifacts::late().own(), 81).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long, and is walked on demand"]
async fn a_result_that_comes_too_late_is_kept_and_linked_wherever_it_dies() {
    walk(flows::artifacts::late(), 81).await;
}
