//! Reports an attempt's usage while its agent works: after each answer of the model, at most every `REPORT_INTERVAL`.
//! The reports are for display only. `attempt_usage` stores the usage, and `limits` enforces limits.

use super::agent_event::{Tokens, UsageTotal};
use super::run_state::{DisplayedCost, RunState};
use crate::api::event_draft::EventDraft;
use crate::deadline::instant_after;
use pullyard_domain::project::usage::Usage;
use pullyard_protocol::event::EventKind;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two reports: several subagents answer faster, and each event is stored as long as its job.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct UsageReporter {
    earlier_usage: UsageTotal,
    last_reported: (Tokens, DisplayedCost, Option<u32>),
    next_report_at: Instant,
}

impl UsageReporter {
    pub(super) fn new(earlier: &UsageTotal) -> Self {
        Self {
            earlier_usage: *earlier,
            last_reported: (Tokens::default(), DisplayedCost::Unknown, None),
            next_report_at: Instant::now(),
        }
    }

    /// When a report is due; `None` without new usage. An answer counts with its tokens, which may arrive after its
    /// text.
    pub(super) fn report_due_at(&self, record: &RunState) -> Option<Instant> {
        let has_usage = record.tokens != Tokens::default() || record.reported_turns.is_some();
        let current = (record.tokens, record.displayed_cost, record.reported_turns);
        (has_usage && self.last_reported != current).then_some(self.next_report_at)
    }

    pub(super) fn report_if_due(&mut self, record: &RunState, now: Instant) -> Option<EventDraft> {
        self.report_due_at(record).filter(|due| *due <= now)?;
        self.next_report_at = instant_after(now, REPORT_INTERVAL);
        Some(self.usage_event(record))
    }

    pub(super) fn report_last(&mut self, record: &RunState) -> Option<EventDraft> {
        self.report_due_at(record)?;
        Some(self.usage_event(record))
    }

