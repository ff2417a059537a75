//! Parses lines of Claude Code's `stream-json`.
//!
//! Its quirks:
//! - A message arrives once for each of its blocks, under the same id. Its token counts are not final.
//! - A failed request arrives as a message of a model that does not exist.
//! - A result can have both `success` and `is_error`.
//! - The totals of a result may include earlier starts.

use crate::agent::adapter::Reader;
use crate::agent::json_lines::{self, inside, raw, text};
use crate::agent::prices::{Count, Prices};
use crate::agent::sign::{Sign, Terminal, Tokens, micros};
use crate::api::said::Said;
use pullyard_domain::time::Timestamp;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The model of messages that Claude Code itself writes about a failure.
const SYNTHETIC: &str = "<synthetic>";

pub(super) struct Lines {
    tree: PathBuf,
    /// Ids of counted messages, because a message arrives once for each block.
    messages: BTreeSet<String>,
    calls: BTreeMap<String, String>,
    /// Unanswered calls of the agent's own last answer, without calls of subagents.
    open: BTreeSet<String>,
    told: Tokens,
    /// The model of each answer in progress, by the tool call of its subagent. The agent itself has an empty key.
    models: BTreeMap<String, String>,
    /// The last reported cost plus the estimate for later answers; `None` if a price is unknown.
    about: Option<u64>,
    /// Sum of the usage that each result reported since the result before it.
    stated: Stated,
    /// The error kind of the newest message about a failure.
    error: Option<String>,
    limit_until: Option<Timestamp>,
}

struct Stated {
    tokens: Tokens,
    /// `None` if a result did not report a cost. Units: millionths of a US dollar.
    cost: Option<u64>,
}

impl Lines {
    pub(super) fn new(tree: &Path) -> Self {
        Self {
            tree: tree.to_owned(),
            messages: BTreeSet::new(),
            calls: BTreeMap::new(),
            open: BTreeSet::new(),
            told: Tokens::default(),
            models: BTreeMap::new(),
            about: Some(0),
            stated: Stated { tokens: Tokens::default(), cost: Some(0) },
            error: None,
            limit_until: None,
        }
    }

    fn system(&mut self, object: &Value) -> Vec<Sign> {
        match text(object, "subtype") {
            Some("init") => {
                let session = text(object, "session_id").map(|id| Sign::Session(id.to_owned()));
                let model = text(object, "model").map(|model| Sign::Model(model.to_owned()));
                [Some(Sign::Alive), session, model].into_iter().flatten().collect()
            }
            Some("api_retry") => vec![Sign::TriesAgain(told(retry_words(object), object))],
            // A new request to the model is no sign of an answer. It follows immediately after lines that are.
            Some("status") if text(object, "status") == Some("requesting") => Vec::new(),
            Some("status" | "task_started" | "task_notification" | "task_progress") => vec![Sign::Alive],
            _ => vec![raw(object)],
        }
    }

    fn assistant(&mut self, object: &Value) -> Vec<Sign> {
        let Some(message) = object.get("message") else { return vec![raw(object)] };
        let mut signs = vec![Sign::Alive];
        if text(message, "model") == Some(SYNTHETIC) {
            self.error = text(object, "error").map(str::to_owned);
            let words = blocks(message).filter_map(|block| text(block, "text")).collect::<Vec<_>>().join("\n");
            signs.push(log(words, object));
            return signs;
        }
        let is_own = text(object, "parent_tool_use_id").is_none();
        if text(message, "id").is_none_or(|id| self.messages.insert(id.to_owned())) {
            if is_own {
                // A new answer means that the model got results for all earlier calls. An open call is from an answer
                // whose stream broke and which the model repeated. No tool runs for it.
                signs.extend(std::mem::take(&mut self.open).into_iter().map(Sign::ToolEnded));
            }
            signs.push(Sign::Turn);
        }
        for block in blocks(message) {
            if is_own && text(block, "type") == Some("tool_use") {
                self.open.extend(text(block, "id").map(str::to_owned));
            }
            signs.extend(self.block(block));
        }
        signs
    }

