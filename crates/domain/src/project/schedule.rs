//! Schedules, which start analyses of a project's repositories or runs of a template at recurring times.

mod times;

use crate::text::id::{InProject, RunId, ScheduleName, TemplateName};
use crate::text::setting_fault::{SettingFault, fault};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use times::MIN_INTERVAL;
pub use times::ScheduleTime;

/// Failures in a row after which a schedule is paused.
const MAX_FAILURES: u32 = 5;

const MAX_LABEL_BYTES: usize = 200;

pub type ScheduleId = InProject<ScheduleName>;

/// The action and the times of a schedule: one of `every`, `cron`, and `window` with `cooldown`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Start an analysis of each connected repository of the project, at most 100.
    pub analyse: bool,
    /// Instead of analyses: start a run of this template, unless the last one is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateName>,
    /// Values of the template's parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Start a run in each connected repository of the project, at most 100.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub each_repository: bool,
    /// Elapsed time between two starts, 5 minutes to 31 days: `30m`, `6h` or `7d`.
    pub every: Option<String>,
    /// Minute, hour, day of the month, month and day of the week: `0 3 * * 1-5`.
    pub cron: Option<String>,
    /// First and last minute of a daily window, which may cross midnight: `02:00-02:59`.
    pub window: Option<String>,
    /// Least elapsed time between two starts in windows: `20h`.
    pub cooldown: Option<String>,
    /// Time zone of the IANA database, `UTC` by default: `Europe/Berlin`.
    pub zone: Option<String>,
}

/// A past time of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The latest due time: earlier ones may have passed while the server was down.
    pub at: Timestamp,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Missed,
    Ran(Starts),
}

/// Counts the repositories of a project by the answer to their start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    pub started: u32,
    /// Repositories whose last analysis still ran.
    pub running: u32,
    pub refused: u32,
    pub refusal: String,
    /// Whether these are runs of a template, and not analyses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub id: ScheduleId,
    pub spec: ScheduleSpec,
    pub paused: bool,
    /// When it is due. A paused schedule is only due if a user starts it.
    pub next: Option<Timestamp>,
    /// Starts of the due time may exist, so it cannot be missed any more.
    pub begun: bool,
    pub last: Option<Occurrence>,
    /// Times in a row at which each start was refused; missed times do not count.
    pub failures: u32,
    /// Runs of its last start, some of which may have been refused. While one is open, the next times are skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunId>,
    pub created: Timestamp,
    pub rev: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleCommand {
    Resume,
    Pause,
    /// Start it now.
    Run,
}

impl ScheduleSpec {
    /// `every 6h, UTC`.
    pub fn label(&self) -> String {
        let parts = [("every ", &self.every), ("", &self.cron), ("", &self.window), ("cooldown ", &self.cooldown)];
        let parts = parts.iter().filter_map(|(name, value)| Some(format!("{name}{}, ", value.as_deref()?)));
        let template = self.template.iter().map(|name| format!("{name}: "));
        template.chain(parts).chain([self.zone.as_deref().unwrap_or("UTC").to_owned()]).collect()
    }

    /// Whether only the times differ.
    pub fn has_same_action(&self, other: &Self) -> bool {
        (&self.template, &self.params, self.each_repository) == (&other.template, &other.params, other.each_repository)
    }
}

impl Starts {
    fn is_failure(&self) -> bool {
        self.started + self.running == 0
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed => write!(f, "Missed, because the server was down."),
            Self::Ran(starts) if starts.is_failure() => write!(f, "{}", starts.refusal),
            Self::Ran(Starts { started, running, refused, refusal, runs }) => {
                let things = if *runs { "Runs" } else { "Analyses" };
                write!(f, "{things} started: {started}, still running: {running}")?;
                if *refused == 0 { write!(f, ".") } else { write!(f, ", refused: {refused}. {refusal}") }
            }
        }
    }
}

