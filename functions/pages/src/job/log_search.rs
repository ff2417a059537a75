//! Searches the log of a job: the events of one part that contain a text, with a link to each.

use super::head::JobHead;
use super::live::{Cursor, LogQuery};
use super::{Shell, Subject};
use crate::log::{Arrived, happened};
use crate::prelude::*;
use pullyard_protocol::event::Event;
use serde_json::Value;

const MAX_MATCHES: usize = 100;
const LINE_CHARS: usize = 160;
const CHARS_BEFORE: usize = 40;

#[derive(Template)]
#[template(path = "job_search.html")]
struct SearchPage {
    frame: Frame,
    head: JobHead,
    text: String,
    matches: Vec<Match>,
    searched: u64,
    total: u64,
    more: Option<String>,
}

struct Match {
    address: String,
    at: String,
    exact: String,
    line: SafeText,
}

pub(super) async fn show(
    visit: &PageContext,
    subject: &Subject,
    query: &LogQuery,
    text: &str,
) -> Result<Response, Fault> {
    let job = &subject.view.job;
    let begin = query.after.as_deref().map_or(Ok(Cursor::START), |after| Cursor::parse("after", after))?.event;
    let needle = text.to_lowercase();
    let is_match = |event: &Event| find_line(event, &needle).is_some();
    let mut found = control::search_events::<Event>(&visit.ctx, job, begin, is_match).await?;
    if found.matches.len() > MAX_MATCHES {
        found.matches.truncate(MAX_MATCHES);
        found.next = found.matches.last().map(|(attempt, _, event)| (*attempt, event.seq));
    }
    let total = found.totals.iter().sum();
    let earlier = |attempt: u32| found.totals.iter().take(attempt.saturating_sub(1) as usize).sum::<u64>();
    let (Shell { frame, head }, _) = subject.load_tab(visit, "log").await?;
    let continue_after =
        |(attempt, seq): (u32, u64)| format!("/jobs/{}/log?q={}&after={attempt}.{seq}", job.id, percent_encode(text));
    let to_match = |arrived: &Arrived| {
        let (attempt, at, event) = arrived;
        let happened = happened(*at, event);
        Match {
            address: format!("/jobs/{}/log?at={attempt}.{seq}#e{attempt}.{seq}", job.id, seq = event.seq),
            at: labels::format_duration(happened.since(job.created)),
            exact: happened.to_string(),
            line: line(&find_line(event, &needle).unwrap_or_default()),
        }
    };
    let page = SearchPage {
        frame,
        head,
        text: text.to_owned(),
        matches: found.matches.iter().map(to_match).collect(),
        searched: found.next.map_or(total, |(attempt, seq)| earlier(attempt) + seq),
        total,
        more: found.next.map(continue_after),
    };
    Ok(render_page(StatusCode::OK, &page))
}

/// The part around the match of the event's first line that contains the text.
fn find_line(event: &Event, needle: &str) -> Option<String> {
    // Each line of output has the same name.
    let name = event.name.as_ref().filter(|_| !event.is_output_line());
    let texts = [event.text.as_ref(), event.path.as_ref(), name];
    let mut texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
    event.data.iter().for_each(|data| add_texts(data, &mut texts));
    texts.into_iter().flat_map(str::lines).find_map(|line| excerpt(line, needle))
}

fn add_texts<'a>(data: &'a Value, texts: &mut Vec<&'a str>) {
    match data {
        Value::String(text) => texts.push(text),
        Value::Array(values) => values.iter().for_each(|value| add_texts(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| add_texts(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn excerpt(line: &str, needle: &str) -> Option<String> {
    let lower = line.to_lowercase();
    let at = lower.get(..lower.find(needle)?)?.chars().count();
    let skipped = at.saturating_sub(CHARS_BEFORE);
    let mark = |cut: bool| if cut { "…" } else { "" };
    let text: String = line.chars().skip(skipped).take(LINE_CHARS).collect();
    let is_cut = line.chars().nth(skipped + LINE_CHARS).is_some();
    Some(format!("{}{text}{}", mark(skipped > 0), mark(is_cut)))
}
