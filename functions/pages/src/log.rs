//! Converts events and users' messages to rows of the log: a call and its result are one row, as are adjacent lines of
//! output. Rows have a limited size, so that a page with a long log stays small.

mod content;
mod entry;
mod fold;
mod size;

use crate::prelude::*;
use crate::text::{block, output};
use content::{CallResult, to_content};
pub(crate) use entry::{Entry, RowContent};
pub(crate) use fold::fold;
use pullyard_domain::job::{Input, Job};
use pullyard_protocol::event::{Event, EventKind};
pub(crate) use size::{keep_first, keep_last};
use std::collections::HashMap;
use std::time::Duration;

pub(crate) type Arrived = (u32, Timestamp, Event);

pub(crate) struct LogPart<'a> {
    pub(crate) job: &'a Job,
    pub(crate) events: &'a [Arrived],
    pub(crate) inputs: &'a [Input],
    /// The users' messages up to this number have a row of their own, here or in another part.
    pub(crate) known_inputs: u32,
    /// A heading begins each later attempt.
    pub(crate) last_attempt: u32,
    /// Attempts whose newest usage becomes a row, because no record contains it.
    pub(crate) without_usage: &'a [u32],
    pub(crate) full: Option<(u32, u64)>,
}

impl<'a> LogPart<'a> {
    /// The events alone, from the begin of the log.
    pub(crate) fn new(job: &'a Job, events: &'a [Arrived]) -> Self {
        Self { job, events, inputs: &[], known_inputs: 0, last_attempt: 0, without_usage: &[], full: None }
    }
}

/// Returns the newest usage of the running attempt. Empty if a new attempt has reported none; `None` without a change.
pub(crate) fn newest_usage(events: &[Arrived], last_attempt: u32) -> Option<String> {
    let newest = events.last()?.0;
    let of_attempt = events.iter().rev().take_while(|(attempt, ..)| *attempt == newest);
    let mut used = of_attempt.filter_map(|(_, _, event)| event.running_usage_sentence());
    used.next().or_else(|| (newest != last_attempt).then(String::new))
}

fn newest_usage_positions(events: &[Arrived], attempts: &[u32]) -> Vec<usize> {
    let newest = |of: &u32| {
        let of_it = |(attempt, _, event): &Arrived| attempt == of && event.running_usage_sentence().is_some();
        events.iter().rposition(of_it)
    };
    attempts.iter().filter_map(newest).collect()
}

pub(crate) fn position((attempt, _, event): &Arrived) -> (u32, u64) {
    (*attempt, event.seq)
}

pub(crate) fn happened(arrived: Timestamp, event: &Event) -> Timestamp {
    arrived.minus(Duration::from_millis(event.age_ms))
}

