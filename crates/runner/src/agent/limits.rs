//! Decides which limit an agent has exceeded. `run` stops the agent.
//! A limit on turns or cost applies before the next request to the model, so an agent may end with its last answer.

use super::agent_event::UsageTotal;
use super::limit_failure::{cost_limit_failure, next_cost_failure};
use super::run_state::{RefusedFor, RunState};
use crate::deadline::instant_after;
use pullyard_domain::text::Span;
use pullyard_domain::text::failure::Failure;
use std::time::Duration;
use tokio::time::Instant;

/// How many times longer a tool may be silent: 45 minutes by default. Claude Code itself ends a command after 30.
const TOOL_STALL_FACTOR: u32 = 3;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longest time without activity while the agent waits for its model.
    pub(super) stall: Duration,
    /// Requests to the model, over all starts.
    pub(super) turns: Option<u32>,
    /// Over all starts. Units: millionths of a US dollar.
    pub(super) cost: Option<u64>,
}

impl Limits {
    pub(super) fn remaining_turns(&self, earlier: &UsageTotal) -> Option<u32> {
        self.turns.map(|limit| limit.saturating_sub(earlier.turns))
    }

    pub(super) fn remaining_cost(&self, earlier: &UsageTotal) -> Option<u64> {
        self.cost.map(|limit| limit.saturating_sub(earlier.cost_upper_bound))
    }

    pub(super) fn check_before_start(&self, used: &UsageTotal) -> Option<Failure> {
        match (self.turns, self.cost) {
            (Some(limit), _) if used.turns >= limit => Some(Failure::TurnLimit { limit: limit.into() }),
            (_, Some(limit)) if used.cost_upper_bound >= limit => {
                Some(cost_limit_failure(used.cost_upper_bound, limit))
            }
            _ => None,
        }
    }

    pub(super) fn check_while_running(&self, earlier: &UsageTotal, record: &RunState) -> Option<Failure> {
        let failure = self.check_refused_request(earlier, record);
        if failure.is_some() {
            return failure;
        }
        // A running tool may be a subagent, whose own last answer calls no tool.
        let needs_model = record.tool_calls_pending || record.is_waiting_for_tool();
        if record.has_ended() || !needs_model {
            return None;
        }
        self.check_total(earlier, record)
    }

    pub(super) fn check_refused_request(&self, earlier: &UsageTotal, record: &RunState) -> Option<Failure> {
        let mut total = *earlier;
        total += record.usage();
        match record.refusal? {
            RefusedFor::Turns => self.turns.map(|limit| Failure::TurnLimit { limit: limit.into() }),
            RefusedFor::Cost(next) => self.cost.map(|limit| next_cost_failure(total.cost_upper_bound, next, limit)),
        }
    }

    /// Whether the next answer may exhaust a limit: one turn is left, or half the cost is used.
    pub(super) fn is_near(&self, earlier: &UsageTotal, record: &RunState) -> bool {
        let mut total = *earlier;
        total += record.usage();
        let turns = self.turns.is_some_and(|limit| total.turns.saturating_add(1) >= limit);
        turns || self.cost.is_some_and(|limit| total.cost_upper_bound >= limit / 2)
    }

    /// Whether an agent that ended well has no turn left for messages that came too late for its last one.
    pub(super) fn has_exhausted_turns(&self, earlier: &UsageTotal, record: &RunState) -> bool {
        record.has_succeeded() && self.check_total(earlier, record).is_some()
    }

    fn check_total(&self, earlier: &UsageTotal, record: &RunState) -> Option<Failure> {
        let mut total = *earlier;
        total += record.usage();
        self.check_before_start(&total)
    }

    /// The allowed silence: longer while a tool runs, because the tool may print no output.
    pub(super) fn allowed_silence(&self, record: &RunState) -> Duration {
        if record.is_waiting_for_tool() { self.stall.saturating_mul(TOOL_STALL_FACTOR) } else { self.stall }
    }

    /// The failure after too long a silence: `ProviderStalled` if the agent only repeated its request. The failure
    /// blocks no other jobs of the account, because a tool can print such a line and block its agent.
    pub(super) fn stall_failure(&self, record: &RunState) -> Failure {
        let (limit, event) = (Span::from(self.allowed_silence(record)), record.last_activity.event.clone());
        if record.last_activity.is_retrying {
            Failure::ProviderStalled { limit, event }
        } else {
            Failure::Stalled { limit, event }
        }
    }

