//! Reads the session files that Codex writes while it works.
//! They have the tokens of every request, earlier than the last line of output, and the results of tool calls. The
//! limits on turns, cost and silence depend on them. The agent's commands can write these files too, so links are not
//! followed, reads never block, and only counts are used.

use crate::agent::agent_event::{AgentEvent, Tokens};
use crate::agent::json_lines::text_field;
use crate::agent::prices::{BilledTokens, Prices};
use crate::api::event_draft::EventDraft;
use nix::fcntl::OFlag;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest tracked id of a call. A proxy may store some thousand bytes in the id. Units: bytes.
pub(super) const MAX_CALL_ID_BYTES: usize = 16 * 1024;
/// Most tracked calls; Codex never runs more at once. With the longest ids, they take 16 MiB.
pub(super) const MAX_CALLS: usize = 1024;
const MAX_DEPTH: u32 = 4;
const MAX_FILES: usize = 256;
const MAX_BYTES_PER_READ: u64 = 32 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Rollouts {
    pub(super) start_count: u32,
    positions: BTreeMap<PathBuf, u64>,
    /// The usage of the thread so far, including earlier attempts.
    pub(super) thread_count: BilledTokens,
    model: Option<String>,
    /// Whether the model called a tool since the last counted request.
    calls_tool: bool,
    open_calls: BTreeSet<String>,
    has_answers: bool,
    calls_answered: bool,
    records: u32,
    start_tokens: Tokens,
    cost: u64,
    is_upper_bound: bool,
    /// The thread's total in the last line of this start.
    pub(super) reported_thread_total: Option<BilledTokens>,
}

impl Rollouts {
    /// Begins a start. Content from before the first start is skipped, because an earlier attempt wrote it.
    pub(super) fn begin_start(&mut self, sessions: &Path) {
        if self.start_count == 0 {
            let files = list_session_files(sessions).into_iter();
            self.positions = files.filter_map(|file| Some((file.clone(), fs::metadata(file).ok()?.len()))).collect();
        }
        self.start_count += 1;
        (self.records, self.start_tokens, self.cost, self.is_upper_bound) = (0, Tokens::default(), 0, false);
        (self.reported_thread_total, self.calls_tool) = (None, false);
        (self.has_answers, self.calls_answered) = (false, false);
        self.open_calls.clear();
    }

