//! Collects the facts about one start of an agent, to check limits and to classify its end.

use super::agent_event::{AgentEvent, EndReport, Tokens, UsageTotal};
use super::classify::is_account_failure;
use super::command_line_event::Stream;
use super::variant_name::variant_name;
use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::EventKind;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How much of the end of standard error is stored. Units: bytes.
const STDERR_TAIL_BYTES: usize = 8 * 1024;
/// Longest stored message. Secrets are removed later, so a cut must not split one. Units: bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub(super) struct LastActivity {
    pub(super) at: Instant,
    /// Since then the agent only repeats requests to its model.
    pub(super) is_retrying: bool,
    pub(super) event: String,
}

impl Default for LastActivity {
    fn default() -> Self {
        Self { at: Instant::now(), is_retrying: false, event: "its start".into() }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct RunState {
    pub(super) last_activity: LastActivity,
    pub(super) running_tools: BTreeSet<String>,
    calls_answered: bool,
    pub(super) session: Option<String>,
    pub(super) model: Option<String>,
    pub(super) turns: u32,
    pub(super) tool_calls_pending: bool,
    pub(super) tokens: Tokens,
    /// The cost, if known. Units: millionths of a US dollar.
    pub(super) cost: Option<u64>,
    pub(super) cost_upper_bound: u64,
    /// The part of `cost` that the model's proxy estimated. Units: millionths of a US dollar.
    estimated_cost: u64,
    /// The cost for display while the agent works. No limit uses it.
    pub(super) displayed_cost: DisplayedCost,
    /// The turns that an agent states with its own totals.
    pub(super) reported_turns: Option<u32>,
    pub(super) read_inputs: Vec<String>,
    sent_inputs: Vec<String>,
    /// The agent's question, if no output followed it.
    pub(super) question: Option<String>,
    pub(super) end_report: Option<EndReport>,
    /// The first denied tool of all turns. Each end reports only its own.
    pub(super) denied_tool: Option<String>,
    /// The limit for which the model's proxy refused a request or cut an answer.
    pub(super) refusal: Option<RefusedFor>,
    pub(super) end_count: u32,
    pub(super) ended_at: Option<Instant>,
    answered_since_end: bool,
    pub(super) continued_after_end: bool,
    pub(super) stderr: String,
    last_output: String,
    last_error_output: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusedFor {
    Turns,
    /// The least cost of the refused request. Units: millionths of a US dollar.
    Cost(u64),
}

/// The cost of a start so far. Units: millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DisplayedCost {
    #[default]
    Unknown,
    Exact(u64),
    Estimate(u64),
    UpperBound(u64),
}

impl RunState {
    fn apply(&mut self, event: &AgentEvent, now: Instant) {
        match event {
            // Facts from files and totals after the end do not show that the agent is alive.
            AgentEvent::TokenUsage(_)
            | AgentEvent::Cost(_)
            | AgentEvent::CostUpperBound(_)
            | AgentEvent::CostEstimate(_)
            | AgentEvent::Model(_) => {}
            AgentEvent::Retrying(_) => self.last_activity.is_retrying = true,
            _ => {
                self.last_activity.at = now;
                self.last_activity.is_retrying = false;
            }
        }
        match event {
            AgentEvent::Event(draft) | AgentEvent::Retrying(draft) => self.note_event(Stream::Out, draft),
            AgentEvent::Activity | AgentEvent::PartialMessage => {}
            AgentEvent::Session(id) => self.session = Some(id.clone()),
            AgentEvent::Model(model) => self.model = Some(model.clone()),
            AgentEvent::ToolStarted(id) => {
                self.running_tools.insert(id.clone());
            }
            // The caller of the tool continues, even if the last answer was a subagent's.
            AgentEvent::ToolEnded(id) => {
                self.tool_calls_pending |= self.running_tools.remove(id) && !self.calls_answered
            }
            AgentEvent::AllToolsEnded => self.running_tools.clear(),
            AgentEvent::CallsAnswered(answered) => self.calls_answered = *answered,
            AgentEvent::ModelAnswer => {
                self.count_turn();
                self.answered_since_end = true;
                self.continued_after_end = self.end_report.is_some();
                self.read_inputs.append(&mut self.sent_inputs);
            }
            AgentEvent::CountedAnswer => self.count_turn(),
            AgentEvent::InputSent(mark) => {
                self.sent_inputs.push(mark.clone());
                // After an end, this input begins another turn.
                self.continued_after_end = self.end_report.is_some();
            }
            AgentEvent::ToolCallsPending => self.tool_calls_pending = true,
            AgentEvent::TokenUsage(tokens) => self.tokens += *tokens,
            AgentEvent::Cost(cost) => self.set_cost(*cost),
            AgentEvent::CostUpperBound(cost) => {
                self.cost = None;
                self.cost_upper_bound = self.cost_upper_bound.max(*cost);
                self.displayed_cost = DisplayedCost::UpperBound(*cost);
            }
            AgentEvent::CostEstimate(cost) => {
                self.displayed_cost = cost.map_or(DisplayedCost::Unknown, DisplayedCost::Estimate)
            }
            AgentEvent::ReportedUsage(sum) => {
                self.turns = sum.turns;
                self.tokens = sum.tokens;
                if let Some(cost) = sum.cost {
                    self.set_cost(cost);
                }
                // Only the agent's own result shows which answer was the last.
                self.tool_calls_pending = sum.may_continue;
                self.reported_turns = Some(sum.turns);
            }
            AgentEvent::EndReport(end_report) => {
                self.running_tools.clear();
                self.end_count = self.end_count.saturating_add(1);
                self.ended_at = Some(now);
                self.answered_since_end = false;
                self.continued_after_end = false;
                self.denied_tool = self.denied_tool.take().or_else(|| end_report.denied_tools.first().cloned());
                // A second end comes from a turn for late inputs, and the first failure stays. Exception: an account
                // failure yields to another failure, which could not follow a real one.
                let is_final = self.end_report.as_ref().is_some_and(|stored| {
                    let yields = is_account_failure(stored) && !end_report.success && !is_account_failure(end_report);
                    !stored.success && !yields
                });
                if !is_final {
                    self.end_report = Some(end_report.clone());
                }
            }
        }
    }

    fn count_turn(&mut self) {
        self.turns = self.turns.saturating_add(1);
        self.tool_calls_pending = false;
    }

    /// The agent reports its cost so far. Units: millionths of a US dollar.
    fn set_cost(&mut self, cost: u64) {
        self.cost = Some(cost);
        self.cost_upper_bound = self.cost_upper_bound.max(cost);
        self.displayed_cost = DisplayedCost::Exact(cost);
    }

    fn note_event(&mut self, stream: Stream, draft: &EventDraft) {
        if stream == Stream::Out && draft.kind != EventKind::Usage {
            self.question = draft.text.clone().filter(|_| draft.kind == EventKind::Question);
        }
        let text = text_tail(draft.text.as_deref().or(draft.name.as_deref()).unwrap_or_default());
        self.last_activity.event = if text.is_empty() { variant_name(draft.kind) } else { text.clone() };
        if !text.is_empty() && draft.kind != EventKind::Usage {
            match stream {
                Stream::Out => self.last_output = text,
                Stream::Err => self.last_error_output = text,
            }
        }
    }

    fn append_stderr(&mut self, line: &str) {
        self.stderr.push_str(line);
        self.stderr.push('\n');
        if self.stderr.len() > 2 * STDERR_TAIL_BYTES {
            let from = self.stderr.ceil_char_boundary(self.stderr.len() - STDERR_TAIL_BYTES);
            self.stderr.drain(..from);
        }
    }

    pub(super) fn usage(&self) -> UsageTotal {
        let Self { turns, tokens, cost, estimated_cost, cost_upper_bound, .. } = *self;
        UsageTotal { turns, tokens, cost, estimated_cost, cost_upper_bound }
    }

    /// The usage of a start that ended. An estimate replaces cost that the agent did not report.
    pub(super) fn usage_at_end(&self) -> UsageTotal {
        let mut usage = self.usage();
        if let Some(estimated_cost) = self.unreported_cost() {
            let cost = Some(estimated_cost);
            usage += UsageTotal { cost, estimated_cost, cost_upper_bound: estimated_cost, ..UsageTotal::default() };
        }
        usage
    }

    /// The estimated cost beyond the reported cost, if the agent ended early. Units: millionths of a US dollar.
    pub(super) fn unreported_cost(&self) -> Option<u64> {
        let DisplayedCost::Estimate(estimate) = self.displayed_cost else { return None };
        Some(estimate.saturating_sub(self.cost.unwrap_or_default())).filter(|cost| *cost > 0)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end_report.is_some() && !self.continued_after_end
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.end_report.as_ref().is_some_and(|end_report| end_report.success) && !self.answered_since_end
    }

    pub(super) fn has_ended_since(&self, ends: u32) -> bool {
        self.has_ended() || self.end_count > ends
    }

    pub(super) fn is_waiting_for_tool(&self) -> bool {
        !self.running_tools.is_empty() && !self.calls_answered
    }

    pub(super) fn has_sent_input(&self, mark: &str) -> bool {
        self.sent_inputs.iter().chain(&self.read_inputs).any(|sent| sent == mark)
    }

    pub(super) fn last_message(&self) -> String {
        let own = self.end_report.as_ref().map(|end_report| one_line(&end_report.message)).unwrap_or_default();
        let text = [&own, &self.last_error_output, &self.last_output].into_iter().find(|text| !text.is_empty());
        text.map_or_else(|| "it said nothing".into(), String::clone)
    }
}

/// The end of a text, from the beginning of a line. If the last line is too long, the beginning of that line.
fn text_tail(text: &str) -> String {
    let text = text.trim_end();
    let from = text.ceil_char_boundary(text.len().saturating_sub(MAX_MESSAGE_BYTES));
    let tail = text.get(from..).unwrap_or_default();
    let line = text.lines().next_back().unwrap_or_default();
    match tail.split_once('\n') {
        _ if from == 0 => text.to_owned(),
        Some((_, whole_lines)) => whole_lines.to_owned(),
        None => text_head(line).to_owned(),
    }
}

fn text_head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or(text)
}

fn one_line(text: &str) -> String {
    text_head(text.trim()).split(['\r', '\n']).collect::<Vec<_>>().join(" ")
}

#[derive(Clone, Default)]
pub(super) struct SharedRunState(Arc<Inner>);

#[derive(Default)]
struct Inner {
    record: Mutex<RunState>,
    change: Notify,
    is_metered: bool,
}

impl SharedRunState {
    /// The state of an agent whose usage the model's proxy counts.
    pub(super) fn metered() -> Self {
        Self(Arc::new(Inner { is_metered: true, ..Inner::default() }))
    }

