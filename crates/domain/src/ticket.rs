//! A ticket as Pullyard knows it: its status, its job, and what its tool should show.
//!
//! Its text is another item, because an update is charged for the whole item.

use crate::budget::Day;
use crate::id::{EventId, JobId, ProjectId, TicketKey};
use crate::project::{Project, Settings};
use crate::pull_request::PullRequestLink;
use crate::pull_request_id::PullRequestId;
use crate::time::Timestamp;
use crate::wait::Wait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most pull requests of one ticket with waiting reviews.
pub const MOST_DEFERRED: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub project: ProjectId,
    pub key: TicketKey,
    pub status: String,
    pub seen_at: Timestamp,
    /// The event that told the status.
    pub seen_event: Option<EventId>,
    /// The status that we wrote last, until the next event: that one is our own echo.
    pub written: Option<String>,
    /// The entry into the trigger status that made the newest job.
    pub last_entry: Option<Entry>,
    /// A further entry during a job, or while the project is held. It is settled
    /// afterwards.
    pub again: Option<Entry>,
    /// `again` waits for the project, not for a job.
    #[serde(default)]
    pub held: bool,
    /// The badge of the last job's end, held back because of `again`. Shown if that leads to no job.
    pub owed: Option<Badge>,
    /// Until when reviews of these pull requests wait, by their ids: `gh1/99/231`.
    /// Stored even if it is empty: updates address its entries.
    #[serde(default)]
    pub deferred: BTreeMap<String, Timestamp>,
    /// The job that has not ended.
    pub active_job: Option<JobId>,
    /// The status in which that job found the ticket. Its end moves the ticket only from there.
    pub found_in: Option<String>,
    pub last_job: Option<LastJob>,
    pub branches: u32,
    pub pull_request: Option<PullRequestLink>,
    pub wanted: Wanted,
    pub shown: Shown,
    /// The version of `wanted` that was written to the tool.
    pub synced_version: u32,
    /// Failed settlements since the last success.
    pub tries: u32,
    /// It is not settled before this time.
    pub not_before: Option<Timestamp>,
    pub rev: u64,
}

/// An entry of a ticket into the trigger status. It identifies the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub event: EventId,
}

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

/// A mark on the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Badge {
    AiFailed,
    /// The job stands still until a person acts.
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

/// What the ticket tool should show. A higher version replaces a lower one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub version: u32,
    /// Where the ticket should move, if it still has the status in which its job found it.
    pub status: Option<Move>,
    pub badge: Option<Badge>,
}

/// A move of a ticket. The status name comes from the settings when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub to: Target,
    /// Only from this status, so that a person's move wins.
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

/// What to do about a ticket without an active job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Write to the tool; the ticket afterwards.
    WriteBack(Box<Ticket>),
    /// Judge a further entry into the trigger status.
    Enter(Entry),
    /// Drop an entry that is void; the ticket afterwards.
    Forget(Box<Ticket>),
    /// Decide waiting reviews of this pull request.
    Revise(PullRequestId),
    /// Remove a waiting mark that names no pull request; the ticket afterwards.
    Mend(Box<Ticket>),
    Nothing,
}

impl Ticket {
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

    /// Whether the tool is out of date.
    pub fn is_unsynced(&self) -> bool {
        self.synced_version < self.wanted.version
    }

    /// Wants a badge or a move. An earlier move that was not written is dropped: it must not overtake
    /// what replaced it.
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

    /// Removes the link to a pull request. A move that was not written stays.
    pub fn unlink(&mut self) {
        let unsynced = self.is_unsynced();
        let status = self.wanted.status.take().filter(|_| unsynced);
        self.pull_request = None;
        self.wanted = Wanted { version: self.wanted.version + 1, status, badge: self.wanted.badge };
    }

    /// The ticket of a retry. It is in the trigger status again, and the job's end moves it
    /// from there. Written with the job; the tool reads it, and its event is an echo.
    pub(crate) fn put_back(mut self, trigger: &str) -> Self {
        if self.status != trigger {
            self.status = trigger.to_owned();
            self.written = Some(trigger.to_owned());
        }
        self.found_in = Some(trigger.to_owned());
        self
    }

    /// Notes that reviews of a pull request wait. One job may be made for them from `opens_at` on.
    ///
    /// `None`: known already, or too many wait.
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

    /// Notes that a stored review may be settled from `opens_at` on. The earliest time
    /// wins.
    ///
    /// The number is not limited: the decision was made, and a stored review must not be forgotten because others
    /// came first.
    pub fn remembering(&self, pull_request: &PullRequestId, opens_at: Timestamp) -> Self {
        let mut ticket = self.clone();
        let earliest = ticket.deferred.entry(pull_request.to_string()).or_insert(opens_at);
        *earliest = opens_at.min(*earliest);
        ticket
    }

    /// Removes the mark of this pull request.
    pub fn without_deferred(&self, pull_request: &PullRequestId) -> Self {
        let mut ticket = self.clone();
        ticket.deferred.remove(&pull_request.to_string());
        ticket.held &= ticket.again.is_some() || !ticket.deferred.is_empty();
        ticket.tries = 0;
        ticket.not_before = None;
        ticket
    }

    /// Whether reviews of this pull request wait.
    pub fn defers(&self, pull_request: &PullRequestId) -> bool {
        self.deferred.contains_key(&pull_request.to_string())
    }

    /// What the ticket needs next: first the write to the tool, then the further entry, then
    /// the reviews that have waited longest.
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

    /// Stores an entry until the project may start jobs. It replaces an older one.
    pub fn waiting_with(self, entry: Entry) -> Self {
        Self { again: Some(entry), held: true, ..self }
    }

    /// Whether this entry waits for the project.
    pub fn waits_with(&self, entry: &Entry) -> bool {
        self.held && self.again.as_ref() == Some(entry)
    }

    /// Why its entry waits, if the project is held and the ticket is still in the trigger status.
    pub fn waits(&self, project: &Project, now: Timestamp) -> Option<Wait> {
        let settings = &project.settings;
        if !self.held || self.active_job.is_some() || self.status != settings.statuses.trigger {
            return None;
        }
        let id = project.id.clone();
        match &settings.held_by {
            Some(who) => Some(Wait::ProjectHeld { project: id, who: who.clone() }),
            None if settings.budget.is_set() => Some(Wait::BudgetWait { project: id, time: Day::of(now).end() }),
            // It is due now.
            None => None,
        }
    }

    /// Drops a further entry that leads to no job. The held-back badge is shown.
    pub fn forgotten(&self, settings: &Settings) -> Self {
        let mut ticket = Self { again: None, held: false, ..self.clone() };
        if let Some(badge) = ticket.owed.take() {
            let back = Move { to: Target::Todo, expected: settings.statuses.trigger.clone() };
            ticket.want(Some(back), Some(badge), None);
        }
        ticket
    }

    /// Marks the tool as up to date, for callers that write it themselves. Waiting reviews
    /// stay.
    pub fn shown_at_once(self, settings: &Settings) -> Self {
        if self.is_unsynced() { self.written_back(settings) } else { self }
    }

    /// The ticket after the tool was written. A person's move wins.
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
