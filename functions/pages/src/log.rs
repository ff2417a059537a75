//! Converts events to rows of the log: a call and its result are one row, as are adjacent lines of output.

use crate::text::{self, Text, block, line, output};
use crate::words;
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
    pub(crate) look: Look,
    pub(crate) call: Option<Text>,
    /// Artifacts with the full text, if that was too large for the log.
    pub(crate) whole: Vec<Whole>,
}

pub(crate) struct Whole {
    pub(crate) address: String,
    pub(crate) name: Text,
}

pub(crate) enum Look {
    Head(Text),
    Words(Text),
    Step {
        verb: &'static str,
        what: Text,
        code: bool,
        under: Option<Text>,
    },
    /// The result of a call from an earlier page.
    Answer {
        name: Text,
        under: Text,
    },
    Question(Text),
    Steer {
        by: Text,
        words: Text,
    },
    Result(Text),
    Output(Text),
    Aside {
        what: Text,
        under: Text,
    },
}

/// Returns the newest usage of the running attempt. Empty if a new attempt has reported none; `None` without a change.
pub(crate) fn used_so_far(events: &[(u32, Timestamp, Event)], seen: u32) -> Option<String> {
    let newest = events.last()?.0;
    let of_attempt = events.iter().rev().take_while(|(attempt, ..)| *attempt == newest);
    let mut used = of_attempt.filter_map(|(_, _, event)| event.used_so_far());
    used.next().or_else(|| (newest != seen).then(String::new))
}

fn newest_used(events: &[(u32, Timestamp, Event)], attempts: &[u32]) -> Vec<usize> {
    let newest = |of: &u32| {
        let of_it = |(attempt, _, event): &(u32, Timestamp, Event)| attempt == of && event.used_so_far().is_some();
        events.iter().rposition(of_it)
    };
    attempts.iter().filter_map(newest).collect()
}

/// Adds a heading where an attempt other than `seen` begins. The newest usage of an attempt in `unsaid` becomes a row,
/// because no record contains it.
pub(crate) fn entries(job: &Job, events: &[(u32, Timestamp, Event)], seen: u32, unsaid: &[u32]) -> Vec<Entry> {
    let stays = newest_used(events, unsaid);
    let mut entries: Vec<Entry> = Vec::new();
    let mut calls: HashMap<(u32, &str), usize> = HashMap::new();
    let mut attempt = seen.max(1);
    let mut said = String::new();
    for (at, (number, arrived, event)) in events.iter().enumerate() {
        let happened = arrived.minus(Duration::from_millis(event.age_ms));
        let row = |id: String, look: Look| Entry {
            id,
            at: words::length(happened.since(job.created)),
            exact: happened.to_string(),
            look,
            call: event.call.as_deref().map(line),
            whole: Vec::new(),
        };
        if *number != attempt {
            attempt = *number;
            calls.clear();
            entries.push(row(format!("a{attempt}"), Look::Head(line(&format!("Attempt {attempt}")))));
        }
        if event.used_so_far().is_some() && !stays.contains(&at) {
            continue;
        }
        let id = format!("e{number}.{}", event.seq);
        if event.kind == EventKind::Log {
            said.push_str(event.text.as_deref().unwrap_or_default());
            said.push('\n');
            let goes_on =
                events.get(at + 1).is_some_and(|(next, _, event)| next == number && event.kind == EventKind::Log);
            if !goes_on {
                entries.push(row(id, Look::Output(output(&std::mem::take(&mut said)))));
            }
            continue;
        }
        let call = event.call.as_deref().map(|call| (*number, call));
        if event.kind == EventKind::ToolResult
            && let Some(begun) = call.and_then(|call| calls.get(&call))
            && let Some(Entry { look: Look::Step { under, .. }, whole: all, .. }) = entries.get_mut(*begun)
        {
            all.extend(whole(&job.id, *number, event));
            let answer = answer(event);
            *under = Some(match under.take() {
                Some(before) => output(&format!("{before}\n{answer}")),
                None => answer,
            });
            continue;
        }
        if let (EventKind::ToolCall | EventKind::Command, Some(call)) = (event.kind, call) {
            calls.insert(call, entries.len());
        }
        let whole = whole(&job.id, *number, event).into_iter().collect();
        entries.push(Entry { whole, ..row(id, look(event)) });
    }
    entries
}

