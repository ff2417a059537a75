//! A self-hosted runner: identity, presence and slots.
//! Each transition is a pure function of the stored runner, and the store only checks that the runner is unchanged.
//! `job::sweep::runners` decides how the sweeper handles runners.

pub mod order;

use crate::text::id::{ClaimId, InstanceId, JobId, MailboxId, ProjectId, RunnerId};
use crate::text::time::Timestamp;
use crate::text::{Span, truncate};
use order::{Order, OrderKind, OrderReport, Updates};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Silence after which a runner that states no other time is Offline, and an attempt without a runner is silent.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(90);

/// The times that a runner may state. A shorter one would not survive a pause of the sweeper, see
/// `sweep::runners::MAX_SWEEP_GAP`.
pub const OFFLINE_AFTER_SECS: RangeInclusive<u64> = 90..=3_600;

/// Heartbeat interval of an idle runner. Two heartbeats may be lost, as no runner states less than [`OFFLINE_AFTER`].
pub const HEARTBEAT_IDLE: Duration = Duration::from_secs(30);

pub const HEARTBEAT_BUSY: Duration = Duration::from_secs(10);

/// A gap of this length between heartbeats may be a suspended machine. More than an idle heartbeat that is late. A
/// shorter suspension makes no attempt silent for [`OFFLINE_AFTER`].
pub(crate) const MAX_HEARTBEAT_GAP: Duration = Duration::from_secs(45);

pub const CLAIM_INTERVAL: Duration = Duration::from_secs(3);

/// Interval of claims while a runner waits for hints, in case all are lost.
pub const SAFETY_CLAIM_INTERVAL: Duration = Duration::from_secs(60);

pub const MAX_SLOTS: u32 = 12;

/// Number of successful claims stored per runner: more than it makes during the retry of a claim.
pub const MIN_REMEMBERED_CLAIMS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Online,
    Offline,
    Deleting,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    pub id: RunnerId,
    /// Unique among runners. Copied from the profile for messages.
    pub name: String,
    /// The hash of its token. When the token is revoked, the runner loses its jobs.
    pub token: String,
    pub status: Presence,
    /// Raised when the runner goes Offline or is replaced, so that decisions about its earlier life are refused.
    pub epoch: u32,
    /// The process that acts as the runner. Any other process is outdated or a copy.
    pub instance: InstanceId,
    pub last_heartbeat: Timestamp,
    #[serde(rename = "heard")]
    pub has_sent_heartbeat: bool,
    /// Since when its heartbeats have no gap. Before that its machine may have been suspended. `None`: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_since: Option<Timestamp>,
    pub slots: BTreeMap<JobId, Slot>,
    /// The jobs of its last heartbeat. A slot whose job is missing here has lost its process.
    pub active: BTreeSet<JobId>,
    pub max: u32,
    pub draining: bool,
    /// An operator wants that. Every answer to a heartbeat repeats it.
    pub drain: Option<Drain>,
    /// Its jobs do not fail before this time, because many runners fell silent at once or the sweeper was late.
    pub spared_until: Option<Timestamp>,
    /// The newest successful claims, at least [`MIN_REMEMBERED_CLAIMS`], so that a repeated claim gets no second job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimId>,
    /// `None` until the runner registers with a server that makes mailboxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<MailboxId>,
    /// See `Runner::offline_after`. `None`: [`OFFLINE_AFTER`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_secs: Option<u64>,
    /// The newest order of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// `None` for a program that knows no orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updates>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub by: String,
    pub at: Timestamp,
    pub acknowledged: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub attempt: u32,
    pub claim: ClaimId,
    pub project: ProjectId,
    pub since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub id: RunnerId,
    pub name: String,
    pub capabilities: BTreeSet<String>,
    pub labels: BTreeSet<String>,
    pub version: String,
    pub projects: Option<BTreeSet<ProjectId>>,
    /// `None` if the runner reported none.
    pub isolation: Option<RunnerIsolation>,
}

/// Isolation of a runner's agents from its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunnerIsolation {
    /// `bubblewrap`, `external` or `none`.
    pub level: String,
    /// Result of the check at the runner's start, such as `16 of 16 attacks stopped; limits: per process`.
    pub result: String,
}

