//! What tokens of Codex's models cost: it counts tokens and knows no prices.
//!
//! The table is OpenAI's public list for standard processing of at most 272,000 tokens of input. Longer requests, and
//! what is written to a cache, cost more than it says. A model that is not in it costs nobody knows what: its tokens are
//! told and no amount, and a limit on cost counts them at the dearest price known, since too early a stop is safe.
//!
//! Source: developers.openai.com/api/docs/pricing and /models; those of 2026-07 to 2026-10 as several projects that keep
//! such tables quote it, LiteLLM among them: nearly all alike, and where they are not, by what most of them say.

use crate::agent::sign::Tokens;
use std::collections::BTreeMap;

/// When the table was last compared with the list.
pub(crate) const AS_OF: &str = "2026-10";

/// Units: millionths of a US dollar for a million tokens, which are dollars for a million, times a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    input: u64,
    cached: u64,
    output: u64,
}

/// By model: input, input from a cache, output; in thousandths of a dollar for a million tokens.
const TABLE: &[(&str, u64, u64, u64)] = &[
    ("gpt-5", 1_250, 125, 10_000),
    ("gpt-5-codex", 1_250, 125, 10_000),
    ("gpt-5-mini", 250, 25, 2_000),
    ("gpt-5-nano", 50, 5, 400),
    ("gpt-5.1", 1_250, 125, 10_000),
    ("gpt-5.1-codex", 1_250, 125, 10_000),
    ("gpt-5.1-codex-max", 1_250, 125, 10_000),
    ("gpt-5.1-codex-mini", 250, 25, 2_000),
    ("gpt-5.2", 1_750, 175, 14_000),
    ("gpt-5.2-codex", 1_750, 175, 14_000),
    ("gpt-5.3-codex", 1_750, 175, 14_000),
    ("gpt-5.4", 2_500, 250, 15_000),
    ("gpt-5.4-mini", 750, 75, 4_500),
    ("gpt-5.4-nano", 200, 20, 1_250),
    ("gpt-5.5", 5_000, 500, 30_000),
    ("gpt-5.6-luna", 200, 20, 1_200),
    ("gpt-5.6-sol", 4_000, 400, 20_000),
    ("gpt-5.6-terra", 2_000, 200, 12_000),
    ("gpt-6-astra", 10_000, 1_000, 50_000),
    ("gpt-6-luna", 100, 10, 500),
    ("gpt-6-sol", 2_000, 200, 10_000),
    ("gpt-6.1-sol", 2_000, 100, 10_000),
    ("gpt-6.1-terra", 1_000, 50, 5_000),
];

/// The table, and what the operator says beside it.
#[derive(Clone, Debug)]
pub(super) struct Prices(BTreeMap<String, Price>);

/// What tokens cost. Units: millionths of a US dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// By the price of their model.
    Known(u64),
    /// At most, by the dearest price there is.
    AtMost(u64),
}

impl Prices {
    /// The table, with the operator's `MODEL=INPUT/CACHED/OUTPUT,…` in dollars for a million tokens above it.
    /// What can't be read of it is left out and told in the log.
    pub(super) fn with(told: &str) -> Self {
        let thousandths = |(name, input, cached, output): &(&str, u64, u64, u64)| {
            let price = Price { input: input * 1_000, cached: cached * 1_000, output: output * 1_000 };
            ((*name).to_owned(), price)
        };
        let mut prices: BTreeMap<_, _> = TABLE.iter().map(thousandths).collect();
        for entry in told.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match read(entry) {
                Some((model, price)) => {
                    prices.insert(model, price);
                }
                None => tracing::warn!("a price of a model can't be read: write MODEL=INPUT/CACHED/OUTPUT"),
            }
        }
        Self(prices)
    }

    /// What tokens of a model cost.
    pub(super) fn cost(&self, model: Option<&str>, tokens: Tokens) -> Cost {
        match model.and_then(|model| self.of(model)) {
            Some(price) => Cost::Known(price.of(tokens)),
            None => Cost::AtMost(self.0.values().map(|price| price.of(tokens)).max().unwrap_or(u64::MAX)),
        }
    }

    /// A model's price; one with a date at its end costs what the one without does.
    fn of(&self, model: &str) -> Option<Price> {
        let found = self.0.get(model);
        let undated = model.get(..model.len().saturating_sub("-2026-01-01".len()));
        let dated = undated.filter(|name| {
            let date = model.get(name.len()..).unwrap_or_default();
            date.starts_with('-') && date.bytes().skip(1).all(|byte| byte.is_ascii_digit() || byte == b'-')
        });
        found.or_else(|| self.0.get(dated?)).copied()
    }
}

impl Price {
    fn of(self, tokens: Tokens) -> u64 {
        let cached = tokens.cached.min(tokens.input);
        let parts = [(tokens.input - cached, self.input), (cached, self.cached), (tokens.output, self.output)];
        let sum: u128 = parts.iter().map(|(count, price)| u128::from(*count) * u128::from(*price)).sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

fn read(entry: &str) -> Option<(String, Price)> {
    let (model, prices) = entry.split_once('=')?;
    let mut amounts = prices.split('/').map(|amount| crate::agent::sign::micros(amount.trim().parse().ok()?));
    let price = Price { input: amounts.next()??, cached: amounts.next()??, output: amounts.next()?? };
    (amounts.next().is_none() && !model.trim().is_empty()).then(|| (model.trim().to_owned(), price))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Tokens = Tokens { input: 1_000_000, cached: 400_000, output: 100_000 };

    #[test]
    fn tokens_cost_what_the_list_says() {
        let prices = Prices::with("");
        // 0.6 × 1.75 + 0.4 × 0.175 + 0.1 × 14
        assert_eq!(prices.cost(Some("gpt-5.2-codex"), TOKENS), Cost::Known(2_520_000));
        assert_eq!(prices.cost(Some("gpt-5.2-codex-2026-01-14"), TOKENS), Cost::Known(2_520_000));
        // 0.6 × 2 + 0.4 × 0.1 + 0.1 × 10
        assert_eq!(prices.cost(Some("gpt-6.1-sol"), TOKENS), Cost::Known(2_240_000));
        assert_eq!(prices.cost(Some("gpt-5-nano"), Tokens { input: 1, cached: 9, output: 0 }), Cost::Known(1));
    }

    #[test]
    fn a_model_without_a_price_costs_at_most_the_dearest() {
        let prices = Prices::with("");
        assert_eq!(prices.cost(Some("gpt-99"), TOKENS), Cost::AtMost(11_400_000));
        assert_eq!(prices.cost(None, TOKENS), Cost::AtMost(11_400_000));
    }

    #[test]
    fn the_operators_prices_stand_above_the_table() {
        let prices = Prices::with("gpt-99=2/0.2/8, gpt-5.2 = 1/0.1/1,nonsense,x=1/2,=1/1/1,y=a/b/c");
        assert_eq!(prices.cost(Some("gpt-99"), TOKENS), Cost::Known(2_080_000));
        assert_eq!(prices.cost(Some("gpt-5.2"), TOKENS), Cost::Known(740_000));
        assert!(matches!(prices.cost(Some("x"), TOKENS), Cost::AtMost(_)));
    }

    #[test]
    fn the_table_has_a_date_and_no_model_twice() {
        assert_eq!(AS_OF.len(), 7);
        assert_eq!(Prices::with("").0.len(), TABLE.len());
    }
}