    fn block(&mut self, block: &Value) -> Vec<Sign> {
        match text(block, "type") {
            Some("text") => text(block, "text")
                .filter(|words| !words.trim().is_empty())
                .map(|words| Sign::Said(Said::words(EventKind::Text, words)))
                .into_iter()
                .collect(),
            Some("tool_use") => self.call(block),
            Some("thinking" | "redacted_thinking") => Vec::new(),
            _ => vec![raw(block)],
        }
    }

    fn call(&mut self, block: &Value) -> Vec<Sign> {
        let name = text(block, "name").unwrap_or_default().to_owned();
        let id = text(block, "id").unwrap_or_default().to_owned();
        let input = block.get("input").cloned().unwrap_or_default();
        self.calls.insert(id.clone(), name.clone());
        let said = match name.as_str() {
            "Bash" => Said { text: text(&input, "command").map(str::to_owned), ..Said::new(EventKind::Command) },
            "AskUserQuestion" => Said { text: Some(question(&input)), ..Said::new(EventKind::Question) },
            _ => Said {
                path: input.get("file_path").and_then(Value::as_str).map(|path| inside(&self.tree, path)),
                ..Said::new(EventKind::ToolCall)
            },
        };
        let said = Said { name: Some(name), call: Some(id.clone()), data: Some(json!({ "input": input })), ..said };
        vec![Sign::ToolBegan(id), Sign::MoreFollows, Sign::Said(said)]
    }

    fn user(&mut self, object: &Value) -> Vec<Sign> {
        let Some(message) = object.get("message") else { return vec![raw(object)] };
        let mut signs = vec![Sign::Alive];
        if object.get("isReplay").and_then(Value::as_bool) == Some(true) {
            // A replayed input of the runner, which now goes to the model.
            signs.extend(text(object, "uuid").map(|mark| Sign::TakenUp(mark.to_owned())));
            return signs;
        }
        for block in blocks(message) {
            match text(block, "type") {
                Some("tool_result") => signs.extend(self.answer(block, object.get("tool_use_result"))),
                Some("text") => signs.push(log(text(block, "text").unwrap_or_default().to_owned(), &Value::Null)),
                _ => signs.push(raw(block)),
            }
        }
        signs
    }

    fn answer(&mut self, block: &Value, about: Option<&Value>) -> Vec<Sign> {
        let id = text(block, "tool_use_id").unwrap_or_default().to_owned();
        let name = self.calls.remove(&id);
        self.open.remove(&id);
        let failed = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        let mut signs = vec![Sign::ToolEnded(id.clone())];
        let edits = matches!(name.as_deref(), Some("Write" | "Edit" | "MultiEdit" | "NotebookEdit"));
        let path = about.and_then(|about| text(about, "filePath").or_else(|| text(about, "notebook_path")));
        if let Some(path) = path.filter(|_| edits && !failed) {
            let change = if about.and_then(|about| text(about, "type")) == Some("create") { "add" } else { "update" };
            let said = Said { call: Some(id.clone()), ..file_edit(inside(&self.tree, path), change) };
            signs.push(Sign::Said(said));
        }
        let words = match block.get("content") {
            Some(Value::String(words)) => words.clone(),
            Some(Value::Array(parts)) => {
                parts.iter().filter_map(|part| text(part, "text")).collect::<Vec<_>>().join("\n")
            }
            _ => String::new(),
        };
        let said = Said {
            name,
            call: Some(id),
            data: Some(json!({ "failed": failed })),
            ..Said::words(EventKind::ToolResult, words)
        };
        signs.push(Sign::Said(said));
        signs
    }

    /// Parts of messages. They are signs of life, and have the token counts that the message lacks.
    fn stream(&mut self, object: &Value) -> Vec<Sign> {
        let event = object.get("event").unwrap_or(&Value::Null);
        if text(event, "type") == Some("content_block_delta") {
            return vec![Sign::Piece];
        }
        let mut signs = vec![Sign::Alive];
        let whose = text(object, "parent_tool_use_id").unwrap_or_default();
        match text(event, "type") {
            Some("message_start") => {
                let model = event.get("message").and_then(|message| text(message, "model"));
                self.models.insert(whose.to_owned(), model.unwrap_or_default().to_owned());
            }
            Some("message_delta") => {
                signs.extend(event.get("usage").into_iter().flat_map(|usage| self.used(whose, usage)));
            }
            _ => {}
        }
        signs
    }

