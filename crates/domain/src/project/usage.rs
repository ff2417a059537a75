//! An agent's usage as its events report it, for display while it works.
//! The final usage of an attempt is in `job::Work` and the attempt's cost.

use crate::project::budget::format_usd;
use crate::text::format_count;
use serde::{Deserialize, Serialize};

/// The data of a `usage` event. Every field is optional, because an agent may report only some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Whether these are the sums of a running attempt. Otherwise they belong to one ended start of its agent.
    pub so_far: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Includes cached tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The cost, if known. Units: millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd_micros: Option<u64>,
    /// The estimated cost until the exact one is known. Units: millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about_usd_micros: Option<u64>,
    /// Upper limit of the cost, if no price is known. Units: millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most_usd_micros: Option<u64>,
}

impl Usage {
    /// `so far about $0.12, 3 turns, 12300 tokens read, 410 written`; `None` without any data.
    pub fn to_sentence(&self) -> Option<String> {
        let about = self.about_usd_micros.map(|micros| format!("about {}", format_amount(micros)));
        let at_most = self.at_most_usd_micros.map(|micros| format!("at most {}", format_amount(micros)));
        let cost = self.cost_usd_micros.map(format_amount).or(about).or(at_most);
        let turns = self.turns.map(|turns| format_count(turns, "turn"));
        let read = self.input_tokens.map(|tokens| format!("{tokens} tokens read"));
        let tokens = if read.is_some() { "" } else { "tokens " };
        let output = self.output_tokens.map(|count| format!("{count} {tokens}written"));
        let parts: Vec<String> = [cost, turns, read, output].into_iter().flatten().collect();
        let sentence = parts.join(", ");
        (!sentence.is_empty()).then(|| if self.so_far { format!("so far {sentence}") } else { sentence })
    }
}

/// To the cent; smaller amounts to a hundredth of a cent. Units: millionths of a US dollar.
fn format_amount(micros: u64) -> String {
    if (1..10_000).contains(&micros) { format!("$0.{:04}", micros.div_ceil(100)) } else { format_usd(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(data: Value, expected: Option<&str>) {
        let sentence = serde_json::from_value::<Usage>(data.clone()).unwrap().to_sentence();
        assert_eq!(sentence.as_deref(), expected, "{data}");
    }

    #[test]
    fn usage_is_listed_with_the_cost_first() {
        check(json!({"so_far": true, "turns": 3, "cost_usd_micros": 120_000}), Some("so far $0.12, 3 turns"));
        let all = json!({"turns": 1, "input_tokens": 12_300, "cached_input_tokens": 9, "output_tokens": 410});
        check(all, Some("1 turn, 12300 tokens read, 410 written"));
        check(json!({"output_tokens": 7}), Some("7 tokens written"));
        check(json!({"cost_usd_micros": null, "turns": 2}), Some("2 turns"));
        check(json!({}), None);
        check(json!({"so_far": true, "odd": "words"}), None);
        // An estimated cost is marked as such.
        check(json!({"so_far": true, "about_usd_micros": 1_234_567}), Some("so far about $1.23"));
        check(json!({"so_far": true, "at_most_usd_micros": 620_000}), Some("so far at most $0.62"));
        check(json!({"about_usd_micros": 1, "at_most_usd_micros": 2, "cost_usd_micros": 30_000}), Some("$0.03"));
        for (micros, expected) in [(0, "$0.00"), (1, "$0.0001"), (1_500, "$0.0015"), (10_000, "$0.01")] {
            check(json!({ "cost_usd_micros": micros }), Some(expected));
        }
    }
}
