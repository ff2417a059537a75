//! What the lines of any agent come to, in one vocabulary: events for people, and facts about the run.
//!
//! What a fact means for the job is decided in `classify` and `watch`, not here.

use crate::api::said::Said;
use pullyard_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sign {
    Said(Said),
    /// The same, of which nothing is known but that it asks its model again, which gave no answer that it can use: no
    /// sign of life.
    TriesAgain(Said),
    /// Nothing to tell, but somebody works.
    Alive,
    /// The same, said by a line that is a piece of what a later one says whole.
    Piece,
    /// The session has this id, by which it can go on.
    Session(String),
    /// The model that is asked.
    Model(String),
    /// A tool runs from here on; while one does, silence is a stall only after longer.
    ToolBegan(String),
    ToolEnded(String),
    /// The agent speaks again: whatever ran has ended, told or not.
    ToolsEnded,
    /// Whether the model has an answer to every call of its by now: then it is asked again, and what still runs goes
    /// on beside it.
    Answered(bool),
    /// The next request to the model tells it what was handed over with this mark.
    TakenUp(String),
    /// The model answered a request.
    Turn,
    /// The same as far as it counts, learned elsewhere than from its lines: what it said by then is not known by it.
    Counted,
    /// The answer asked for tools, so that another request follows.
    MoreFollows,
    /// Tokens of this start, in addition to those already told.
    Used(Tokens),
    /// What this start cost so far. Units: millionths of a US dollar.
    Cost(u64),
    /// The same where the price is not known: no more than this.
    CostAtMost(u64),
    /// About what it cost so far, for people who look on, until one of these two says it; none where not even that is
    /// known.
    CostAbout(Option<u64>),
    /// What this start used so far, in all, where its agent counts that itself.
    Sum(Sum),
    /// The agent's own last word of this start.
    Ended(Terminal),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// Read, those from a cache among them.
    pub(crate) input: u64,
    pub(crate) cached: u64,
    /// Written, those of reasoning among them.
    pub(crate) output: u64,
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.cached = self.cached.saturating_add(more.cached);
        self.output = self.output.saturating_add(more.output);
    }
}

impl Sub for Tokens {
    type Output = Self;

    /// Never below nothing: a count that went back is a new count.
    fn sub(self, less: Self) -> Self {
        Self {
            input: self.input.saturating_sub(less.input),
            cached: self.cached.saturating_sub(less.cached),
            output: self.output.saturating_sub(less.output),
        }
    }
}

/// All that a start used so far, in the words of its agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) turns: u32,
    pub(super) tokens: Tokens,
    /// If it says that. Units: millionths of a US dollar.
    pub(super) cost: Option<u64>,
    /// It may use more: it has not said its last word, or did something since.
    pub(super) goes_on: bool,
    /// Its line says all of this to people, too.
    pub(super) is_told: bool,
}

/// How the agent says that it ended. None of it is believed alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Terminal {
    pub(super) well: bool,
    /// Its name for the end, where it has one: `error_max_turns`, `prompt_too_long`, `billing_error`.
    pub(super) marks: Vec<String>,
    /// The status of the model's provider, where it tells one.
    pub(super) status: Option<u16>,
    pub(super) words: String,
    /// Tools that it wanted to use in this turn and was not allowed to.
    pub(super) denied: Vec<String>,
    /// When the account's limit ends, where it said so apart from its words.
    pub(super) limit_until: Option<Timestamp>,
}

impl Terminal {
    pub(super) fn is_marked(&self, mark: &str) -> bool {
        self.marks.iter().any(|own| own == mark)
    }
}

/// Units: dollars in, millionths of a dollar out; what is no amount is none.
pub(super) fn micros(dollars: f64) -> Option<u64> {
    let micros = dollars * 1e6;
    // Larger than anybody's bill, and far below where a float loses whole numbers.
    (micros.is_finite() && (0.0..1e15).contains(&micros)).then(|| micros.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_whole_millionths_and_nothing_else() {
        assert_eq!(micros(0.00175), Some(1_750));
        assert_eq!(micros(0.0), Some(0));
        for wrong in [-0.1, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_count_that_went_back_is_nothing_less() {
        let tokens = |input| Tokens { input, cached: 1, output: 2 };
        assert_eq!(tokens(300) - tokens(100), Tokens { input: 200, cached: 0, output: 0 });
        assert_eq!((tokens(1) - tokens(100)).input, 0);
    }
}