    /// Whether an event counts. The agent's own reports of usage do not where the model's proxy counts.
    pub(super) fn accepts(&self, event: &AgentEvent) -> bool {
        !self.0.is_metered || !event.is_usage_report()
    }

    pub(super) fn set_metered_usage(&self, usage: &UsageTotal) {
        let mut record = self.lock();
        record.tokens = usage.tokens;
        record.cost = usage.cost;
        record.cost_upper_bound = usage.cost_upper_bound;
        record.estimated_cost = usage.estimated_cost;
        record.displayed_cost = match usage.cost {
            Some(cost) if cost == usage.cost_upper_bound && usage.estimated_cost > 0 => DisplayedCost::Estimate(cost),
            Some(cost) if cost == usage.cost_upper_bound => DisplayedCost::Exact(cost),
            _ => DisplayedCost::UpperBound(usage.cost_upper_bound),
        };
    }

    /// Requests to the model, of which an agent may have reported fewer.
    pub(super) fn set_metered_turns(&self, turns: u32) {
        let mut record = self.lock();
        record.turns = record.turns.max(turns);
    }

    pub(super) fn note_refused_request(&self, refusal: RefusedFor) {
        self.lock().refusal.get_or_insert(refusal);
        self.0.change.notify_one();
    }

    pub(super) fn apply(&self, event: &AgentEvent) {
        self.lock().apply(event, Instant::now());
        self.0.change.notify_one();
    }

    pub(super) fn note_error(&self, line: &str, draft: &EventDraft) {
        let mut record = self.lock();
        // During a retry of the model's request, the line is about the retry.
        if !record.last_activity.is_retrying {
            record.last_activity.at = Instant::now();
        }
        record.note_event(Stream::Err, draft);
        record.append_stderr(line);
        drop(record);
        self.0.change.notify_one();
    }

    pub(super) async fn wait_for_change(&self) {
        self.0.change.notified().await;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, RunState> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
