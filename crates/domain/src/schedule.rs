//! Schedules, which start analyses of a project's repositories at recurring times.

mod times;

use crate::id::{ProjectId, ScheduleName};
use crate::setting_fault::SettingFault;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
pub use times::ScheduleTime;

/// Failures in a row after which a schedule is paused.
const MAX_FAILURES: u32 = 5;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScheduleId {
    pub project: ProjectId,
    pub name: ScheduleName,
}

/// What a schedule starts, and when: one of `every`, `cron`, and `window` with `cooldown`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Start an analysis of each connected repository of the project, at most 100.
    pub analyse: bool,
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

/// What happened at a time of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it was due.
    pub at: Timestamp,
    pub started: u32,
    /// Repositories whose last analysis still ran.
    pub skipped: u32,
    pub sentence: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub id: ScheduleId,
    pub spec: ScheduleSpec,
    pub paused: bool,
    /// When it is due. A paused schedule is only due if a user starts it.
    pub next: Option<Timestamp>,
    pub last: Option<Occurrence>,
    /// Times in a row at which each start was refused.
    pub failures: u32,
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

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

impl ScheduleSpec {
    /// `every 6h, UTC`.
    pub fn label(&self) -> String {
        let parts = [("every ", &self.every), ("", &self.cron), ("", &self.window), ("cooldown ", &self.cooldown)];
        let parts = parts.iter().filter_map(|(name, value)| Some(format!("{name}{}, ", value.as_deref()?)));
        parts.chain([self.zone.as_deref().unwrap_or("UTC").to_owned()]).collect()
    }
}

impl Schedule {
    /// A new schedule is paused.
    pub fn new(id: ScheduleId, created: Timestamp) -> Self {
        let spec = ScheduleSpec::default();
        Self { id, spec, paused: true, next: None, last: None, failures: 0, created, rev: 0 }
    }

    pub fn set_spec(self, spec: ScheduleSpec, now: Timestamp) -> Result<Self, SettingFault> {
        Self { spec, ..self }.reschedule(now)
    }

    pub fn apply(self, command: ScheduleCommand, now: Timestamp) -> Result<Self, SettingFault> {
        match command {
            ScheduleCommand::Resume => Self { paused: false, failures: 0, ..self }.reschedule(now),
            ScheduleCommand::Pause => Ok(Self { paused: true, next: None, ..self }),
            // A repeat continues the start that a crash stopped.
            ScheduleCommand::Run => Ok(Self { next: self.next.filter(|due| *due <= now).or(Some(now)), ..self }),
        }
    }

    /// Records what happened at the due time, and computes the next one. `refusal` is that of a start.
    pub fn finish(
        self,
        (started, skipped): (u32, u32),
        refusal: Option<String>,
        now: Timestamp,
    ) -> Result<Self, SettingFault> {
        let failures = self.failures + 1;
        let (failures, sentence) = match (started, skipped, refusal) {
            (0, 0, None) => (0, "Missed, because the server was down.".into()),
            (0, 0, Some(refusal)) if failures < MAX_FAILURES => (failures, refusal),
            (0, 0, Some(refusal)) => (failures, format!("Paused after {failures} failures in a row: {refusal}")),
            (0, ..) => (0, "Started nothing, because the last analyses still run.".into()),
            _ => (0, format!("Analyses started: {started}, still running: {skipped}.")),
        };
        let last = self.next.map(|at| Occurrence { at, started, skipped, sentence });
        Self { last, failures, paused: self.paused || failures >= MAX_FAILURES, ..self }.reschedule(now)
    }

    fn reschedule(self, now: Timestamp) -> Result<Self, SettingFault> {
        // A missed time started nothing, so the cooldown does not count from it.
        let last = self.last.as_ref().filter(|last| last.started + last.skipped + self.failures > 0);
        let next = self.next_after(now, last.map(|last| last.at))?;
        Ok(Self { next: (!self.paused).then_some(next), ..self })
    }
}

#[cfg(test)]
mod tests;
