//! What is said to `codex app-server` while it works, and which turn an interrupt is for: what its answers to our own
//! requests named, and what its lines say beside that, which anybody may have written.

use crate::agent::adapter::Voice;
use crate::agent::as_words;
use crate::agent::json_lines::text;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The beginning of the ids of interrupts: what they are answered says nothing.
pub(super) const INTERRUPT: &str = "interrupt";
/// How many turns are kept of those that lines said began, since an end was known.
pub(super) const MOST_BEGUN: usize = 16;
/// The longest id of a turn that is kept of a line; its own have 36. Units: bytes.
pub(super) const LONGEST_TURN: usize = 256;

/// What reader and voice know of it together.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Its thread, once it is open.
    pub(super) thread: Option<String>,
    /// Ids of our requests for a turn that have no answer yet.
    pub(super) asked: Vec<String>,
    /// The turns that answers to these named, the oldest first, but for those that are known to be over.
    named: Vec<String>,
    /// The turns that began since its last known end, by lines that anybody may write, the oldest first: agents of the
    /// agent begin one that we did not ask for, and nothing else names it.
    pub(super) begun: Vec<String>,
    /// A turn began in it: it has been asked what it is for.
    pub(super) has_begun: bool,
    /// Words and marks that came before that.
    pub(super) untold: Vec<(String, String)>,
}

impl Known {
    /// Notes an answer to a request for a turn, and the turn that it names. Whether it was one.
    pub(super) fn is_answer(&mut self, id: &str, object: &Value) -> bool {
        let Some(at) = self.asked.iter().position(|asked| asked == id) else { return false };
        self.asked.remove(at);
        let turn = object.get("result").and_then(|result| result.get("turn")).and_then(|turn| text(turn, "id"));
        // Words that joined a turn are answered with its name.
        if let Some(turn) = turn.filter(|turn| !self.named.iter().any(|named| named == turn)) {
            self.named.push(turn.to_owned());
        }
        true
    }

    /// Notes a turn of which a line says that it began.
    pub(super) fn begins(&mut self, turn: &str) {
        self.has_begun = true;
        if turn.len() <= LONGEST_TURN && !self.begun.iter().any(|begun| begun == turn) {
            // Where all places are taken the last one is given away: a turn's own line comes before those of its tools.
            self.begun.truncate(MOST_BEGUN - 1);
            self.begun.push(turn.to_owned());
        }
    }

    /// Its newest turn has ended: so have those before it, and these, which had begun by then.
    pub(super) fn is_over(&mut self, newest: Option<&str>, begun: &[String]) {
        if let Some(at) = self.named.iter().position(|named| Some(named.as_str()) == newest) {
            self.named.drain(..=at);
        }
        self.begun.retain(|turn| Some(turn.as_str()) != newest && !begun.contains(turn));
    }
}

pub(super) type Shared = Arc<Mutex<Known>>;

pub(super) fn lock(known: &Shared) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn line(object: &Value) -> Vec<u8> {
    format!("{object}\n").into_bytes()
}

pub(super) fn request(id: &str, method: &str, params: &Value) -> Vec<u8> {
    line(&json!({ "id": id, "method": method, "params": params }))
}

/// Words for its model. Where a turn runs they join it before its next request; else another one begins with them.
pub(super) fn turn(id: &str, thread: &str, words: &str, mark: Option<&str>) -> Vec<u8> {
    let input = json!([{ "type": "text", "text": as_words::for_codex(words) }]);
    request(id, "turn/start", &json!({ "threadId": thread, "clientUserMessageId": mark, "input": input }))
}

/// How it is told more while it works, and asked to stop.
pub(in crate::agent::codex) struct Speech {
    pub(super) known: Shared,
}

impl Voice for Speech {
    fn interrupt(&mut self) -> Option<Vec<u8>> {
        let known = lock(&self.known);
        let thread = known.thread.as_deref()?;
        // One that has not begun can't be interrupted.
        if known.begun.is_empty() {
            return None;
        }
        // Each that may run: it refuses all but the one that does.
        let not_named = known.begun.iter().filter(|begun| !known.named.contains(begun));
        let turns = known.named.iter().chain(not_named).enumerate();
        let each = turns.map(|(number, turn)| {
            let id = format!("{INTERRUPT}.{number}");
            request(&id, "turn/interrupt", &json!({ "threadId": thread, "turnId": turn }))
        });
        Some(each.collect::<Vec<_>>().concat())
    }

    fn tell(&mut self, words: &str, mark: &str) -> Vec<u8> {
        let mut known = lock(&self.known);
        // What it is for comes first.
        if let Some(thread) = known.thread.clone().filter(|_| known.has_begun) {
            known.asked.push(mark.to_owned());
            return turn(mark, &thread, words, Some(mark));
        }
        known.untold.push((words.to_owned(), mark.to_owned()));
        Vec::new()
    }
}
