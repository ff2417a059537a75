//! A self-hosted runner as the control plane knows it: who it is, whether it can be counted on, and what
//! it may do next.
//!
//! Every step is a pure function of the runner as stored; the store only proves that what was read is
//! still there. What a sweep does about runners is decided in [`sweep`](self::sweep).

pub mod sweep;

use crate::id::{ClaimId, InstanceId, JobId, ProjectId, RunnerId};
use crate::text::Span;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Silent for this long, a runner counts as Offline.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(90);

/// How often a runner that runs nothing is to be heard: two heartbeats may be lost.
pub const HEARTBEAT_IDLE: Duration = Duration::from_secs(30);

/// How often a runner with a job is to be heard.
pub const HEARTBEAT_BUSY: Duration = Duration::from_secs(10);

/// How long a runner waits after a claim that got nothing.
pub const POLL: Duration = Duration::from_secs(3);

/// The most jobs one runner may run at once.
pub const MOST_SLOTS: u32 = 12;

/// How many of a runner's claims that got a job are known: more than it can make while a repeat of one is on its way.
pub const CLAIMS_KEPT: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Online,
    /// It was silent for too long, or said goodbye.
    Offline,
    Deleting,
}

/// The part of a runner that changes at every claim and heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    pub id: RunnerId,
    /// Unique among runners; also in its profile, here for sentences.
    pub name: String,
    /// The hash of its token: once that is taken back, it loses its jobs.
    pub token: String,
    pub status: Presence,
    /// Raised whenever it is taken Offline or over, so that ends decided for an earlier life are refused.
    pub epoch: u32,
    /// The process that speaks for it; another one is an older or a copied one.
    pub instance: InstanceId,
    pub last_heartbeat: Timestamp,
    /// It has sent a heartbeat since it was first registered.
    pub heard: bool,
    pub slots: BTreeMap<JobId, Slot>,
    /// What it said it runs when it was last heard. A slot that is missing here has lost its process.
    pub active: BTreeSet<JobId>,
    pub max: u32,
    /// It says that it finishes what it has and takes nothing.
    pub draining: bool,
    /// People want it to take nothing more. A level, not a message: told in every heartbeat's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Its jobs are not failed before: many fell silent at once, or the sweeper itself was late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spared_until: Option<Timestamp>,
    /// Its newest claims that got a job, the newest last: a repeat of one never gets a second job, however late it
    /// comes. At least [`CLAIMS_KEPT`], once there were so many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimId>,
}

/// That people want a runner to take nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub by: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub attempt: u32,
    pub claim: ClaimId,
    /// The job's project, for who may see it.
    pub project: ProjectId,
    pub since: Timestamp,
}

/// The part of a runner that changes when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub id: RunnerId,
    pub name: String,
    /// The agents it can drive.
    pub capabilities: BTreeSet<String>,
    /// Tags that jobs may require.
    pub labels: BTreeSet<String>,
    pub version: String,
    /// The projects its token was for when it registered; none means all. For looking only: a claim asks
    /// the token itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<BTreeSet<ProjectId>>,
}

impl Profile {
    pub fn serves(&self, project: &ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(project))
    }
}

/// A process that introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The runner, made of token and name.
    pub id: RunnerId,
    pub name: String,
    /// The hash of its token.
    pub token: String,
    pub instance: InstanceId,
    pub max: u32,
    /// Jobs that outlived an earlier process.
    pub active: BTreeSet<JobId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub instance: InstanceId,
    pub active: BTreeSet<JobId>,
    pub draining: bool,
    pub last: bool,
}

/// Why a runner is not let in, or not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another process of the same name is still heard.
    Live {
        name: String,
        ago: Span,
    },
    /// The name belongs to a runner of another token.
    NameTaken {
        name: String,
    },
    /// Another process has taken over.
    Replaced {
        name: String,
    },
    Deleting {
        name: String,
    },
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Live { .. } => "runner_live",
            Self::NameTaken { .. } => "name_taken",
            Self::Replaced { .. } => "runner_replaced",
            Self::Deleting { .. } => "runner_deleting",
        }
    }

    pub fn sentence(&self) -> String {
        use crate::text::Fact;
        match self {
            Self::Live { name, ago } => {
                format!("Another process of the runner {name} was heard {} ago and is not replaced.", ago.say())
            }
            Self::NameTaken { name } => format!("The name {name} belongs to a runner of another token."),
            Self::Replaced { name } => format!("Another process of the runner {name} has taken over from this one."),
            Self::Deleting { name } => format!("The runner {name} is being removed."),
        }
    }

    pub fn help(&self) -> &'static str {
        match self {
            Self::Live { .. } => {
                "Stop the other one, give this one another name, or wait until the other was silent for 90 s."
            }
            Self::NameTaken { .. } => "Use that token, choose another name, or delete the other runner.",
            Self::Replaced { .. } => "Nothing to do if it was restarted; two processes must not share a name.",
            Self::Deleting { .. } => "Stop it; the name is free in a minute.",
        }
    }
}

