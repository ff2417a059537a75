//! Of every use case, which walk stops it at each of its calls; or that it only reads, or why it is not walked.
//!
//! A use case is a public function of a file of `crates/control/src`, named by both. What is new and has no row fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// By a test that is always run; others may walk it, too.
const WALKED: &[(&str, &str)] = &[
    ("jobs/answer_job::answer_job", "a_job_that_asks_is_answered_paused_and_continued_whatever_dies"),
    ("jobs/artifacts::artifact_stored", "what_an_attempt_keeps_and_hears_is_there_for_the_next_whatever_dies"),
    ("jobs/artifacts::reserve_artifact", "what_an_attempt_keeps_and_hears_is_there_for_the_next_whatever_dies"),
    ("attempt/checkpoint::checkpoint", "what_an_attempt_keeps_and_hears_is_there_for_the_next_whatever_dies"),
    ("attempt/credentials::credentials", "a_tickets_job_completes_whatever_dies"),
    ("attempt/events::record_events", "what_an_attempt_keeps_and_hears_is_there_for_the_next_whatever_dies"),
    ("attempt/finish::finish", "a_tickets_job_completes_whatever_dies"),
    ("attempt/give_back::give_back", "a_job_that_asks_is_answered_paused_and_continued_whatever_dies"),
    ("attempt/inputs::inputs", "what_an_attempt_keeps_and_hears_is_there_for_the_next_whatever_dies"),
    ("attempt/progress::progress", "a_tickets_job_completes_whatever_dies"),
    ("attempt/start::start", "a_tickets_job_completes_whatever_dies"),
    ("tickets/board::create_ticket", "a_ticket_that_is_written_into_the_trigger_status_gets_its_job_whatever_dies"),
    ("tickets/board::edit_ticket", "a_ticket_that_is_written_into_the_trigger_status_gets_its_job_whatever_dies"),
    ("tickets/board::put_ticket", "a_ticket_is_moved_by_keys_whatever_dies"),
    ("jobs/cancel_job::cancel_job", "a_job_that_works_is_cancelled_whatever_dies"),
    ("attempt/close_breaker::close_breaker", "a_job_waits_for_its_model_and_goes_on_whatever_dies"),
    ("jobs/continue_job::continue_job", "a_job_that_asks_is_answered_paused_and_continued_whatever_dies"),
    ("jobs/create_job::create_job", "a_requested_job_is_made_retried_and_cancelled_whatever_dies"),
    ("admin/dead_letters::move_dead_letters", "dead_letters_are_sent_back_or_dropped_or_still_there_whatever_dies"),
    ("jobs/dispatch::dispatch", "a_tickets_job_completes_whatever_dies"),
    ("admin/hold::hold_project", "a_held_projects_ticket_starts_when_it_is_released_whatever_dies"),
    ("admin/hold::release_project", "a_held_projects_ticket_starts_when_it_is_released_whatever_dies"),
    ("hooks/compare::repair_hook", "a_hook_is_installed_and_repaired_whatever_dies"),
    ("hooks/compare::verify_hook", "a_hook_is_installed_and_repaired_whatever_dies"),
    ("hooks/install::install_hook", "a_hook_is_installed_and_repaired_whatever_dies"),
    ("hooks/install::remove_hook", "a_hook_is_removed_here_and_at_its_forge_whatever_dies"),
    ("tickets/move_ticket::move_ticket", "a_tickets_job_completes_whatever_dies"),
    ("jobs/pause_job::pause_job", "a_job_that_asks_is_answered_paused_and_continued_whatever_dies"),
    ("admin/projects::add_repository", "a_forge_is_connected_and_its_secret_rotated_whatever_dies"),
    ("admin/projects::connect_forge", "a_forge_is_connected_and_its_secret_rotated_whatever_dies"),
    ("admin/projects::create_project", "a_forge_is_connected_and_its_secret_rotated_whatever_dies"),
    ("admin/projects::set_settings", "a_refused_delivery_is_decided_again_whatever_dies"),
    ("poll::poll_now", "a_hook_looks_for_what_it_missed_when_somebody_asks_whatever_dies"),
    ("poll::poll_repository", "a_review_that_nobody_told_is_found_whatever_dies"),
    ("poll::set_ingress", "a_hook_looks_for_what_it_missed_when_somebody_asks_whatever_dies"),
    ("admin/remove_integration::remove_integration", "a_forge_is_disconnected_whatever_dies"),
    ("admin/remove_repository::remove_repository", "a_repository_is_removed_with_all_that_is_of_it_whatever_dies"),
    ("review/replay::replay", "a_refused_delivery_is_decided_again_whatever_dies"),
    ("jobs/retry_job::retry_job", "a_requested_job_is_made_retried_and_cancelled_whatever_dies"),
    ("review/admit::admit_job", "a_review_is_answered_whatever_dies"),
    ("review/changed::pull_request_changed", "a_closed_pull_request_ends_its_job_whatever_dies"),
    ("review/decide::decide_or_queue", "a_review_is_answered_whatever_dies"),
    ("review/decide::decide_review", "a_review_is_answered_whatever_dies"),
    ("review/request::link", "a_pull_request_is_linked_to_its_ticket_whatever_dies"),
    ("review/request::request_revision", "a_person_who_asks_gets_all_that_nobody_answered_whatever_dies"),
    ("review/request::unlink", "the_link_of_a_pull_request_is_taken_away_whatever_dies"),
    ("review/tell::tell_pull_request", "a_review_that_waits_gets_its_answer_whatever_dies"),
    ("admin/rotate_secret::rotate_secret", "a_forge_is_connected_and_its_secret_rotated_whatever_dies"),
    ("runner/claim::claim", "a_runner_completes_a_job_whatever_dies"),
    ("runner/command::command", "a_runner_drains_and_goes_on_whatever_dies"),
    ("runner/heartbeat::heartbeat", "a_runner_completes_a_job_whatever_dies"),
    ("runner/register::register", "a_runner_completes_a_job_whatever_dies"),
    ("runner/remove::remove", "a_runner_that_is_removed_gives_its_job_back_whatever_dies"),
    ("admin/secrets::set_secret", "a_forge_is_connected_and_its_secret_rotated_whatever_dies"),
    ("tickets/settle_ticket::settle_ticket", "a_tickets_job_completes_whatever_dies"),
    ("sweep::sweep", "a_dead_tasks_job_fails_whatever_else_dies"),
    ("jobs/task_stopped::task_stopped", "a_dead_tasks_job_fails_whatever_else_dies"),
    ("admin/tokens::create_token", "a_token_is_made_once_whatever_dies"),
    ("admin/tokens::revoke_token", "a_token_is_taken_back_whatever_dies"),
    ("admin/unreadable::record_unreadable", "what_cannot_be_read_is_written_down_whatever_dies"),
    ("webhook::receive", "a_review_is_answered_whatever_dies"),
];

