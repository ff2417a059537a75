//! Every write of the store has a race, and every two use cases that write one item have one, or a reason why the race
//! of another two is theirs as well. What is new and has neither fails here.

use super::pairs::PAIRS;
use super::pairs::shared::{ALONE, COVERED, Covered, USE_CASES};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Of every write of the store: the race of sixty-four that it is in.
pub(crate) const WRITES: &[(&str, &str)] = &[
    ("absorb_reviews", "what_is_absorbed_while_its_newest_gets_its_job_is_covered_by_that"),
    ("begin_removal", "one_of_many_begins_to_remove_a_runner_and_many_may_remove_it"),
    ("call_off", "one_of_many_who_hear_that_a_pull_request_is_closed_calls_its_job_off"),
    ("claim", "one_of_many_runners_claims_a_job_and_no_other_loses_a_slot"),
    ("close_breaker", "an_account_is_let_go_as_it_was_read_or_was_shut_first"),
    ("conclude", "a_review_that_is_covered_never_reads_as_refused"),
    ("create_ticket", "one_of_many_writes_a_new_ticket"),
    ("create_token", "one_of_many_requests_with_one_key_makes_its_token"),
    ("delete_hook", "a_hook_is_forgotten_as_it_was_read_or_changed_first"),
    ("drop_slot", "one_of_many_empties_a_slot"),
    ("end", "one_of_many_finishes_ends_a_job"),
    ("freeze_context", "many_who_freeze_one_context_agree_on_its_name"),
    ("heartbeat", "a_heartbeat_and_a_sweep_never_both_go_by_the_same_silence"),
    ("link_if_unlinked", "one_of_many_late_results_links_its_pull_request"),
    ("link_pull_request", "one_of_many_links_a_pull_request_and_its_ticket_shows_that_one"),
    ("note_class", "many_who_note_one_class_agree_on_it"),
    ("note_hook_refused", "of_many_deliveries_in_a_minute_one_is_noted_and_all_refused_ones_are_counted"),
    ("note_hook_verified", "of_many_deliveries_in_a_minute_one_is_noted_and_all_refused_ones_are_counted"),
    ("note_late_result", "many_late_results_of_an_attempt_leave_one_of_them_whole"),
    ("note_repeat", "many_repeats_are_noted_without_loss_until_there_is_no_room"),
    ("note_review_edited", "that_a_review_was_edited_is_never_written_over"),
    ("note_token_use", "of_many_uses_at_once_one_is_written_while_others_revoke"),
    ("note_watched", "of_many_who_look_at_a_job_the_longest_look_is_noted_and_no_write_is_lost"),
    ("put_artifacts", "one_of_many_changes_of_what_an_attempt_keeps_is_stored"),
    ("put_breaker", "an_account_is_let_go_as_it_was_read_or_was_shut_first"),
    ("put_first_token", "one_of_many_first_tokens_is_the_first_and_one_of_many_takes_its_place"),
    ("put_hook", "one_of_many_changes_of_a_hook_is_stored"),
    ("put_integration", "one_of_many_forges_gets_a_name"),
    ("put_poll", "one_of_many_changes_of_a_poll_is_stored"),
    ("put_project", "one_of_many_changes_of_a_project_is_stored"),
    ("put_repository", "one_of_many_repositories_gets_a_name"),
    ("put_rotation", "one_of_many_rotations_of_a_secret_is_stored"),
    ("put_row_off", "many_who_put_a_row_off_leave_the_item_as_it_is"),
    ("put_sweeps", "of_many_sweeps_at_once_the_latest_counts"),
    ("put_token", "one_of_many_tokens_of_one_hash_is_stored"),
    ("record", "one_of_many_final_decisions_is_recorded"),
    ("record_with_ticket", "one_of_many_entries_waits_with_its_answer_and_the_others_leave_nothing"),
    ("refuse_review", "what_is_absorbed_while_its_newest_is_refused_waits_or_is_refused_too"),
    ("refuse_with", "what_shares_the_fate_of_the_newest_is_refused_with_it_or_covered_by_its_job"),
    ("register", "one_of_many_processes_takes_a_runner_over"),
    ("remember_review", "one_review_remembered_by_many_at_once_is_remembered_once"),
    ("remove_integration", "a_forge_is_disconnected_as_it_was_read_and_never_another_one_of_its_name"),
    ("remove_repository", "a_repository_is_removed_under_the_name_that_was_read_or_renamed_first"),
    ("remove_runner", "one_of_many_begins_to_remove_a_runner_and_many_may_remove_it"),
    ("rename_repository", "one_of_many_new_names_of_a_repository_is_its_name"),
    ("replace_text", "one_of_many_changes_of_a_text_is_stored"),
    ("requeue", "one_of_many_puts_a_job_back"),
    ("rest", "one_of_many_answers_to_one_question_wakes_the_job"),
    ("revoke_token", "of_many_uses_at_once_one_is_written_while_others_revoke"),
    ("set_drain", "of_many_wishes_to_drain_and_not_to_drain_the_last_one_stands_whole"),
    ("snapshot", "of_many_snapshots_the_newest_stands"),
    ("snapshot_unchanged", "an_event_that_tells_what_is_known_is_noted_only_while_that_is_so"),
    ("store_events", "one_of_many_batches_of_one_number_is_stored"),
    ("store_text", "of_many_snapshots_the_newest_stands"),
    ("take_offline", "one_of_many_sweeps_takes_a_runner_offline"),
    ("take_review", "one_of_many_gives_an_unknown_review_to_the_job_that_is_there"),
    ("trigger", "one_of_many_triggers_of_a_ticket_makes_its_job"),
    ("trigger_review", "one_of_many_reviews_makes_the_job_of_a_free_ticket"),
    ("update_job", "one_of_many_starts_is_counted"),
    ("update_pull_request", "one_of_many_changes_of_a_pull_request_is_stored"),
    ("update_ticket", "one_of_many_changes_of_a_ticket_is_stored"),
    ("use_sign_in", "one_sign_in_link_is_used_up_by_one"),
    ("wait_for_job", "a_review_that_begins_to_wait_while_its_job_ends_waits_with_its_mark_or_not_at_all"),
];

