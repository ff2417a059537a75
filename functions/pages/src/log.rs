//! Converts events to rows of the log: a call and its result are one row, as are adjacent lines of output.

use crate::labels;
use crate::text::{self, SafeText, block, line, output};
use pullyard_domain::artifact::ArtifactKind;
use pullyard_domain::id::{ArtifactId, ArtifactName, JobId};
use pullyard_domain::job::Job;
use pullyard_domain::time::Timestamp;
use pullyard_protocol::event::{Event, EventKind};
use std::collections::HashMap;
use std::time::Duration;

pub(crate) struct Entry {
    /// The row's anchor: `e1.12`.
    pub(crate) id: String,
    pub(crate) at: String,
    pub(crate) exact: String,
    pub(crate) look: RowContent,
    pub(crate) call: Option<SafeText>,
    /// Artifacts with the full text, if that was too large for the log.
    pub(crate) whole: Vec<FullText>,
}

pub(crate) struct FullText {
    pub(crate) address: String,
    pub(crate) name: SafeText,
}

pub(crate) enum RowContent {
    Heading(SafeText),
    Text(SafeText),
    Step {
        verb: &'static str,
        what: SafeText,
        code: bool,
        under: Option<SafeText>,
    },
    /// The result of a call from an earlier page.
    ToolResult {
        name: SafeText,
        under: SafeText,
    },
    Question(SafeText),
    Steer {
        by: SafeText,
        words: SafeText,
    },
    Result(SafeText),
    Output(SafeText),
    Note {
        what: SafeText,
        under: SafeText,
    },
}

/// Returns the newest usage of the running attempt. Empty if a new attempt has reported none; `None` without a change.
pub(crate) fn newest_usage(events: &[(u32, Timestamp, Event)], last_attempt: u32) -> Option<String> {
    let newest = events.last()?.0;
    let of_attempt = events.iter().rev().take_while(|(attempt, ..)| *attempt == newest);
    let mut used = of_attempt.filter_map(|(_, _, event)| event.running_usage_sentence());
    used.next().or_else(|| (newest != last_attempt).then(String::new))
}

fn newest_usage_positions(events: &[(u32, Timestamp, Event)], attempts: &[u32]) -> Vec<usize> {
    let newest = |of: &u32| {
        let of_it =
            |(attempt, _, event): &(u32, Timestamp, Event)| attempt == of && event.running_usage_sentence().is_some();
        events.iter().rposition(of_it)
    };
    attempts.iter().filter_map(newest).collect()
}

/// Adds a heading where an attempt other than `last_attempt` begins. The newest usage of an attempt in `unsaid` becomes
/// a row, because no record contains it.
pub(crate) fn to_entries(
    job: &Job,
    events: &[(u32, Timestamp, Event)],
    last_attempt: u32,
    unsaid: &[u32],
) -> Vec<Entry> {
    let stays = newest_usage_positions(events, unsaid);
    let mut entries: Vec<Entry> = Vec::new();
    let mut calls: HashMap<(u32, &str), usize> = HashMap::new();
    let mut attempt = last_attempt.max(1);
    let mut log_text = String::new();
    for (at, (number, arrived, event)) in events.iter().enumerate() {
        let happened = arrived.minus(Duration::from_millis(event.age_ms));
        let row = |id: String, look: RowContent| Entry {
            id,
            at: labels::format_duration(happened.since(job.created)),
            exact: happened.to_string(),
            look,
            call: event.call.as_deref().map(line),
            whole: Vec::new(),
        };
        if *number != attempt {
            attempt = *number;
            calls.clear();
            entries.push(row(format!("a{attempt}"), RowContent::Heading(line(&format!("Attempt {attempt}")))));
        }
        if event.running_usage_sentence().is_some() && !stays.contains(&at) {
            continue;
        }
        let id = format!("e{number}.{}", event.seq);
        if event.kind == EventKind::Log {
            log_text.push_str(event.text.as_deref().unwrap_or_default());
            log_text.push('\n');
            let goes_on =
                events.get(at + 1).is_some_and(|(next, _, event)| next == number && event.kind == EventKind::Log);
            if !goes_on {
                entries.push(row(id, RowContent::Output(output(&std::mem::take(&mut log_text)))));
            }
            continue;
        }
        let call = event.call.as_deref().map(|call| (*number, call));
        if event.kind == EventKind::ToolResult
            && let Some(position) = call.and_then(|call| calls.get(&call))
            && let Some(Entry { look: RowContent::Step { under, .. }, whole: all, .. }) = entries.get_mut(*position)
        {
            all.extend(full_text_link(&job.id, *number, event));
            let answer = result_text(event);
            *under = Some(match under.take() {
                Some(before) => output(&format!("{before}\n{answer}")),
                None => answer,
            });
            continue;
        }
        if let (EventKind::ToolCall | EventKind::Command, Some(call)) = (event.kind, call) {
            calls.insert(call, entries.len());
        }
        let full_texts = full_text_link(&job.id, *number, event).into_iter().collect();
        entries.push(Entry { whole: full_texts, ..row(id, to_row_content(event)) });
    }
    entries
}

