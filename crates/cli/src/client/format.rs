//! Formats states, times, durations, sizes and costs for a terminal. A `Cell` also has the raw value for pipes.

use super::screen::{Colour, Screen};
use super::table::Cell;
use pullyard_domain::job::JobStatus;
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::{JobId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::{capitalize, format_age, format_bytes};
pub(super) use pullyard_domain::text::{format_count, format_duration, parse_seconds};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}

pub(super) fn new_idempotency_key() -> String {
    format!("cli-{:032x}", rand::random::<u128>())
}

/// The JSON name of an enum's variant.
pub(super) fn to_code(variant: &impl Serialize) -> String {
    serde_json::to_value(variant).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The symbol, its ASCII form, the label and the colour of a status.
fn status_style(status: JobStatus) -> (&'static str, &'static str, &'static str, Colour) {
    match status {
        JobStatus::Pending => ("◌", ".", "Pending", Colour::Grey),
        JobStatus::Ready => ("◌", ".", "Waiting", Colour::Grey),
        JobStatus::Claimed => ("◔", "*", "Claimed", Colour::Blue),
        JobStatus::Preparing => ("◑", "*", "Preparing", Colour::Blue),
        JobStatus::Executing => ("◐", "*", "Executing", Colour::Blue),
        JobStatus::Syncing => ("↑", "*", "Pushing", Colour::Blue),
        JobStatus::AwaitingInput => ("?", "?", "Needs answer", Colour::Magenta),
        JobStatus::Paused => ("‖", "-", "Paused", Colour::Yellow),
        JobStatus::Completed => ("✓", "+", "Completed", Colour::Green),
        JobStatus::Failed => ("✕", "x", "Failed", Colour::Red),
        JobStatus::Cancelled => ("⊘", "-", "Cancelled", Colour::Grey),
    }
}

pub(super) fn status_name(status: JobStatus) -> &'static str {
    status_style(status).2
}

pub(super) fn status_cell(screen: &Screen, status: JobStatus) -> Cell {
    let (symbol, ascii, label, colour) = status_style(status);
    Cell::new(format!("{} {label}", screen.symbol(symbol, ascii)), to_code(&status)).with_colour(colour)
}

pub(super) fn verdict_cell(screen: &Screen, verdict: Verdict) -> Cell {
    let (symbol, ascii, colour) = match verdict {
        Verdict::Accepted => ("✓", "+", Colour::Green),
        Verdict::Held => ("◌", ".", Colour::Blue),
        Verdict::Refused => ("⊘", "-", Colour::Yellow),
        Verdict::Ignored | Verdict::Duplicate => ("–", "-", Colour::Grey),
        Verdict::Invalid => ("✕", "x", Colour::Red),
    };
    let code = verdict.as_str();
    Cell::new(format!("{} {}", screen.symbol(symbol, ascii), capitalize(code)), code).with_colour(colour)
}

/// Inserts the job's id into the commands of a help text from `domain`, which names them without an id.
pub(super) fn with_job_id(help: &str, job: &JobId) -> String {
    // The closing backtick in the pattern skips commands with arguments.
    ["retry", "logs", "output", "answer", "continue", "checks", "artifacts"].iter().fold(
        help.to_owned(),
        |help, command| {
            help.replace(&format!("`pullyard jobs {command}`"), &format!("`pullyard jobs {command} {}`", job.short()))
        },
    )
}

pub(super) fn bytes_cell(size: u64) -> Cell {
    Cell::new(format_bytes(size), size.to_string())
}

/// `$0.42`, `about $0.42` if a part is estimated, a dash if unknown. Piped output is in millionths.
pub(super) fn dollars_cell(micros: Option<u64>, estimated_micros: Option<u64>) -> Cell {
    let Some(micros) = micros else { return Cell::none() };
    // With two digits, a cost of less than half a cent would be `$0.00`.
    let digits = if micros < 10_000 { 4 } else { 2 };
    let about = if estimated_micros.is_some() { "about " } else { "" };
    Cell::new(format!("{about}${:.digits$}", micros as f64 / 1e6), micros.to_string())
}

pub(super) fn job_cell(job: Option<&JobId>) -> Cell {
    job.map_or_else(Cell::none, |job| Cell::new(job.short(), job))
}

/// The projects that may use a secret or an integration.
pub(super) fn listed_projects_cell(projects: Option<&BTreeSet<ProjectId>>) -> Cell {
    match projects {
        None => Cell::none(),
        Some(list) if list.is_empty() => Cell::text("none"),
        Some(list) => Cell::text(join_ids(list)),
    }
}

pub(super) fn join_ids(ids: &BTreeSet<ProjectId>) -> String {
    ids.iter().map(ProjectId::as_str).collect::<Vec<_>>().join(", ")
}

pub(super) fn optional_time_cell(at: Option<Timestamp>) -> Cell {
    at.map_or_else(Cell::none, time_cell)
}

pub(super) fn duration_cell(duration: Duration) -> Cell {
    Cell::new(format_duration(duration), duration.as_secs().to_string())
}

pub(super) fn time_cell(at: Timestamp) -> Cell {
    Cell::new(format_age(at, now()), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times_have_readable_units() {
        for (secs, expected) in [(0, "0:00"), (40, "0:40"), (3_599, "59:59"), (3_600, "1 h 00"), (3_840, "1 h 04")] {
            assert_eq!(duration_cell(Duration::from_secs(secs)).texts(), (expected, secs.to_string().as_str()));
        }
        let at = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
        assert_eq!(time_cell(at).texts(), ("2026-11-20", "2026-11-20T12:00:00.000Z"));
    }

    #[test]
    fn sizes_and_amounts_are_rounded_only_on_a_terminal() {
        assert_eq!(bytes_cell(1_001).texts(), ("2 KB", "1001"));
        assert_eq!(dollars_cell(None, Some(1)).texts(), ("-", ""));
        assert_eq!(dollars_cell(Some(420_000), None).texts(), ("$0.42", "420000"));
        assert_eq!(dollars_cell(Some(9_999), None).texts(), ("$0.0100", "9999"));
        assert_eq!(dollars_cell(Some(10_000), Some(1)).texts(), ("about $0.01", "10000"));
    }

    #[test]
    fn job_id_is_inserted_into_commands_without_one() {
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let short = job.short();
        for command in ["retry", "logs", "output", "answer", "continue", "checks", "artifacts"] {
            let help = format!("Try `pullyard jobs {command}`, or `pullyard jobs list`.");
            let expected = format!("Try `pullyard jobs {command} {short}`, or `pullyard jobs list`.");
            assert_eq!(with_job_id(&help, &job), expected);
        }
    }
}
