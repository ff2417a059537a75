//! What tokens of Codex's models cost: it counts tokens and knows no prices.
//!
//! The table is OpenAI's public list for standard processing. A model that is not in it costs nobody knows what: its
//! tokens are told and no amount, and a limit on cost counts them at the dearest price known, since too early a stop
//! is safe. What Codex 0.169.0 lists is in it, `codex-auto-review` excepted, of which no price is known; a model that
//! it does not list it takes by its name.
//!
//! A request with more than 272,000 tokens of input costs more, where its model takes so many: all of its input twice
//! as much, from a cache or not, and its output half as much again. The older models take at most that many, since
//! 128,000 of their 400,000 are for output.
//!
//! What is written to a cache costs a quarter more than other input, of gpt-5.6 and newer ones; of older ones it costs
//! no more. Codex counts it among the input, as OpenAI does, and asks for no cache that lasts longer than 30 minutes,
//! which would cost more. With a key it asks for no other processing either: its list has fast processing, at twice
//! the price, as what gpt-6-sol and gpt-6-luna are used with, but its requests don't.
//!
//! Sources, read in 2026-11: OpenAI's pages of gpt-5.6-luna, gpt-5.6-sol, gpt-6-sol and gpt-6.2-sol
//! (developers.openai.com/api/docs/models) and what is quoted of its guide to prompt caching; of the others LiteLLM
//! 1.109.1 and genai-prices 0.2.3, as far as they have them, and notes of projects that keep such tables. All are
//! alike but for these:
//!
//! - gpt-6.2-astra is of 2026-11-17 and in neither table yet: LiteLLM's announcement has its prices, and that input
//!   from a cache costs 60 % less than gpt-6-astra's.
//! - gpt-5.6-sol, which gpt-5.6 and gpt-daybreak-blue-latest mean, cost 4, 0.4 and 20 dollars "at least through
//!   November 21, 2026". No source says what it costs since, so it is the price before that, which is dearer.
//! - genai-prices has long requests of gpt-5.6-luna begin above 200,000 tokens; OpenAI's page says 272,000, as do
//!   others.
//! - All say that it is the full request that costs more. OpenAI's page of gpt-5.4 says "for the full session", where
//!   those who quote it take each request by itself, and gpt-5.5 is of that time: of these two a limit counts the
//!   whole session, and no amount is told.

use crate::agent::sign::Tokens;
use std::collections::BTreeMap;
use std::ops::{AddAssign, Sub};

/// When the table was last compared with the list.
pub(crate) const AS_OF: &str = "2026-11";

/// A request with more input than that is a long one. Units: tokens.
const LONG: u64 = 272_000;

/// Units: millionths of a US dollar for a million tokens, which are dollars for a million, times a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    input: u64,
    /// Input from a cache.
    cached: u64,
    /// Input that is written to one.
    kept: u64,
    output: u64,
}

/// Tokens as they are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) tokens: Tokens,
    /// Of those that were read, and from no cache: written to one.
    pub(super) kept: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.tokens += more.tokens;
        self.kept = self.kept.saturating_add(more.kept);
    }
}

impl Sub for Count {
    type Output = Self;

    /// Never below nothing, as of the tokens alone.
    fn sub(self, less: Self) -> Self {
        Self { tokens: self.tokens - less.tokens, kept: self.kept.saturating_sub(less.kept) }
    }
}

/// What a model costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    short: Rates,
    /// Of long requests.
    long: Rates,
    /// One of those may make its whole session as dear.
    by_session: bool,
    /// Who says so.
    by: By,
}

/// Who says what a model costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Table,
    Operator,
}

/// What long requests of a model cost more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Long {
    /// There are none.
    Never,
    /// Each by itself. What these models write to a cache costs more, too.
    Request,
    /// Each by itself, or its whole session.
    Session,
}

use Long::{Never, Request, Session};