    fn usage_event(&mut self, record: &RunState) -> EventDraft {
        self.last_reported = (record.tokens, record.displayed_cost, record.reported_turns);
        let mut sum = self.earlier_usage;
        sum += record.usage();
        let before = self.earlier_usage.cost.unwrap_or_default();
        let mut usage = Usage {
            so_far: true,
            turns: Some(sum.turns.into()),
            input_tokens: Some(sum.tokens.input),
            cached_input_tokens: Some(sum.tokens.cached),
            output_tokens: Some(sum.tokens.output),
            ..Usage::default()
        };
        match record.displayed_cost {
            DisplayedCost::Unknown => {}
            DisplayedCost::Exact(_) if self.earlier_usage.estimated_cost > 0 => usage.about_usd_micros = sum.cost,
            DisplayedCost::Exact(_) => usage.cost_usd_micros = sum.cost,
            DisplayedCost::Estimate(cost) => usage.about_usd_micros = Some(before.saturating_add(cost)),
            DisplayedCost::UpperBound(_) => usage.at_most_usd_micros = Some(sum.cost_upper_bound),
        }
        EventDraft { data: serde_json::to_value(usage).ok(), ..EventDraft::new(EventKind::Usage) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::agent_event::{AgentEvent, ReportedUsage};
    use crate::agent::run_state::SharedRunState;
    use serde_json::{Value, json};

    fn answer(cost: AgentEvent) -> [AgentEvent; 3] {
        [AgentEvent::ModelAnswer, cost, AgentEvent::TokenUsage(Tokens { input: 100, cached: 40, output: 10 })]
    }

    fn apply(shared: &SharedRunState, events: impl IntoIterator<Item = AgentEvent>) {
        events.into_iter().for_each(|event| shared.apply(&event));
    }

    fn data(event: Option<EventDraft>) -> Option<Value> {
        event.map(|event| event.data.unwrap())
    }

    fn report_after_answer(earlier: UsageTotal, cost: AgentEvent) -> Value {
        report_after(earlier, answer(cost))
    }

    fn report_after(earlier: UsageTotal, events: impl IntoIterator<Item = AgentEvent>) -> Value {
        let (shared, mut reporter) = (SharedRunState::default(), UsageReporter::new(&earlier));
        apply(&shared, events);
        data(reporter.report_if_due(&shared.lock(), Instant::now())).unwrap()
    }

    #[test]
    fn report_includes_usage_of_earlier_starts() {
        let earlier = UsageTotal {
            turns: 2,
            tokens: Tokens { input: 1_000, cached: 0, output: 100 },
            cost: Some(50_000),
            estimated_cost: 0,
            cost_upper_bound: 60_000,
        };
        let with = |name: &str, micros: u64| {
            json!({
                "so_far": true, "turns": 3, "input_tokens": 1_100, "cached_input_tokens": 40, "output_tokens": 110,
                name: micros,
            })
        };
        let about = |micros: u64| with("about_usd_micros", micros);
        assert_eq!(report_after_answer(earlier, AgentEvent::Cost(7)), with("cost_usd_micros", 50_007));
        assert_eq!(report_after_answer(earlier, AgentEvent::CostEstimate(Some(8))), about(50_008));
        assert_eq!(report_after_answer(earlier, AgentEvent::CostUpperBound(9)), with("at_most_usd_micros", 60_009));
        let with_estimate = UsageTotal { estimated_cost: 10, ..earlier };
        assert_eq!(report_after_answer(with_estimate, AgentEvent::Cost(7)), about(50_007));
        let unknown = report_after_answer(earlier, AgentEvent::CostEstimate(None));
        assert_eq!((&unknown["turns"], &unknown["about_usd_micros"]), (&json!(3), &Value::Null));
    }

    #[test]
    fn first_report_is_immediate_and_later_ones_are_spaced() {
        let (shared, mut reporter) = (SharedRunState::default(), UsageReporter::new(&UsageTotal::default()));
        let now = Instant::now();
        apply(&shared, answer(AgentEvent::Cost(1)));
        assert!(reporter.report_if_due(&shared.lock(), now).is_some());
        assert_eq!(reporter.report_due_at(&shared.lock()), None, "no new usage");
        apply(&shared, answer(AgentEvent::Cost(2)));
        apply(&shared, answer(AgentEvent::Cost(3)));
        assert_eq!(reporter.report_if_due(&shared.lock(), now + REPORT_INTERVAL - Duration::from_millis(1)), None);
        assert_eq!(reporter.report_due_at(&shared.lock()), Some(now + REPORT_INTERVAL));
        let second = data(reporter.report_if_due(&shared.lock(), now + REPORT_INTERVAL)).unwrap();
        assert_eq!((&second["turns"], &second["cost_usd_micros"]), (&json!(3), &json!(3)));
        assert_eq!(reporter.report_if_due(&shared.lock(), now + 3 * REPORT_INTERVAL), None);
    }

    #[test]
    fn nothing_is_reported_without_new_tokens() {
        let (shared, mut reporter) = (SharedRunState::default(), UsageReporter::new(&UsageTotal::default()));
        let now = Instant::now();
        apply(&shared, [AgentEvent::Activity, AgentEvent::ModelAnswer, AgentEvent::Cost(0)]);
        assert_eq!(reporter.report_if_due(&shared.lock(), now), None);
        assert_eq!(reporter.report_last(&shared.lock()), None);
        apply(&shared, [AgentEvent::TokenUsage(Tokens { input: 1, cached: 0, output: 1 })]);
        assert!(reporter.report_if_due(&shared.lock(), now).is_some());
        apply(&shared, [AgentEvent::ModelAnswer]);
        assert_eq!(reporter.report_if_due(&shared.lock(), now + REPORT_INTERVAL), None);
    }

    #[test]
    fn agents_own_sums_are_reported_with_earlier_starts() {
        let sum = |turns, cost| {
            AgentEvent::ReportedUsage(ReportedUsage { turns, cost: Some(cost), ..ReportedUsage::default() })
        };
        let (shared, mut reporter) = (SharedRunState::default(), UsageReporter::new(&UsageTotal::default()));
        apply(&shared, [sum(1, 10)]);
        assert_eq!(data(reporter.report_last(&shared.lock())).unwrap()["cost_usd_micros"], 10);
        assert_eq!(reporter.report_last(&shared.lock()), None);
        apply(&shared, [sum(2, 10)]);
        assert_eq!(data(reporter.report_last(&shared.lock())).unwrap()["turns"], 2);
        let earlier = UsageTotal { turns: 1, cost: Some(5), cost_upper_bound: 5, ..UsageTotal::default() };
        let both = report_after(earlier, [sum(1, 10)]);
        assert_eq!((&both["turns"], &both["cost_usd_micros"]), (&json!(2), &json!(15)));
    }

    #[test]
    fn last_report_ignores_the_interval() {
        let (shared, mut reporter) = (SharedRunState::default(), UsageReporter::new(&UsageTotal::default()));
        apply(&shared, answer(AgentEvent::CostEstimate(Some(10))));
        assert!(reporter.report_if_due(&shared.lock(), Instant::now()).is_some());
        apply(&shared, [AgentEvent::Cost(12)]);
        let last = data(reporter.report_last(&shared.lock())).unwrap();
        assert_eq!((&last["cost_usd_micros"], &last["about_usd_micros"]), (&json!(12), &Value::Null));
        assert_eq!(reporter.report_last(&shared.lock()), None);
    }
}