    /// The usage of one answer. The cost comes first, because an answer counts as complete with its tokens.
    fn used(&mut self, whose: &str, usage: &Value) -> [Sign; 2] {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (cached, cache_write) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
        let input = count("input_tokens").saturating_add(cached).saturating_add(cache_write);
        let used = Tokens { input, cached, output: count("output_tokens") };
        let answer = Count { tokens: used, cache_write };
        let about = self.models.get(whose).and_then(|model| Prices::default().cost(model, answer));
        self.about = self.about.zip(about).map(|(before, more)| before.saturating_add(more));
        self.told += used;
        [Sign::CostAbout(self.about), Sign::Used(used)]
    }

    /// Tokens and cost of this start so far, by its result.
    ///
    /// `usage` is zero in some ends; the counts by model are right in all. In 2.1.330, those counts and the cost
    /// include earlier usage of the session. A separate field covers this start since its last result. 2.1.197 lacks
    /// that field, counts from zero in each start, and reports zeros when its own loop breaks.
    fn total(&mut self, object: &Value) -> (Tokens, Option<u64>) {
        if let Some(models) = since_last(object) {
            let cost = models_of(models).try_fold(0_u64, |sum, model| {
                let cost = model.get("costUSD").and_then(Value::as_f64).and_then(micros)?;
                Some(sum.saturating_add(cost))
            });
            self.stated.tokens += tokens_of(models);
            self.stated.cost = self.stated.cost.zip(cost).map(|(before, more)| before.saturating_add(more));
            return (self.stated.tokens, self.stated.cost);
        }
        if object.get("result_index").is_some() {
            // A result after a failure lacks the field, and its totals may cover the whole session. The reported cost
            // is then right only if no answer came since the last result.
            return (self.told, self.stated.cost.filter(|stated| self.about == Some(*stated)));
        }
        let cost = object.get("total_cost_usd").and_then(Value::as_f64).and_then(micros);
        let models = object.get("modelUsage");
        let counts_none = models.is_none_or(|models| models_of(models).next().is_none());
        if counts_none && (self.told != Tokens::default() || self.about > Some(0)) {
            // Zeros do not override known usage.
            return (self.told, cost.filter(|cost| *cost > 0));
        }
        (models.map(tokens_of).unwrap_or_default(), cost)
    }

    fn result(&mut self, object: &Value) -> Vec<Sign> {
        let (total, cost) = self.total(object);
        let used = total - self.told;
        self.told += used;
        self.about = cost.or(self.about);
        let errors = object.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let words = text(object, "result").map(str::to_owned).unwrap_or_else(|| errors.collect::<Vec<_>>().join("; "));
        let is_error = object.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        let subtype = text(object, "subtype").unwrap_or_default();
        let declined = text(object, "stop_reason").filter(|reason| *reason == "refusal");
        let kind = text(object, "api_error");
        let marks = [Some(subtype), text(object, "terminal_reason"), self.error.as_deref(), declined, kind];
        let denials = object.get("permission_denials").and_then(Value::as_array);
        let terminal = Terminal {
            well: subtype == "success" && !is_error,
            marks: marks.into_iter().flatten().filter(|mark| !mark.is_empty()).map(str::to_owned).collect(),
            status: object.get("api_error_status").and_then(Value::as_u64).and_then(|status| status.try_into().ok()),
            words: words.clone(),
            denied: denials
                .into_iter()
                .flatten()
                .filter_map(|denial| text(denial, "tool_name"))
                .map(str::to_owned)
                .collect(),
            limit_until: self.limit_until,
        };
        let usage = Said {
            data: Some(json!({
                "input_tokens": self.told.input,
                "cached_input_tokens": self.told.cached,
                "output_tokens": self.told.output,
                "cost_usd_micros": cost,
                "models": since_last(object).or_else(|| object.get("modelUsage")),
            })),
            ..Said::new(EventKind::Usage)
        };
        let result = Said {
            name: Some(subtype.to_owned()),
            data: Some(json!({ "well": terminal.well, "marks": terminal.marks, "status": terminal.status })),
            ..Said::words(EventKind::Result, words)
        };
        let mut signs = vec![Sign::Used(used)];
        signs.extend(cost.map(Sign::Cost));
        signs.extend([Sign::Said(usage), Sign::Said(result), Sign::Ended(terminal)]);
        signs
    }