/// What stands among the writes and only reads.
const READS: &[&str] = &["context", "request"];

fn texts(folder: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => texts(&path, into),
            false => into.push(std::fs::read_to_string(&path).unwrap()),
        }
    }
}

fn all(folder: &str) -> String {
    let mut found = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found.join("\n")
}

/// The bodies of functions, by their names.
fn functions<'a>(text: &'a str, before: &str) -> BTreeMap<&'a str, &'a str> {
    let named = text.split(before).skip(1).filter_map(|rest| {
        let name = rest.split(['(', '<']).next()?;
        Some((name, rest.split("\n}\n").next()?))
    });
    named.collect()
}

#[test]
fn every_write_has_a_race_of_its_own() {
    let source = all("src/write");
    let found: BTreeSet<_> = functions(&source, "pub async fn ").into_keys().collect();
    let known: BTreeSet<_> = WRITES.iter().map(|(write, _)| *write).chain(READS.iter().copied()).collect();
    assert_eq!(found, known, "a write and its race stand in this table");
}

#[test]
fn every_race_of_the_tables_is_a_test_in_which_many_start_together() {
    let tests = all("tests/store");
    let tests = functions(&tests, "\nasync fn ");
    let races = WRITES.iter().map(|(_, race)| race).chain(PAIRS.iter().map(|(_, _, race)| race));
    let races = races.chain(COVERED.iter().map(|covered| &covered.race));
    for race in races {
        let body = tests.get(race).unwrap_or_else(|| panic!("there is no test {race}"));
        assert!(body.contains("race("), "{race} starts nobody together");
    }
    for (write, race) in WRITES {
        // Some go by a helper of that name, or by that of the one that waits or is told just now.
        let calls = [format!(".{write}("), format!("{write}_")];
        let by_helper = ["trigger_review", "end"].contains(write);
        let body = tests[race];
        assert!(by_helper || calls.iter().any(|call| body.contains(call)), "{race} does not call {write}");
    }
}

fn are_in(names: &str, one: &str) -> bool {
    names == "*" || names.split_whitespace().any(|name| name == one)
}

#[test]
fn every_two_use_cases_that_write_one_item_have_a_race_or_a_reason() {
    let mut missing = Vec::new();
    for (number, (one, its)) in USE_CASES.iter().enumerate() {
        for (other, others) in &USE_CASES[number + 1..] {
            for item in its.split(' ').filter(|item| are_in(others, item)) {
                let meet = PAIRS
                    .iter()
                    .any(|(who, items, _)| [one, other].iter().all(|it| are_in(who, it)) && are_in(items, item));
                let covered = COVERED.iter().filter(|covered| covered.item == item).any(|covered| {
                    let are = |one: &str, other: &str| are_in(covered.some, one) && are_in(covered.others, other);
                    are(one, other) || are(other, one)
                });
                if !meet && !covered {
                    missing.push(format!("{one} and {other} on {item}"));
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "neither a race nor a reason");
}

/// The kind of item that a line of paper/conditions.txt is of: `Update PR/REVIEW of {Put JOB}` is of a REVIEW.
pub(crate) fn kind(line: &str) -> Option<&str> {
    let (action, rest) = line.strip_prefix("| ")?.split_once(' ')?;
    let (first, last) = rest.split(' ').next()?.split_once('/')?;
    let kind = if last == "…" { first } else { last };
    ["Put", "Update", "Delete"].contains(&action).then_some(kind)
}

#[test]
fn every_kind_of_item_that_is_written_is_some_use_cases_or_nobody_meets_on_it() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/paper/conditions.txt");
    let page = std::fs::read_to_string(page).unwrap();
    // What stands in the partitions of runners is a runner.
    let kinds = page.lines().filter_map(kind).map(|kind| if kind == "RUNNERS" { "RUNNER" } else { kind });
    let written: BTreeSet<_> = kinds.collect();
    let named: BTreeSet<_> = USE_CASES.iter().flat_map(|(_, items)| items.split(' ')).collect();
    let alone: BTreeSet<_> = ALONE.iter().map(|(kind, _)| *kind).collect();
    assert!(named.is_disjoint(&alone) && ALONE.iter().all(|(_, because)| !because.is_empty()));
    assert_eq!(written, &named | &alone, "no use case of `shared.rs` writes it, or nobody does any more");
}

#[test]
fn the_tables_name_use_cases_that_write_what_they_meet_on() {
    let writes: BTreeMap<_, _> = USE_CASES.iter().copied().collect();
    assert_eq!(writes.len(), USE_CASES.len(), "a use case stands there once");
    for (who, items, race) in PAIRS {
        let who: Vec<_> =
            who.split(' ').map(|one| *writes.get(one).unwrap_or_else(|| panic!("{one} of {race}"))).collect();
        for item in items.split(' ') {
            let writers = who.iter().filter(|writes| are_in(writes, item)).count();
            assert!(writers == who.len() || writers > 1, "{race}: who writes {item}?");
        }
    }
    for covered in COVERED {
        let Covered { item, some, others, because, .. } = covered;
        assert!(!because.is_empty(), "{item}: a reason");
        for one in some.split_whitespace().chain(others.split_whitespace()).filter(|one| *one != "*") {
            assert!(writes.get(one).is_some_and(|writes| are_in(writes, item)), "{one} does not write {item}");
        }
    }
}