impl RunnerIsolation {
    /// Cuts the runner's texts, so that the item stays small.
    #[must_use]
    pub fn truncate_texts(&self) -> Self {
        Self { level: truncate(&self.level, 64), result: truncate(&self.result, 300) }
    }

    /// Whether agents have the rights of the runner's user.
    pub fn is_none(&self) -> bool {
        self.level == "none"
    }
}

impl Profile {
    pub fn includes_project(&self, project: &ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(project))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerRegistration {
    /// Derived from token and name.
    pub id: RunnerId,
    pub name: String,
    pub token: String,
    pub instance: InstanceId,
    pub max_slots: u32,
    /// Jobs that survived an earlier process.
    pub active_jobs: BTreeSet<JobId>,
    /// For a runner that has none.
    pub new_mailbox: MailboxId,
    pub offline_secs: Option<u64>,
    pub updates: Option<Updates>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub instance: InstanceId,
    pub active_jobs: BTreeSet<JobId>,
    pub draining: bool,
    pub is_sign_off: bool,
    pub order: Option<OrderReport>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    AlreadyOnline {
        name: String,
        ago: Span,
        left: Span,
    },
    NameTaken {
        name: String,
    },
    /// A runner of another instance has the name. It may be asleep.
    NameUsed {
        name: String,
    },
    Replaced {
        name: String,
    },
    Deleting {
        name: String,
    },
    Offline {
        name: String,
    },
    OrdersUnsupported {
        name: String,
        version: String,
    },
    OrderAccepted {
        name: String,
        kind: OrderKind,
        by: String,
    },
    UpdateNotAllowed {
        name: String,
    },
    RunsAlready {
        name: String,
        version: String,
    },
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyOnline { .. } => "runner_live",
            Self::NameTaken { .. } => "name_taken",
            Self::NameUsed { .. } => "name_used",
            Self::Replaced { .. } => "runner_replaced",
            Self::Deleting { .. } => "runner_deleting",
            Self::Offline { .. } => "runner_offline",
            Self::OrdersUnsupported { .. } => "orders_unsupported",
            Self::OrderAccepted { .. } => "order_accepted",
            Self::UpdateNotAllowed { .. } => "update_not_allowed",
            Self::RunsAlready { .. } => "version_runs",
        }
    }

    pub fn sentence(&self) -> String {
        use crate::text::Fact;
        match self {
            Self::AlreadyOnline { name, ago, left } => format!(
                "A process of runner {name} sent a heartbeat {} ago and may still run; the name is free in {}.",
                ago.render(),
                left.render()
            ),
            Self::NameTaken { name } => format!("The name {name} belongs to a runner of another token."),
            Self::NameUsed { name } => format!("The name {name} belongs to another runner, which may be asleep."),
            Self::Replaced { name } => format!("Another process has replaced this process of runner {name}."),
            Self::Deleting { name } => format!("The runner {name} is being removed."),
            Self::Offline { name } => format!("{name} is offline."),
            Self::OrdersUnsupported { name, version } => {
                format!(
                    "{name} carries out no orders: it runs with --once, its release {version} is too old, or the control \
                     plane was older when it started."
                )
            }
            Self::OrderAccepted { name, kind: OrderKind::Restart, by } => {
                format!("{name} is restarting already, as {by} requested.")
            }
            Self::OrderAccepted { name, kind: OrderKind::Update, by } => {
                format!("{name} is being updated already, as {by} requested.")
            }
            Self::UpdateNotAllowed { name } => format!("{name} does not accept updates."),
            Self::RunsAlready { name, version } => format!("{name} runs {version} already."),
        }
    }

    pub fn help(&self) -> &'static str {
        match self {
            Self::AlreadyOnline { .. } => {
                "Stop that process or wait; if it has ended, `pullyard runners delete NAME` ends its jobs and frees the name within a minute."
            }
            Self::NameTaken { .. } => {
                "Use that token or another name; if the token is new, `pullyard runners delete NAME` frees the name."
            }
            Self::NameUsed { .. } => "Choose another name, or delete the other runner.",
            Self::Replaced { .. } => "Expected after a restart. Two processes must not share a name.",
            Self::Deleting { .. } => "Stop it; the name is free in a minute.",
            Self::Offline { .. } => "Start it on its machine.",
            Self::OrdersUnsupported { .. } => "On its machine, start it again: without --once, and as a newer release.",
            Self::OrderAccepted { .. } => {
                "Wait until `pullyard runners show NAME` names its end. On its machine, a restart of the runner ends it."
            }
            Self::UpdateNotAllowed { .. } => {
                "Its owner starts it with --allow-remote-update. In a container, its program or image is replaced instead."
            }
            Self::RunsAlready { .. } => "Nothing to do; `pullyard runners restart NAME` starts it again.",
        }
    }
}