pub(crate) fn to_entries(part: &LogPart<'_>) -> Vec<Entry> {
    let stays = newest_usage_positions(part.events, part.without_usage);
    let mut inputs = part.inputs.iter().peekable();
    let mut entries: Vec<Entry> = Vec::new();
    let mut calls: HashMap<(u32, &str), usize> = HashMap::new();
    let mut attempt = part.last_attempt.max(1);
    let mut lines = String::new();
    let mut lines_size = 0;
    let mut lines_begin = None;
    for (at, (number, arrived, event)) in part.events.iter().enumerate() {
        let (happened, position) = (happened(*arrived, event), (*number, event.seq));
        while let Some(input) = inputs.next_if(|input| input.at <= happened) {
            entries.push(message(part.job, input, position));
        }
        let row = |id: String, content: RowContent| Entry {
            call: event.call.as_deref().map(line),
            ..entry(part.job, (id, position), happened, content)
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
        if event.is_output_line() {
            let text = event.text.as_deref().unwrap_or_default();
            lines.push_str(text);
            lines.push('\n');
            lines_size += size::line_size(text);
            let begin = *lines_begin.get_or_insert(position);
            // A larger block could not be shown in full.
            let goes_on = part.events.get(at + 1).is_some_and(|(next, _, event)| {
                let next_size = lines_size + size::line_size(event.text.as_deref().unwrap_or_default());
                next == number && event.is_output_line() && next_size <= size::FULL_BYTES
            });
            if !goes_on {
                let (text, cut) = size::clip_output(&std::mem::take(&mut lines), part.full == Some(begin));
                entries.push(Entry { position: begin, cut, ..row(id, RowContent::Output(output(&text))) });
                (lines_begin, lines_size) = (None, 0);
            }
            continue;
        }
        let call = event.call.as_deref().map(|call| (*number, call));
        let full = part.full == Some(position);
        if event.kind == EventKind::ToolResult
            && let Some(at) = call.and_then(|call| calls.get(&call))
            && let Some(called) = entries.get_mut(*at)
            && matches!(called.content, RowContent::Step { .. })
        {
            let full = full || part.full == Some(called.position);
            add_result(called, event, happened, full);
            continue;
        }
        if let (EventKind::ToolCall | EventKind::Command, Some(call)) = (event.kind, call) {
            calls.insert(call, entries.len());
        }
        if read_input(event).is_some_and(|read| read <= part.known_inputs.into()) {
            let by = event.name.as_deref().unwrap_or("a user");
            entries.push(row(id, RowContent::Note(line(&format!("The agent received the message of {by}.")))));
            continue;
        }
        let (content, cut) = to_content(part.job, event, full);
        let result = (event.kind == EventKind::ToolResult).then(|| CallResult::of(event));
        entries.push(Entry {
            cut,
            kind: (event.kind == EventKind::ToolCall && !full).then(|| fold::kind(event)),
            failed: result.as_ref().is_some_and(|result| result.failed),
            meta: result.map(|result| result.meta(None)).unwrap_or_default(),
            ..row(id, content)
        });
    }
    let end = part.events.last().map_or((attempt, 1), |(number, _, event)| (*number, event.seq + 1));
    entries.extend(inputs.map(|input| message(part.job, input, end)));
    entries
}

fn entry(job: &Job, (id, position): (String, (u32, u64)), happened: Timestamp, content: RowContent) -> Entry {
    Entry {
        id,
        position,
        at: labels::format_duration(happened.since(job.created)),
        exact: happened.to_string(),
        content,
        meta: SafeText::default(),
        failed: false,
        call: None,
        cut: false,
        kind: None,
        opens: None,
        closes: false,
        happened,
    }
}

/// Links the events from `position`, which the following rows leave out.
pub(crate) fn gap(job: &Job, (attempt, seq): (u32, u64), happened: Timestamp) -> Entry {
    let address = format!("/jobs/{}/log?at={attempt}.{seq}", job.id);
    entry(job, (format!("g{attempt}.{seq}"), (attempt, seq)), happened, RowContent::Gap { address })
}

fn message(job: &Job, input: &Input, position: (u32, u64)) -> Entry {
    let (text, cut) = size::clip(&input.text, size::MESSAGE_BYTES);
    let (by, answers) = (line(&input.by), input.question.is_some());
    let content = RowContent::Message { by, answers, text: block(&text) };
    let meta = match (input.seq <= job.read_inputs, job.status.is_terminal()) {
        (true, _) => "",
        (false, true) => "not read",
        (false, false) => "not read yet",
    };
    Entry { meta: line(meta), cut, ..entry(job, (format!("m{}", input.seq), position), input.at, content) }
}

fn read_input(event: &Event) -> Option<u64> {
    let data = event.data.as_ref().filter(|_| event.kind == EventKind::Steer)?;
    data["input"].as_u64()
}

fn add_result(called: &mut Entry, event: &Event, ended: Timestamp, full: bool) {
    let result = CallResult::of(event);
    called.failed |= result.failed;
    called.meta = result.meta(Some(ended.since(called.happened)));
    let RowContent::Step { under, .. } = &mut called.content else { return };
    let before = under.take().map(|before| format!("{before}\n")).unwrap_or_default();
    let (text, cut) = size::clip_output(&format!("{before}{}", result.text), full);
    called.cut |= cut;
    *under = Some(output(&text)).filter(|under| !under.is_empty());
}
