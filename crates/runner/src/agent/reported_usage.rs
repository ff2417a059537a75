//! Reads the usage that a `command` agent reports in one start, in its lines of kind `usage`.
//! Each line has the sums of the start; a missing number leaves the earlier one unchanged. Invalid and implausibly
//! large numbers are ignored. `limits` applies limits to the result.

use super::agent_event::ReportedUsage;
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
    /// The sums as reported: the cached tokens may exceed the input.
    sums: ReportedUsage,
    /// Set by the first valid number, even 0.
    has_numbers: bool,
    /// The agent reported its result and began no tool since.
    has_ended: bool,
    current: Option<ReportedUsage>,
}

impl ReportedUsageCounter {
    pub(super) fn add_event(&mut self, draft: &EventDraft) -> Option<ReportedUsage> {
        let before = self.current;
        match draft.kind {
            EventKind::Usage => self.add_usage(draft.data.as_ref()?),
            EventKind::Result => self.has_ended = true,
            EventKind::ToolCall | EventKind::Command | EventKind::FileEdit => self.has_ended = false,
            _ => {}
        }
        if self.has_numbers {
            let mut tokens = self.sums.tokens;
            tokens.cached = tokens.cached.min(tokens.input);
            self.current = Some(ReportedUsage { tokens, may_continue: !self.has_ended, ..self.sums });
        }
        self.current.filter(|_| self.current != before)
    }

    fn add_usage(&mut self, data: &Value) {
        let mut number = |name: &str, max: u64| {
            let number = data.get(name).and_then(Value::as_u64).filter(|number| *number <= max);
            self.has_numbers |= number.is_some();
            number
        };
        let ReportedUsage { turns, tokens, cost, .. } = &mut self.sums;
        for (sum, name) in [
            (&mut tokens.input, "input_tokens"),
            (&mut tokens.cached, "cached_input_tokens"),
            (&mut tokens.output, "output_tokens"),
        ] {
            *sum = number(name, MAX_TOKENS).unwrap_or(*sum);
        }
        *cost = number("cost_usd_micros", MAX_COST_USD_MICROS).or(*cost);
        *turns = number("turns", MAX_TURNS).and_then(|number| number.try_into().ok()).unwrap_or(*turns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::agent_event::Tokens;
    use crate::agent::command_line_event::{self, Stream};
    use serde_json::json;

    fn last_sum(lines: &[Value]) -> Option<ReportedUsage> {
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
    fn newer_sums_replace_older_ones_number_by_number() {
        let lines = [
            json!({"turns": 3, "input_tokens": 500, "cost_usd_micros": 120}),
            json!({"turns": 4, "cost_usd_micros": 110}),
            json!({"odd": 1}),
        ];
        assert_eq!(count_lines(&lines), (4, 500, Some(110)));
        assert_eq!(count_lines(&[json!({"turns": 2})]).2, None, "no cost was reported");
        assert_eq!(count_lines(&[json!({"cost_usd_micros": 0})]).2, Some(0));
    }

    #[test]
    fn invalid_numbers_are_not_counted() {
        let good = json!({"turns": 1, "input_tokens": 100, "cost_usd_micros": 7});
        for wrong in [json!(-1), json!(1.5), json!("7"), json!(null), json!([7]), json!(u64::MAX), json!(1e300)] {
            let odd = json!({"turns": wrong, "input_tokens": wrong, "cost_usd_micros": wrong});
            assert_eq!(count_lines(&[good.clone(), odd]), (1, 100, Some(7)), "{wrong}");
            let half = json!({"turns": wrong, "cost_usd_micros": 10});
            assert_eq!(count_lines(&[good.clone(), half]), (1, 100, Some(10)), "{wrong}");
        }
        for nothing in [json!({"kind": "usage"}), json!({"kind": "usage", "odd": 1}), json!({"turns": 1})] {
            assert_eq!(last_sum(&[nothing]), None);
        }
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
}