/// Why a runner gets no job, even if jobs are Ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoClaim {
    Draining,
    Full,
    Silent,
    /// This claim got a job before, and that job has ended.
    AlreadyClaimed,
}

pub fn validate_name(name: &str) -> Result<(), &'static str> {
    InstanceId::new(name).map(|_| ()).map_err(|bad| bad.0)
}

impl Runner {
    /// Also checked on reads, because the sweeper may be late.
    pub fn is_online(&self, now: Timestamp) -> bool {
        self.status == Presence::Online && !self.is_silent(now)
    }

    pub(crate) fn is_silent(&self, now: Timestamp) -> bool {
        now.since(self.last_heartbeat) > self.offline_after()
    }

    /// Whether its jobs continue if it sends a heartbeat now.
    pub(crate) fn may_return(&self, now: Timestamp) -> bool {
        match self.status {
            Presence::Online => true,
            Presence::Offline => self.spared_until.is_some_and(|until| now < until),
            Presence::Deleting => false,
        }
    }

    /// The silence after which it is Offline and loses its jobs.
    pub fn offline_after(&self) -> Duration {
        self.offline_secs.map_or(OFFLINE_AFTER, Duration::from_secs)
    }

    /// `steady_since` with a heartbeat at `now`.
    fn steady_since_at(&self, now: Timestamp) -> Option<Timestamp> {
        if now.since(self.last_heartbeat) > MAX_HEARTBEAT_GAP { Some(now) } else { self.steady_since }
    }

    /// How long it has sent heartbeats since `since` without a gap.
    pub(crate) fn alive_for(&self, since: Timestamp) -> Duration {
        let since = self.steady_since.map_or(since, |steady| steady.max(since));
        if self.status == Presence::Online { self.last_heartbeat.since(since) } else { Duration::ZERO }
    }

    pub fn has_been_seen(&self) -> bool {
        self.has_sent_heartbeat || !self.claims.is_empty()
    }

    pub fn is_draining(&self) -> bool {
        self.draining || self.drain.is_some()
    }

