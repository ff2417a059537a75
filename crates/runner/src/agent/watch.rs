//! Decides which limit an agent has exceeded. `once` stops the agent.
//!
//! A limit on turns or cost applies before the next request to the model. An agent that just gave its last answer may
//! end, even if that answer exceeded the limit.

use super::exceeded::{cost, turns};
use super::record::Record;
use super::sign::Tokens;
use crate::deadline::later;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use std::time::Duration;
use tokio::time::Instant;

/// How many times longer a tool may be silent: 45 minutes by default. Claude Code itself ends a command after 30.
const TOOLS_STALL: u32 = 3;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longest time without a sign of life while the model is next.
    pub(super) stall: Duration,
    /// Requests to the model, over all starts.
    pub(super) turns: Option<u32>,
    /// Over all starts. Units: millionths of a US dollar.
    pub(super) cost: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) turns: u32,
    pub(super) tokens: Tokens,
    pub(super) cost: Option<u64>,
    pub(super) about: u64,
    pub(super) cost_at_most: u64,
}

impl Spent {
    pub(super) fn add(&mut self, record: &Record) {
        self.turns = self.turns.saturating_add(record.turns);
        self.tokens += record.used;
        self.cost = match (self.cost, record.cost) {
            (Some(before), Some(now)) => Some(before.saturating_add(now)),
            (known, None) | (None, known) => known,
        };
        self.cost_at_most = self.cost_at_most.saturating_add(record.cost_at_most);
    }

    /// Adds the usage of a start that ended. An estimate replaces cost that the agent did not report. Before the end,
    /// the agent may still report it.
    pub(super) fn add_ended(&mut self, record: &Record) {
        self.add(record);
        if let Some(unsaid) = record.unsaid_cost() {
            self.cost = Some(self.cost.unwrap_or_default().saturating_add(unsaid));
            self.about = self.about.saturating_add(unsaid);
            self.cost_at_most = self.cost_at_most.saturating_add(unsaid);
        }
    }
}

impl Limits {
    pub(super) fn turns_left(&self, spent: &Spent) -> Option<u32> {
        self.turns.map(|most| most.saturating_sub(spent.turns))
    }

    pub(super) fn cost_left(&self, spent: &Spent) -> Option<u64> {
        self.cost.map(|most| most.saturating_sub(spent.cost_at_most))
    }

    /// The exhausted limit, before a start.
    pub(super) fn used_up(&self, spent: &Spent) -> Option<Failure> {
        match (self.turns, self.cost) {
            (Some(limit), _) if spent.turns >= limit => Some(turns(limit)),
            (_, Some(limit)) if spent.cost_at_most >= limit => Some(cost(spent.cost_at_most, limit)),
            _ => None,
        }
    }

    /// The exhausted limit that stops a working agent.
    pub(super) fn passed(&self, spent: &Spent, record: &Record) -> Option<Failure> {
        // A running tool may be a subagent, whose own last answer calls no tool.
        let asks_again = record.more_follows || record.waits_for_a_tool();
        if record.has_ended() || !asks_again {
            return None;
        }
        self.used_up_with(spent, record)
    }

    /// Whether the next answer may exhaust a limit: one turn is left, or half the cost is used.
    pub(super) fn are_near(&self, spent: &Spent, record: &Record) -> bool {
        let mut sum = *spent;
        sum.add(record);
        let turns = self.turns.is_some_and(|most| sum.turns.saturating_add(1) >= most);
        turns || self.cost.is_some_and(|most| sum.cost_at_most >= most / 2)
    }

    /// Whether an agent that ended well has no turn left for messages that came too late for its last one.
    pub(super) fn leave_no_turn(&self, spent: &Spent, record: &Record) -> bool {
        record.has_ended_well() && self.used_up_with(spent, record).is_some()
    }

    fn used_up_with(&self, spent: &Spent, record: &Record) -> Option<Failure> {
        let mut sum = *spent;
        sum.add(record);
        self.used_up(&sum)
    }

    /// The allowed silence. It is longer while a tool runs, which may print no output.
    pub(super) fn silence(&self, record: &Record) -> Duration {
        if record.waits_for_a_tool() { self.stall.saturating_mul(TOOLS_STALL) } else { self.stall }
    }

    /// The failure after too long a silence. It is the provider's if the agent only repeated its request. Other jobs of
    /// the account are not held up, because a tool can print such a line and block its agent.
    pub(super) fn stalled(&self, record: &Record) -> Failure {
        let (limit, event) = (Span::from(self.silence(record)), record.last_event.clone());
        if record.tries_again { Failure::ProviderStalled { limit, event } } else { Failure::Stalled { limit, event } }
    }

    pub(super) fn silent_until(&self, record: &Record) -> Instant {
        later(record.last, self.silence(record))
    }
}

#[cfg(test)]
mod tests {
    use super::super::exceeded::dollars;
    use super::*;
    use crate::agent::record::Shared;
    use crate::agent::sign::{Sign, Sum, Terminal};
    use crate::api::said::Said;
    use pullyard_protocol::event::EventKind;