    fn poll(&mut self, sessions: &Path, prices: &Prices) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        let files = list_session_files(sessions);
        self.positions.retain(|file, _| files.contains(file));
        for file in files {
            let from = self.positions.get(&file).copied().unwrap_or(0);
            let Ok(NewLines { bytes, end }) = read_complete_lines(&file, from, MAX_BYTES_PER_READ) else { continue };
            self.positions.insert(file, end);
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if let Ok(line) = serde_json::from_slice::<Value>(line) {
                    self.parse_line(&line, prices, &mut events);
                }
            }
        }
        // Decide after all new lines, because the next call may be among them.
        let calls_answered = self.has_answers && self.open_calls.is_empty();
        if calls_answered != self.calls_answered {
            self.calls_answered = calls_answered;
            events.push(AgentEvent::CallsAnswered(calls_answered));
        }
        events
    }

    fn parse_line(&mut self, line: &Value, prices: &Prices, events: &mut Vec<AgentEvent>) {
        let payload = line.get("payload").unwrap_or(&Value::Null);
        match text_field(line, "type") {
            Some("turn_context") => {
                if let Some(model) = text_field(payload, "model") {
                    self.model = Some(model.to_owned());
                    events.push(AgentEvent::Model(model.to_owned()));
                }
            }
            Some("response_item") => {
                let kind = text_field(payload, "type").unwrap_or_default();
                self.calls_tool |= kind.ends_with("_call");
                if let Some(call) = text_field(payload, "call_id").filter(|call| call.len() <= MAX_CALL_ID_BYTES) {
                    if kind.ends_with("_call") && self.open_calls.len() < MAX_CALLS {
                        self.open_calls.insert(call.to_owned());
                    } else if kind.ends_with("_output") {
                        self.open_calls.remove(call);
                        self.has_answers = true;
                    }
                }
            }
            Some("token_usage_record") => {
                self.add_count(parse_count(payload.get("usage").unwrap_or(&Value::Null)), prices, events);
                events.push(AgentEvent::CountedAnswer);
                if std::mem::take(&mut self.calls_tool) {
                    events.push(AgentEvent::ToolCallsPending);
                }
                self.records += 1;
            }
            _ => {}
        }
    }

    fn add_count(&mut self, count: BilledTokens, prices: &Prices, events: &mut Vec<AgentEvent>) {
        self.thread_count += count;
        self.start_tokens += count.tokens;
        events.push(AgentEvent::TokenUsage(count.tokens));
        let model = self.model.as_deref().unwrap_or_default();
        let cost = prices.cost(model, count);
        self.is_upper_bound |= cost.is_none();
        self.cost = self.cost.saturating_add(cost.unwrap_or_else(|| prices.highest_cost(count)));
        events.push(if self.is_upper_bound {
            AgentEvent::CostUpperBound(self.cost)
        } else {
            AgentEvent::Cost(self.cost)
        });
    }

    /// Ends a start. Without usage in the files, the thread's total from the last line of output counts.
    fn finish(&mut self, prices: &Prices) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        if let Some(thread) = self.reported_thread_total.filter(|_| self.records == 0) {
            self.add_count(thread - self.thread_count, prices, &mut events);
            events.push(AgentEvent::CountedAnswer);
        }
        if self.start_tokens == Tokens::default() {
            return events;
        }
        let cost = (!self.is_upper_bound).then_some(self.cost);
        let usage = EventDraft {
            data: Some(json!({
                "input_tokens": self.start_tokens.input,
                "cached_input_tokens": self.start_tokens.cached,
                "output_tokens": self.start_tokens.output,
                "cost_usd_micros": cost,
                "model": self.model,
            })),
            ..EventDraft::new(EventKind::Usage)
        };
        events.push(AgentEvent::Event(usage));
        events
    }
}

pub(super) fn parse_count(usage: &Value) -> BilledTokens {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (input, cached, output) = (count("input_tokens"), count("cached_input_tokens"), count("output_tokens"));
    let cache_write = count("cache_write_input_tokens");
    BilledTokens { tokens: Tokens { input, cached, output }, cache_write, ..BilledTokens::default() }
}

pub(super) struct RolloutReader {
    sessions: PathBuf,
    rollouts: Arc<Mutex<Rollouts>>,
    prices: Prices,
}

impl RolloutReader {
    pub(super) fn new(sessions: PathBuf, rollouts: Arc<Mutex<Rollouts>>, prices: Prices) -> Self {
        Self { sessions, rollouts, prices }
    }

    pub(super) fn poll(&mut self) -> Vec<AgentEvent> {
        let mut rollouts = self.rollouts.lock().unwrap_or_else(PoisonError::into_inner);
        rollouts.poll(&self.sessions, &self.prices)
    }

    pub(super) fn finish(&mut self) -> Vec<AgentEvent> {
        let mut events = self.poll();
        events.extend(self.rollouts.lock().unwrap_or_else(PoisonError::into_inner).finish(&self.prices));
        events
    }
}

fn list_session_files(sessions: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![(sessions.to_owned(), MAX_DEPTH)]);
    let mut listed_folders = 0;
    while let Some((folder, depth)) = folders.pop().filter(|_| listed_folders < MAX_FILES) {
        listed_folders += 1;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FILES) {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() && depth > 1 {
                folders.push((path, depth - 1));
            } else if kind.is_file() && path.extension().is_some_and(|end| end == "jsonl") && files.len() < MAX_FILES {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

struct NewLines {
    bytes: Vec<u8>,
    end: u64,
}

/// Reads a file up to its last complete line. Skips a line longer than `max_bytes`, which Codex did not write.
fn read_complete_lines(file: &Path, from: u64, max_bytes: u64) -> io::Result<NewLines> {
    // A pipe in the file's place must not block.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(file)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes)?;
    let read = bytes.len() as u64;
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    bytes.truncate(complete);
    let is_too_long = complete == 0 && read == max_bytes;
    Ok(NewLines { end: from + if is_too_long { read } else { complete as u64 }, bytes })
}

#[cfg(test)]
mod tests;
