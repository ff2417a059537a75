//! Parses lines of `codex exec --json`.
//! Its quirks:
//! - An item of type `error` is a warning, and an `error` line is often only progress.
//! - A command may be reported at its end only, or not at all.
//! - Token counts cover the whole thread.

use super::items::{ItemParser, turn_end_events};
use super::rollout::Rollouts;
use super::token_count::parse_count;
use crate::agent::adapter::LineParser;
use crate::agent::agent_event::{AgentEvent, EndReport};
use crate::agent::json_lines::{self, raw_event, text_field};
use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::EventKind;
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The beginning of an `error` line about a retry: "Reconnecting... 1/3 (…)".
const RECONNECTING: &str = "Reconnecting...";

pub(super) struct ExecJsonParser {
    items: ItemParser,
    rollouts: Arc<Mutex<Rollouts>>,
}

impl ExecJsonParser {
    pub(super) fn new(tree: &Path, rollouts: Arc<Mutex<Rollouts>>) -> Self {
        let start = rollouts.lock().unwrap_or_else(PoisonError::into_inner).start_count();
        Self { items: ItemParser::new(tree, start), rollouts }
    }

    fn item(&mut self, object: &Value, ended: bool) -> Vec<AgentEvent> {
        let events = object.get("item").and_then(|item| self.items.parse_item(item, ended));
        events.unwrap_or_else(|| vec![raw_event(object)])
    }
}

impl LineParser for ExecJsonParser {
    fn parse_line(&mut self, line: &[u8]) -> Vec<AgentEvent> {
        json_lines::parse_json_line(line, |object| match text_field(object, "type") {
            Some("thread.started") => match text_field(object, "thread_id") {
                Some(id) => vec![AgentEvent::Activity, AgentEvent::Session(id.to_owned())],
                None => vec![raw_event(object)],
            },
            Some("turn.started") => vec![AgentEvent::Activity],
            Some("item.started" | "item.updated") => self.item(object, false),
            Some("item.completed") => self.item(object, true),
            Some("turn.completed") => {
                let total = parse_count(object.get("usage").unwrap_or(&Value::Null));
                self.rollouts.lock().unwrap_or_else(PoisonError::into_inner).set_thread_total(total);
                turn_end_events(EndReport {
                    success: true,
                    message: self.items.take_last_message(),
                    ..EndReport::default()
                })
            }
            Some("turn.failed") => {
                let error = object.get("error").unwrap_or(&Value::Null);
                let message = text_field(error, "message").unwrap_or_default().to_owned();
                turn_end_events(EndReport { message, ..EndReport::default() })
            }
            // Not an end: a retry causes such a line too. A failed turn follows a real end.
            Some("error") => {
                let message = text_field(object, "message").unwrap_or_default();
                let draft = EventDraft::text(EventKind::Log, message);
                vec![if message.starts_with(RECONNECTING) {
                    AgentEvent::Retrying(draft)
                } else {
                    AgentEvent::Event(draft)
                }]
            }
            _ => vec![raw_event(object)],
        })
    }
}

#[cfg(test)]
mod tests;
