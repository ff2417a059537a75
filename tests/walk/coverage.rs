//! Checks that each use case has a crash walk, is read-only, or has a reason for neither.
//!
//! A use case is a public function in a file of `crates/control/src`. A new one without a row fails the test.

use crate::prelude::*;

/// Use cases with a test; further tests may walk them too.
const WITH_WALK: &[(&str, &str)] = &[
    ("jobs/answer_job::answer_job", "job_is_answered_paused_and_resumed_after_a_crash"),
    ("jobs/artifacts::mark_artifact_stored", "artifacts_and_inputs_reach_the_next_attempt_after_a_crash"),
    ("jobs/artifacts::reserve_artifact", "artifacts_and_inputs_reach_the_next_attempt_after_a_crash"),
    ("attempt/checkpoint::find_checkpoint", "artifacts_and_inputs_reach_the_next_attempt_after_a_crash"),
    ("attempt/credentials::issue_credentials", "ticket_job_completes_after_a_crash"),
    ("attempt/events::record_events", "artifacts_and_inputs_reach_the_next_attempt_after_a_crash"),
    ("attempt/finish::finish_attempt", "ticket_job_completes_after_a_crash"),
    ("attempt/yield_job::yield_job", "job_is_answered_paused_and_resumed_after_a_crash"),
    ("attempt/inputs::list_inputs", "artifacts_and_inputs_reach_the_next_attempt_after_a_crash"),
    ("attempt/set_phase::set_phase", "ticket_job_completes_after_a_crash"),
    ("attempt/start::start_attempt", "ticket_job_completes_after_a_crash"),
    ("tickets/create_ticket::create_ticket", "ticket_created_in_trigger_status_gets_job_after_a_crash"),
    ("tickets/comments::add_comment", "ticket_gets_comments_after_a_crash"),
    ("tickets/comments::edit_comment", "ticket_gets_comments_after_a_crash"),
    ("tickets/comments::delete_comment", "ticket_gets_comments_after_a_crash"),
    ("tickets/delete_ticket::delete_ticket", "ticket_is_deleted_after_a_crash"),
    ("tickets/edit_ticket::edit_ticket", "ticket_created_in_trigger_status_gets_job_after_a_crash"),
    ("tickets/move_board_ticket::move_board_ticket", "ticket_is_moved_with_idempotency_keys_after_a_crash"),
    ("jobs/cancel_job::cancel_job", "working_job_is_cancelled_after_a_crash"),
    ("admin/columns::rename_column", "column_is_renamed_after_a_crash"),
    ("attempt/close_breaker::close_breaker", "job_waits_until_its_breaker_closes_after_a_crash"),
    ("jobs/pause_job::continue_job", "job_is_answered_paused_and_resumed_after_a_crash"),
    ("jobs/start_analysis::start_analysis", "repository_is_analysed_after_a_crash"),
    ("jobs/create_job::create_job", "requested_job_is_retried_and_cancelled_after_a_crash"),
    ("admin/dead_letters::move_dead_letters", "dead_letters_are_redriven_or_dropped_after_a_crash"),
    ("jobs/dispatch::dispatch", "ticket_job_completes_after_a_crash"),
    ("notify/endpoints::delete_endpoint", "endpoint_is_enabled_and_deleted_after_a_crash"),
    ("notify/endpoints::enable_endpoint", "endpoint_is_enabled_and_deleted_after_a_crash"),
    ("notify/endpoints::put_endpoint", "end_of_a_job_is_sent_after_a_crash"),
    ("notify/notices::redeliver_notice", "end_of_a_job_is_sent_after_a_crash"),
    ("calls::handle_call", "end_of_a_job_is_sent_after_a_crash"),
    ("calls::handle_effect", "ticket_job_completes_after_a_crash"),
    ("notify::send_notice", "end_of_a_job_is_sent_after_a_crash"),
    ("admin/hold::hold_project", "held_ticket_starts_on_release_after_a_crash"),
    ("admin/hold::release_project", "held_ticket_starts_on_release_after_a_crash"),
    ("hooks/compare::repair_hook", "hook_is_installed_and_repaired_after_a_crash"),
    ("hooks/compare::verify_hook", "hook_is_installed_and_repaired_after_a_crash"),
    ("hooks/install::install_hook", "hook_is_installed_and_repaired_after_a_crash"),
    ("hooks/install::remove_hook", "hook_is_removed_here_and_at_the_forge_after_a_crash"),
    ("tickets/move_ticket::move_ticket", "ticket_job_completes_after_a_crash"),
    ("jobs/pause_job::pause_job", "job_is_answered_paused_and_resumed_after_a_crash"),
    ("admin/projects::add_repository", "forge_is_connected_and_its_secret_rotated_after_a_crash"),
    ("admin/projects::connect_forge", "forge_is_connected_and_its_secret_rotated_after_a_crash"),
    ("admin/projects::create_project", "forge_is_connected_and_its_secret_rotated_after_a_crash"),
    ("admin/delete_project::delete_project", "project_is_deleted_after_a_crash"),
    ("admin/projects::set_settings", "refused_delivery_is_replayed_after_a_crash"),
    ("poll::poll_repository", "review_found_by_polling_is_revised_after_a_crash"),
    ("poll::set_ingress", "ingress_is_changed_after_a_crash"),
    ("admin/remove_integration::remove_integration", "forge_is_disconnected_after_a_crash"),
    ("admin/remove_repository::remove_repository", "repository_is_removed_after_a_crash"),
    ("review/replay::replay_delivery", "refused_delivery_is_replayed_after_a_crash"),
    ("jobs/retry_job::retry_job", "requested_job_is_retried_and_cancelled_after_a_crash"),
    ("review/freeze_reviews::freeze_reviews", "review_is_revised_after_a_crash"),
    ("review/pull_request_changed::record_pull_request_change", "closing_a_pr_cancels_its_job_after_a_crash"),
    ("review/decide::decide_or_queue", "review_is_revised_after_a_crash"),
    ("review/decide::decide_review", "review_is_revised_after_a_crash"),
    ("review/request::link_pull_request", "pull_request_is_linked_after_a_crash"),
    ("review/request::request_review", "requested_review_is_posted_after_a_crash"),
    ("review/request::request_revision", "requested_revision_covers_all_reviews_after_a_crash"),
    ("review/request::unlink_pull_request", "pull_request_is_unlinked_after_a_crash"),
    ("review/post_status::post_status", "pushed_commit_is_reviewed_once_after_a_crash"),
    ("admin/rotate_secret::rotate_secret", "forge_is_connected_and_its_secret_rotated_after_a_crash"),
    ("runner/claim::claim_job", "runner_completes_a_job_after_a_crash"),
    ("runner/command::command_runner", "runner_drains_and_resumes_after_a_crash"),
    ("runner/heartbeat::record_heartbeat", "runner_completes_a_job_after_a_crash"),
    ("runner/register::register_runner", "runner_completes_a_job_after_a_crash"),
    ("runner/remove::remove_runner", "job_of_a_removed_runner_is_requeued_after_a_crash"),
    ("runs/pull_request::create_step_pull_request", "pull_request_of_a_step_opens_once_after_a_crash"),
    ("runs/advance::advance_run", "run_asks_and_completes_after_a_crash"),
    ("runs/order::order_run", "run_asks_and_completes_after_a_crash"),
    ("runs/submit::submit_run", "run_asks_and_completes_after_a_crash"),
    ("templates::delete_template", "template_is_deleted_after_a_crash"),
    ("templates::put_template", "submission_starts_one_run_after_a_crash"),
    ("templates::submit", "submission_starts_one_run_after_a_crash"),
    ("schedules::command_schedule", "due_schedule_starts_its_analysis_after_a_crash"),
    ("schedules::delete_schedule", "schedule_is_deleted_after_a_crash"),
    ("schedules::put_schedule", "due_schedule_starts_its_analysis_after_a_crash"),
    ("schedules::run_due_schedules", "due_schedule_starts_its_analysis_after_a_crash"),
    ("trackers/add::add_tracker", "ticket_tool_is_connected_and_deleted_after_a_crash"),
    ("trackers::delete_tracker", "ticket_tool_is_connected_and_deleted_after_a_crash"),
    ("trackers/deliveries::receive_tool_delivery", "dragged_ticket_of_jira_fails_and_is_polled_after_a_crash"),
    ("trackers/look::look_at_ticket", "dragged_ticket_of_linear_fails_and_is_polled_after_a_crash"),
    ("trackers::sync_ticket", "ticket_is_synced_with_a_tool_that_was_away_after_a_crash"),
    ("trackers::test_tracker", "ticket_tool_is_connected_and_deleted_after_a_crash"),
    ("trackers/choose::unuse_tracker", "ticket_tool_is_connected_and_deleted_after_a_crash"),
    ("trackers/choose::use_tracker", "ticket_tool_is_connected_and_deleted_after_a_crash"),
    ("admin/secrets::delete_secret", "secret_is_deleted_after_a_crash"),
    ("admin/secrets::set_secret", "forge_is_connected_and_its_secret_rotated_after_a_crash"),
    ("tickets/settle_ticket::settle_ticket", "ticket_job_completes_after_a_crash"),
    ("sweep::sweep", "job_of_a_stopped_task_fails_after_a_crash"),
    ("jobs/record_task_stop::record_task_stop", "job_of_a_stopped_task_fails_after_a_crash"),
    ("admin/tokens::create_token", "token_is_created_once_after_a_crash"),
    ("admin/tokens::revoke_token", "token_is_revoked_after_a_crash"),
    ("admin/record_unreadable::record_unreadable", "unreadable_event_is_recorded_after_a_crash"),
    ("webhook::receive_webhook", "review_is_revised_after_a_crash"),
];

