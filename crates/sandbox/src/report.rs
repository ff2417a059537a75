//! Reports to users: the result of a check and the limits in force.

use crate::level::Level;
use crate::promises::{Canary, Promise};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitsInForce {
    PerCommand,
    /// Systems other than Linux have no limits.
    None,
    PerProcess,
}

impl fmt::Display for LimitsInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerCommand => "limits: per command",
            Self::PerProcess => "limits: per process",
            Self::None => "no limits",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Quiet,
    Fired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Canaries that fired although the level promises to stop them.
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
    pub limits: LimitsInForce,
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
        let join =
            |canaries: &mut dyn Iterator<Item = Canary>| canaries.map(Canary::attack).collect::<Vec<_>>().join("; ");
        match &self.verdict {
            Verdict::Passed => {
                let (count, open) = (self.outcomes.len(), join(&mut self.open()));
                let stopped = self.outcomes.values().filter(|outcome| **outcome == Outcome::Quiet).count();
                let open = if open.is_empty() { open } else { format!("; commands can: {open}") };
                format!("{}{stopped} of {count} attacks stopped; {}{open}", self.parts, self.limits)
            }
            Verdict::Broken(fired) => {
                format!("does not hold on this machine; commands can: {}", join(&mut fired.iter().copied()))
            }
            Verdict::Unchecked => "not checked, because this system cannot run the canaries".into(),
            Verdict::Invalid(reason) => format!("cannot be used: {reason}"),
        }
    }

    /// Canaries that fired at a level that does not promise to stop them.
    pub fn open(&self) -> impl Iterator<Item = Canary> + '_ {
        let fired = self.outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Fired).map(|(canary, _)| *canary);
        fired.filter(|canary| self.level.promise(*canary) == Promise::Open)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.is_usable() { ":" } else { "" };
        write!(f, "{}{colon} {}", self.level, self.summary())
    }
}