/// Whoever dies in them leaves nothing.
const READ: &[&str] = &[
    "jobs/artifacts::artifacts_of",
    "jobs/artifacts::attempts_of",
    "jobs/artifacts::context_of",
    "tickets/board_view::board_view",
    "tickets/board_view::jobs_of_ticket",
    "attempt/close_breaker::breakers",
    "admin/hold::budget_of",
    "hooks/compare::view",
    "hooks/list::hook_views",
    "review/list_deliveries::list_deliveries",
    "jobs/list_jobs::list_jobs",
    "admin/readiness::readiness",
    "admin/readiness::snapshot",
    "review/request::repository_of",
    "review/why::pull_request_of",
    "review/why::pull_request_view",
    "review/why::pull_request_views",
    "admin/rotate_secret::counts_until",
    "runner/view::runner",
    "runner/view::runners",
    "admin/secrets::secrets",
    "admin/sign_in::current_token",
    "admin/sign_in::sign_in_link",
    "admin/sign_in::sign_in_with_token",
    "admin/test_integration::test_integration",
    "admin/test_repository::test_repository",
    "admin/tokens::tokens",
    "jobs/views::job_view",
    "jobs/views::state_of_made",
    "jobs/views::ticket_view",
    "jobs/views::ticket_views",
];

/// And why.
const NOT_WALKED: &[(&str, &str)] = &[
    (
        "jobs/artifacts::artifact_address",
        "what it may note of an object that nobody noted is what `checkpoint` notes, by the same write",
    ),
    (
        "admin/connect_app::connect_app",
        "it stores an integration over none, as `connect_forge` does, after reads alone",
    ),
    (
        "admin/connect_app::make_app",
        "the forge's code works once, so that nobody can repeat it; `tests/apps.rs` holds what its key is kept for",
    ),
    ("admin/dead_letters::dead_letter", "it takes messages for half a minute, and changes nothing"),
    ("admin/dead_letters::dead_letters", "it takes messages for half a minute, and changes nothing"),
    ("admin/sign_in::sign_in", "a code signs in once: whoever dies after the one write asks for another link"),
    ("sweep::sweep_by_hand", "it is the round of `sweep`, in less time"),
    ("jobs/views::events_of", "that somebody looks is noted by one write, which decides nothing"),
];

