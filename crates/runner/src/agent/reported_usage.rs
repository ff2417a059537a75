//! Adds up the usage that a `command` agent reports in one start, in its lines of kind `usage`.
//! There are two counts: the newest totals (`so_far`), and the sum of the lines without `so_far`. For each number the
//! larger count applies, so that an agent that reports both is not counted twice. Invalid and implausibly large numbers
//! are ignored. `limits` applies limits to the result.

use super::agent_event::{Tokens, UsageTotals};
use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::EventKind;
use serde_json::Value;

/// The largest possible budget. Units: millionths of a US dollar.
const MAX_COST_USD_MICROS: u64 = 1_000_000_000_000;
/// More than any model reads or writes in a start.
const MAX_TOKENS: u64 = 1_000_000_000_000;
const MAX_TURNS: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct ReportedUsageCounter {
    increments: UsageNumbers,
    totals: UsageNumbers,
    /// The agent reported its result and began no tool since.
    has_ended: bool,
    current: Option<UsageTotals>,
}

impl ReportedUsageCounter {
    pub(super) fn add_event(&mut self, draft: &EventDraft) -> Option<UsageTotals> {
        let before = self.current;
        match draft.kind {
            EventKind::Usage => self.add_usage(draft.data.as_ref()?),
            EventKind::Result => self.has_ended = true,
            EventKind::ToolCall | EventKind::Command | EventKind::FileEdit => self.has_ended = false,
            _ => {}
        }
        self.current = self.current.map(|sum| UsageTotals { may_continue: !self.has_ended, ..sum });
        self.current.filter(|_| self.current != before)
    }

    fn add_usage(&mut self, data: &Value) {
        let numbers = UsageNumbers::parse(data);
        let says_sums = match data.get("so_far") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            // Ambiguous, so the line is ignored.
            Some(_) => return,
        };
        if numbers == UsageNumbers::default() {
            return;
        }
        if says_sums {
            self.totals = self.totals.merge(numbers, |_, newer| newer);
        } else {
            self.increments = self.increments.merge(numbers, u64::saturating_add);
        }
        let all = self.increments.merge(self.totals, u64::max);
        self.current = Some(UsageTotals { is_reported: says_sums && all == numbers, ..all.to_totals() });
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct UsageNumbers {
    turns: Option<u64>,
    input: Option<u64>,
    cached: Option<u64>,
    output: Option<u64>,
    /// Units: millionths of a US dollar.
    cost: Option<u64>,
}

impl UsageNumbers {
    fn parse(data: &Value) -> Self {
        let number = |name: &str, max: u64| data.get(name).and_then(Value::as_u64).filter(|number| *number <= max);
        Self {
            turns: number("turns", MAX_TURNS),
            input: number("input_tokens", MAX_TOKENS),
            cached: number("cached_input_tokens", MAX_TOKENS),
            output: number("output_tokens", MAX_TOKENS),
            cost: number("cost_usd_micros", MAX_COST_USD_MICROS),
        }
    }

    /// Merges two sets of numbers. `both` combines a number that both have.
    fn merge(self, other: Self, both: fn(u64, u64) -> u64) -> Self {
        let of = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(both(one, other)),
            (amount, None) | (None, amount) => amount,
        };
        Self {
            turns: of(self.turns, other.turns),
            input: of(self.input, other.input),
            cached: of(self.cached, other.cached),
            output: of(self.output, other.output),
            cost: of(self.cost, other.cost),
        }
    }