    fn limit(&mut self, object: &Value) -> Vec<Sign> {
        let about = object.get("rate_limit_info").unwrap_or(&Value::Null);
        // The end of a limit is also reported while the limit still allows requests. Only a rejection explains a
        // failure, and a later report replaces an earlier one. An account with extra usage is not rejected.
        let draws_on_more = about.get("isUsingOverage").and_then(Value::as_bool) == Some(true);
        let rejects = text(about, "status") == Some("rejected") && !draws_on_more;
        let seconds = about.get("resetsAt").and_then(Value::as_i64).filter(|_| rejects);
        self.limit_until = seconds.and_then(|secs| secs.checked_mul(1_000)).map(Timestamp::from_millis);
        vec![log("The model account's limit was reported.".into(), object)]
    }
}

impl Reader for Lines {
    fn read(&mut self, line: &[u8]) -> Vec<Sign> {
        json_lines::signs(line, |object| match text(object, "type") {
            Some("system") => self.system(object),
            Some("assistant") => self.assistant(object),
            Some("user") => self.user(object),
            Some("stream_event") => self.stream(object),
            Some("result") => self.result(object),
            Some("rate_limit_event") => self.limit(object),
            Some("control_response" | "keep_alive") => vec![Sign::Alive],
            _ => vec![raw(object)],
        })
    }
}

fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    message.get("content").and_then(Value::as_array).into_iter().flatten()
}

/// The counts by model since the last result, or since the start. Older versions lack them.
fn since_last(object: &Value) -> Option<&Value> {
    object.get("model_usage_since_last_result").filter(|models| models.is_object())
}

fn models_of(by_model: &Value) -> impl Iterator<Item = &Value> {
    by_model.as_object().into_iter().flat_map(|models| models.values())
}

fn tokens_of(by_model: &Value) -> Tokens {
    let mut total = Tokens::default();
    for model in models_of(by_model) {
        let count = |name: &str| model.get(name).and_then(Value::as_u64).unwrap_or(0);
        let cached = count("cacheReadInputTokens");
        // Any program may print such a line, so the sum saturates.
        let input = count("inputTokens").saturating_add(cached).saturating_add(count("cacheCreationInputTokens"));
        total += Tokens { input, cached, output: count("outputTokens") };
    }
    total
}

fn log(words: String, object: &Value) -> Sign {
    Sign::Said(told(words, object))
}

fn told(words: String, object: &Value) -> Said {
    let about = ["error", "error_status", "rate_limit_info"];
    let about: serde_json::Map<_, _> =
        about.iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone()))).collect();
    let data = (!about.is_empty()).then_some(Value::Object(about));
    Said { data, ..Said::words(EventKind::Log, words) }
}

fn file_edit(path: String, change: &str) -> Said {
    Said { path: Some(path), name: Some(change.to_owned()), ..Said::new(EventKind::FileEdit) }
}

fn retry_words(object: &Value) -> String {
    let number = |name: &str| object.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let cause = match object.get("error_status").and_then(Value::as_u64) {
        Some(status) => format!("The model answered {status}"),
        None => "The model could not be reached".to_owned(),
    };
    let (attempt, most) = (number("attempt"), number("max_retries"));
    let secs = number("retry_delay_ms") / 1_000.0;
    format!("{cause}. Claude Code tries again in {secs:.1} s ({attempt} of {most}).")
}

fn question(input: &Value) -> String {
    let asked = input.get("questions").and_then(Value::as_array).into_iter().flatten();
    let asked: Vec<&str> = asked.filter_map(|one| text(one, "question")).collect();
    if asked.is_empty() { text(input, "question").unwrap_or_default().to_owned() } else { asked.join("\n") }
}

#[cfg(test)]
mod tests;