/// By model: input, input from a cache, output; in thousandths of a dollar for a million tokens. And its long requests.
const TABLE: &[(&str, u64, u64, u64, Long)] = &[
    ("gpt-5", 1_250, 125, 10_000, Never),
    ("gpt-5-codex", 1_250, 125, 10_000, Never),
    ("gpt-5-mini", 250, 25, 2_000, Never),
    ("gpt-5-nano", 50, 5, 400, Never),
    ("gpt-5.1", 1_250, 125, 10_000, Never),
    ("gpt-5.1-codex", 1_250, 125, 10_000, Never),
    ("gpt-5.1-codex-max", 1_250, 125, 10_000, Never),
    ("gpt-5.1-codex-mini", 250, 25, 2_000, Never),
    ("gpt-5.2", 1_750, 175, 14_000, Never),
    ("gpt-5.2-codex", 1_750, 175, 14_000, Never),
    ("gpt-5.3-codex", 1_750, 175, 14_000, Never),
    ("gpt-5.4", 2_500, 250, 15_000, Session),
    ("gpt-5.4-mini", 750, 75, 4_500, Never),
    ("gpt-5.4-nano", 200, 20, 1_250, Never),
    ("gpt-5.5", 5_000, 500, 30_000, Session),
    ("gpt-5.6", 5_000, 500, 30_000, Request),
    ("gpt-5.6-luna", 200, 20, 1_200, Request),
    ("gpt-5.6-sol", 5_000, 500, 30_000, Request),
    ("gpt-5.6-terra", 2_000, 200, 12_000, Request),
    ("gpt-6-astra", 10_000, 1_000, 50_000, Request),
    ("gpt-6-luna", 100, 10, 500, Request),
    ("gpt-6-sol", 2_000, 200, 10_000, Request),
    ("gpt-6.1-sol", 2_000, 100, 10_000, Request),
    ("gpt-6.1-terra", 1_000, 50, 5_000, Request),
    ("gpt-6.2-astra", 8_000, 400, 40_000, Request),
    ("gpt-6.2-sol", 2_000, 100, 10_000, Request),
    ("gpt-daybreak-blue-latest", 5_000, 500, 30_000, Request),
    ("gpt-daybreak-red-latest", 12_500, 1_250, 75_000, Request),
];

/// The table, and what the operator says beside it.
#[derive(Clone, Debug)]
pub(super) struct Prices(BTreeMap<String, Price>);

/// What tokens cost. Units: millionths of a US dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// By the price of their model.
    Known(u64),
    /// At most, by the dearest price that may be theirs.
    AtMost(u64),
}

/// Whose tokens they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// One request's.
    Request,
    /// Of nobody knows how many requests.
    Several,
}

