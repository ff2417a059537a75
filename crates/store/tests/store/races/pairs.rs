//! Two kinds of use cases that write the same item, thirty-two callers of each at once: whoever comes first, the
//! other one's outcome is one that the state machine allows, and everything that is stored agrees.

mod attempts;
mod claims;
mod ends;
mod entries;
mod heard;
mod reviews;
mod runners;
mod tickets;

use super::rounds::Came;
use super::world;
use crate::sample;
use crate::world::World;
use pullyard_domain::job::{Job, Status};
use pullyard_domain::runner::Runner;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of every pair: the items that both write, and the test that has them meet.
pub(super) const PAIRS: &[(&str, &str, &str)] = &[
    ("trigger and finish", "JOB TICKET", "an_entry_and_the_end_of_the_job_before_it_never_miss_each_other"),
    ("trigger and snapshot", "TICKET", "an_entry_and_a_move_away_leave_a_job_or_none"),
    ("trigger and end", "BUDGET", "what_is_taken_from_a_day_and_given_back_at_once_adds_up"),
    ("claim and cancel", "JOB TICKET RUNNER", "a_job_is_claimed_and_told_to_stop_or_never_claimed"),
    ("claim and drain", "RUNNER", "a_drained_runner_has_the_job_or_not_and_takes_no_other"),
    ("claim, finish and removal", "JOB RUNNER", "a_runner_that_is_removed_leaves_no_job_behind"),
    ("claim and an emptied slot", "RUNNER", "a_slot_that_nobody_holds_is_emptied_beside_claims"),
    ("claim and placing anew", "JOB", "a_job_that_is_placed_anew_is_claimed_by_nobody_who_was_told_before"),
    ("start and placing anew", "JOB", "a_job_that_is_placed_anew_has_no_task_on_its_way"),
    ("finish and offline", "JOB TICKET RUNNER PR", "a_job_is_finished_or_lost_with_its_runner_and_ended_once"),
    ("heartbeat and sweep", "JOB RUNNER", "a_runner_that_is_heard_in_time_keeps_its_job"),
    ("heartbeat and drain", "RUNNER", "a_drain_is_acknowledged_by_a_heartbeat_that_saw_it"),
    ("registration and drain", "RUNNER", "a_process_that_takes_over_keeps_the_wish_to_drain"),
    ("requeue and late result", "JOB RUNNER PR", "what_was_pushed_is_the_end_or_is_kept_as_late"),
    ("two sweepers", "JOB RUNNER", "of_many_sweepers_each_job_is_put_back_by_one"),
    ("finish and cancel", "JOB TICKET", "a_finish_and_a_cancel_end_a_job_once"),
    ("settle and re-entry", "JOB TICKET", "a_second_entry_and_the_settling_of_the_first_make_one_job_at_a_time"),
    ("late link and end", "PR", "a_pull_request_is_linked_once_by_its_end_or_by_what_comes_late"),
    ("closing and revision", "PR JOB TICKET REVIEW", "a_closed_pull_request_has_the_revision_that_was_first_or_none"),
    ("two answers", "JOB TICKET", "of_many_answers_each_is_kept_once_and_the_first_is_the_answer"),
    ("answer and yield", "JOB TICKET", "an_answer_and_a_question_never_miss_each_other"),
    ("pause and finish", "JOB TICKET", "a_finish_and_a_pause_leave_a_finished_job"),
    ("continue and cancel", "JOB TICKET", "a_paused_job_is_continued_or_cancelled_and_never_both"),
    (
        "continue, yield and claim",
        "JOB TICKET RUNNER",
        "a_runner_that_stops_for_a_pause_that_may_be_taken_back_leaves_it_as_the_last_word_says",
    ),
    ("two conclusions", "DELIVERY", "a_review_that_is_covered_never_reads_as_refused"),
    ("recovery and replacement", "HOOK", "how_far_a_hook_is_known_is_never_set_back_by_an_older_reading"),
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