    pub fn free_slots(&self) -> u32 {
        self.max.saturating_sub(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    /// Whether a hint may bring it a job.
    pub fn waits_for_hints(&self, now: Timestamp) -> bool {
        self.mailbox.is_some() && self.is_online(now) && !self.is_draining() && self.free_slots() > 0
    }

    /// Registers the process of a new runner, a replacement for a dead process, or the known process again.
    /// A replacement keeps the slots, and the sweeper ends those that the new process does not run. The known process
    /// registers again after a daemon was killed and continues. The runner's state follows the registration.
    pub fn register(existing: Option<&Self>, new: RunnerRegistration, now: Timestamp) -> Result<Self, Refusal> {
        let RunnerRegistration { id, name, token, instance, max_slots: max, active_jobs, new_mailbox, .. } = new;
        let (offline_secs, updates) = (new.offline_secs, new.updates);
        let Some(old) = existing else {
            return Ok(Self {
                id,
                name,
                token,
                status: Presence::Online,
                epoch: 1,
                instance,
                last_heartbeat: now,
                has_sent_heartbeat: false,
                steady_since: None,
                slots: BTreeMap::new(),
                active: active_jobs,
                max,
                draining: false,
                drain: None,
                spared_until: None,
                claims: Vec::new(),
                mailbox: Some(new_mailbox),
                offline_secs,
                order: None,
                updates,
            });
        };
        if old.status == Presence::Deleting {
            return Err(Refusal::Deleting { name });
        }
        let is_alive = old.is_online(now);
        if is_alive && old.instance != instance {
            return Err(old.refuse_name(now));
        }
        let order = order::after_registration(old, &instance, updates);
        // `id` and `token` stay, because the id is derived from token and name.
        Ok(Self {
            status: Presence::Online,
            // A higher epoch cancels decisions about the runner's silence. Without silence there are none.
            epoch: if is_alive { old.epoch } else { old.epoch + 1 },
            instance,
            steady_since: old.steady_since_at(now),
            last_heartbeat: now.max(old.last_heartbeat),
            active: active_jobs,
            max,
            draining: false,
            spared_until: None,
            mailbox: old.mailbox.clone().or(Some(new_mailbox)),
            offline_secs,
            order,
            updates,
            ..old.clone()
        })
    }

    /// Whether a program that is not registered yet may use this runner's name. Stricter than `register`, because a
    /// runner that is Offline may be on another machine, which sleeps.
    pub fn check_name(&self, instance: &InstanceId, now: Timestamp) -> Result<(), Refusal> {
        let name = self.name.clone();
        if self.status == Presence::Deleting {
            return Err(Refusal::Deleting { name });
        }
        if self.instance == *instance {
            return Ok(());
        }
        Err(if self.is_online(now) { self.refuse_name(now) } else { Refusal::NameUsed { name } })
    }

    fn refuse_name(&self, now: Timestamp) -> Refusal {
        let ago = now.since(self.last_heartbeat);
        let left = self.offline_after().saturating_sub(ago).into();
        Refusal::AlreadyOnline { name: self.name.clone(), ago: ago.into(), left }
    }

    /// Records a heartbeat. The runner is Online again, unless it signs off.
    pub fn with_heartbeat(&self, heartbeat: Heartbeat, now: Timestamp) -> Result<Self, Refusal> {
        self.check_instance(&heartbeat.instance)?;
        let mut runner = self.clone();
        runner.steady_since = self.steady_since_at(now);
        runner.last_heartbeat = now.max(self.last_heartbeat);
        runner.has_sent_heartbeat = true;
        runner.active = heartbeat.active_jobs;
        runner.draining = heartbeat.draining;
        runner.spared_until = None;
        runner.claims.drain(..runner.claims.len().saturating_sub(MIN_REMEMBERED_CLAIMS));
        runner.status = if heartbeat.is_sign_off { Presence::Offline } else { Presence::Online };
        if heartbeat.is_sign_off && self.status == Presence::Online {
            runner.epoch += 1;
        }
        if let Some(drain) = &mut runner.drain {
            drain.acknowledged =
                drain.acknowledged.filter(|_| heartbeat.draining).or(heartbeat.draining.then_some(now));
        }
        if let Some((order, report)) = self.order.as_ref().zip(heartbeat.order.as_ref()) {
            runner.order = order.after_report(report).or(runner.order);
        }
        Ok(runner)
    }

    /// The jobs with a process that the runner does not hold any more.
    pub fn ended_jobs(&self) -> BTreeSet<JobId> {
        self.active.iter().filter(|job| !self.slots.contains_key(job)).cloned().collect()
    }

    pub fn heartbeat_interval(&self) -> Duration {
        if self.slots.is_empty() && self.active.is_empty() { HEARTBEAT_IDLE } else { HEARTBEAT_BUSY }
    }

    /// The job that this claim got before, if it still has the slot.
    pub fn slot_of_claim(&self, claim: &ClaimId) -> Option<(&JobId, &Slot)> {
        self.slots.iter().find(|(_, slot)| slot.claim == *claim)
    }

    pub fn check_claim(
        &self,
        instance: &InstanceId,
        claim: &ClaimId,
        now: Timestamp,
    ) -> Result<Option<NoClaim>, Refusal> {
        self.check_instance(instance)?;
        Ok(if !self.is_online(now) {
            // The sweeper may be about to end its jobs, and would end a new one as well.
            Some(NoClaim::Silent)
        } else if self.claims.contains(claim) {
            Some(NoClaim::AlreadyClaimed)
        } else if self.is_draining() {
            Some(NoClaim::Draining)
        } else if self.free_slots() == 0 {
            Some(NoClaim::Full)
        } else {
            None
        })
    }

    fn check_instance(&self, instance: &InstanceId) -> Result<(), Refusal> {
        if self.status == Presence::Deleting {
            return Err(Refusal::Deleting { name: self.name.clone() });
        }
        if self.instance != *instance {
            return Err(Refusal::Replaced { name: self.name.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
