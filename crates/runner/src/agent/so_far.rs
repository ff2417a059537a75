//! Reports an attempt's usage while its agent works: after each answer of the model, and at most every `TELL_EVERY`.
//!
//! The reports are for display only. `tally` stores the usage, and `watch` enforces limits.

use super::prices;
use super::record::{CostSoFar, Record};
use super::sign::Tokens;
use super::watch::Spent;
use crate::api::said::Said;
use crate::deadline::later;
use pullyard_domain::usage::Usage;
use pullyard_protocol::event::EventKind;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two reports: several subagents answer faster, and each event is stored as long as its job.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(5);

pub(super) struct SoFar {
    spent: Spent,
    told: (Tokens, CostSoFar),
    not_before: Instant,
    every: Duration,
}

impl SoFar {
    /// A start without usage, after starts that used `spent`.
    pub(super) fn new(spent: &Spent, every: Duration) -> Self {
        Self { spent: *spent, told: (Tokens::default(), CostSoFar::Unknown), not_before: Instant::now(), every }
    }

    /// When a report is due; `None` without new usage. An answer counts with its tokens, which may arrive after its
    /// text. An agent that counts its own totals reports the totals of its first start itself.
    pub(super) fn due(&self, record: &Record) -> Option<Instant> {
        let used = match record.own_sum {
            Some(sum) => !sum.is_told || self.spent != Spent::default(),
            None => record.used != Tokens::default(),
        };
        (used && self.told != (record.used, record.cost_so_far)).then_some(self.not_before)
    }

    pub(super) fn tell(&mut self, record: &Record, now: Instant) -> Option<Said> {
        self.due(record).filter(|due| *due <= now)?;
        self.not_before = later(now, self.every);
        Some(self.said(record))
    }

    /// The last report after the end of the start, if usage changed.
    pub(super) fn last(&mut self, record: &Record) -> Option<Said> {
        self.due(record)?;
        Some(self.said(record))
    }