/// Links the artifact with the full text, as the runner named it. Its page reports if it was not stored.
fn whole(job: &JobId, attempt: u32, event: &Event) -> Option<Whole> {
    let name = ArtifactName::new(event.data.as_ref()?["artifact"].as_str()?).ok()?;
    let id = ArtifactId::for_artifact(job, attempt, ArtifactKind::AgentOutput, &name);
    Some(Whole { address: format!("/jobs/{job}/artifacts/{id}"), name: line(name.as_str()) })
}

fn look(event: &Event) -> Look {
    let text = || block(event.text.as_deref().unwrap_or_default());
    let data = || data(event);
    match event.kind {
        EventKind::Phase => {
            let name = phase(event.name.as_deref().unwrap_or_default());
            let words = event.text.as_ref().map(|words| format!("{name}: {words}"));
            Look::Head(line(words.as_deref().unwrap_or(name)))
        }
        EventKind::Text => Look::Words(text()),
        EventKind::ToolCall => Look::Step {
            verb: "",
            what: line(&joined(&[event.name.as_deref(), event.path.as_deref(), event.text.as_deref()])),
            code: true,
            under: data(),
        },
        EventKind::ToolResult => {
            Look::Answer { name: line(event.name.as_deref().unwrap_or("result")), under: answer(event) }
        }
        EventKind::FileEdit => Look::Step {
            verb: "Edited",
            what: line(&joined(&[event.path.as_deref(), event.text.as_deref()])),
            code: true,
            under: data(),
        },
        EventKind::Command => {
            let said = event.text.as_deref().unwrap_or_default();
            let (first, rest) = said.split_once('\n').unwrap_or((said, ""));
            let name = event.name.as_deref().filter(|_| first.is_empty());
            let under = [text::output(rest).to_string(), data().map(|data| data.to_string()).unwrap_or_default()];
            let under = under.join("\n");
            Look::Step {
                verb: "Ran",
                what: line(name.unwrap_or(first)),
                code: true,
                under: Some(output(under.trim())).filter(|under| !under.is_empty()),
            }
        }
        EventKind::Question => Look::Question(text()),
        EventKind::Steer => Look::Steer { by: line(event.name.as_deref().unwrap_or("a user")), words: text() },
        EventKind::Result => Look::Result(text()),
        EventKind::Log => Look::Output(output(event.text.as_deref().unwrap_or_default())),
        EventKind::Usage => {
            let used = event.usage().and_then(|usage| usage.to_sentence());
            let what = used.map_or_else(|| line("Usage"), |used| line(&format!("Used {used}")));
            Look::Aside { what, under: data().unwrap_or_else(text) }
        }
        EventKind::Raw => Look::Aside { what: line("Unknown event"), under: data().unwrap_or_else(text) },
    }
}

fn joined(parts: &[Option<&str>]) -> String {
    parts.iter().flatten().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn answer(event: &Event) -> Text {
    let data = data(event).map(|data| data.to_string());
    let parts = [event.text.as_deref(), data.as_deref()];
    output(&parts.iter().flatten().copied().collect::<Vec<_>>().join("\n"))
}

fn data(event: &Event) -> Option<Text> {
    let data = event.data.as_ref()?;
    let links = data.as_object().is_some_and(|data| data.len() == 1 && data.contains_key("artifact"));
    (!links).then(|| block(&serde_json::to_string_pretty(data).unwrap_or_default()))
}

fn phase(name: &str) -> &str {
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
