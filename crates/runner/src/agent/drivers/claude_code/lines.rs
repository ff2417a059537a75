//! Parses lines of Claude Code's `stream-json`.
//! Its quirks:
//! - A message arrives once for each of its blocks, under the same id. Its token counts are not final.
//! - A failed request arrives as a message of a model that does not exist.
//! - A result can have both `success` and `is_error`.
//! - The totals of a result may include earlier starts.

use crate::agent::adapter::LineParser;
use crate::agent::agent_event::{AgentEvent, EndReport, Tokens, dollars_to_micros};
use crate::agent::json_lines::{self, list_field, raw_event, relative_path, text_field};
use crate::agent::prices::{BilledTokens, Prices};
use crate::api::event_draft::EventDraft;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const SYNTHETIC: &str = "<synthetic>";

#[derive(Default)]
pub(super) struct StreamJsonParser {
    tree: PathBuf,
    counted_messages: BTreeSet<String>,
    tool_names: BTreeMap<String, String>,
    /// Unanswered calls of the agent's own last answer, without calls of subagents.
    open_calls: BTreeSet<String>,
    reported_tokens: Tokens,
    /// The model of each answer in progress, by the tool call of its subagent. The agent itself has an empty key.
    answer_models: BTreeMap<String, String>,
    /// The last reported cost plus the estimate for later answers; `None` if a price is unknown.
    estimated_cost: Option<u64>,
    /// Sum over all results of the tokens used since the previous result.
    result_tokens: Tokens,
    /// The same for the cost; `None` if a result did not report a cost. Units: millionths of a US dollar.
    result_cost: Option<u64>,
    error_kind: Option<String>,
    limit_resets_at: Option<Timestamp>,
}

impl StreamJsonParser {
    pub(super) fn new(tree: &Path) -> Self {
        Self { tree: tree.to_owned(), estimated_cost: Some(0), result_cost: Some(0), ..Self::default() }
    }

    fn parse_system(&mut self, object: &Value) -> Vec<AgentEvent> {
        match text_field(object, "subtype") {
            Some("init") => {
                let session = text_field(object, "session_id").map(|id| AgentEvent::Session(id.to_owned()));
                let model = text_field(object, "model").map(|model| AgentEvent::Model(model.to_owned()));
                [Some(AgentEvent::Activity), session, model].into_iter().flatten().collect()
            }
            Some("api_retry") => vec![AgentEvent::Retrying(log_draft(retry_message(object), object))],
            // A new request to the model does not show that the model answers.
            Some("status") if text_field(object, "status") == Some("requesting") => Vec::new(),
            Some("status" | "task_started" | "task_notification" | "task_progress") => vec![AgentEvent::Activity],
            _ => vec![raw_event(object)],
        }
    }

    fn parse_assistant(&mut self, object: &Value) -> Vec<AgentEvent> {
        let Some(message) = object.get("message") else { return vec![raw_event(object)] };
        let mut events = vec![AgentEvent::Activity];
        if text_field(message, "model") == Some(SYNTHETIC) {
            self.error_kind = text_field(object, "error").map(str::to_owned);
            let texts = list_field(message, "content").filter_map(|block| text_field(block, "text"));
            events.push(log_event(texts.collect::<Vec<_>>().join("\n"), object));
            return events;
        }
        let is_own = text_field(object, "parent_tool_use_id").is_none();
        if text_field(message, "id").is_none_or(|id| self.counted_messages.insert(id.to_owned())) {
            if is_own {
                // An open call is from an answer whose stream broke and which the model repeated. No tool runs for it.
                events.extend(std::mem::take(&mut self.open_calls).into_iter().map(AgentEvent::ToolEnded));
            }
            events.push(AgentEvent::ModelAnswer);
        }
        for block in list_field(message, "content") {
            if is_own && text_field(block, "type") == Some("tool_use") {
                self.open_calls.extend(text_field(block, "id").map(str::to_owned));
            }
            events.extend(self.parse_block(block));
        }
        events
    }

    fn parse_block(&mut self, block: &Value) -> Vec<AgentEvent> {
        match text_field(block, "type") {
            Some("text") => text_field(block, "text")
                .filter(|text| !text.trim().is_empty())
                .map(|text| AgentEvent::Event(EventDraft::text(EventKind::Text, text)))
                .into_iter()
                .collect(),
            Some("tool_use") => self.parse_call(block),
            Some("thinking" | "redacted_thinking") => Vec::new(),
            _ => vec![raw_event(block)],
        }
    }

