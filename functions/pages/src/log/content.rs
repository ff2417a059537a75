//! Converts an event to the content of its row, and returns with it whether the text was cut.

use super::RowContent;
use super::size::{clip_output, clip_text};
use crate::labels;
use crate::markdown::{self, Below, SafeHtml};
use crate::text::{SafeText, block, line, output};
use pullyard_domain::job::Job;
use pullyard_protocol::event::{Event, EventKind};
use serde_json::Value;
use std::time::Duration;

/// Keys of a result's data that its output omits. The row shows some next to its title.
const RESULT_KEYS: [&str; 6] = ["exit_code", "failed", "end", "took_ms", "truncated", "name"];

/// Rendered Markdown is at most this many times as long as its text.
const MAX_EXPANSION: usize = 6;

pub(super) struct CallResult {
    pub(super) failed: bool,
    end: Option<String>,
    took: Option<Duration>,
    pub(super) text: String,
}

impl CallResult {
    pub(super) fn of(event: &Event) -> Self {
        let data = event.data.as_ref().and_then(Value::as_object);
        let field = |name: &str| data.and_then(|data| data.get(name));
        let exit = field("exit_code").and_then(Value::as_i64);
        let end = field("end").and_then(Value::as_str);
        let failed = field("failed").and_then(Value::as_bool).unwrap_or(false)
            || exit.is_some_and(|code| code != 0)
            || end.is_some_and(|end| end != "exit code 0");
        let end = end.map(|end| end.replace("exit code", "exit")).or_else(|| exit.map(|code| format!("exit {code}")));
        let mut rest = data.cloned().unwrap_or_default();
        rest.retain(|name, _| !RESULT_KEYS.contains(&name.as_str()));
        let rest = (!rest.is_empty()).then(|| to_json(&Value::Object(rest)));
        let other = event.data.as_ref().filter(|data| !data.is_object()).map(to_json);
        let parts = [event.text.clone(), rest, other];
        Self {
            failed,
            end: end.filter(|_| failed).or_else(|| failed.then(|| "failed".to_owned())),
            took: field("took_ms").and_then(Value::as_u64).map(Duration::from_millis),
            text: parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"),
        }
    }

    pub(super) fn meta(&self, elapsed: Option<Duration>) -> SafeText {
        let took = self.took.or(elapsed).filter(|took| took.as_millis() >= 100).map(labels::format_took);
        line(&[self.end.clone(), took].into_iter().flatten().collect::<Vec<_>>().join(" · "))
    }
}

