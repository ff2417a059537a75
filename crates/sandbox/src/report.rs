//! The result of a level's check, and its sentence for users.

use crate::level::Level;
use crate::promises::Canary;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Quiet,
    Fired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Canaries that fired although the level prevents their attacks.
    Broken(Vec<Canary>),
    Unchecked,
    /// The canaries did not run. The sentence gives the reason and the command that helps.
    Invalid(String),
}

/// The result of a check, for the runner's page and for the record of each job.
#[derive(Clone, Debug)]
pub struct Report {
    pub level: Level,
    pub verdict: Verdict,
    /// Empty if the check is invalid.
    pub outcomes: BTreeMap<Canary, Outcome>,
    /// A phrase for `summary`: whether the limits apply per process, per command or not.
    pub limits: &'static str,
    /// The parts that are active, at a level that adapts to the machine; empty at other levels.
    pub parts: String,
}

impl Report {
    /// Whether the runner may take jobs at this level.
    pub fn is_usable(&self) -> bool {
        matches!(self.verdict, Verdict::Passed | Verdict::Unchecked)
    }

    /// The result as one sentence, without the level.
    pub fn summary(&self) -> String {
        let list_attacks = |fired: &[Canary]| fired.iter().map(|canary| canary.attack()).collect::<Vec<_>>().join("; ");
        match &self.verdict {
            Verdict::Passed => {
                let (count, fired) = (self.outcomes.len(), self.fired());
                let stopped = count - fired.len();
                let open = if fired.is_empty() { "" } else { "; commands can: " };
                let attacks = list_attacks(&fired);
                format!("{}{stopped} of {count} attacks stopped; {}{open}{attacks}", self.parts, self.limits)
            }
            Verdict::Broken(fired) => {
                format!("does not hold on this machine; commands can: {}", list_attacks(fired))
            }
            Verdict::Unchecked => "not checked, because this system cannot run the canaries".into(),
            Verdict::Invalid(reason) => format!("cannot be used: {reason}"),
        }
    }

    pub(crate) fn fired(&self) -> Vec<Canary> {
        self.outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Fired).map(|(canary, _)| *canary).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.is_usable() { ":" } else { "" };
        write!(f, "{}{colon} {}", self.level, self.summary())
    }
}
