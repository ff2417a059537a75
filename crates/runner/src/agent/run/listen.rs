//! Reads an agent's pipes: removes private keys from each line, parses it, and applies its events.

use crate::agent::adapter::LineParser;
use crate::agent::agent_event::AgentEvent;
use crate::agent::command_line_event::{self, Stream};
use crate::agent::line_reader::LineReader;
use crate::agent::run_state::SharedRunState;
use crate::api::event_draft::EventDraft;
use crate::api::reporter::EventSink;
use crate::secrets::redact::PrivateKeyFilter;
use std::borrow::Cow;
use tokio::io::AsyncRead;
use tokio_util::task::AbortOnDropHandle;

pub(super) fn apply_events(agent_events: Vec<AgentEvent>, sink: &EventSink, shared: &SharedRunState) {
    for event in agent_events.into_iter().filter(|event| shared.accepts(event)) {
        shared.apply(&event);
        if let AgentEvent::Event(draft) | AgentEvent::Retrying(draft) = event {
            sink.add(draft);
        }
    }
}

pub(super) fn read_stdout(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    mut reader: Box<dyn LineParser>,
    events: &EventSink,
    shared: &SharedRunState,
) -> AbortOnDropHandle<()> {
    let shared = shared.clone();
    for_each_line(pipe, events, move |line, filter, events| {
        let agent_events = reader.parse_line(line);
        // A part of a message may have a part of a key, which is not recognized. The whole message arrives later.
        let is_partial = agent_events.contains(&AgentEvent::PartialMessage);
        let mut has_key = false;
        let without_keys = agent_events.into_iter().map(|event| match event {
            AgentEvent::Event(draft) => AgentEvent::Event(filter.filter_event(draft, &mut has_key)),
            AgentEvent::Retrying(draft) => AgentEvent::Retrying(filter.filter_event(draft, &mut has_key)),
            other => other,
        });
        let agent_events: Vec<AgentEvent> = without_keys.collect();
        if let Some(line) = filter.filter_line(line, has_key).filter(|_| !is_partial) {
            events.record_raw_line(&line);
        }
        apply_events(agent_events, events, &shared);
    })
}

pub(super) fn read_stderr(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    events: &EventSink,
    shared: &SharedRunState,
) -> AbortOnDropHandle<()> {
    let shared = shared.clone();
    for_each_line(pipe, events, move |line, filter, events| {
        let mut has_key = false;
        // The end is classified by the original text, which stays on this machine.
        let draft = command_line_event::parse_line(Stream::Err, line)
            .map(|draft| (draft.text.clone(), filter.filter_event(draft, &mut has_key)));
        if let Some(line) = filter.filter_line(line, has_key) {
            events.record_raw_line(&line);
        }
        if let Some((text, draft)) = draft {
            shared.note_error(&text.unwrap_or_default(), &draft);
            events.add(draft);
        }
    })
}

fn for_each_line(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    events: &EventSink,
    mut on_line: impl FnMut(&[u8], &mut KeyFilter, &EventSink) + Send + 'static,
) -> AbortOnDropHandle<()> {
    let events = events.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut lines = LineReader::new(pipe, events.redactor());
        let mut filter = KeyFilter::default();
        while let Some(line) = lines.next().await {
            on_line(&line, &mut filter, &events);
        }
    }))
}

/// Removes private keys from one pipe's output, where their lines arrive one by one.
#[derive(Default)]
struct KeyFilter {
    lines: PrivateKeyFilter,
    texts: PrivateKeyFilter,
}

impl KeyFilter {
    /// The raw line; `None` if it would show a removed part of its texts.
    fn filter_line<'l>(&mut self, line: &'l [u8], has_key: bool) -> Option<Cow<'l, [u8]>> {
        // A JSON line is no line of a key, even if it mentions one.
        let clean = match std::str::from_utf8(line) {
            Ok(text) if !text.trim_start().starts_with('{') => self.lines.redact(text),
            _ => return (!has_key).then_some(Cow::Borrowed(line)),
        };
        match clean {
            Cow::Borrowed(_) => (!has_key).then_some(Cow::Borrowed(line)),
            Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
        }
    }

    fn filter_event(&mut self, mut draft: EventDraft, has_key: &mut bool) -> EventDraft {
        if let Some(text) = &mut draft.text
            && let Cow::Owned(clean) = self.texts.redact(text)
        {
            *text = clean;
            *has_key = true;
        }
        draft
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_protocol::event::EventKind;

    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const LINE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

    fn upload_lines(lines: &[(&str, &str)]) -> Vec<Option<String>> {
        let mut filter = KeyFilter::default();
        let uploads = lines.iter().map(|(line, text)| {
            let mut has_key = false;
            filter.filter_event(EventDraft::text(EventKind::Text, *text), &mut has_key);
            let line = filter.filter_line(line.as_bytes(), has_key);
            line.map(|line| String::from_utf8_lossy(&line).into_owned())
        });
        uploads.collect()
    }

    #[test]
    fn json_lines_inside_a_private_key_are_dropped() {
        let json = |text: &str| format!("{{\"kind\":\"text\",\"text\":\"{text}\"}}");
        let texts = ["before", BEGIN, LINE, "-----END PRIVATE KEY-----", "after"];
        let lines = texts.map(|text| (json(text), text));
        let lines: Vec<(&str, &str)> = lines.iter().map(|(line, text)| (line.as_str(), *text)).collect();
        let expected = [Some(json("before")), None, None, None, Some(json("after"))];
        assert_eq!(upload_lines(&lines), expected);
    }

    #[test]
    fn plain_lines_inside_a_private_key_are_redacted() {
        let plain = [BEGIN, LINE, "-----END PRIVATE KEY-----", "after"].map(|line| (line, line));
        let marks = ["[redacted]", "[redacted]", "[redacted]", "after"];
        assert_eq!(upload_lines(&plain), marks.map(|line| Some(line.to_owned())));
    }
}
