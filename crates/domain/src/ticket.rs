//! A ticket as the control plane knows it: where it is, what runs for it, what it should show.
//!
//! Its text lives elsewhere: an update of this is charged for the whole of it.

use crate::budget::Day;
use crate::id::{EventId, JobId, ProjectId, TicketKey};
use crate::project::{Project, Settings};
use crate::pull_request::PullRequestLink;
use crate::pull_request_id::PullRequestId;
use crate::time::Timestamp;
use crate::wait::Wait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of how many pull requests of one ticket reviews may wait.
pub const MOST_DEFERRED: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub project: ProjectId,
    pub key: TicketKey,
    pub status: String,
    pub seen_at: Timestamp,
    /// The event that said so.
    pub seen_event: Option<EventId>,
    /// The status we wrote last, until the first event after it: that one is our own echo.
    pub written: Option<String>,
    /// The entry into the trigger status that made the newest job.
    pub last_entry: Option<Entry>,
    /// An entry that happened while a job was active, or while the project may start nothing; settled when
    /// that is over.
    pub again: Option<Entry>,
    /// The project may start nothing, so `again` waits until it may; without a job in the way.
    #[serde(default)]
    pub held: bool,
    /// The badge that the end of a job held back because of `again`; shown if that leads to no job.
    pub owed: Option<Badge>,
    /// Reviews of these pull requests wait, each until then: `gh1/99/231`.
    /// Stored even if it is empty: an update reaches into it.
    #[serde(default)]
    pub deferred: BTreeMap<String, Timestamp>,
    /// The one job that has not ended.
    pub active_job: Option<JobId>,
    /// The status in which that job found the ticket: the only one its end may move it from.
    pub found_in: Option<String>,
    /// The last job that ended.
    pub last_job: Option<LastJob>,
    pub branches: u32,
    /// The newest pull request linked to it.
    pub pull_request: Option<PullRequestLink>,
    pub wanted: Wanted,
    pub shown: Shown,
    /// The version of `wanted` that was written back.
    pub synced_version: u32,
    /// Failed tries to settle it, since the last success.
    pub tries: u32,
    /// Not to be settled before.
    pub not_before: Option<Timestamp>,
    pub rev: u64,
}

/// One entry of a ticket into the trigger status: the identity of the job it makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    /// The event that told it.
    pub event: EventId,
}

/// The last job of a ticket that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastJob {
    pub id: JobId,
    pub outcome: LastOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastOutcome {
    Completed,
    Failed,
    Cancelled,
}

/// A mark on the ticket that people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Badge {
    AiFailed,
    /// The job stands still until a person speaks.
    AiWaiting,
}

impl Badge {
    pub fn words(self) -> &'static str {
        match self {
            Self::AiFailed => "AI Failed",
            Self::AiWaiting => "AI Waiting",
        }
    }
}

/// What the ticket tool should show. Higher versions replace lower ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub version: u32,
    /// Where the ticket should move, if it is still where its job found it.
    pub status: Option<Move>,
    pub badge: Option<Badge>,
}

/// Where a ticket should move. The status itself is read from the settings when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// To which of the project's statuses.
    pub to: Target,
    /// Only from this status: a person's move in the meantime wins.
    pub expected: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Todo,
    Completion,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub badge: Option<Badge>,
    pub pull_request: Option<PullRequestLink>,
}

/// What a ticket needs now that no job is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Its tool does not show what it should: this is the ticket once it does.
    WriteBack(Box<Ticket>),
    /// It was moved into the trigger status again while its last job ran.
    Enter(Entry),
    /// That second entry leads nowhere any more: this is the ticket without it.
    Forget(Box<Ticket>),
    /// Reviews of this pull request waited until now.
    Revise(PullRequestId),
    /// This is the ticket without what names no pull request.
    Mend(Box<Ticket>),
    Nothing,
}

impl Ticket {
    /// A ticket seen for the first time.
    pub fn first_seen(
        project: ProjectId,
        key: TicketKey,
        status: String,
        seen_at: Timestamp,
        event: Option<EventId>,
    ) -> Self {
        Self {
            project,
            key,
            status,
            seen_at,
            seen_event: event,
            written: None,
            last_entry: None,
            again: None,
            held: false,
            owed: None,
            deferred: BTreeMap::new(),
            active_job: None,
            found_in: None,
            last_job: None,
            branches: 0,
            pull_request: None,
            wanted: Wanted::default(),
            shown: Shown::default(),
            synced_version: 0,
            tries: 0,
            not_before: None,
            rev: 0,
        }
    }

    /// The ticket tool does not show what it should.
    pub fn is_unsynced(&self) -> bool {
        self.synced_version < self.wanted.version
    }

    /// Wants another badge or move, if it is not what is wanted already. A move that was wanted before and
    /// is not written yet is given up: it must not overtake what made this one wanted.
    pub fn want(&mut self, status: Option<Move>, badge: Option<Badge>, pull_request: Option<PullRequestLink>) {
        let link_changes = pull_request.is_some() && pull_request != self.pull_request;
        if link_changes {
            self.pull_request = pull_request;
        }
        let gives_up_a_move = self.wanted.status.is_some() && self.is_unsynced();
        if status.is_some() || gives_up_a_move || badge != self.wanted.badge || link_changes {
            self.wanted = Wanted { version: self.wanted.version + 1, status, badge };
        }
    }

    /// Its pull request is not shown any more. A move that is wanted and not written yet stays wanted.
    pub fn unlink(&mut self) {
        let unsynced = self.is_unsynced();
        let status = self.wanted.status.take().filter(|_| unsynced);
        self.pull_request = None;
        self.wanted = Wanted { version: self.wanted.version + 1, status, badge: self.wanted.badge };
    }