    pub(super) fn stall_deadline(&self, record: &RunState) -> Instant {
        instant_after(record.last_activity.at, self.allowed_silence(record))
    }
}

#[cfg(test)]
mod tests {
    use super::super::limit_failure::format_dollars;
    use super::*;
    use crate::agent::agent_event::{AgentEvent, EndReport, ReportedUsage};
    use crate::agent::run_state::SharedRunState;
    use crate::api::event_draft::EventDraft;
    use pullyard_protocol::event::EventKind;

    const LIMITS: Limits = Limits { stall: Duration::from_secs(60), turns: Some(3), cost: Some(1_000_000) };

    fn record(events: &[AgentEvent]) -> RunState {
        let shared = SharedRunState::default();
        events.iter().for_each(|event| shared.apply(event));
        shared.lock().clone()
    }

    fn check(earlier: UsageTotal, events: &[AgentEvent], expected: Option<&str>) {
        let failure = LIMITS.check_while_running(&earlier, &record(events));
        assert_eq!(failure.map(|failure| failure.sentence()).as_deref(), expected, "{earlier:?} {events:?}");
    }

    #[test]
    fn agent_is_stopped_only_before_another_request() {
        let none = UsageTotal::default();
        let turn = [AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending];
        check(none, &[turn.clone(), turn.clone()].concat(), None);
        let three = [turn.clone(), turn.clone(), turn.clone()].concat();
        check(none, &three, Some("The agent used all 3 turns."));
        check(none, &[&three[..5], &[AgentEvent::ModelAnswer]].concat(), None);
        let end_report = AgentEvent::EndReport(EndReport::default());
        check(none, &[three.clone(), vec![end_report.clone()]].concat(), None);
        // The agent ended, then continued with inputs.
        let two = three[..4].to_vec();
        check(none, &[two, vec![end_report], turn.to_vec()].concat(), Some("The agent used all 3 turns."));
    }

    #[test]
    fn refused_request_ends_the_agent_below_the_limit() {
        let earlier = UsageTotal { turns: 1, cost_upper_bound: 200_000, ..UsageTotal::default() };
        for (refusal, cost, expected) in [
            (None, 0, None),
            (Some(RefusedFor::Turns), 0, Some("The agent used all 3 turns.")),
            (
                Some(RefusedFor::Cost(300_000)),
                600_000,
                Some("The job spent $0.80, and its next request may cost $0.30; the limit is $1.00."),
            ),
            (Some(RefusedFor::Cost(300_000)), 800_000, Some("The job spent $1.00; the limit is $1.00.")),
        ] {
            let mut record = record(&[AgentEvent::Cost(cost)]);
            record.refusal = refusal;
            let failure = LIMITS.check_refused_request(&earlier, &record);
            assert_eq!(failure.map(|failure| failure.sentence()).as_deref(), expected);
        }
    }

    #[test]
    fn limit_is_near_when_the_next_answer_may_exceed_it() {
        let near = |earlier: UsageTotal, events: &[AgentEvent]| LIMITS.is_near(&earlier, &record(events));
        let none = UsageTotal::default();
        assert!(!near(none, &[AgentEvent::ModelAnswer]));
        assert!(near(none, &[AgentEvent::ModelAnswer, AgentEvent::ModelAnswer]));
        assert!(near(UsageTotal { turns: 1, ..none }, &[AgentEvent::ModelAnswer]));
        assert!(!near(none, &[AgentEvent::CostUpperBound(499_999)]));
        assert!(near(none, &[AgentEvent::CostUpperBound(500_000)]));
        assert!(near(UsageTotal { cost_upper_bound: 400_000, ..none }, &[AgentEvent::Cost(100_000)]));
        let unlimited = Limits { turns: None, cost: None, ..LIMITS };
        assert!(!unlimited.is_near(&UsageTotal { turns: 9, cost_upper_bound: u64::MAX, ..none }, &record(&[])));
    }

