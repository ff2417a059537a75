//! Computes what tokens cost, from the list in `prices.csv` and the operator's own prices.

use super::agent_event::{Tokens, dollars_to_micros};
use super::environment::{Environment, PRICES};
use std::collections::BTreeMap;
use std::ops::{AddAssign, Sub};
use std::sync::LazyLock;

const PRICE_LIST: &str = include_str!("prices.csv");
/// The input above which the operator's second set of prices applies. Units: tokens.
const OPERATOR_LONG_INPUT_TOKENS: u64 = 272_000;

static LISTED_PRICES: LazyLock<BTreeMap<String, Price>> = LazyLock::new(|| rows().filter_map(parse_row).collect());

fn rows() -> impl Iterator<Item = &'static str> {
    PRICE_LIST.lines().filter(|row| !row.is_empty() && !row.starts_with('#'))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BilledTokens {
    pub(super) tokens: Tokens,
    pub(super) cache_write: u64,
    /// Those of `cache_write` that are stored for an hour. Anthropic charges twice the input for them.
    pub(super) long_cache_write: u64,
}

impl AddAssign for BilledTokens {
    fn add_assign(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.long_cache_write = self.long_cache_write.saturating_add(other.long_cache_write);
    }
}

impl Sub for BilledTokens {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            tokens: self.tokens - other.tokens,
            cache_write: self.cache_write.saturating_sub(other.cache_write),
            long_cache_write: self.long_cache_write.saturating_sub(other.long_cache_write),
        }
    }
}

/// Units: millionths of a US dollar for a million tokens.
#[derive(Clone, Copy, Debug)]
struct Rates {
    input: u64,
    cached: u64,
    cache_write: u64,
    output: u64,
}