    /// The ticket whose job is a retry: it stands in the trigger status again, and that job's end moves it
    /// from there. Written at once, with the job: its tool reads it, and telling it back is an echo.
    pub(crate) fn put_back(mut self, trigger: &str) -> Self {
        if self.status != trigger {
            self.status = trigger.to_owned();
            self.written = Some(trigger.to_owned());
        }
        self.found_in = Some(trigger.to_owned());
        self
    }

    /// Reviews of a pull request wait: not before `opens_at` one job may be made for them.
    ///
    /// None: that is known already, or no more can be remembered.
    pub fn deferring(&self, pull_request: &PullRequestId, opens_at: Timestamp) -> Option<Self> {
        let key = pull_request.to_string();
        let full = self.deferred.len() >= MOST_DEFERRED && !self.deferred.contains_key(&key);
        if full || self.deferred.get(&key) == Some(&opens_at) {
            return None;
        }
        let mut ticket = self.clone();
        ticket.deferred.insert(key, opens_at);
        Some(ticket)
    }

    /// A review of a pull request was remembered, and may be settled from `opens_at` on: what waits there may
    /// then go on at the earliest of these times.
    ///
    /// Not counted: whoever decides does that first, and what is stored must not be forgotten because others
    /// were faster.
    pub fn remembering(&self, pull_request: &PullRequestId, opens_at: Timestamp) -> Self {
        let mut ticket = self.clone();
        let earliest = ticket.deferred.entry(pull_request.to_string()).or_insert(opens_at);
        *earliest = opens_at.min(*earliest);
        ticket
    }

    /// Nothing of this pull request waits any more.
    pub fn without_deferred(&self, pull_request: &PullRequestId) -> Self {
        let mut ticket = self.clone();
        ticket.deferred.remove(&pull_request.to_string());
        ticket.held &= ticket.again.is_some() || !ticket.deferred.is_empty();
        ticket.tries = 0;
        ticket.not_before = None;
        ticket
    }

    /// Reviews of this pull request wait.
    pub fn defers(&self, pull_request: &PullRequestId) -> bool {
        self.deferred.contains_key(&pull_request.to_string())
    }

    /// What this ticket needs next. The order is the published one: write-back, the second entry, then
    /// the reviews that waited longest.
    pub fn settling(&self, settings: &Settings, now: Timestamp) -> Settling {
        if self.is_unsynced() {
            return Settling::WriteBack(Box::new(self.written_back(settings)));
        }
        if self.active_job.is_some() {
            return Settling::Nothing;
        }
        match &self.again {
            Some(entry) if self.status == settings.statuses.trigger => return Settling::Enter(entry.clone()),
            Some(_) => return Settling::Forget(Box::new(self.forgotten(settings))),
            None => {}
        }
        let waited = self.deferred.iter().filter(|(_, opens_at)| **opens_at <= now).min_by_key(|(_, at)| **at);
        match waited.map(|(key, _)| (key, key.parse())) {
            None => Settling::Nothing,
            Some((_, Ok(pull_request))) => Settling::Revise(pull_request),
            Some((key, Err(_))) => {
                let mut ticket = self.clone();
                ticket.deferred.remove(key);
                Settling::Mend(Box::new(ticket))
            }
        }
    }

    /// The ticket whose entry waits until its project may start jobs again; a newer entry replaces an older.
    pub fn waiting_with(self, entry: Entry) -> Self {
        Self { again: Some(entry), held: true, ..self }
    }

    /// This entry waits for the project.
    pub fn waits_with(&self, entry: &Entry) -> bool {
        self.held && self.again.as_ref() == Some(entry)
    }

    /// What its entry waits for, while its project may start nothing and it has not left the trigger status.
    pub fn waits(&self, project: &Project, now: Timestamp) -> Option<Wait> {
        let settings = &project.settings;
        if !self.held || self.active_job.is_some() || self.status != settings.statuses.trigger {
            return None;
        }
        let id = project.id.clone();
        match &settings.held_by {
            Some(who) => Some(Wait::ProjectHeld { project: id, who: who.clone() }),
            None if settings.budget.is_set() => Some(Wait::BudgetWait { project: id, time: Day::of(now).end() }),
            // It is about to be taken up.
            None => None,
        }
    }

    /// The ticket whose second entry leads to no job: what its last job's end held back is shown now.
    pub fn forgotten(&self, settings: &Settings) -> Self {
        let mut ticket = Self { again: None, held: false, ..self.clone() };
        if let Some(badge) = ticket.owed.take() {
            let back = Move { to: Target::Todo, expected: settings.statuses.trigger.clone() };
            ticket.want(Some(back), Some(badge), None);
        }
        ticket
    }

    /// The ticket whose tool shows at once what it should: for whoever writes it anyway, so that nobody has to
    /// come back for that. What waits beside is settled as ever.
    pub fn shown_at_once(self, settings: &Settings) -> Self {
        if self.is_unsynced() { self.written_back(settings) } else { self }
    }

    /// The ticket once its tool shows what it should. A person's move in the meantime wins.
    fn written_back(&self, settings: &Settings) -> Self {
        let mut ticket = self.clone();
        if let Some(wanted) = &self.wanted.status {
            let to = match wanted.to {
                Target::Todo => &settings.statuses.todo,
                Target::Completion => &settings.statuses.completion,
            };
            if self.status == wanted.expected && self.status != *to {
                ticket.status.clone_from(to);
                ticket.written = Some(to.clone());
            }
        }
        ticket.shown = Shown { badge: self.wanted.badge, pull_request: self.pull_request.clone() };
        ticket.synced_version = self.wanted.version;
        ticket.tries = 0;
        ticket.not_before = None;
        ticket
    }
}

#[cfg(test)]
mod tests;