    const LIMITS: Limits = Limits { stall: Duration::from_secs(60), turns: Some(3), cost: Some(1_000_000) };

    fn record(signs: &[Sign]) -> Record {
        let shared = Shared::new();
        signs.iter().for_each(|sign| shared.note(sign));
        shared.record().clone()
    }

    fn check(spent: Spent, signs: &[Sign], expected: Option<&str>) {
        let passed = LIMITS.passed(&spent, &record(signs));
        assert_eq!(passed.map(|failure| failure.sentence()).as_deref(), expected, "{spent:?} {signs:?}");
    }

    #[test]
    fn agent_is_stopped_only_before_another_request() {
        let none = Spent::default();
        let turn = [Sign::Turn, Sign::MoreFollows];
        check(none, &[turn.clone(), turn.clone()].concat(), None);
        let three = [turn.clone(), turn.clone(), turn.clone()].concat();
        check(none, &three, Some("The agent used all 3 turns."));
        check(none, &[&three[..5], &[Sign::Turn]].concat(), None);
        let ended = Sign::Ended(Terminal::default());
        check(none, &[three.clone(), vec![ended.clone()]].concat(), None);
        // The agent ended, then continued with inputs.
        let two = three[..4].to_vec();
        check(none, &[two, vec![ended], turn.to_vec()].concat(), Some("The agent used all 3 turns."));
    }

    #[test]
    fn limit_is_near_when_the_next_answer_may_exceed_it() {
        let near = |spent: Spent, signs: &[Sign]| LIMITS.are_near(&spent, &record(signs));
        let none = Spent::default();
        assert!(!near(none, &[Sign::Turn]));
        assert!(near(none, &[Sign::Turn, Sign::Turn]));
        assert!(near(Spent { turns: 1, ..none }, &[Sign::Turn]));
        assert!(!near(none, &[Sign::CostAtMost(499_999)]));
        assert!(near(none, &[Sign::CostAtMost(500_000)]));
        assert!(near(Spent { cost_at_most: 400_000, ..none }, &[Sign::Cost(100_000)]));
        let unlimited = Limits { turns: None, cost: None, ..LIMITS };
        assert!(!unlimited.are_near(&Spent { turns: 9, cost_at_most: u64::MAX, ..none }, &record(&[])));
    }

    #[test]
    fn limit_applies_to_a_subagents_last_answer() {
        let spent = Spent { turns: 1, ..Spent::default() };
        let answers = [Sign::Turn, Sign::MoreFollows, Sign::ToolBegan("t".into()), Sign::Turn];
        check(spent, &answers, Some("The agent used all 3 turns."));
        // The caller receives the result and queries the model again.
        let given = [&answers[..], &[Sign::ToolEnded("t".into())]].concat();
        check(spent, &given, Some("The agent used all 3 turns."));
        check(Spent::default(), &[given, vec![Sign::Turn]].concat(), None);
    }

    #[test]
    fn background_command_causes_no_request_when_it_ends() {
        let spent = Spent { turns: 1, ..Spent::default() };
        let last = [Sign::Turn, Sign::MoreFollows, Sign::ToolBegan("t".into()), Sign::Answered(true), Sign::Turn];
        check(spent, &last, None);
        check(spent, &[&last[..], &[Sign::ToolEnded("t".into())]].concat(), None);
    }

    #[test]
    fn agent_without_turns_left_gets_no_late_input() {
        let ended = |well| Sign::Ended(Terminal { well, ..Terminal::default() });
        let taken_up = || Sign::TakenUp("m".into());
        let check = |turns: u32, signs: &[Sign], expected: bool| {
            let spent = Spent { turns, ..Spent::default() };
            assert_eq!(LIMITS.leave_no_turn(&spent, &record(signs)), expected, "{turns} {signs:?}");
        };
        check(2, &[Sign::Turn, ended(true)], true);
        check(2, &[Sign::Turn, ended(true), taken_up()], true);
        check(2, &[Sign::Cost(1_000_000), Sign::Turn], false);
        check(2, &[Sign::Turn, Sign::MoreFollows], false);
        check(2, &[Sign::Turn, ended(false)], false);
        check(1, &[Sign::Turn, ended(true)], false);
        check(0, &[Sign::Turn, Sign::Cost(1_000_000), ended(true)], true);
        // One turn was left, and the agent is in the middle of that turn.
        let again = [Sign::Turn, ended(true), taken_up(), Sign::Turn];
        check(1, &again, false);
        check(1, &[&again[..], &[ended(true), taken_up()]].concat(), true);
    }

    #[test]
    fn earlier_starts_count_toward_the_limits() {
        let spent = Spent { turns: 2, cost_at_most: 600_000, ..Spent::default() };
        check(spent, &[Sign::Turn, Sign::MoreFollows], Some("The agent used all 3 turns."));
        let spent = Spent { turns: 0, ..spent };
        let asks = [Sign::Turn, Sign::MoreFollows, Sign::Cost(400_000)];
        check(spent, &asks, Some("The job spent $1.00; the limit is $1.00."));
        check(spent, &[Sign::Turn, Sign::MoreFollows, Sign::CostAtMost(399_999)], None);
        assert_eq!((LIMITS.turns_left(&spent), LIMITS.cost_left(&spent)), (Some(3), Some(400_000)));
        assert_eq!(LIMITS.used_up(&Spent { turns: 3, ..spent }).unwrap().code(), "turn_limit");
        assert_eq!(LIMITS.used_up(&Spent { cost_at_most: 2_000_000, ..spent }).unwrap().code(), "cost_limit");
    }