    fn parse_call(&mut self, block: &Value) -> Vec<AgentEvent> {
        let name = text_field(block, "name").unwrap_or_default().to_owned();
        let id = text_field(block, "id").unwrap_or_default().to_owned();
        let input = block.get("input").cloned().unwrap_or_default();
        self.tool_names.insert(id.clone(), name.clone());
        let draft = match name.as_str() {
            "Bash" => EventDraft {
                text: text_field(&input, "command").map(str::to_owned),
                ..EventDraft::new(EventKind::Command)
            },
            _ => EventDraft {
                path: text_field(&input, "file_path").map(|path| relative_path(&self.tree, path)),
                ..EventDraft::new(EventKind::ToolCall)
            },
        };
        let draft =
            EventDraft { name: Some(name), call: Some(id.clone()), data: Some(json!({ "input": input })), ..draft };
        vec![AgentEvent::ToolStarted(id), AgentEvent::ToolCallsPending, AgentEvent::Event(draft)]
    }

    fn parse_user(&mut self, object: &Value) -> Vec<AgentEvent> {
        let Some(message) = object.get("message") else { return vec![raw_event(object)] };
        let mut events = vec![AgentEvent::Activity];
        if object.get("isReplay").and_then(Value::as_bool) == Some(true) {
            // A replayed input of the runner, which now goes to the model.
            events.extend(text_field(object, "uuid").map(|mark| AgentEvent::InputSent(mark.to_owned())));
            return events;
        }
        for block in list_field(message, "content") {
            match text_field(block, "type") {
                Some("tool_result") => events.extend(self.parse_tool_result(block, object.get("tool_use_result"))),
                Some("text") => {
                    events.push(log_event(text_field(block, "text").unwrap_or_default().to_owned(), &Value::Null))
                }
                _ => events.push(raw_event(block)),
            }
        }
        events
    }

    fn parse_tool_result(&mut self, block: &Value, info: Option<&Value>) -> Vec<AgentEvent> {
        let id = text_field(block, "tool_use_id").unwrap_or_default().to_owned();
        let name = self.tool_names.remove(&id);
        self.open_calls.remove(&id);
        let failed = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        let mut events = vec![AgentEvent::ToolEnded(id.clone())];
        let is_edit = matches!(name.as_deref(), Some("Write" | "Edit" | "MultiEdit" | "NotebookEdit"));
        let path = info.and_then(|info| text_field(info, "filePath").or_else(|| text_field(info, "notebook_path")));
        if let Some(path) = path.filter(|_| is_edit && !failed) {
            let is_new = info.and_then(|info| text_field(info, "type")) == Some("create");
            let (path, change) = (relative_path(&self.tree, path), if is_new { "add" } else { "update" });
            let draft =
                EventDraft { path: Some(path), name: Some(change.into()), ..EventDraft::new(EventKind::FileEdit) };
            events.push(AgentEvent::Event(EventDraft { call: Some(id.clone()), ..draft }));
        }
        let text = match block.get("content") {
            Some(Value::String(text)) => text.clone(),
            _ => {
                list_field(block, "content").filter_map(|part| text_field(part, "text")).collect::<Vec<_>>().join("\n")
            }
        };
        let draft = EventDraft {
            name,
            call: Some(id),
            data: Some(json!({ "failed": failed })),
            ..EventDraft::text(EventKind::ToolResult, text)
        };
        events.push(AgentEvent::Event(draft));
        events
    }

    /// Parses a part of a message. It shows that the agent is alive, and has token counts that the message lacks.
    fn parse_stream_event(&mut self, object: &Value) -> Vec<AgentEvent> {
        let event = object.get("event").unwrap_or(&Value::Null);
        if text_field(event, "type") == Some("content_block_delta") {
            return vec![AgentEvent::PartialMessage];
        }
        let mut events = vec![AgentEvent::Activity];
        let caller = text_field(object, "parent_tool_use_id").unwrap_or_default();
        match text_field(event, "type") {
            Some("message_start") => {
                let model = event.get("message").and_then(|message| text_field(message, "model"));
                self.answer_models.insert(caller.to_owned(), model.unwrap_or_default().to_owned());
            }
            Some("message_delta") => {
                events.extend(event.get("usage").into_iter().flat_map(|usage| self.add_answer_usage(caller, usage)));
            }
            _ => {}
        }
        events
    }