    fn to_totals(self) -> UsageTotals {
        let tokens = |count: Option<u64>| count.unwrap_or_default().min(MAX_TOKENS);
        let input = tokens(self.input);
        let turns = self.turns.unwrap_or_default().min(MAX_TURNS);
        UsageTotals {
            turns: u32::try_from(turns).unwrap_or(u32::MAX),
            tokens: Tokens { input, cached: tokens(self.cached).min(input), output: tokens(self.output) },
            cost: self.cost.map(|cost| cost.min(MAX_COST_USD_MICROS)),
            ..UsageTotals::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::command_line_event::{self, Stream};
    use serde_json::json;

    fn last_sum(lines: &[Value]) -> Option<UsageTotals> {
        let (mut count, mut last) = (ReportedUsageCounter::default(), None);
        for line in lines {
            let event = command_line_event::parse_line(Stream::Out, line.to_string().as_bytes()).unwrap();
            last = count.add_event(&event);
        }
        last
    }

    /// Turns, input tokens and cost after these lines of kind `usage`.
    fn count_lines(lines: &[Value]) -> (u32, u64, Option<u64>) {
        let mut count = ReportedUsageCounter::default();
        for line in lines {
            count.add_event(&EventDraft { data: Some(line.clone()), ..EventDraft::new(EventKind::Usage) });
        }
        let sum = count.current.unwrap_or_default();
        (sum.turns, sum.tokens.input, sum.cost)
    }

    #[test]
    fn lines_add_up_to_turns_tokens_and_cost() {
        let line = json!({"turns": 1, "input_tokens": 100, "cost_usd_micros": 7});
        assert_eq!(count_lines(&[line.clone(), line.clone(), line]), (3, 300, Some(21)));
        let sparse = [json!({"cost_usd_micros": 5}), json!({"so_far": false, "turns": 2}), json!({"odd": 1})];
        assert_eq!(count_lines(&sparse), (2, 0, Some(5)));
        assert_eq!(count_lines(&[json!({"turns": 2})]).2, None, "no cost was reported");
        assert_eq!(count_lines(&[json!({"cost_usd_micros": 0})]).2, Some(0));
    }

    #[test]
    fn newer_sums_replace_older_ones_number_by_number() {
        let lines = [
            json!({"so_far": true, "turns": 3, "input_tokens": 500, "cost_usd_micros": 120}),
            json!({"so_far": true, "turns": 4, "cost_usd_micros": 110}),
        ];
        assert_eq!(count_lines(&lines), (4, 500, Some(110)));
    }

    #[test]
    fn sums_and_single_lines_do_not_count_twice() {
        let so_far = |turns: u32| json!({"so_far": true, "turns": turns, "cost_usd_micros": 10 * turns});
        let line = |turns: u32| json!({"turns": turns, "cost_usd_micros": 10 * turns});
        // Other agents end with one line for the whole start.
        assert_eq!(count_lines(&[so_far(1), so_far(2), line(3)]), (3, 0, Some(30)));
        // Each answer is reported, and sometimes the sums.
        assert_eq!(count_lines(&[line(1), line(1), so_far(2), line(1)]), (3, 0, Some(30)));
        assert_eq!(count_lines(&[line(1), so_far(4)]), (4, 0, Some(40)));
    }

    #[test]
    fn invalid_numbers_are_not_counted() {
        let good = json!({"turns": 1, "input_tokens": 100, "cost_usd_micros": 7});
        for wrong in [json!(-1), json!(1.5), json!("7"), json!(null), json!([7]), json!(u64::MAX), json!(1e300)] {
            for so_far in [false, true] {
                let odd = json!({"so_far": so_far, "turns": wrong, "input_tokens": wrong, "cost_usd_micros": wrong});
                assert_eq!(count_lines(&[good.clone(), odd]), (1, 100, Some(7)), "{wrong}");
            }
            let half = json!({"turns": wrong, "cost_usd_micros": 3});
            assert_eq!(count_lines(&[good.clone(), half]), (1, 100, Some(10)), "{wrong}");
        }
        // Neither a sum nor an addend.
        assert_eq!(count_lines(&[good, json!({"so_far": "yes", "turns": 9})]), (1, 100, Some(7)));
        for nothing in [json!({"kind": "usage"}), json!({"kind": "usage", "so_far": true}), json!({"turns": 1})] {
            assert_eq!(last_sum(&[nothing]), None);
        }
    }

    #[test]
    fn sums_are_capped() {
        let most = json!({"turns": MAX_TURNS, "input_tokens": MAX_TOKENS, "cost_usd_micros": MAX_COST_USD_MICROS});
        assert_eq!(count_lines(&[most.clone(), most]), (1_000_000, MAX_TOKENS, Some(MAX_COST_USD_MICROS)));
    }

    #[test]
    fn cached_tokens_never_exceed_input_tokens() {
        let cached = |line: Value| last_sum(&[line]).unwrap().tokens;
        let line = json!({"kind": "usage", "input_tokens": 10, "cached_input_tokens": 7, "output_tokens": 2});
        assert_eq!(cached(line), Tokens { input: 10, cached: 7, output: 2 });
        let line = json!({"kind": "usage", "cached_input_tokens": 7});
        assert_eq!(cached(line), Tokens::default());
    }

    #[test]
    fn activity_after_a_result_means_more_follows() {
        let (used, result) = (json!({"kind": "usage", "turns": 1}), json!({"kind": "result", "text": "Done."}));
        let text = json!({"kind": "text", "text": "Bye."});
        let edits = json!({"kind": "file_edit", "path": "a"});
        let goes_on = |lines: &[&Value]| {
            let lines: Vec<Value> = lines.iter().map(|line| (*line).clone()).collect();
            last_sum(&lines).map(|sum| sum.may_continue)
        };
        assert_eq!(goes_on(&[&used]), Some(true));
        assert_eq!(goes_on(&[&result, &used]), Some(false));
        assert_eq!(goes_on(&[&result, &text, &used]), Some(false));
        assert_eq!(goes_on(&[&used, &result]), Some(false));
        assert_eq!(goes_on(&[&used, &result, &edits]), Some(true));
        assert_eq!(goes_on(&[&used, &text]), None, "the sum is unchanged");
        assert_eq!(goes_on(&[&result]), None);
    }

    #[test]
    fn sum_is_marked_reported_if_the_agent_sent_it() {
        let so_far = json!({"kind": "usage", "so_far": true, "turns": 2});
        let more = json!({"kind": "usage", "turns": 3});
        let is_told = |lines: &[&Value]| {
            let lines: Vec<Value> = lines.iter().map(|line| (*line).clone()).collect();
            last_sum(&lines).map(|sum| sum.is_reported)
        };
        assert_eq!(is_told(&[&so_far]), Some(true));
        assert_eq!(is_told(&[&more]), Some(false));
        assert_eq!(is_told(&[&so_far, &more]), Some(false));
        assert_eq!(is_told(&[&more, &so_far]), None, "the larger count is the other one");
    }
}