/// Use cases that only read, so that a crash leaves nothing behind.
const READ_ONLY: &[&str] = &[
    "admin/check_agent::check_agent",
    "analyses::list_analyses",
    "analyses::load_analysis",
    "analyses::load_report",
    "jobs/artifacts::list_artifacts",
    "tickets/board_view::load_board",
    "tickets/comments::list_comments",
    "tickets/comments::list_comments_of",
    "tickets/board_view::list_jobs_of_ticket",
    "notify/endpoints::list_endpoints",
    "notify/endpoints::test_endpoint",
    "notify/notices::list_notices",
    "runs/submit::check_plan",
    "runs::list_runs",
    "runs::load_plan",
    "runs::load_run",
    "runs::show_run",
    "templates::list_templates",
    "templates::load_template",
    "schedules::load_schedule",
    "search::search_project",
    "hooks/list::list_failing_hooks",
    "jobs/artifacts::read_artifact",
    "jobs/overview::load_overview",
    "jobs/search_events::search_events",
    "jobs/search_jobs::search_jobs",
    "tickets/create_ticket::load_created_key",
    "tickets/suggest_key::suggest_ticket_key",
    "attempt/close_breaker::list_open_breakers",
    "admin/hold::load_budget",
    "hooks/compare::load_hook_view",
    "hooks/list::list_hook_views",
    "review/list_deliveries::list_deliveries",
    "admin/readiness::check_readiness",
    "admin/readiness::load_snapshot",
    "review/pull_request_ref::load_repository",
    "review/local_forge::load_local_pull_request",
    "review/explain::load_pull_request_of_ticket",
    "review/explain::pull_request_view",
    "review/explain::list_pull_request_views",
    "admin/rotate_secret::previous_valid_until",
    "runner/register::check_runner_name",
    "runner/view::load_runner",
    "runner/view::list_runners",
    "runner/view::list_summaries",
    "corrupt::load_readable_projects",
    "allowed_names::list_secret_projects",
    "admin/secrets::list_secret_users",
    "admin/secrets::list_secrets",
    "admin/sign_in::load_valid_token",
    "admin/sign_in::create_sign_in_link",
    "admin/sign_in::sign_in_with_token",
    "admin/test_integration::test_integration",
    "admin/check_model_key::check_model_key",
    "admin/check_model_key::check_model_key_of_project",
    "admin/check_model_key::check_stored_model_key",
    "admin/test_repository::test_repository",
    "admin/tokens::list_tokens",
    "jobs/views::job_view",
    "jobs/views::list_attempts",
    "jobs/views::load_context",
    "attempt/start::is_kind_known",
    "jobs/views::load_output",
    "jobs/views::load_pull_request_state",
    "jobs/views::load_pull_request_states",
    "jobs/views::load_runner_labels",
    "tickets/order::load_column",
    "tickets/raise_limit::load_ticket_spending",
    "tickets/views::ticket_view",
    "trackers/choose::is_new_tool",
    "trackers/choose::list_tool",
    "trackers::list_trackers",
    "trackers::list_unsynced_tickets",
    "trackers::load_tracker",
    "trackers::show_tracker",
    "trackers/signed_events::is_tool_of",
    "trackers/signed_events::verify_event",
    "tickets/views::ticket_views",
];