    #[test]
    fn limit_applies_to_a_subagents_last_answer() {
        let earlier = UsageTotal { turns: 1, ..UsageTotal::default() };
        let answers = [
            AgentEvent::ModelAnswer,
            AgentEvent::ToolCallsPending,
            AgentEvent::ToolStarted("t".into()),
            AgentEvent::ModelAnswer,
        ];
        check(earlier, &answers, Some("The agent used all 3 turns."));
        // The caller receives the result and queries the model again.
        let events = [&answers[..], &[AgentEvent::ToolEnded("t".into())]].concat();
        check(earlier, &events, Some("The agent used all 3 turns."));
        check(UsageTotal::default(), &[events, vec![AgentEvent::ModelAnswer]].concat(), None);
    }

    #[test]
    fn background_command_causes_no_request_when_it_ends() {
        let earlier = UsageTotal { turns: 1, ..UsageTotal::default() };
        let last = [
            AgentEvent::ModelAnswer,
            AgentEvent::ToolCallsPending,
            AgentEvent::ToolStarted("t".into()),
            AgentEvent::CallsAnswered(true),
            AgentEvent::ModelAnswer,
        ];
        check(earlier, &last, None);
        check(earlier, &[&last[..], &[AgentEvent::ToolEnded("t".into())]].concat(), None);
    }

    #[test]
    fn agent_without_turns_left_gets_no_late_input() {
        let end_report = |success| AgentEvent::EndReport(EndReport { success, ..EndReport::default() });
        let input_sent = || AgentEvent::InputSent("m".into());
        let check = |turns: u32, events: &[AgentEvent], expected: bool| {
            let earlier = UsageTotal { turns, ..UsageTotal::default() };
            assert_eq!(LIMITS.has_exhausted_turns(&earlier, &record(events)), expected, "{turns} {events:?}");
        };
        check(2, &[AgentEvent::ModelAnswer, end_report(true)], true);
        check(2, &[AgentEvent::ModelAnswer, end_report(true), input_sent()], true);
        check(2, &[AgentEvent::Cost(1_000_000), AgentEvent::ModelAnswer], false);
        check(2, &[AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending], false);
        check(2, &[AgentEvent::ModelAnswer, end_report(false)], false);
        check(1, &[AgentEvent::ModelAnswer, end_report(true)], false);
        check(0, &[AgentEvent::ModelAnswer, AgentEvent::Cost(1_000_000), end_report(true)], true);
        // One turn was left, and the agent is in the middle of that turn.
        let again = [AgentEvent::ModelAnswer, end_report(true), input_sent(), AgentEvent::ModelAnswer];
        check(1, &again, false);
        check(1, &[&again[..], &[end_report(true), input_sent()]].concat(), true);
    }

    #[test]
    fn earlier_starts_count_toward_the_limits() {
        let earlier = UsageTotal { turns: 2, cost_upper_bound: 600_000, ..UsageTotal::default() };
        check(earlier, &[AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending], Some("The agent used all 3 turns."));
        let earlier = UsageTotal { turns: 0, ..earlier };
        let turn = [AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending, AgentEvent::Cost(400_000)];
        check(earlier, &turn, Some("The job spent $1.00; the limit is $1.00."));
        check(
            earlier,
            &[AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending, AgentEvent::CostUpperBound(399_999)],
            None,
        );
        assert_eq!((LIMITS.remaining_turns(&earlier), LIMITS.remaining_cost(&earlier)), (Some(3), Some(400_000)));
        assert_eq!(LIMITS.check_before_start(&UsageTotal { turns: 3, ..earlier }).unwrap().code(), "turn_limit");
        assert_eq!(
            LIMITS.check_before_start(&UsageTotal { cost_upper_bound: 2_000_000, ..earlier }).unwrap().code(),
            "cost_limit"
        );
    }

    #[test]
    fn reported_sums_stop_an_agent_unless_it_has_ended() {
        let sum = |turns, cost, may_continue| {
            [AgentEvent::ReportedUsage(ReportedUsage { turns, cost, may_continue, ..ReportedUsage::default() })]
        };
        check(UsageTotal::default(), &sum(2, Some(999_999), true), None);
        check(UsageTotal::default(), &sum(2, Some(1_000_000), true), Some("The job spent $1.00; the limit is $1.00."));
        check(UsageTotal::default(), &sum(3, None, true), Some("The agent used all 3 turns."));
        check(UsageTotal::default(), &sum(3, Some(5_000_000), false), None);
        let earlier = UsageTotal { turns: 1, cost_upper_bound: 600_000, ..UsageTotal::default() };
        check(earlier, &sum(1, Some(400_000), true), Some("The job spent $1.00; the limit is $1.00."));
        check(earlier, &sum(2, None, true), Some("The agent used all 3 turns."));
    }

