//! Reads the session files that Codex writes while it works.
//!
//! They have the tokens of every request, earlier than its last line, and the answers to tool calls. The limits on
//! turns, cost and silence depend on them. The agent's commands can write these files too, so links are not followed,
//! reads never block, and only counts are used.

use super::count::{LONGEST_CALL, MOST_CALLS, count_of};
use crate::agent::adapter::Meter;
use crate::agent::json_lines::text;
use crate::agent::prices::{self, Count, Prices};
use crate::agent::sign::{Sign, Tokens};
use crate::api::said::Said;
use nix::fcntl::OFlag;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Depth of the folders: year, month, day and file.
const DEEPEST: u32 = 4;
/// The type of a line with the usage of a request.
const USAGE: &str = "token_usage_record";
const MOST_FILES: usize = 256;
/// Most bytes that one look reads from a file.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// Facts from an attempt's session files, over all starts.
#[derive(Debug, Default)]
pub(super) struct Rollouts {
    starts: u32,
    read: BTreeMap<PathBuf, u64>,
    /// The count of this thread, over all starts.
    counted: Count,
    model: Option<String>,
    /// Whether the model called a tool since the last counted request.
    asks: bool,
    /// Calls of this start without an answer.
    unanswered: BTreeSet<String>,
    /// Whether any answer was seen. Old versions write none, so a missing answer proves little.
    has_answers: bool,
    answered: bool,
    records: u32,
    used: Tokens,
    cost: u64,
    is_at_most: bool,
    /// Whether the cost uses the price list.
    by_list: bool,
    /// The thread's total in the last line of this start.
    thread: Option<Count>,
}

impl Rollouts {
    /// Begins a start. Content from before the first start is skipped, because an earlier attempt wrote it.
    pub(super) fn begin(&mut self, sessions: &Path) {
        if self.starts == 0 {
            let files = files(sessions).into_iter();
            self.read = files.filter_map(|file| Some((file.clone(), fs::metadata(file).ok()?.len()))).collect();
        }
        self.starts += 1;
        (self.records, self.used, self.cost, self.is_at_most) = (0, Tokens::default(), 0, false);
        (self.thread, self.asks, self.by_list) = (None, false, false);
        (self.has_answers, self.answered) = (false, false);
        self.unanswered.clear();
    }

    /// Begins a new thread, whose total excludes other threads.
    pub(super) fn begin_thread(&mut self) {
        self.counted = Count::default();
    }

    /// Sets the thread's usage before this attempt. The thread's total includes it.
    pub(super) fn goes_on(&mut self, tokens: Tokens) {
        self.counted.tokens = tokens;
    }

    pub(super) fn starts(&self) -> u32 {
        self.starts
    }

    pub(super) fn note_thread(&mut self, count: Count) {
        self.thread = Some(count);
    }