    /// Adds the usage of one answer. The cost comes first, because an answer counts as complete with its tokens.
    fn add_answer_usage(&mut self, caller: &str, usage: &Value) -> [AgentEvent; 2] {
        let names = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"];
        let answer = parse_count(usage, names);
        let cost = self.answer_models.get(caller).and_then(|model| Prices::default().cost(model, answer));
        self.estimated_cost = self.estimated_cost.zip(cost).map(|(sum, cost)| sum.saturating_add(cost));
        self.reported_tokens += answer.tokens;
        [AgentEvent::CostEstimate(self.estimated_cost), AgentEvent::TokenUsage(answer.tokens)]
    }

    /// Tokens and cost of this start so far, from its result.
    ///
    /// `usage` is zero in some ends; the counts by model are right in all. In 2.1.330, those counts and the cost
    /// include earlier usage of the session. A separate field covers this start since its last result. 2.1.197 lacks
    /// that field, counts from zero in each start, and reports zeros when its own loop breaks.
    fn add_result_usage(&mut self, object: &Value) -> (Tokens, Option<u64>) {
        if let Some(models) = usage_since_last_result(object) {
            let cost = model_usages(models).try_fold(0_u64, |sum, model| {
                let cost = model.get("costUSD").and_then(Value::as_f64).and_then(dollars_to_micros)?;
                Some(sum.saturating_add(cost))
            });
            self.result_tokens += sum_tokens(models);
            self.result_cost = self.result_cost.zip(cost).map(|(sum, cost)| sum.saturating_add(cost));
            return (self.result_tokens, self.result_cost);
        }
        if object.get("result_index").is_some() {
            // A result after a failure lacks the field, and its totals may cover the whole session. The reported cost
            // is then right only if no answer came since the last result.
            return (self.reported_tokens, self.result_cost.filter(|cost| self.estimated_cost == Some(*cost)));
        }
        let cost = object.get("total_cost_usd").and_then(Value::as_f64).and_then(dollars_to_micros);
        let models = object.get("modelUsage");
        let counts_none = models.is_none_or(|models| model_usages(models).next().is_none());
        if counts_none && (self.reported_tokens != Tokens::default() || self.estimated_cost > Some(0)) {
            // Zeros do not override known usage.
            return (self.reported_tokens, cost.filter(|cost| *cost > 0));
        }
        (models.map(sum_tokens).unwrap_or_default(), cost)
    }

    fn parse_result(&mut self, object: &Value) -> Vec<AgentEvent> {
        let (total, cost) = self.add_result_usage(object);
        let used = total - self.reported_tokens;
        self.reported_tokens += used;
        self.estimated_cost = cost.or(self.estimated_cost);
        let errors = list_field(object, "errors").filter_map(Value::as_str);
        let text =
            text_field(object, "result").map(str::to_owned).unwrap_or_else(|| errors.collect::<Vec<_>>().join("; "));
        let is_error = object.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        let subtype = text_field(object, "subtype").unwrap_or_default();
        let refusal = text_field(object, "stop_reason").filter(|reason| *reason == "refusal");
        let kind = text_field(object, "api_error");
        let codes = [Some(subtype), text_field(object, "terminal_reason"), self.error_kind.as_deref(), refusal, kind];
        let denied_tools =
            list_field(object, "permission_denials").filter_map(|denial| text_field(denial, "tool_name"));
        let end_report = EndReport {
            success: subtype == "success" && !is_error,
            codes: codes.into_iter().flatten().filter(|code| !code.is_empty()).map(str::to_owned).collect(),
            status: object.get("api_error_status").and_then(Value::as_u64).and_then(|status| status.try_into().ok()),
            message: text.clone(),
            denied_tools: denied_tools.map(str::to_owned).collect(),
            limit_resets_at: self.limit_resets_at,
        };
        let usage = EventDraft {
            data: Some(json!({
                "input_tokens": self.reported_tokens.input,
                "cached_input_tokens": self.reported_tokens.cached,
                "output_tokens": self.reported_tokens.output,
                "cost_usd_micros": cost,
                "models": usage_since_last_result(object).or_else(|| object.get("modelUsage")),
            })),
            ..EventDraft::new(EventKind::Usage)
        };
        let result = EventDraft {
            name: Some(subtype.to_owned()),
            data: Some(json!({ "well": end_report.success, "marks": end_report.codes, "status": end_report.status })),
            ..EventDraft::text(EventKind::Result, text)
        };
        let mut events = vec![AgentEvent::TokenUsage(used)];
        events.extend(cost.map(AgentEvent::Cost));
        events.extend([AgentEvent::Event(usage), AgentEvent::Event(result), AgentEvent::EndReport(end_report)]);
        events
    }