/// What a function that only reads does not name, beside the table's own writes.
const WRITES: [&str; 5] = ["Write::", "ctx.secrets.put(", "ctx.wake", "note_", "redeliver("];

/// The sources of a crate: each file's name below its `src`, without an ending, and its text.
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

/// The functions of a file that are no methods, by name: whether it is a public async one, and its text, up to the
/// brace that ends it.
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

/// Whether a text calls a function by its bare name.
fn calls(text: &str, name: &str) -> bool {
    let goes_on = |before: char| before.is_alphanumeric() || "_.:".contains(before);
    text.match_indices(&format!("{name}(")).any(|(at, _)| !text[..at].ends_with(goes_on))
}

/// Every use case with its text, and that of each function of its own file that it calls.
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

/// How the table's own functions that write are called: each of them commits a transaction.
fn writes_of_the_table() -> BTreeSet<String> {
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

/// The writes that a text names.
fn named_by(text: &str, of_the_table: &BTreeSet<String>) -> Vec<String> {
    // A chain of calls may stand on several lines.
    let text: String = text.split_whitespace().collect();
    let all = WRITES.iter().copied().chain(of_the_table.iter().map(String::as_str));
    all.filter(|write| text.contains(*write)).map(str::to_owned).collect()
}

#[test]
fn every_use_case_is_walked_or_only_reads_or_says_why_it_is_not_walked() {
    let rows = WALKED.iter().chain(NOT_WALKED).map(|(name, _)| *name).chain(READ.iter().copied());
    let rows: Vec<_> = rows.collect();
    let named: BTreeSet<_> = rows.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(named.len(), rows.len(), "one has two rows");
    assert_eq!(named, use_cases().into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn whoever_is_said_to_be_walked_names_a_test_that_is_always_run() {
    let tests = include_str!("../walk.rs");
    for (name, test) in WALKED {
        let declared = format!("#[tokio::test(flavor = \"multi_thread\")]\nasync fn {test}()");
        assert!(tests.contains(&declared), "{name}: {test} is no test that is always run");
    }
}

#[test]
fn whoever_is_said_to_read_names_no_write() {
    let (all, of_the_table) = (use_cases(), writes_of_the_table());
    for name in READ {
        assert_eq!(named_by(&all[*name], &of_the_table), Vec::<String>::new(), "{name}");
    }
}

/// Else the test above could find nothing.
#[test]
fn a_write_is_seen_by_the_tables_own_name_and_in_a_function_that_is_called() {
    let (all, of_the_table) = (use_cases(), writes_of_the_table());
    assert!(of_the_table.len() > 50, "{of_the_table:?}");
    for (name, write) in [
        ("admin/unreadable::record_unreadable", "store.record("),
        ("admin/hold::hold_project", "store.put_project("),
        ("sweep::sweep", "store.put_sweeps("),
    ] {
        let named = named_by(&all[name], &of_the_table);
        assert!(named.iter().any(|named| named == write), "{name}: {named:?}");
    }
}