    fn said(&mut self, record: &Record) -> Said {
        self.told = (record.used, record.cost_so_far);
        let mut sum = self.spent;
        sum.add(record);
        let before = self.spent.cost.unwrap_or_default();
        let mut usage = Usage {
            so_far: true,
            turns: Some(sum.turns.into()),
            input_tokens: Some(sum.tokens.input),
            cached_input_tokens: Some(sum.tokens.cached),
            output_tokens: Some(sum.tokens.output),
            ..Usage::default()
        };
        match record.cost_so_far {
            CostSoFar::Unknown => {}
            CostSoFar::Known(_) if self.spent.about > 0 => usage.about_usd_micros = sum.cost,
            CostSoFar::Known(_) => usage.cost_usd_micros = sum.cost,
            CostSoFar::About(cost) => usage.about_usd_micros = Some(before.saturating_add(cost)),
            CostSoFar::AtMost(_) => usage.at_most_usd_micros = Some(sum.cost_at_most),
        }
        usage.prices_of = usage.about_usd_micros.map(|_| prices::as_of().to_owned());
        Said { data: serde_json::to_value(usage).ok(), ..Said::new(EventKind::Usage) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::record::Shared;
    use crate::agent::sign::{Sign, Sum};
    use serde_json::{Value, json};

    const EVERY: Duration = Duration::from_secs(5);

    fn answer(cost: Sign) -> [Sign; 3] {
        [Sign::Turn, cost, Sign::Used(Tokens { input: 100, cached: 40, output: 10 })]
    }

    fn note(shared: &Shared, signs: impl IntoIterator<Item = Sign>) {
        signs.into_iter().for_each(|sign| shared.note(&sign));
    }

    fn data(said: Option<Said>) -> Option<Value> {
        said.map(|said| said.data.unwrap())
    }

    /// The data of the event after one answer with this cost and these earlier starts.
    fn told(spent: Spent, cost: Sign) -> Value {
        told_of(spent, answer(cost))
    }

    fn told_of(spent: Spent, signs: impl IntoIterator<Item = Sign>) -> Value {
        let (shared, mut so_far) = (Shared::new(), SoFar::new(&spent, EVERY));
        note(&shared, signs);
        data(so_far.tell(&shared.record(), Instant::now())).unwrap()
    }

    #[test]
    fn report_includes_usage_of_earlier_starts() {
        let spent = Spent {
            turns: 2,
            tokens: Tokens { input: 1_000, cached: 0, output: 100 },
            cost: Some(50_000),
            about: 0,
            cost_at_most: 60_000,
        };
        let with = |name: &str, micros: u64| {
            json!({
                "so_far": true, "turns": 3, "input_tokens": 1_100, "cached_input_tokens": 40, "output_tokens": 110,
                name: micros,
            })
        };
        let about = |micros: u64| {
            let mut data = with("about_usd_micros", micros);
            data["prices_of"] = json!(prices::as_of());
            data
        };
        assert_eq!(told(spent, Sign::Cost(7)), with("cost_usd_micros", 50_007));
        assert_eq!(told(spent, Sign::CostAbout(Some(8))), about(50_008));
        assert_eq!(told(spent, Sign::CostAtMost(9)), with("at_most_usd_micros", 60_009));
        let earlier = Spent { about: 10, ..spent };
        assert_eq!(told(earlier, Sign::Cost(7)), about(50_007));
        let unknown = told(spent, Sign::CostAbout(None));
        assert_eq!((&unknown["turns"], &unknown["about_usd_micros"]), (&json!(3), &Value::Null));
    }

    #[test]
    fn first_report_is_immediate_and_later_ones_are_spaced() {
        let (shared, mut so_far) = (Shared::new(), SoFar::new(&Spent::default(), EVERY));
        let now = Instant::now();
        note(&shared, answer(Sign::Cost(1)));
        assert!(so_far.tell(&shared.record(), now).is_some());
        assert_eq!(so_far.due(&shared.record()), None, "no new usage");
        note(&shared, answer(Sign::Cost(2)));
        note(&shared, answer(Sign::Cost(3)));
        assert_eq!(so_far.tell(&shared.record(), now + EVERY - Duration::from_millis(1)), None);
        assert_eq!(so_far.due(&shared.record()), Some(now + EVERY));
        let second = data(so_far.tell(&shared.record(), now + EVERY)).unwrap();
        assert_eq!((&second["turns"], &second["cost_usd_micros"]), (&json!(3), &json!(3)));
        assert_eq!(so_far.tell(&shared.record(), now + 3 * EVERY), None);
    }

    #[test]
    fn nothing_is_reported_without_new_tokens() {
        let (shared, mut so_far) = (Shared::new(), SoFar::new(&Spent::default(), EVERY));
        let now = Instant::now();
        note(&shared, [Sign::Alive, Sign::Turn, Sign::Cost(0)]);
        assert_eq!(so_far.tell(&shared.record(), now), None);
        assert_eq!(so_far.last(&shared.record()), None);
        note(&shared, [Sign::Used(Tokens { input: 1, cached: 0, output: 1 })]);
        assert!(so_far.tell(&shared.record(), now).is_some());
        note(&shared, [Sign::Turn]);
        assert_eq!(so_far.tell(&shared.record(), now + EVERY), None);
    }

    #[test]
    fn agents_own_sums_are_reported_only_with_earlier_starts() {
        let sum = |cost, is_told| Sign::Sum(Sum { turns: 1, cost: Some(cost), is_told, ..Sum::default() });
        let (shared, mut so_far) = (Shared::new(), SoFar::new(&Spent::default(), EVERY));
        note(&shared, [sum(10, true)]);
        assert_eq!(so_far.last(&shared.record()), None);
        note(&shared, [sum(12, false)]);
        assert_eq!(data(so_far.last(&shared.record())).unwrap()["cost_usd_micros"], 12);
        let spent = Spent { turns: 1, cost: Some(5), cost_at_most: 5, ..Spent::default() };
        let both = told_of(spent, [sum(10, true)]);
        assert_eq!((&both["turns"], &both["cost_usd_micros"]), (&json!(2), &json!(15)));
    }

    #[test]
    fn last_report_ignores_the_interval() {
        let (shared, mut so_far) = (Shared::new(), SoFar::new(&Spent::default(), EVERY));
        note(&shared, answer(Sign::CostAbout(Some(10))));
        assert!(so_far.tell(&shared.record(), Instant::now()).is_some());
        note(&shared, [Sign::Cost(12)]);
        let last = data(so_far.last(&shared.record())).unwrap();
        assert_eq!((&last["cost_usd_micros"], &last["about_usd_micros"]), (&json!(12), &Value::Null));
        assert_eq!(so_far.last(&shared.record()), None);
    }
}