/// Links the artifact with the full text, as the runner named it. Its page reports if it was not stored.
fn full_text_link(job: &JobId, attempt: u32, event: &Event) -> Option<FullText> {
    let name = ArtifactName::new(event.data.as_ref()?["artifact"].as_str()?).ok()?;
    let id = ArtifactId::for_artifact(job, attempt, ArtifactKind::AgentOutput, &name);
    Some(FullText { address: format!("/jobs/{job}/artifacts/{id}"), name: line(name.as_str()) })
}

fn to_row_content(event: &Event) -> RowContent {
    let text = || block(event.text.as_deref().unwrap_or_default());
    let data = || format_data(event);
    match event.kind {
        EventKind::Phase => {
            let name = phase_label(event.name.as_deref().unwrap_or_default());
            let heading = event.text.as_ref().map(|detail| format!("{name}: {detail}"));
            RowContent::Heading(line(heading.as_deref().unwrap_or(name)))
        }
        EventKind::Text => RowContent::Text(text()),
        EventKind::ToolCall => RowContent::Step {
            verb: "",
            what: line(&join_parts(&[event.name.as_deref(), event.path.as_deref(), event.text.as_deref()])),
            code: true,
            under: data(),
        },
        EventKind::ToolResult => {
            RowContent::ToolResult { name: line(event.name.as_deref().unwrap_or("result")), under: result_text(event) }
        }
        EventKind::FileEdit => RowContent::Step {
            verb: "Edited",
            what: line(&join_parts(&[event.path.as_deref(), event.text.as_deref()])),
            code: true,
            under: data(),
        },
        EventKind::Command => {
            let command = event.text.as_deref().unwrap_or_default();
            let (first, rest) = command.split_once('\n').unwrap_or((command, ""));
            let name = event.name.as_deref().filter(|_| first.is_empty());
            let under = [text::output(rest).to_string(), data().map(|data| data.to_string()).unwrap_or_default()];
            let under = under.join("\n");
            RowContent::Step {
                verb: "Ran",
                what: line(name.unwrap_or(first)),
                code: true,
                under: Some(output(under.trim())).filter(|under| !under.is_empty()),
            }
        }
        EventKind::Question => RowContent::Question(text()),
        EventKind::Steer => RowContent::Steer { by: line(event.name.as_deref().unwrap_or("a user")), words: text() },
        EventKind::Result => RowContent::Result(text()),
        EventKind::Log => RowContent::Output(output(event.text.as_deref().unwrap_or_default())),
        EventKind::Usage => {
            let used = event.usage().and_then(|usage| usage.to_sentence());
            let what = used.map_or_else(|| line("Usage"), |used| line(&format!("Used {used}")));
            RowContent::Note { what, under: data().unwrap_or_else(text) }
        }
        EventKind::Raw => RowContent::Note { what: line("Unknown event"), under: data().unwrap_or_else(text) },
    }
}

fn join_parts(parts: &[Option<&str>]) -> String {
    parts.iter().flatten().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn result_text(event: &Event) -> SafeText {
    let data = format_data(event).map(|data| data.to_string());
    let parts = [event.text.as_deref(), data.as_deref()];
    output(&parts.iter().flatten().copied().collect::<Vec<_>>().join("\n"))
}

fn format_data(event: &Event) -> Option<SafeText> {
    let data = event.data.as_ref()?;
    let links = data.as_object().is_some_and(|data| data.len() == 1 && data.contains_key("artifact"));
    (!links).then(|| block(&serde_json::to_string_pretty(data).unwrap_or_default()))
}

fn phase_label(name: &str) -> &str {
    match name {
        "preparing" => "Preparing",
        "setup" => "Setup",
        "checking" => "Checks",
        "repairing" => "Repair",
        "executing" => "Executing",
        "syncing" => "Pushing",
        other => other,
    }
}
