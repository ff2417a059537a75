//! About what an answer of one of Claude's models costs. Claude Code says what it cost at its end alone; until then
//! this is shown to whoever looks on. While it works no limit rests on it. What it did not come to say, because it was
//! killed before, is charged by this: on the attempt's record, for the project's budget, and in what is left to a
//! further start.
//!
//! The table is Anthropic's public list for its own API. An answer of a model that is not in it costs nobody knows
//! what. What is written into a cache is taken to stay there for five minutes; where it stays for an hour it costs more.
//!
//! Sources, read in 2026-11: Anthropic's pages of prices and of models (platform.claude.com/docs), LiteLLM 1.109.1 and
//! genai-prices 0.2.3, which alone has claude-mythos-5-2 and claude-fable-5-2, of 2026-11-09. They are alike, but that
//! genai-prices has prompts of more than 200,000 tokens to claude-opus-4-6, claude-sonnet-4-5 and claude-sonnet-4-6 at
//! higher prices, and the others don't.

/// When the table was last compared with the list.
pub(crate) const AS_OF: &str = "2026-11";

/// By model: input, input from a cache, output; in thousandths of a dollar for a million tokens.
const TABLE: &[(&str, u64, u64, u64)] = &[
    ("claude-fable-5", 10_000, 1_000, 50_000),
    ("claude-fable-5-1", 10_000, 250, 50_000),
    ("claude-fable-5-2", 8_000, 200, 40_000),
    ("claude-haiku-4-5", 1_000, 100, 5_000),
    ("claude-haiku-5-5", 100, 10, 500),
    ("claude-mythos-5", 10_000, 1_000, 50_000),
    ("claude-mythos-5-1", 10_000, 250, 50_000),
    ("claude-mythos-5-2", 8_000, 200, 40_000),
    ("claude-opus-4-1", 15_000, 1_500, 75_000),
    ("claude-opus-4-5", 5_000, 500, 25_000),
    ("claude-opus-4-6", 5_000, 500, 25_000),
    ("claude-opus-4-7", 5_000, 500, 25_000),
    ("claude-opus-4-8", 5_000, 500, 25_000),
    ("claude-opus-5", 5_000, 500, 25_000),
    ("claude-opus-5-5", 4_000, 200, 20_000),
    ("claude-sonnet-4-5", 3_000, 300, 15_000),
    ("claude-sonnet-4-6", 3_000, 300, 15_000),
    ("claude-sonnet-5", 2_000, 200, 10_000),
    ("claude-sonnet-5-5", 2_000, 100, 10_000),
];

/// By model: an answer to more tokens than this costs so many times as much, all of it.
const LONG: &[(&str, u64, u128)] = &[("claude-haiku-5-5", 100_000, 5)];

/// The tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Read, and in no cache.
    pub(super) fresh: u64,
    /// Read from a cache.
    pub(super) cached: u64,
    /// Read, and written into a cache.
    pub(super) kept: u64,
    /// Written.
    pub(super) output: u64,
}

/// About what an answer costs. Units: millionths of a US dollar.
pub(super) fn about(model: &str, answer: &Answer) -> Option<u64> {
    let name = plain(model);
    let (_, input, cached, output) = *TABLE.iter().find(|(known, ..)| *known == name)?;
    let read = answer.fresh.saturating_add(answer.cached).saturating_add(answer.kept);
    let long = LONG.iter().find(|(known, most, _)| *known == name && read > *most);
    let times = long.map_or(1, |(.., times)| *times);
    // A quarter more for what is written into a cache.
    let parts = [
        (answer.fresh, input * 1_000),
        (answer.kept, input * 1_250),
        (answer.cached, cached * 1_000),
        (answer.output, output * 1_000),
    ];
    let sum: u128 = parts.iter().map(|(count, price)| u128::from(*count) * u128::from(*price)).sum();
    Some(u64::try_from((sum * times).div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// A model's name without the size of its context and the day it is of.
fn plain(model: &str) -> &str {
    let name = model.split_once('[').map_or(model, |(name, _)| name);
    match name.rsplit_once('-') {
        Some((undated, day)) if day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()) => undated,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(model: &str, answer: Answer, expected: Option<u64>) {
        assert_eq!(about(model, &answer), expected, "{model} {answer:?}");
    }

    #[test]
    fn an_answer_costs_about_what_claude_code_says_of_it() {
        // As it said of this one itself, in what was recorded of a budget.
        let recorded = Answer { fresh: 200_000, output: 100, ..Answer::default() };
        check("claude-opus-4-8[1m]", recorded, Some(1_002_500));
    }

    #[test]
    fn what_a_cache_takes_and_gives_has_prices_of_its_own() {
        let million = 1_000_000;
        check("claude-opus-4-8", Answer { kept: million, ..Answer::default() }, Some(6_250_000));
        check("claude-opus-4-8", Answer { cached: million, ..Answer::default() }, Some(500_000));
        check("claude-haiku-4-5-20251001", Answer { cached: 1, ..Answer::default() }, Some(1));
    }

    #[test]
    fn newer_models_read_from_a_cache_for_less() {
        let read = Answer { cached: 1_000_000, ..Answer::default() };
        for (model, cost) in [
            ("claude-sonnet-5", 200_000),
            ("claude-sonnet-5-5", 100_000),
            ("claude-opus-5-5[1m]", 200_000),
            ("claude-fable-5-1", 250_000),
            ("claude-fable-5-2", 200_000),
            ("claude-mythos-5-2", 200_000),
        ] {
            check(model, read, Some(cost));
        }
    }

    #[test]
    fn an_answer_to_a_long_prompt_costs_more_as_a_whole_where_the_list_says_so() {
        let short = Answer { fresh: 20_000, cached: 70_000, kept: 10_000, output: 1_000 };
        // 20 × 0.1 + 70 × 0.01 + 10 × 0.125 + 1 × 0.5 thousandths
        check("claude-haiku-5-5", short, Some(4_450));
        check("claude-haiku-5-5", Answer { fresh: 30_000, ..short }, Some(27_250));
        let million = Answer { fresh: 1_000_000, ..Answer::default() };
        check("claude-haiku-4-5", million, Some(1_000_000));
    }

    #[test]
    fn a_model_that_is_not_in_the_table_has_no_price() {
        for unknown in ["", "claude-opus", "claude-opus-5-1", "gpt-5.2", "<synthetic>"] {
            check(unknown, Answer { fresh: 1, ..Answer::default() }, None);
        }
    }

    #[test]
    fn no_count_is_too_large() {
        let most = Answer { fresh: u64::MAX, cached: u64::MAX, kept: u64::MAX, output: u64::MAX };
        check("claude-opus-4-8", most, Some(u64::MAX));
    }
}