/// Use cases without a walk, and the reason.
const WITHOUT_WALK: &[(&str, &str)] = &[
    ("tickets/raise_limit::raise_limit", "it has one write; a repeat with its key finds the raise"),
    ("jobs/artifacts::artifact_url", "its only write is that of `checkpoint`"),
    ("jobs/dispatch::start_waiting", "its only writes are those of `dispatch`"),
    ("allowed_names::set_integration_projects", "its only write is conditional on the list that was read"),
    ("allowed_names::set_secret_projects", "its only write is conditional on the revision that was read"),
    ("admin/connect_app::connect_github_app", "its only write is that of `connect_forge`"),
    ("admin/connect_app::create_github_app", "the forge's code works once, so no caller can repeat it"),
    ("admin/connect_with_value::connect_forge_with_token", "its writes are those of `set_secret` and `connect_forge`"),
    (
        "admin/connect_with_value::connect_github_app_with_key",
        "its writes are those of `set_secret` and `connect_forge`",
    ),
    ("admin/connect_with_value::replace_credential", "its only write is that of `set_secret`"),
    (
        "review/local_forge::act_on_local_pull_request",
        "the forge repeats no review; its only other writes are those of `poll_repository`",
    ),
    ("admin/default_repository::make_only_repository_default", "its only write is that of `set_settings`"),
    ("admin/projects::rename_project", "its only write is that of `set_settings`"),
    ("admin/dead_letters::get_dead_letter", "it takes messages for half a minute, and changes nothing"),
    ("admin/dead_letters::list_dead_letters", "it takes messages for half a minute, and changes nothing"),
    ("admin/sign_in::sign_in", "a code signs in once; after a crash the user requests another link"),
    (
        "runs/pull_request::merge_run_pull_request",
        "its only write is the forge's merge; a repeat finds the pull request merged",
    ),
    ("templates::refuse_submission", "its only write is that of `submit`"),
    ("jobs/event_pages::list_events", "its only write records a viewer, and decides nothing"),
    ("jobs/event_pages::list_events_before", "its only write is that of `list_events`"),
    ("jobs/event_pages::list_events_from", "its only write is that of `list_events`"),
];