    #[test]
    fn running_tool_triples_the_silence_limit() {
        let silence = |events: &[AgentEvent]| LIMITS.allowed_silence(&record(events)).as_secs();
        assert_eq!(silence(&[]), 60);
        let tools = [
            AgentEvent::ToolStarted("a".into()),
            AgentEvent::ToolStarted("b".into()),
            AgentEvent::ToolEnded("a".into()),
        ];
        assert_eq!(silence(&tools), 180);
        assert_eq!(silence(&[&tools[..], &[AgentEvent::AllToolsEnded]].concat()), 60);
        let record = record(&tools);
        assert_eq!(LIMITS.stall_deadline(&record), record.last_activity.at + Duration::from_secs(180));
    }

    #[test]
    fn silence_during_a_retry_is_provider_stalled() {
        let again = || AgentEvent::Retrying(EventDraft::text(EventKind::Log, "again"));
        let tool = || AgentEvent::ToolStarted("t".into());
        for (events, code, sentence) in [
            (vec![], "stalled", "The agent was inactive for 60 s; the last event was \"its start\"."),
            (vec![again()], "provider_stalled", "The agent waited 60 s for the model's provider: \"again\"."),
            (
                vec![again(), AgentEvent::Activity],
                "stalled",
                "The agent was inactive for 60 s; the last event was \"again\".",
            ),
            // A subagent retries.
            (vec![tool(), again()], "provider_stalled", "The agent waited 3 min for the model's provider: \"again\"."),
        ] {
            let failure = LIMITS.stall_failure(&record(&events));
            assert_eq!((failure.code(), failure.sentence().as_str()), (code, sentence), "{events:?}");
        }
    }

    #[test]
    fn background_tool_does_not_extend_the_silence_limit() {
        let events = [AgentEvent::ToolStarted("server".into()), AgentEvent::CallsAnswered(true)];
        assert_eq!(LIMITS.allowed_silence(&record(&events)).as_secs(), 60);
        // The model called another tool, which is waited for.
        assert_eq!(
            LIMITS.allowed_silence(&record(&[&events[..], &[AgentEvent::CallsAnswered(false)]].concat())).as_secs(),
            180
        );
    }

    #[test]
    fn known_costs_of_starts_add_up() {
        let mut total = UsageTotal::default();
        total += record(&[AgentEvent::Cost(5), AgentEvent::ModelAnswer]).usage();
        total += record(&[AgentEvent::CostUpperBound(7)]).usage();
        assert_eq!((total.turns, total.cost, total.cost_upper_bound), (1, Some(5), 12));
    }

    #[test]
    fn estimated_cost_counts_from_the_next_start() {
        let turn = [AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending, AgentEvent::CostEstimate(Some(1_500_000))];
        check(UsageTotal::default(), &turn, None);
        let mut total = UsageTotal::default();
        total += record(&[AgentEvent::Cost(5), AgentEvent::CostEstimate(Some(700_005))]).usage_at_end();
        assert_eq!((total.cost, total.estimated_cost, total.cost_upper_bound), (Some(700_005), 700_000, 700_005));
        assert_eq!(LIMITS.remaining_cost(&total), Some(299_995));
        total += record(&turn).usage_at_end();
        assert_eq!((total.cost, total.estimated_cost), (Some(2_200_005), 2_200_000));
        assert_eq!(LIMITS.check_before_start(&total).unwrap().code(), "cost_limit");
        // The sum prefers a reported cost, and ignores an unknown one.
        let mut total = UsageTotal::default();
        total += record(&[AgentEvent::CostEstimate(Some(30)), AgentEvent::Cost(20)]).usage_at_end();
        total += record(&[AgentEvent::CostEstimate(None)]).usage_at_end();
        assert_eq!((total.cost, total.estimated_cost, total.cost_upper_bound), (Some(20), 0, 20));
    }

    #[test]
    fn dollar_amounts_have_cents_or_six_decimals() {
        for (micros, expected) in [(0, "$0.00"), (1_500, "$0.001500"), (625_000, "$0.63"), (12_000_000, "$12.00")] {
            assert_eq!(format_dollars(micros), expected);
        }
    }
}