/// Why a runner gets no job now, whatever is Ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Draining,
    /// Every slot has a job.
    Full,
    /// It counts as Offline; its next heartbeat changes that.
    Silent,
    /// This very claim got a job before, which has ended since.
    Answered,
}

/// Refuses what can't be a runner's name.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    InstanceId::new(name).map(|_| ()).map_err(|bad| bad.0)
}

impl Runner {
    /// It can be counted on. Asked at reading too: the sweeper may be late or down.
    pub fn is_online(&self, now: Timestamp) -> bool {
        self.status == Presence::Online && !self.is_silent(now)
    }

    pub(crate) fn is_silent(&self, now: Timestamp) -> bool {
        now.since(self.last_heartbeat) > OFFLINE_AFTER
    }

    pub fn was_heard(&self) -> bool {
        self.heard || !self.claims.is_empty()
    }

    /// It takes nothing, by its own or by its people's wish.
    pub fn is_draining(&self) -> bool {
        self.draining || self.drain.is_some()
    }

    pub fn free(&self) -> u32 {
        self.max.saturating_sub(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    /// A process introduces itself: the first one of a new runner, one that takes over from another that is
    /// gone, or the one that is registered, again.
    ///
    /// A takeover keeps the slots; those that the new process does not run are ended by the sweeper.
    /// The same process again is a daemon that was killed and goes on: the runner is the same, and is now
    /// what it says.
    pub fn registered(seen: Option<&Self>, new: Introduction, now: Timestamp) -> Result<Self, Refusal> {
        let Introduction { id, name, token, instance, max, active } = new;
        let Some(old) = seen else {
            return Ok(Self {
                id,
                name,
                token,
                status: Presence::Online,
                epoch: 1,
                instance,
                last_heartbeat: now,
                heard: false,
                slots: BTreeMap::new(),
                active,
                max,
                draining: false,
                drain: None,
                spared_until: None,
                claims: Vec::new(),
            });
        };
        if old.status == Presence::Deleting {
            return Err(Refusal::Deleting { name });
        }
        let lives = old.is_online(now);
        if lives && old.instance != instance {
            return Err(Refusal::Live { name, ago: now.since(old.last_heartbeat).into() });
        }
        // Its id is made of its name and its token, so that these are the same.
        Ok(Self {
            status: Presence::Online,
            // What was decided about its silence is void; where it was not silent, nothing was.
            epoch: if lives { old.epoch } else { old.epoch + 1 },
            instance,
            last_heartbeat: now.max(old.last_heartbeat),
            active,
            max,
            draining: false,
            spared_until: None,
            ..old.clone()
        })
    }

    /// It is heard: whatever it was, it is Online again, unless these were its last words.
    pub fn heard(&self, said: Heartbeat, now: Timestamp) -> Result<Self, Refusal> {
        self.must_be_spoken_for_by(&said.instance)?;
        let mut runner = self.clone();
        runner.last_heartbeat = now.max(self.last_heartbeat);
        runner.heard = true;
        runner.active = said.active;
        runner.draining = said.draining;
        runner.spared_until = None;
        runner.claims.drain(..runner.claims.len().saturating_sub(CLAIMS_KEPT));
        runner.status = if said.last { Presence::Offline } else { Presence::Online };
        if said.last && self.status == Presence::Online {
            runner.epoch += 1;
        }
        if let Some(drain) = &mut runner.drain {
            drain.acknowledged = drain.acknowledged.filter(|_| said.draining).or(said.draining.then_some(now));
        }
        Ok(runner)
    }

    pub fn next_heartbeat(&self) -> Duration {
        if self.slots.is_empty() && self.active.is_empty() { HEARTBEAT_IDLE } else { HEARTBEAT_BUSY }
    }

    /// The job that this claim got before, if it still has the slot.
    pub fn claimed_by(&self, claim: &ClaimId) -> Option<(&JobId, &Slot)> {
        self.slots.iter().find(|(_, slot)| slot.claim == *claim)
    }

    /// Whether a claim of this process may look for a job.
    pub fn may_claim(&self, instance: &InstanceId, claim: &ClaimId, now: Timestamp) -> Result<Option<Closed>, Refusal> {
        self.must_be_spoken_for_by(instance)?;
        Ok(if !self.is_online(now) {
            // The sweeper may be about to end what it has; a job given now would be ended with it.
            Some(Closed::Silent)
        } else if self.claims.contains(claim) {
            Some(Closed::Answered)
        } else if self.is_draining() {
            Some(Closed::Draining)
        } else if self.free() == 0 {
            Some(Closed::Full)
        } else {
            None
        })
    }

    fn must_be_spoken_for_by(&self, instance: &InstanceId) -> Result<(), Refusal> {
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