impl Rates {
    /// Units: millionths of a US dollar.
    fn cost(self, count: BilledTokens) -> u64 {
        let tokens = count.tokens;
        let cached = tokens.cached.min(tokens.input);
        let cache_write = count.cache_write.min(tokens.input - cached);
        let long_cache_write = count.long_cache_write.min(cache_write);
        let parts = [
            (tokens.input - cached - cache_write, self.input),
            (cached, self.cached),
            (cache_write - long_cache_write, self.cache_write),
            (long_cache_write, self.input.saturating_mul(2)),
            (tokens.output, self.output),
        ];
        let sum: u128 = parts.iter().map(|(count, price)| u128::from(*count) * u128::from(*price)).sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

#[derive(Clone, Copy, Debug)]
struct Price {
    base: Rates,
    /// The rates of a request with more input than this. Units: tokens.
    long: Option<(u64, Rates)>,
}

impl Price {
    fn cost(&self, count: BilledTokens) -> u64 {
        match self.long {
            Some((threshold, rates)) if count.tokens.input > threshold => rates.cost(count),
            _ => self.base.cost(count),
        }
    }
}

/// The list and the operator's prices, which take precedence.
#[derive(Clone, Debug, Default)]
pub(super) struct Prices {
    by_operator: BTreeMap<String, Price>,
}

impl Prices {
    /// Parses the operator's `MODEL=INPUT/CACHED/OUTPUT,…` in US dollars for a million tokens. Three more amounts apply
    /// to long requests. A cache write costs a quarter more than input. Invalid entries are skipped and logged.
    pub(super) fn parse(setting: &str) -> Self {
        let mut by_operator = BTreeMap::new();
        for entry in setting.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match parse_entry(entry) {
                Some((model, price)) => {
                    by_operator.insert(model, price);
                }
                None => tracing::warn!("ignored an invalid model price; write MODEL=INPUT/CACHED/OUTPUT"),
            }
        }
        Self { by_operator }
    }

    pub(super) fn from_environment(environment: &Environment<'_>) -> Self {
        let setting = environment.get(PRICES).and_then(|prices| prices.into_string().ok());
        Self::parse(&setting.unwrap_or_default())
    }

    /// The cost of one request to this model; `None` without a price. Units: millionths of a US dollar.
    pub(super) fn cost(&self, model: &str, count: BilledTokens) -> Option<u64> {
        let price = find_price(&self.by_operator, model).or_else(|| find_price(&LISTED_PRICES, model))?;
        Some(price.cost(count))
    }

    /// The cost of a request, or a greater one for a model without a price. Units: millionths of a US dollar.
    pub(super) fn upper_bound(&self, model: &str, count: BilledTokens) -> u64 {
        self.cost(model, count).unwrap_or_else(|| self.highest_cost(count))
    }

    /// The greatest output that a request with this input and this amount can have.
    pub(super) fn affordable_output(&self, model: &str, input: BilledTokens, amount: u64) -> u64 {
        const MILLION: u64 = 1_000_000;
        let output = |output| BilledTokens { tokens: Tokens { output, ..input.tokens }, ..input };
        let input_cost = self.upper_bound(model, output(0));
        let rate = self.upper_bound(model, output(MILLION)).saturating_sub(input_cost);
        let rest = u128::from(amount.saturating_sub(input_cost)) * u128::from(MILLION);
        rest.checked_div(u128::from(rate)).map_or(u64::MAX, |output| u64::try_from(output).unwrap_or(u64::MAX))
    }

    /// The cost at the highest known price, for models without a price. Units: millionths of a US dollar.
    pub(super) fn highest_cost(&self, count: BilledTokens) -> u64 {
        let all = LISTED_PRICES.values().chain(self.by_operator.values());
        all.map(|price| price.cost(count)).max().unwrap_or(u64::MAX)
    }
}

/// Vendors append the size of the context (`[1m]`) and a date (`-20251001`, `-2026-01-14`) to a model's name.
fn find_price<'a>(prices: &'a BTreeMap<String, Price>, model: &str) -> Option<&'a Price> {
    let name = model.split_once('[').map_or(model, |(name, _)| name);
    let undated = ["-20251001", "-2026-01-14"].into_iter().filter_map(|shape| {
        let (name, date) = name.split_at_checked(name.len().checked_sub(shape.len())?)?;
        let is_date = date.bytes().zip(shape.bytes()).all(|(byte, shape_byte)| match shape_byte {
            b'-' => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        is_date.then_some(name)
    });
    std::iter::once(name).chain(undated).find_map(|name| prices.get(name))
}

fn parse_amount(text: &str) -> Option<u64> {
    dollars_to_micros(text.trim().parse().ok()?)
}

fn parse_row(row: &str) -> Option<(String, Price)> {
    let (model, columns) = row.split_once(',')?;
    let columns: Vec<&str> = columns.split(',').collect();
    let (base, long) = columns.split_at_checked(4)?;
    let long = match long {
        [] => None,
        [threshold, rates @ ..] => Some((threshold.parse().ok()?, parse_rates(rates)?)),
    };
    Some((model.to_owned(), Price { base: parse_rates(base)?, long }))
}

fn parse_rates(columns: &[&str]) -> Option<Rates> {
    let amounts: Vec<u64> = columns.iter().map(|text| parse_amount(text)).collect::<Option<_>>()?;
    let [input, cached, cache_write, output] = amounts[..] else { return None };
    Some(Rates { input, cached, cache_write, output })
}

fn parse_entry(entry: &str) -> Option<(String, Price)> {
    let (model, prices) = entry.split_once('=')?;
    let rates = |input: u64, cached, output| Rates {
        input,
        cached,
        cache_write: input.saturating_add(input.div_ceil(4)),
        output,
    };
    let price = match prices.split('/').map(parse_amount).collect::<Option<Vec<u64>>>()?[..] {
        [input, cached, output] => Price { base: rates(input, cached, output), long: None },
        [input, cached, output, long_input, long_cached, long_output] => Price {
            base: rates(input, cached, output),
            long: Some((OPERATOR_LONG_INPUT_TOKENS, rates(long_input, long_cached, long_output))),
        },
        _ => return None,
    };
    let model = model.trim();
    (!model.is_empty()).then(|| (model.to_owned(), price))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: BilledTokens = count(200_000, 80_000, 20_000);
    const LONG_REQUEST: BilledTokens = count(400_000, 100_000, 10_000);

    const fn count(input: u64, cached: u64, output: u64) -> BilledTokens {
        BilledTokens { tokens: Tokens { input, cached, output }, cache_write: 0, long_cache_write: 0 }
    }

    fn check(model: &str, count: BilledTokens, expected: Option<u64>) {
        assert_eq!(Prices::default().cost(model, count), expected, "{model} {count:?}");
    }

    #[test]
    fn every_row_has_a_price() {
        assert_eq!(LISTED_PRICES.len(), rows().count(), "a row was not parsed, or a model has two");
    }

    #[test]
    fn tokens_are_priced_by_the_list() {
        // 0.12 × 1.75 + 0.08 × 0.175 + 0.02 × 14
        check("gpt-5.2-codex", TOKENS, Some(504_000));
        check("gpt-5.2-codex-2026-01-14", TOKENS, Some(504_000));
        // 0.12 × 2 + 0.08 × 0.1 + 0.02 × 10
        check("gpt-6.1-sol", TOKENS, Some(448_000));
        check("gpt-5-nano", count(1, 9, 0), Some(1));
        // Claude Code reported this amount in its recorded `budget` run.
        check("claude-opus-4-8[1m]", count(200_000, 0, 100), Some(1_002_500));
        check("claude-haiku-4-5-20251001", count(1, 1, 0), Some(1));
        for unknown in ["", "claude-opus", "claude-opus-5-1", "gpt-99", "<synthetic>", "gpt-5.2-codex-2026x01-14"] {
            check(unknown, TOKENS, None);
        }
    }

    #[test]
    fn cache_write_has_its_own_price() {
        let write = |count: BilledTokens, cache_write| BilledTokens { cache_write, ..count };
        // 0.08 × 2 + 0.04 × 2.5 + 0.08 × 0.1 + 0.02 × 10
        check("gpt-6.1-sol", write(TOKENS, 40_000), Some(468_000));
        // 0.2 × 4 + 0.1 × 5 + 0.1 × 0.2 + 0.01 × 15
        check("gpt-6.1-sol", write(LONG_REQUEST, 100_000), Some(1_470_000));
        // A cache write is limited to the uncached input: 0.12 × 2.5 + 0.08 × 0.1 + 0.02 × 10
        check("gpt-6.1-sol", write(TOKENS, u64::MAX), Some(508_000));
        check("claude-opus-4-8", write(count(1_000_000, 0, 0), 1_000_000), Some(6_250_000));
        check("gpt-5.2-codex", write(TOKENS, 40_000), Some(504_000));
        // 0.75 × 6.25 + 0.25 × 10
        let hour = BilledTokens { long_cache_write: 250_000, ..write(count(1_000_000, 0, 0), 1_000_000) };
        check("claude-opus-4-8", hour, Some(7_187_500));
    }

    #[test]
    fn affordable_output_costs_at_most_the_amount() {
        let prices = Prices::parse("free=0/0/0");
        for (model, input, amount) in [("gpt-6.1-sol", TOKENS, 5_000_000), ("gpt-99", LONG_REQUEST, 9_000_000)] {
            let output = prices.affordable_output(model, input, amount);
            let cost =
                |output| prices.upper_bound(model, BilledTokens { tokens: Tokens { output, ..input.tokens }, ..input });
            assert!(output > 0 && cost(output) <= amount && cost(output + 10) > amount, "{model} {output}");
        }
        assert_eq!(prices.affordable_output("gpt-6.1-sol", TOKENS, 1), 0);
        assert_eq!(prices.affordable_output("free", TOKENS, 1), u64::MAX);
    }

    #[test]
    fn long_request_has_a_higher_price_for_all_its_tokens() {
        for (model, cost) in [
            // 0.3 × 4 + 0.1 × 0.2 + 0.01 × 15
            ("gpt-6.1-sol", 1_370_000),
            ("gpt-6.2-astra", 5_480_000),
            ("gpt-daybreak-red-latest", 8_875_000),
            ("gpt-5.4-2026-03-05", 1_775_000),
            ("gpt-5.2", 682_500),
        ] {
            check(model, LONG_REQUEST, Some(cost));
        }
        check("gpt-6.1-sol", count(272_000, 0, 0), Some(544_000));
        check("gpt-6.1-sol", count(272_001, 0, 0), Some(1_088_004));
        // 20 × 0.1 + 70 × 0.01 + 10 × 0.125 + 1 × 0.5 thousandths
        let short = BilledTokens { cache_write: 10_000, ..count(100_000, 70_000, 1_000) };
        check("claude-haiku-5-5", short, Some(4_450));
        check("claude-haiku-5-5", BilledTokens { cache_write: 10_000, ..count(110_000, 70_000, 1_000) }, Some(27_250));
    }

    #[test]
    fn unpriced_model_is_bounded_by_the_highest_price() {
        let prices = Prices::default();
        assert_eq!((prices.highest_cost(TOKENS), prices.highest_cost(LONG_REQUEST)), (3_420_000, 8_875_000));
        let max = count(u64::MAX, 0, u64::MAX);
        assert_eq!(prices.highest_cost(max), u64::MAX);
    }

    #[test]
    fn operator_prices_replace_the_list() {
        let setting = "gpt-99=2/0.2/8, gpt-5.2 = 1/0.1/1,nonsense,x=1/2,=1/1/1,y=a/b/c,z=1/1/1/1";
        let prices = Prices::parse(setting);
        assert_eq!(prices.cost("gpt-99", TOKENS), Some(416_000));
        // 0.08 × 2 + 0.04 × 2.5 + 0.08 × 0.2 + 0.02 × 8
        assert_eq!(prices.cost("gpt-99", BilledTokens { cache_write: 40_000, ..TOKENS }), Some(436_000));
        assert_eq!(prices.cost("gpt-5.2", TOKENS), Some(148_000));
        assert!(["x", "y", "z"].iter().all(|model| prices.cost(model, TOKENS).is_none()));
        let long = Prices::parse("gpt-6.1-sol=1/0.1/5, gpt-99=1/0.1/5/3/0.3/10");
        assert_eq!(long.cost("gpt-6.1-sol", LONG_REQUEST), Some(360_000));
        assert_eq!((long.cost("gpt-99", TOKENS), long.cost("gpt-99", LONG_REQUEST)), (Some(228_000), Some(1_030_000)));
    }
}