/// Text that a read-only function must not contain, in addition to the table's writes.
const WRITES: [&str; 6] = ["Write::", "put_value(", "delete_value(", "ctx.wake", "note_", "redeliver("];

/// Each source file of a crate: its path below `src` without extension, and its text.
fn sources(of: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(of).join("src");
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(&root).unwrap().with_extension("").to_string_lossy().replace('\\', "/");
            found.push((file, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// The free functions of a file by name: whether public and async, and the text up to the closing brace.
fn functions(file: &str) -> BTreeMap<&str, (bool, &str)> {
    let mut found = BTreeMap::new();
    for (at, word) in file.match_indices("fn ") {
        let margin = file[..at].rfind('\n').map_or(0, |end| end + 1);
        let (before, rest) = (&file[margin..at], &file[at + word.len()..]);
        let declares = before.split_whitespace().all(|word| word == "async" || word.starts_with("pub"));
        if declares && !before.starts_with(' ') {
            let name = rest.split(['(', '<']).next().unwrap();
            found.insert(name, (before == "pub async ", rest.split("\n}").next().unwrap()));
        }
    }
    found
}

fn calls(text: &str, name: &str) -> bool {
    let is_longer_name = |before: char| before.is_alphanumeric() || "_.:".contains(before);
    text.match_indices(&format!("{name}(")).any(|(at, _)| !text[..at].ends_with(is_longer_name))
}

/// Every use case with its text and the text of the helpers in its file that it calls.
fn use_cases() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (file, text) in sources("control") {
        let all = functions(&text);
        for (name, (is_public, own)) in &all {
            if !is_public {
                continue;
            }
            let helpers = all.iter().filter(|(helper, _)| *helper != name && calls(own, helper));
            let texts = std::iter::once(*own).chain(helpers.map(|(_, (_, text))| *text));
            found.insert(format!("{file}::{name}"), texts.collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

/// Calls of the store's writing methods, each of which commits a transaction.
fn store_writes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, text) in sources("store") {
        for method in text.split("\n    pub async fn ").skip(1) {
            let body = method.split("\n    }").next().unwrap();
            if body.contains(".commit(") || body.contains("Transaction::new(") {
                found.insert(format!("store.{}(", method.split(['(', '<']).next().unwrap()));
            }
        }
    }
    found
}

fn writes_in(text: &str, of_the_table: &BTreeSet<String>) -> Vec<String> {
    // A chain of calls may span several lines.
    let text: String = text.split_whitespace().collect();
    let all = WRITES.iter().copied().chain(of_the_table.iter().map(String::as_str));
    all.filter(|write| text.contains(*write)).map(str::to_owned).collect()
}

#[test]
fn every_use_case_has_exactly_one_row() {
    let rows = WITH_WALK.iter().chain(WITHOUT_WALK).map(|(name, _)| *name).chain(READ_ONLY.iter().copied());
    let rows: Vec<_> = rows.collect();
    let named: BTreeSet<_> = rows.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(named.len(), rows.len(), "a use case has two rows");
    assert_eq!(named, use_cases().into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn walked_use_cases_name_a_test() {
    let tests = include_str!("../walk.rs");
    for (name, test) in WITH_WALK {
        assert!(tests.contains(&format!("\n    {test}: ")), "{name}: {test} is no test");
    }
}

#[test]
fn read_only_use_cases_contain_no_write() {
    let (all, of_the_table) = (use_cases(), store_writes());
    for name in READ_ONLY {
        assert_eq!(writes_in(&all[*name], &of_the_table), Vec::<String>::new(), "{name}");
    }
}
