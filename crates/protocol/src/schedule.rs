//! Schedules: `/v1/schedules…`.

use pullyard_domain::project::schedule as domain;
use pullyard_domain::project::schedule::{ScheduleSpec, ScheduleTime};
use pullyard_domain::text::id::{ProjectId, ScheduleName};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use serde::{Deserialize, Serialize};

/// A schedule of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Schedule {
    /// The project.
    pub project: ProjectId,
    /// Its name in the project.
    pub name: ScheduleName,
    /// Its action and its times.
    pub spec: ScheduleSpec,
    /// Whether it only starts on request.
    pub paused: bool,
    /// The next five times; those of a paused schedule if it were resumed now.
    pub next: Vec<ScheduleTime>,
    /// The last time.
    #[serde(with = "OptionalWireTime")]
    pub last_at: Option<Timestamp>,
    /// A sentence about the last time.
    pub last: Option<String>,
}

impl Schedule {
    /// A stored schedule with its times after `now`.
    pub fn new(schedule: domain::Schedule, now: Timestamp) -> Self {
        let next = schedule.upcoming(now).unwrap_or_default();
        let (last, last_at) = (schedule.result(), schedule.last.as_ref().map(|last| last.at));
        let domain::Schedule { id: domain::ScheduleId { project, name }, spec, paused, .. } = schedule;
        Self { project, name, spec, paused, next, last_at, last }
    }
}

/// Answer to `GET /v1/schedules/{project}` and `POST /v1/due-schedules/run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Schedules {
    /// By name; or those that were due.
    pub schedules: Vec<Schedule>,
}