pub(super) fn to_content(job: &Job, event: &Event, full: bool) -> (RowContent, bool) {
    let text = event.text.as_deref().unwrap_or_default();
    let under = |details: &str| {
        let (text, cut) = clip_output(details, full);
        (Some(output(&text)).filter(|under| !under.is_empty()), cut)
    };
    let data = || event.data.as_ref().map(to_json).unwrap_or_default();
    let step = |icon, verb, label: &str, details: &str| {
        let (under, cut) = under(details);
        (RowContent::Step { icon, verb, target: line(label), code: true, check: false, under }, cut)
    };
    let plain = |label: &str, details: &str| {
        let (under, cut) = under(details);
        let target = line(label);
        (RowContent::Step { icon: "i-tool", verb: "", target, code: false, check: false, under }, cut)
    };
    match event.kind {
        EventKind::Phase => {
            let name = phase_label(job, event.name.as_deref().unwrap_or_default());
            let heading = event.text.as_ref().map(|detail| format!("{name}: {detail}"));
            (RowContent::Heading(line(heading.as_deref().unwrap_or(name))), false)
        }
        EventKind::Text | EventKind::Result => prose(text, full, RowContent::Said),
        EventKind::Question => prose(text, full, RowContent::Question),
        EventKind::Steer => {
            let (text, cut) = clip_text(text, full);
            let by = line(event.name.as_deref().unwrap_or("a user"));
            (RowContent::Message { by, answers: false, text: block(&text) }, cut)
        }
        EventKind::ToolCall => {
            let name = event.name.as_deref().unwrap_or_default();
            let (icon, verb) = tool_verb(name);
            let input = event.data.as_ref().map(|data| &data["input"]);
            let pattern = input.and_then(|input| input["pattern"].as_str()).filter(|_| verb == "Searched");
            let subject = join_parts(&[event.path.as_deref(), pattern, event.text.as_deref()]);
            let label = if subject.is_empty() { name.to_owned() } else { subject };
            // Without a verb, the tool's name precedes the subject.
            let label = if verb.is_empty() && label != name { join_parts(&[Some(name), Some(&label)]) } else { label };
            step(icon, verb, &label, &data())
        }
        EventKind::ToolResult => {
            let (text, cut) = clip_output(&CallResult::of(event).text, full);
            let name = line(event.name.as_deref().unwrap_or("a call"));
            (RowContent::ToolResult { name, under: output(&text) }, cut)
        }
        EventKind::FileEdit => {
            let verb = match event.name.as_deref() {
                Some("add" | "create") => "Created",
                Some("delete" | "remove") => "Deleted",
                _ => "Edited",
            };
            step("i-edit", verb, &join_parts(&[event.path.as_deref(), event.text.as_deref()]), &data())
        }
        EventKind::Command => command(event, under),
        EventKind::Log => (RowContent::Output(output(text)), false),
        EventKind::Usage => {
            let used = event.usage().and_then(|usage| usage.to_sentence());
            plain(&used.map_or_else(|| "Usage".to_owned(), |used| format!("Used {used}")), &data())
        }
        EventKind::Raw => {
            let data = data();
            plain("Unknown event", if data.is_empty() { text } else { &data })
        }
    }
}

/// Returns the icon and the verb of a tool that only reads. Other tools have no verb.
pub(super) fn tool_verb(name: &str) -> (&'static str, &'static str) {
    match name.to_ascii_lowercase().as_str() {
        "read" | "view" | "notebookread" => ("i-read", "Read"),
        "grep" | "glob" | "search" | "websearch" => ("i-find", "Searched"),
        _ => ("i-tool", ""),
    }
}

fn command(event: &Event, under: impl Fn(&str) -> (Option<SafeText>, bool)) -> (RowContent, bool) {
    let command = event.text.as_deref().unwrap_or_default();
    let (first, rest) = command.split_once('\n').unwrap_or((command, ""));
    let name = event.name.as_deref().filter(|_| first.is_empty());
    let call = event.call.as_deref().unwrap_or_default();
    let verb = if call.starts_with("check-") {
        "Check"
    } else if call.starts_with("setup-") {
        "Setup"
    } else {
        ""
    };
    // The data of a shell tool contains the command again.
    let repeats = |data: &&Value| data["input"]["command"].as_str() == event.text.as_deref();
    let data = event.data.as_ref().filter(|data| !repeats(data)).map(to_json);
    let (under, cut) = under([rest, data.as_deref().unwrap_or_default()].join("\n").trim());
    let label = line(name.unwrap_or(first));
    (RowContent::Step { icon: "i-cmd", verb, target: label, code: true, check: !verb.is_empty(), under }, cut)
}

/// Renders Markdown. Text whose HTML would be too long, such as one with many marks, stays plain.
fn prose(text: &str, full: bool, wrap: fn(SafeHtml) -> RowContent) -> (RowContent, bool) {
    let (text, cut) = clip_text(text, full);
    let html = markdown::render(&text, Below::Section);
    let html = if html.to_string().len() > text.len() * MAX_EXPANSION + 1_024 { markdown::plain(&text) } else { html };
    (wrap(html), cut)
}

fn to_json(data: &Value) -> String {
    serde_json::to_string_pretty(data).unwrap_or_default()
}

fn join_parts(parts: &[Option<&str>]) -> String {
    parts.iter().flatten().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn phase_label<'a>(job: &Job, name: &'a str) -> &'a str {
    match name {
        "preparing" => "Preparing",
        "setup" => "Setup",
        "checking" => "Checks",
        "repairing" => "Repair",
        "executing" => "Executing",
        "syncing" => labels::publishing(job),
        other => other,
    }
}