    fn look(&mut self, sessions: &Path, prices: &Prices) -> Vec<Sign> {
        let mut signs = Vec::new();
        let files = files(sessions);
        self.read.retain(|file, _| files.contains(file));
        for file in files {
            let from = self.read.get(&file).copied().unwrap_or(0);
            let Ok(Read { new, end }) = whole_lines(&file, from, MOST_BYTES) else { continue };
            self.read.insert(file, end);
            for line in new.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if let Ok(line) = serde_json::from_slice::<Value>(line) {
                    self.line(&line, prices, &mut signs);
                }
            }
        }
        // Decide after all lines of this look, because the next call may be among them.
        let answered = self.has_answers && self.unanswered.is_empty();
        if answered != self.answered {
            self.answered = answered;
            signs.push(Sign::Answered(answered));
        }
        signs
    }

    fn line(&mut self, line: &Value, prices: &Prices, signs: &mut Vec<Sign>) {
        let about = line.get("payload").unwrap_or(&Value::Null);
        match text(line, "type") {
            Some("turn_context") => {
                if let Some(model) = text(about, "model") {
                    self.model = Some(model.to_owned());
                    signs.push(Sign::Model(model.to_owned()));
                }
            }
            Some("response_item") => {
                let kind = text(about, "type").unwrap_or_default();
                self.asks |= kind.ends_with("_call");
                if let Some(call) = text(about, "call_id").filter(|call| call.len() <= LONGEST_CALL) {
                    if kind.ends_with("_call") && self.unanswered.len() < MOST_CALLS {
                        self.unanswered.insert(call.to_owned());
                    } else if kind.ends_with("_output") {
                        self.unanswered.remove(call);
                        self.has_answers = true;
                    }
                }
            }
            Some(USAGE) => {
                self.count(count_of(about.get("usage").unwrap_or(&Value::Null)), prices, signs);
                signs.push(Sign::Counted);
                if std::mem::take(&mut self.asks) {
                    signs.push(Sign::MoreFollows);
                }
                self.records += 1;
            }
            _ => {}
        }
    }

    fn count(&mut self, count: Count, prices: &Prices, signs: &mut Vec<Sign>) {
        self.counted += count;
        self.used += count.tokens;
        signs.push(Sign::Used(count.tokens));
        let model = self.model.as_deref().unwrap_or_default();
        self.by_list |= prices.is_listed(model);
        let cost = prices.cost(model, count);
        self.is_at_most |= cost.is_none();
        self.cost = self.cost.saturating_add(cost.unwrap_or_else(|| prices.highest_cost(count)));
        signs.push(if self.is_at_most { Sign::CostAtMost(self.cost) } else { Sign::Cost(self.cost) });
    }

    /// Ends a start. Without usage in the files, the thread's total from the last line counts.
    fn finish(&mut self, prices: &Prices) -> Vec<Sign> {
        let mut signs = Vec::new();
        if let Some(thread) = self.thread.filter(|_| self.records == 0) {
            self.count(thread - self.counted, prices, &mut signs);
            signs.push(Sign::Counted);
        }
        if self.used == Tokens::default() {
            return signs;
        }
        let cost = (!self.is_at_most).then_some(self.cost);
        let usage = Said {
            data: Some(json!({
                "input_tokens": self.used.input,
                "cached_input_tokens": self.used.cached,
                "output_tokens": self.used.output,
                "cost_usd_micros": cost,
                "model": self.model,
                "prices_of": cost.filter(|_| self.by_list).map(|_| prices::as_of()),
            })),
            ..Said::new(EventKind::Usage)
        };
        signs.push(Sign::Said(usage));
        signs
    }
}

pub(super) struct Look {
    sessions: PathBuf,
    counted: Arc<Mutex<Rollouts>>,
    prices: Prices,
}

impl Look {
    pub(super) fn new(sessions: PathBuf, counted: Arc<Mutex<Rollouts>>, prices: Prices) -> Self {
        Self { sessions, counted, prices }
    }
}

impl Meter for Look {
    fn look(&mut self) -> Vec<Sign> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.look(&self.sessions, &self.prices)
    }

    fn finish(&mut self) -> Vec<Sign> {
        let mut signs = self.look();
        signs.extend(self.counted.lock().unwrap_or_else(PoisonError::into_inner).finish(&self.prices));
        signs
    }
}

/// Lists the session files, without links.
fn files(sessions: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![(sessions.to_owned(), DEEPEST)]);
    let mut looked = 0;
    while let Some((folder, depth)) = folders.pop().filter(|_| looked < MOST_FILES) {
        looked += 1;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_FILES) {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() && depth > 1 {
                folders.push((path, depth - 1));
            } else if kind.is_file() && path.extension().is_some_and(|end| end == "jsonl") && found.len() < MOST_FILES {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

struct Read {
    new: Vec<u8>,
    end: u64,
}

/// Reads a file up to its last complete line. Skips a line beyond the limit of a look, which is not Codex's.
fn whole_lines(file: &Path, from: u64, most: u64) -> io::Result<Read> {
    // A pipe in the file's place must not block.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(file)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.seek(SeekFrom::Start(from))?;
    let mut new = Vec::new();
    file.take(most).read_to_end(&mut new)?;
    let read = new.len() as u64;
    let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    new.truncate(whole);
    let is_too_long = whole == 0 && read == most;
    Ok(Read { end: from + if is_too_long { read } else { whole as u64 }, new })
}

#[cfg(test)]
mod tests;