impl Schedule {
    /// A new schedule is paused.
    pub fn new(id: ScheduleId, created: Timestamp) -> Self {
        let (spec, runs) = (ScheduleSpec::default(), Vec::new());
        Self { id, spec, paused: true, next: None, begun: false, last: None, failures: 0, runs, created, rev: 0 }
    }

    /// An equal spec changes nothing, so that a repeat does not move the next time.
    pub fn set_spec(self, spec: ScheduleSpec, now: Timestamp) -> Result<Self, SettingFault> {
        if self.rev > 0 && self.spec == spec {
            return Ok(self);
        }
        if spec.label().len() > MAX_LABEL_BYTES {
            return fault("", "use at most 200 bytes for the times");
        }
        let schedule = Self { spec, ..self }.reschedule(now)?;
        if schedule.upcoming(now)?.windows(2).any(|pair| pair[1].at.since(pair[0].at) < MIN_INTERVAL) {
            return fault("/cron", "use times that are at least five minutes apart");
        }
        Ok(schedule)
    }

    pub fn apply(self, command: ScheduleCommand, now: Timestamp) -> Result<Self, SettingFault> {
        match command {
            ScheduleCommand::Resume if !self.paused => Ok(self),
            ScheduleCommand::Resume => Self { paused: false, failures: 0, ..self }.reschedule(now),
            ScheduleCommand::Pause => Ok(Self { paused: true, next: None, begun: false, ..self }),
            ScheduleCommand::Run => {
                // A repeat continues the start that a crash stopped.
                let is_due = self.is_due(now) && self.is_in_time(now)?;
                Ok(Self { next: if is_due { self.next } else { Some(now) }, begun: true, ..self })
            }
        }
    }

    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|due| due <= now)
    }

    /// Computes the next time by a clock that was set back, which is before the last time. `None` if it was not. Servers
    /// whose clocks differ by less than the shortest interval start no time twice.
    pub fn after_clock_was_set_back(&self, now: Timestamp) -> Result<Option<Self>, SettingFault> {
        let last_change = self.last.as_ref().map_or(self.created, |last| last.at);
        if self.begun || self.next.is_none() || last_change <= now.plus(MIN_INTERVAL) {
            return Ok(None);
        }
        let last = self.last.clone().map(|last| Occurrence { at: now, ..last });
        Self { last, created: self.created.min(now), ..self.clone() }.reschedule(now).map(Some)
    }

    /// Whether another time was due since the current one.
    pub fn is_replaced(&self, now: Timestamp) -> bool {
        self.latest(now) != self.next
    }

    /// Records the outcome of the due time, and computes the next one.
    pub fn finish(self, outcome: Outcome, now: Timestamp) -> Result<Self, SettingFault> {
        let failures = match &outcome {
            Outcome::Missed => self.failures,
            Outcome::Ran(starts) if starts.is_failure() => self.failures + 1,
            Outcome::Ran(_) => 0,
        };
        let last = self.latest(now).map(|at| Occurrence { at, outcome });
        Self { last, failures, paused: self.paused || failures >= MAX_FAILURES, ..self }.reschedule(now)
    }

    pub fn is_failed(&self) -> bool {
        self.paused && self.failures >= MAX_FAILURES
    }

    /// A sentence about the last time.
    pub fn result(&self) -> Option<String> {
        let outcome = &self.last.as_ref()?.outcome;
        Some(match self.is_failed() {
            true => format!("Paused after {} failures in a row: {outcome}", self.failures),
            false => outcome.to_string(),
        })
    }

    fn reschedule(self, now: Timestamp) -> Result<Self, SettingFault> {
        // A missed time started nothing, so the cooldown does not count from it.
        let last = self.last.as_ref().filter(|last| last.outcome != Outcome::Missed);
        let next = self.next_after(now, last.map(|last| last.at))?;
        Ok(Self { next: (!self.paused).then_some(next), begun: false, ..self })
    }
}

#[cfg(test)]
mod tests;
