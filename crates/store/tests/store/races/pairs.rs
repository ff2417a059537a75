//! Two kinds of use cases that write the same item, thirty-two callers of each at once: whoever comes first, the
//! other one's outcome is one that the state machine allows, and everything that is stored agrees.

mod accounts;
mod anew;
mod attempts;
mod claims;
mod ends;
mod entries;
mod gone;
mod heard;
mod hooks;
mod reviews;
mod runners;
pub(super) mod shared;
mod tickets;

use super::rounds::Came;
use super::world;
use crate::sample;
use crate::world::World;
use pullyard_domain::job::{Job, Status};
use pullyard_domain::runner::Runner;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of every race: the use cases that meet, the items on which they do, and the test.
pub(super) const PAIRS: &[(&str, &str, &str)] = &[
    ("trigger entry finish", "TICKET", "an_entry_and_the_end_of_the_job_before_it_never_miss_each_other"),
    ("trigger snapshot", "TICKET", "an_entry_and_a_move_away_leave_a_job_or_none"),
    ("trigger give-up", "BUDGET", "what_is_taken_from_a_day_and_given_back_at_once_adds_up"),
    ("claim cancel", "JOB", "a_job_is_claimed_and_told_to_stop_or_never_claimed"),
    ("claim drain", "RUNNER", "a_drained_runner_has_the_job_or_not_and_takes_no_other"),
    ("claim finish removal", "JOB RUNNER", "a_runner_that_is_removed_leaves_no_job_behind"),
    ("claim empty-slot", "RUNNER", "a_slot_that_nobody_holds_is_emptied_beside_claims"),
    ("claim place", "JOB", "a_job_that_is_placed_anew_is_claimed_by_nobody_who_was_told_before"),
    ("start place", "JOB", "a_job_that_is_placed_anew_has_no_task_on_its_way"),
    ("finish offline give-up", "JOB TICKET RUNNER", "a_job_is_finished_or_lost_with_its_runner_and_ended_once"),
    ("heartbeat offline give-up", "RUNNER", "a_runner_that_is_heard_in_time_keeps_its_job"),
    ("heartbeat drain", "RUNNER", "a_drain_is_acknowledged_by_a_heartbeat_that_saw_it"),
    ("registration drain", "RUNNER", "a_process_that_takes_over_keeps_the_wish_to_drain"),
    ("requeue finish late-result", "JOB RUNNER ATTEMPT PR", "what_was_pushed_is_the_end_or_is_kept_as_late"),
    ("offline requeue", "RUNNER", "of_many_sweepers_each_job_is_put_back_by_one"),
    ("finish cancel", "JOB TICKET", "a_finish_and_a_cancel_end_a_job_once"),
    ("settle trigger entry", "TICKET", "a_second_entry_and_the_settling_of_the_first_make_one_job_at_a_time"),
    ("late-result finish", "PR", "a_pull_request_is_linked_once_by_its_end_or_by_what_comes_late"),
    ("forge-news revision", "PR", "a_closed_pull_request_has_the_revision_that_was_first_or_none"),
    ("answer", "JOB TICKET INPUT", "of_many_answers_each_is_kept_once_and_the_first_is_the_answer"),
    ("answer yield", "JOB TICKET", "an_answer_and_a_question_never_miss_each_other"),
    ("pause finish", "JOB TICKET", "a_finish_and_a_pause_leave_a_finished_job"),
    ("continue cancel pause", "JOB TICKET", "a_paused_job_is_continued_or_cancelled_and_never_both"),
    (
        "continue yield claim",
        "JOB TICKET",
        "a_runner_that_stops_for_a_pause_that_may_be_taken_back_leaves_it_as_the_last_word_says",
    ),
    ("conclude", "DELIVERY", "a_review_that_is_covered_never_reads_as_refused"),
    ("hook-repair hook-change", "HOOK", "what_is_known_of_a_hook_is_never_set_back_by_an_older_reading"),
    (
        "hook-repair hook-change hook-removal",
        "HOOK",
        "a_hook_that_is_removed_while_it_is_looked_after_leaves_the_next_of_its_name_as_that_was_made",
    ),
    (
        "poll-look poll-change repository-removal",
        "POLL",
        "a_repository_that_is_removed_while_it_is_looked_at_leaves_nothing_to_look_at",
    ),
    (
        "repository-rename repository-removal",
        "REPO REPONAME",
        "a_repository_is_removed_under_the_name_that_was_read_or_renamed_first",
    ),
    (
        "integration-connect integration-removal",
        "INTEGRATION",
        "a_forge_is_disconnected_as_it_was_read_and_never_another_one_of_its_name",
    ),
    ("account-shut account-close", "BREAKER", "an_account_is_shut_and_let_go_only_as_it_stands"),
    ("token-use token-revoked", "TOKEN", "of_many_uses_at_once_one_is_written_while_others_revoke"),
    ("heartbeat claim", "RUNNER", "what_is_heard_beside_claims_takes_neither_a_slot_nor_a_newer_word_away"),
    ("heartbeat registration", "RUNNER", "a_silent_process_is_heard_again_or_another_one_takes_over"),
    ("registration finish", "RUNNER", "a_process_that_takes_over_brings_no_slot_back_that_a_finish_freed"),
    ("registration claim", "RUNNER", "one_of_many_claims_and_one_of_many_takeovers_leave_no_job_without_its_slot"),
    ("ghost heartbeat", "RUNNER", "a_job_that_its_runner_named_in_time_is_ended_as_no_ghost"),
    ("drain heartbeat removal", "RUNNER", "neither_a_wish_to_drain_nor_a_heartbeat_brings_a_removed_runner_back"),
    ("claim offline give-up", "JOB RUNNER", "a_runner_that_falls_silent_loses_the_job_that_it_claimed_or_gets_none"),
    (
        "offline removal give-up",
        "RUNNER",
        "a_runner_that_is_removed_while_it_falls_silent_goes_without_its_job_or_waits_for_its_end",
    ),
    (
        "registration offline give-up",
        "RUNNER",
        "a_runner_that_is_taken_over_while_it_falls_silent_has_its_job_or_lost_it_before",
    ),
    (
        "registration removal",
        "RUNNER PROFILE",
        "a_runner_that_is_taken_over_while_it_is_removed_is_removed_and_keeps_its_job_until_that_ends",
    ),
    ("drain offline give-up", "RUNNER", "a_wish_to_drain_stands_whatever_is_decided_about_a_silence"),
    ("drain yield", "RUNNER", "a_runner_that_gives_its_job_back_while_it_is_drained_keeps_the_wish_and_no_slot"),
    ("registration removal", "NAME", "a_name_is_its_next_runners_only_once_it_is_nobodys_and_stays_that"),
    ("death claim", "JOB", "a_task_that_died_has_its_death_noted_under_its_job_or_never_claims_it"),
    ("death finish", "JOB", "a_death_that_is_told_beside_the_finish_takes_no_work_away"),
    ("phase cancel", "JOB", "a_push_begins_before_its_job_is_cancelled_or_not_at_all"),
    ("phase answer", "JOB", "a_push_begins_once_and_loses_no_word_that_is_said_meanwhile"),
    ("answer expiry", "JOB TICKET", "a_question_is_answered_or_its_job_ends_without_an_answer"),
    ("snapshot finish", "TICKET", "a_ticket_that_is_moved_while_its_job_ends_stays_where_it_was_moved_and_is_free"),
    ("settle finish", "TICKET", "what_is_written_back_while_a_job_ends_hides_nothing_of_that_end"),
    ("tool-text edit", "TEXT", "a_text_is_the_tools_newest_with_every_change_since"),
    ("tell give-up", "PR", "what_a_pull_request_says_of_its_jobs_end_is_said_whatever_was_being_told"),
    ("take wait", "REVIEW", "a_review_of_a_job_that_is_over_is_taken_over_or_waits_or_is_given_back"),
    ("take remember", "REVIEW", "one_of_many_gives_an_unknown_review_to_the_job_that_is_there"),
    ("revision remember", "REVIEW DELIVERY", "a_refused_review_that_is_sent_again_waits_anew_or_has_its_job"),
    ("revision absorb", "REVIEW", "what_is_absorbed_while_its_newest_gets_its_job_is_covered_by_that"),
    ("refuse absorb", "REVIEW", "what_is_absorbed_while_its_newest_is_refused_waits_or_is_refused_too"),
    ("revision refuse", "REVIEW", "what_shares_the_fate_of_the_newest_is_refused_with_it_or_covered_by_its_job"),
    ("revision edited", "REVIEW", "that_a_review_was_edited_is_never_written_over"),
    (
        "refuse take wait remember",
        "REVIEW",
        "a_review_that_is_told_anew_once_it_was_refused_is_not_refused_by_who_read_it_before",
    ),
    ("absorb take wait remember", "REVIEW", "a_review_that_is_told_anew_has_its_job_or_is_absorbed_and_never_both"),
    ("conclude repeat", "DELIVERY", "what_becomes_of_a_review_that_was_held_and_that_it_came_again_are_both_noted"),
    ("record remember", "DELIVERY", "a_review_is_remembered_with_its_entry_beside_other_decisions_or_not_at_all"),
    ("mark give-up", "TICKET", "the_end_of_a_job_and_what_is_remembered_during_it_never_miss_each_other"),
    ("wait give-up", "TICKET", "a_review_that_begins_to_wait_while_its_job_ends_waits_with_its_mark_or_not_at_all"),
];

/// How many came to this.
fn count(came: &BTreeMap<Came, usize>, word: &str) -> usize {
    came.get(word).copied().unwrap_or_default()
}

/// A runner with room for so many, and the job it executes.
async fn on_kite(room: u32, phase: Status) -> (Arc<World>, Runner, Job) {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", room)).await;
    let job = world.running_on(&runner, "APP-1", phase).await;
    let runner = world.runner(&runner).await;
    (world, runner, job)
}