    #[test]
    fn reported_sums_stop_an_agent_unless_it_has_ended() {
        let sum = |turns, cost, goes_on| [Sign::Sum(Sum { turns, cost, goes_on, ..Sum::default() })];
        check(Spent::default(), &sum(2, Some(999_999), true), None);
        check(Spent::default(), &sum(2, Some(1_000_000), true), Some("The job spent $1.00; the limit is $1.00."));
        check(Spent::default(), &sum(3, None, true), Some("The agent used all 3 turns."));
        check(Spent::default(), &sum(3, Some(5_000_000), false), None);
        let spent = Spent { turns: 1, cost_at_most: 600_000, ..Spent::default() };
        check(spent, &sum(1, Some(400_000), true), Some("The job spent $1.00; the limit is $1.00."));
        check(spent, &sum(2, None, true), Some("The agent used all 3 turns."));
    }

    #[test]
    fn running_tool_triples_the_silence_limit() {
        let silence = |signs: &[Sign]| LIMITS.silence(&record(signs)).as_secs();
        assert_eq!(silence(&[]), 60);
        let busy = [Sign::ToolBegan("a".into()), Sign::ToolBegan("b".into()), Sign::ToolEnded("a".into())];
        assert_eq!(silence(&busy), 180);
        assert_eq!(silence(&[&busy[..], &[Sign::ToolsEnded]].concat()), 60);
        let record = record(&busy);
        assert_eq!(LIMITS.silent_until(&record), record.last + Duration::from_secs(180));
    }

    #[test]
    fn silence_during_a_retry_is_provider_stalled() {
        let again = || Sign::TriesAgain(Said::words(EventKind::Log, "again"));
        let tool = || Sign::ToolBegan("t".into());
        for (signs, code, sentence) in [
            (vec![], "stalled", "The agent was inactive for 60 s; the last event was \"its start\"."),
            (vec![again()], "provider_stalled", "The agent waited 60 s for the model's provider: \"again\"."),
            (vec![again(), Sign::Alive], "stalled", "The agent was inactive for 60 s; the last event was \"again\"."),
            // A subagent retries.
            (vec![tool(), again()], "provider_stalled", "The agent waited 3 min for the model's provider: \"again\"."),
        ] {
            let failure = LIMITS.stalled(&record(&signs));
            assert_eq!((failure.code(), failure.sentence().as_str()), (code, sentence), "{signs:?}");
        }
    }

    #[test]
    fn background_tool_does_not_extend_the_silence_limit() {
        let asked = [Sign::ToolBegan("server".into()), Sign::Answered(true)];
        assert_eq!(LIMITS.silence(&record(&asked)).as_secs(), 60);
        // The model called another tool, which is waited for.
        assert_eq!(LIMITS.silence(&record(&[&asked[..], &[Sign::Answered(false)]].concat())).as_secs(), 180);
    }

    #[test]
    fn known_costs_of_starts_add_up() {
        let mut spent = Spent::default();
        spent.add(&record(&[Sign::Cost(5), Sign::Turn]));
        spent.add(&record(&[Sign::CostAtMost(7)]));
        assert_eq!((spent.turns, spent.cost, spent.cost_at_most), (1, Some(5), 12));
    }

    #[test]
    fn estimated_cost_counts_from_the_next_start() {
        let asks = [Sign::Turn, Sign::MoreFollows, Sign::CostAbout(Some(1_500_000))];
        check(Spent::default(), &asks, None);
        let mut spent = Spent::default();
        spent.add_ended(&record(&[Sign::Cost(5), Sign::CostAbout(Some(700_005))]));
        assert_eq!((spent.cost, spent.about, spent.cost_at_most), (Some(700_005), 700_000, 700_005));
        assert_eq!(LIMITS.cost_left(&spent), Some(299_995));
        spent.add_ended(&record(&asks));
        assert_eq!((spent.cost, spent.about), (Some(2_200_005), 2_200_000));
        assert_eq!(LIMITS.used_up(&spent).unwrap().code(), "cost_limit");
        // `spent` prefers a reported cost, and ignores an unknown one.
        let mut spent = Spent::default();
        spent.add_ended(&record(&[Sign::CostAbout(Some(30)), Sign::Cost(20)]));
        spent.add_ended(&record(&[Sign::CostAbout(None)]));
        assert_eq!((spent.cost, spent.about, spent.cost_at_most), (Some(20), 0, 20));
    }

    #[test]
    fn dollar_amounts_have_cents_or_six_decimals() {
        for (micros, said) in [(0, "$0.00"), (1_500, "$0.001500"), (625_000, "$0.63"), (12_000_000, "$12.00")] {
            assert_eq!(dollars(micros), said);
        }
    }
}