    fn parse_rate_limit_event(&mut self, object: &Value) -> Vec<AgentEvent> {
        let info = object.get("rate_limit_info").unwrap_or(&Value::Null);
        // Also reported while the limit still allows requests. Only a rejection explains a failure.
        let uses_overage = info.get("isUsingOverage").and_then(Value::as_bool) == Some(true);
        let is_rejected = text_field(info, "status") == Some("rejected") && !uses_overage;
        let seconds = info.get("resetsAt").and_then(Value::as_i64).filter(|_| is_rejected);
        self.limit_resets_at = seconds.and_then(|secs| secs.checked_mul(1_000)).map(Timestamp::from_millis);
        vec![log_event("The model account's limit was reported.".into(), object)]
    }
}

impl LineParser for StreamJsonParser {
    fn parse_line(&mut self, line: &[u8]) -> Vec<AgentEvent> {
        json_lines::parse_json_line(line, |object| match text_field(object, "type") {
            Some("system") => self.parse_system(object),
            Some("assistant") => self.parse_assistant(object),
            Some("user") => self.parse_user(object),
            Some("stream_event") => self.parse_stream_event(object),
            Some("result") => self.parse_result(object),
            Some("rate_limit_event") => self.parse_rate_limit_event(object),
            Some("control_response" | "keep_alive") => vec![AgentEvent::Activity],
            _ => vec![raw_event(object)],
        })
    }
}

fn usage_since_last_result(object: &Value) -> Option<&Value> {
    object.get("model_usage_since_last_result").filter(|models| models.is_object())
}

fn model_usages(by_model: &Value) -> impl Iterator<Item = &Value> {
    by_model.as_object().into_iter().flat_map(|models| models.values())
}

fn sum_tokens(by_model: &Value) -> Tokens {
    let names = ["inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "outputTokens"];
    let mut total = Tokens::default();
    model_usages(by_model).for_each(|model| total += parse_count(model, names).tokens);
    total
}

fn parse_count(usage: &Value, [input, cached, cache_write, output]: [&str; 4]) -> BilledTokens {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (cached, cache_write) = (count(cached), count(cache_write));
    // Any program may print such a line, so the sum saturates.
    let input = count(input).saturating_add(cached).saturating_add(cache_write);
    let long_cache_write = usage.pointer("/cache_creation/ephemeral_1h_input_tokens").and_then(Value::as_u64);
    BilledTokens {
        tokens: Tokens { input, cached, output: count(output) },
        cache_write,
        long_cache_write: long_cache_write.unwrap_or_default(),
    }
}

fn log_event(text: String, object: &Value) -> AgentEvent {
    AgentEvent::Event(log_draft(text, object))
}

fn log_draft(text: String, object: &Value) -> EventDraft {
    let names = ["error", "error_status", "rate_limit_info"];
    let fields: serde_json::Map<_, _> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone()))).collect();
    let data = (!fields.is_empty()).then_some(Value::Object(fields));
    EventDraft { data, ..EventDraft::text(EventKind::Log, text) }
}

fn retry_message(object: &Value) -> String {
    let number = |name: &str| object.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let cause = match object.get("error_status").and_then(Value::as_u64) {
        Some(status) => format!("The model answered {status}"),
        None => "The model could not be reached".to_owned(),
    };
    let (attempt, max_attempts) = (number("attempt"), number("max_retries"));
    let secs = number("retry_delay_ms") / 1_000.0;
    format!("{cause}. Claude Code tries again in {secs:.1} s ({attempt} of {max_attempts}).")
}

#[cfg(test)]
mod tests;