impl Prices {
    /// The table, with the operator's `MODEL=INPUT/CACHED/OUTPUT,…` in dollars for a million tokens above it; three more
    /// amounts are for long requests, which cost the same without them. What is written to a cache costs a quarter
    /// more than input there, too. What can't be read of it is left out and told in the log.
    pub(super) fn with(told: &str) -> Self {
        let thousandths = |(name, input, cached, output, long): &(&str, u64, u64, u64, Long)| {
            let [input, cached, output] = [input, cached, output].map(|price| price * 1_000);
            let rates = |input, cached, output| {
                let rates = Rates::new(input, cached, output);
                if *long == Request { rates } else { Rates { kept: input, ..rates } }
            };
            let short = rates(input, cached, output);
            let dearer = rates(input * 2, cached * 2, output * 3 / 2);
            let price = Price {
                short,
                long: if *long == Never { short } else { dearer },
                by_session: *long == Session,
                by: By::Table,
            };
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
    pub(super) fn cost(&self, model: Option<&str>, count: Count, of: Of) -> Cost {
        match model.and_then(|model| self.of(model)) {
            // Each of them may have been a short one, or one of them nearly all.
            Some(price) if of == Of::Several && is_long(count.tokens) && price.long != price.short => {
                Cost::AtMost(price.long.of(count))
            }
            Some(price) => Cost::Known(price.of(count)),
            None => Cost::AtMost(self.0.values().map(|price| price.of(count)).max().unwrap_or(u64::MAX)),
        }
    }

    /// Whether a model's price is the table's, so that its date says something of it.
    pub(super) fn are_of_table(&self, model: Option<&str>) -> bool {
        model.and_then(|model| self.of(model)).is_some_and(|price| price.by == By::Table)
    }

    /// How much more tokens of a model cost where its session is as dear as a long request. None: what others of its
    /// session are changes nothing.
    pub(super) fn more_by_session(&self, model: Option<&str>, count: Count) -> Option<u64> {
        let price = self.of(model?).filter(|price| price.by_session)?;
        Some(price.long.of(count).saturating_sub(price.of(count)))
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
    /// What one request costs.
    fn of(self, count: Count) -> u64 {
        let rates = if is_long(count.tokens) { self.long } else { self.short };
        rates.of(count)
    }
}

impl Rates {
    /// What is written to a cache costs a quarter more than other input.
    fn new(input: u64, cached: u64, output: u64) -> Self {
        Self { input, cached, kept: input.saturating_add(input.div_ceil(4)), output }
    }

    fn of(self, count: Count) -> u64 {
        let tokens = count.tokens;
        let cached = tokens.cached.min(tokens.input);
        let kept = count.kept.min(tokens.input - cached);
        let parts = [
            (tokens.input - cached - kept, self.input),
            (cached, self.cached),
            (kept, self.kept),
            (tokens.output, self.output),
        ];
        let sum: u128 = parts.iter().map(|(count, price)| u128::from(*count) * u128::from(*price)).sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// Whether a request with these is a long one.
pub(super) fn is_long(tokens: Tokens) -> bool {
    tokens.input > LONG
}

fn read(entry: &str) -> Option<(String, Price)> {
    let (model, prices) = entry.split_once('=')?;
    let amount = |amount: &str| crate::agent::sign::micros(amount.trim().parse().ok()?);
    let amounts = prices.split('/').map(amount).collect::<Option<Vec<u64>>>()?;
    let (short, long) = match amounts.as_slice() {
        [input, cached, output] => {
            let all = Rates::new(*input, *cached, *output);
            (all, all)
        }
        [input, cached, output, long_input, long_cached, long_output] => {
            (Rates::new(*input, *cached, *output), Rates::new(*long_input, *long_cached, *long_output))
        }
        _ => return None,
    };
    let model = model.trim();
    (!model.is_empty()).then(|| (model.to_owned(), Price { short, long, by_session: false, by: By::Operator }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Count = read_and_written(200_000, 80_000, 20_000);
    const MANY: Count = read_and_written(400_000, 100_000, 10_000);

    const fn read_and_written(input: u64, cached: u64, output: u64) -> Count {
        Count { tokens: Tokens { input, cached, output }, kept: 0 }
    }

    fn request(prices: &Prices, model: &str, count: Count) -> Cost {
        prices.cost(Some(model), count, Of::Request)
    }

    #[test]
    fn tokens_cost_what_the_list_says() {
        let prices = Prices::with("");
        // 0.12 × 1.75 + 0.08 × 0.175 + 0.02 × 14
        assert_eq!(request(&prices, "gpt-5.2-codex", TOKENS), Cost::Known(504_000));
        assert_eq!(request(&prices, "gpt-5.2-codex-2026-01-14", TOKENS), Cost::Known(504_000));
        // 0.12 × 2 + 0.08 × 0.1 + 0.02 × 10
        assert_eq!(request(&prices, "gpt-6.1-sol", TOKENS), Cost::Known(448_000));
        assert_eq!(request(&prices, "gpt-5-nano", read_and_written(1, 9, 0)), Cost::Known(1));
        // 0.12 × 8 + 0.08 × 0.4 + 0.02 × 40
        assert_eq!(request(&prices, "gpt-6.2-astra", TOKENS), Cost::Known(1_792_000));
    }

    #[test]
    fn each_model_that_codex_lists_has_a_price() {
        let prices = Prices::with("");
        for model in [
            "gpt-5.5",
            "gpt-5.6-luna",
            "gpt-5.6-sol",
            "gpt-5.6-terra",
            "gpt-6-astra",
            "gpt-6-luna",
            "gpt-6-sol",
            "gpt-6.1-sol",
            "gpt-6.1-terra",
            "gpt-daybreak-blue-latest",
            "gpt-daybreak-red-latest",
        ] {
            assert!(matches!(request(&prices, model, TOKENS), Cost::Known(_)), "{model}");
        }
    }

    #[test]
    fn what_is_written_to_a_cache_costs_a_quarter_more_where_the_list_says_so() {
        let prices = Prices::with("gpt-99=2/0.2/8");
        let kept = |count: Count, kept| Count { kept, ..count };
        // 0.08 × 2 + 0.04 × 2.5 + 0.08 × 0.1 + 0.02 × 10
        assert_eq!(request(&prices, "gpt-6.1-sol", kept(TOKENS, 40_000)), Cost::Known(468_000));
        // 0.2 × 4 + 0.1 × 5 + 0.1 × 0.2 + 0.01 × 15
        assert_eq!(request(&prices, "gpt-6.1-sol", kept(MANY, 100_000)), Cost::Known(1_470_000));
        // No more is written than was read from no cache: 0.12 × 2.5 + 0.08 × 0.1 + 0.02 × 10
        assert_eq!(request(&prices, "gpt-6.1-sol", kept(TOKENS, u64::MAX)), Cost::Known(508_000));
        // 0.08 × 2 + 0.04 × 2.5 + 0.08 × 0.2 + 0.02 × 8
        assert_eq!(request(&prices, "gpt-99", kept(TOKENS, 40_000)), Cost::Known(436_000));
        for older in ["gpt-5.2-codex", "gpt-5.5"] {
            let without = request(&prices, older, TOKENS);
            assert_eq!(request(&prices, older, kept(TOKENS, 40_000)), without, "{older}");
        }
    }

    #[test]
    fn a_long_request_costs_more_as_a_whole() {
        let prices = Prices::with("");
        for (model, cost) in [
            // 0.3 × 4 + 0.1 × 0.2 + 0.01 × 15
            ("gpt-6.1-sol", 1_370_000),
            ("gpt-6.1-terra", 685_000),
            ("gpt-6.2-astra", 5_480_000),
            ("gpt-6.2-sol", 1_370_000),
            ("gpt-6-astra", 6_950_000),
            ("gpt-6-luna", 69_500),
            ("gpt-6-sol", 1_390_000),
            ("gpt-5.6-luna", 142_000),
            ("gpt-5.6", 3_550_000),
            ("gpt-5.6-sol", 3_550_000),
            ("gpt-daybreak-blue-latest", 3_550_000),
            ("gpt-daybreak-red-latest", 8_875_000),
            ("gpt-5.6-terra", 1_420_000),
            ("gpt-5.5", 3_550_000),
            ("gpt-5.4-2026-03-05", 1_775_000),
            // It takes no more than a short one has.
            ("gpt-5.2", 682_500),
        ] {
            assert_eq!(request(&prices, model, MANY), Cost::Known(cost), "{model}");
        }
        let input = |input| read_and_written(input, 0, 0);
        assert_eq!(request(&prices, "gpt-6.1-sol", input(272_000)), Cost::Known(544_000));
        assert_eq!(request(&prices, "gpt-6.1-sol", input(272_001)), Cost::Known(1_088_004));
    }

    #[test]
    fn a_sum_of_requests_costs_at_most_what_one_long_one_does() {
        let prices = Prices::with("");
        let sum = |model, count| prices.cost(Some(model), count, Of::Several);
        assert_eq!(sum("gpt-6.1-sol", MANY), Cost::AtMost(1_370_000));
        assert_eq!(sum("gpt-6.1-sol", TOKENS), Cost::Known(448_000), "none of them was long");
        assert_eq!(sum("gpt-5.2", MANY), Cost::Known(682_500), "it has no long ones");
    }

    #[test]
    fn where_a_session_may_be_as_dear_as_its_long_request_what_that_is_more_is_known() {
        let prices = Prices::with("");
        // 0.12 × 2.5 + 0.08 × 0.25 + 0.02 × 7.5
        assert_eq!(prices.more_by_session(Some("gpt-5.4"), TOKENS), Some(470_000));
        assert_eq!(prices.more_by_session(Some("gpt-5.4"), MANY), Some(0));
        assert_eq!(prices.more_by_session(Some("gpt-6.1-sol"), TOKENS), None);
        assert_eq!(prices.more_by_session(None, TOKENS), None);
    }

    #[test]
    fn a_model_without_a_price_costs_at_most_the_dearest() {
        let prices = Prices::with("");
        assert_eq!(request(&prices, "gpt-99", TOKENS), Cost::AtMost(3_100_000));
        assert_eq!(prices.cost(None, TOKENS, Of::Several), Cost::AtMost(3_100_000));
        assert_eq!(request(&prices, "gpt-99", MANY), Cost::AtMost(8_875_000));
    }

    #[test]
    fn the_operators_prices_stand_above_the_table() {
        let prices = Prices::with("gpt-99=2/0.2/8, gpt-5.2 = 1/0.1/1,nonsense,x=1/2,=1/1/1,y=a/b/c,z=1/1/1/1");
        assert_eq!(request(&prices, "gpt-99", TOKENS), Cost::Known(416_000));
        assert_eq!(request(&prices, "gpt-5.2", TOKENS), Cost::Known(148_000));
        assert!(!prices.are_of_table(Some("gpt-5.2")) && !prices.are_of_table(Some("gpt-99-2026-01-14")));
        assert!(prices.are_of_table(Some("gpt-5.2-codex")) && prices.are_of_table(Some("gpt-5.2-codex-2026-01-14")));
        assert!(!prices.are_of_table(Some("x")) && !prices.are_of_table(None), "nobody knows a price");
        for unread in ["x", "z"] {
            assert!(matches!(request(&prices, unread, TOKENS), Cost::AtMost(_)), "{unread}");
        }
    }

    #[test]
    fn the_operator_says_what_long_requests_cost_or_that_they_cost_the_same() {
        let prices = Prices::with("gpt-6.1-sol=1/0.1/5, gpt-99=1/0.1/5/3/0.3/10, gpt-5.4=1/1/1/2/2/2");
        assert_eq!(request(&prices, "gpt-6.1-sol", MANY), Cost::Known(360_000));
        assert_eq!(request(&prices, "gpt-99", TOKENS), Cost::Known(228_000));
        assert_eq!(request(&prices, "gpt-99", MANY), Cost::Known(1_030_000));
        assert_eq!(prices.more_by_session(Some("gpt-5.4"), TOKENS), None);
    }

    #[test]
    fn the_table_has_a_date_and_no_model_twice() {
        assert_eq!(AS_OF.len(), 7);
        assert_eq!(Prices::with("").0.len(), TABLE.len());
    }
}
