//! Parses lines of `codex exec --json`.
//!
//! Its quirks:
//! - An item of type `error` is a warning, and an `error` line is often only progress.
//! - A command may be reported at its end only, or not at all.
//! - Token counts cover the whole thread.

use super::count::count_of;
use super::items::{Items, ended};
use super::rollout::Rollouts;
use crate::agent::adapter::Reader;
use crate::agent::json_lines::{self, raw, text};
use crate::agent::sign::{Sign, Terminal};
use crate::api::said::Said;
use pullyard_protocol::event::EventKind;
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The beginning of an `error` line about a retry: "Reconnecting... 1/3 (…)".
const AGAIN: &str = "Reconnecting...";

pub(super) struct Lines {
    items: Items,
    counted: Arc<Mutex<Rollouts>>,
}

impl Lines {
    pub(super) fn new(tree: &Path, counted: Arc<Mutex<Rollouts>>) -> Self {
        // Item numbers begin again with each start.
        let start = counted.lock().unwrap_or_else(PoisonError::into_inner).starts();
        Self { items: Items::new(tree, start), counted }
    }

    fn item(&mut self, object: &Value, ended: bool) -> Vec<Sign> {
        let known = object.get("item").and_then(|item| self.items.item(item, ended));
        known.unwrap_or_else(|| vec![raw(object)])
    }
}

impl Reader for Lines {
    fn read(&mut self, line: &[u8]) -> Vec<Sign> {
        json_lines::signs(line, |object| match text(object, "type") {
            Some("thread.started") => match text(object, "thread_id") {
                Some(id) => vec![Sign::Alive, Sign::Session(id.to_owned())],
                None => vec![raw(object)],
            },
            Some("turn.started") => vec![Sign::Alive],
            Some("item.started" | "item.updated") => self.item(object, false),
            Some("item.completed") => self.item(object, true),
            Some("turn.completed") => {
                let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
                counted.note_thread(count_of(object.get("usage").unwrap_or(&Value::Null)));
                drop(counted);
                ended(Terminal { well: true, words: self.items.last_message(), ..Terminal::default() })
            }
            Some("turn.failed") => {
                let error = object.get("error").unwrap_or(&Value::Null);
                let words = text(error, "message").unwrap_or_default().to_owned();
                ended(Terminal { words, ..Terminal::default() })
            }
            // Not an end: a retry causes such a line too. A failed turn follows a real end.
            Some("error") => {
                let words = text(object, "message").unwrap_or_default();
                let said = Said::words(EventKind::Log, words);
                vec![if words.starts_with(AGAIN) { Sign::TriesAgain(said) } else { Sign::Said(said) }]
            }
            _ => vec![raw(object)],
        })
    }
}

#[cfg(test)]
mod tests;
