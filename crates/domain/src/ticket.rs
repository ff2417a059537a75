//! A ticket as Pullyard knows it: its status, its job, and the state that its card should show.
//! Its text is a separate item, because an update is charged for the whole item.

pub mod comment;
pub mod event;
pub mod facts;
pub mod guard;
pub mod look;
pub mod rank;
pub mod required_labels;
mod stored;

use crate::project::budget::Day;
pub use crate::project::tracker::Badge;
use crate::project::tracker::TrackerSettings;
use crate::project::{Project, Settings};
use crate::text::back_off::back_off;
use crate::text::id::{EventId, IntegrationId, JobId, ProjectId, TicketKey};
use crate::text::pull_request_id::PullRequestId;
use crate::text::pull_request_link::PullRequestLink;
use crate::text::time::Timestamp;
use crate::text::wait::Wait;
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

pub const MAX_DEFERRED: usize = 10;

const MAX_REPLACED: usize = 4;

/// Maximum delay of the next write to the tool for a ticket that waits for its project.
const MAX_HELD_DELAY: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub project: ProjectId,
    pub key: TicketKey,
    pub status: String,
    pub seen_at: Timestamp,
    pub seen_event: Option<EventId>,
    /// The status that we wrote last, until the next event, which is our own echo.
    pub written: Option<String>,
    /// The trigger status once Pullyard wants to move the tool there, until the tool's next event.
    pub written_trigger: Option<String>,
    pub last_entry: Option<Entry>,
    /// Another entry during a job, or while the project is held. It is settled afterwards.
    pub again: Option<Entry>,
    /// Whether `again` waits for the project, not for a job.
    pub held: bool,
    /// The badge of the last job, withheld because of `again`. It is shown if that entry creates no job.
    pub owed: Option<Badge>,
    /// When the waiting reviews of each pull request are due, by its id: `gh1/99/231`. Stored even if empty.
    pub deferred: BTreeMap<String, Timestamp>,
    pub active_job: Option<JobId>,
    /// The status in which the active job found the ticket. The job's end moves the ticket only from there.
    pub found_in: Option<String>,
    pub last_job: Option<LastJob>,
    pub branches: u32,
    /// The number of the newest comment, even if that was deleted.
    pub last_comment: Option<u32>,
    pub pull_request: Option<PullRequestLink>,
    pub wanted: DesiredState,
    pub shown: SyncedState,
    pub synced_version: u32,
    pub tries: u32,
    pub not_before: Option<Timestamp>,
    /// The connection to the tool that has the ticket; `None` if only the board has it.
    pub tracker: Option<IntegrationId>,
    /// Why the tool does not show the wanted state.
    pub sync_fault: Option<SyncFault>,
    /// The place in the column; see `rank`.
    pub rank: i64,
    pub rev: u64,
}

/// An entry of a ticket into the trigger status. It identifies the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub event: EventId,
}

/// Failed writes to a ticket's tool, in its own back-off: they delay neither entries nor reviews.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFault {
    /// Time of the first failure.
    pub since: Timestamp,
    /// Time of the next try.
    pub after: Timestamp,
    pub tries: u32,
    /// The end of a sentence, without a full stop.
    pub problem: String,
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

/// The state that the ticket tool should show. A higher version replaces a lower one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "stored::StoredState", into = "stored::StoredState")]
pub struct DesiredState {
    pub version: u32,
    /// The move of the ticket, if it still has the status in which its job found it.
    pub status: Option<StatusMove>,
    pub badge: Option<Badge>,
    /// The user who moved the card on the board. The move counts when the tool has made it.
    pub by: Option<String>,
    /// The request of that user. It makes a repeat of the request visible.
    pub event: Option<EventId>,
    /// The comment on a badge, for a tool.
    pub comment: Option<JobComment>,
    /// Replaced moves that the tool may have made without a record, oldest first. Such a status is no user's move.
    pub replaced: Vec<Target>,
}

/// A comment of Pullyard about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobComment {
    pub job: JobId,
    pub text: String,
}

/// A move of a ticket. The settings give the status name at the time of the write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMove {
    pub to: Target,
    /// Only from this status, so that a user's move wins.
    pub expected: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Todo,
    Completion,
    /// After the merge of its pull request.
    Merged,
    /// After a close without a merge.
    Unmerged,
    /// For the retry of a job. Only a tool gets this move; the ticket itself has the status already.
    Trigger,
    /// A user's move on the board. Only a tool gets it; its confirmation moves the ticket.
    Column(String),
}

impl Target {
    /// Whether only a tool gets the move.
    fn is_for_tool(&self) -> bool {
        matches!(self, Self::Trigger | Self::Column(_))
    }

    /// The name of the status.
    fn status<'a>(&'a self, settings: &'a Settings) -> Option<&'a str> {
        let statuses = &settings.statuses;
        match self {
            Self::Todo => Some(&statuses.todo),
            Self::Completion => Some(&statuses.completion),
            Self::Merged => statuses.after_merge(),
            Self::Unmerged => Some(statuses.after_close()),
            Self::Trigger => Some(&statuses.trigger),
            Self::Column(name) => Some(name),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedState {
    pub badge: Option<Badge>,
    pub pull_request: Option<PullRequestLink>,
}

/// The next step for a ticket without an active job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettleStep {
    WriteBack(Box<Ticket>),
    DecideEntry(Entry),
    DropEntry(Box<Ticket>),
    DecideReviews(PullRequestId),
    Skip,
}

impl Ticket {
    pub fn new(project: ProjectId, key: TicketKey, status: String, seen_at: Timestamp, event: Option<EventId>) -> Self {
        Self {
            project,
            key,
            status,
            seen_at,
            seen_event: event,
            written: None,
            written_trigger: None,
            last_entry: None,
            again: None,
            held: false,
            owed: None,
            deferred: BTreeMap::new(),
            active_job: None,
            found_in: None,
            last_job: None,
            branches: 0,
            last_comment: None,
            pull_request: None,
            wanted: DesiredState::default(),
            shown: SyncedState::default(),
            synced_version: 0,
            tries: 0,
            not_before: None,
            tracker: None,
            sync_fault: None,
            rank: rank::rank_at(seen_at),
            rev: 0,
        }
    }

    pub fn is_failed(&self) -> bool {
        self.active_job.is_none() && self.wanted.badge == Some(Badge::AiFailed)
    }

    /// The ticket after its column was renamed; `None` if it does not name the column. Only the name changes: the ticket
    /// did not enter a status, and the end of a running job moves it from the new name.
    pub fn rename_status(&self, from: &str, to: &str) -> Option<Self> {
        let mut ticket = self.clone();
        for target in ticket.wanted.status.iter_mut().map(|wanted| &mut wanted.to).chain(&mut ticket.wanted.replaced) {
            if *target == Target::Column(from.to_owned()) {
                *target = Target::Column(to.to_owned());
            }
        }
        let expected = ticket.wanted.status.as_mut().map(|wanted| &mut wanted.expected);
        let written = [ticket.written.as_mut(), ticket.written_trigger.as_mut()];
        let names = [Some(&mut ticket.status), ticket.found_in.as_mut(), expected].into_iter().chain(written);
        names.flatten().filter(|name| *name == from).for_each(|name| to.clone_into(name));
        (ticket != *self).then_some(ticket)
    }

    pub fn is_unsynced(&self) -> bool {
        self.synced_version < self.wanted.version
    }

    /// Requests a badge or a move. An earlier unwritten move is dropped, because it must not overtake its replacement.
    pub fn request_state(
        &mut self,
        status: Option<StatusMove>,
        badge: Option<Badge>,
        pull_request: Option<PullRequestLink>,
    ) {
        let link_changes = pull_request.is_some() && pull_request != self.pull_request;
        if link_changes {
            self.pull_request = pull_request;
        }
        let gives_up_a_move = self.wanted.status.is_some() && self.is_unsynced();
        if status.is_some() || gives_up_a_move || badge != self.wanted.badge || link_changes {
            self.want(DesiredState { status, badge, ..DesiredState::default() });
        }
    }

    /// Raises the version. The parts of an unsynced state that remain wanted are kept. The tool gets the new state
    /// without a delay, unless its connection rests.
    fn want(&mut self, mut wanted: DesiredState) {
        let earlier = std::mem::take(&mut self.wanted);
        if self.synced_version < earlier.version {
            if wanted.badge == earlier.badge {
                wanted.comment = wanted.comment.or(earlier.comment);
            }
            wanted.replaced = earlier.replaced;
            if wanted.status == earlier.status {
                (wanted.by, wanted.event) = (wanted.by.or(earlier.by), wanted.event.or(earlier.event));
            } else if let Some(replaced) = earlier.status.filter(|_| self.tracker.is_some()) {
                let StatusMove { to, expected } = replaced;
                wanted.replaced.retain(|target| *target != to);
                // The ticket has the status of a retry before the tool has it.
                let is_ahead = to == Target::Trigger && self.written.as_ref() == Some(&self.status);
                wanted.replaced.extend(is_ahead.then_some(Target::Column(expected)));
                // The card enters a column once the tool has confirmed it.
                if to != Target::Column(self.status.clone()) {
                    wanted.replaced.push(to);
                }
                let surplus = wanted.replaced.len().saturating_sub(MAX_REPLACED);
                wanted.replaced.drain(..surplus);
            }
        }
        self.wanted = DesiredState { version: earlier.version + 1, ..wanted };
        if let Some(fault) = &mut self.sync_fault {
            fault.after = Timestamp::from_millis(0);
        }
    }

    /// Requests a user's move on the board from the ticket's tool. A move to the ticket's own status withdraws another.
    pub fn request_move(&mut self, to: &str, by: &str, event: EventId, settings: &Settings) {
        if to == settings.statuses.trigger || self.is_retry_unsynced() {
            self.written_trigger = Some(settings.statuses.trigger.clone());
        }
        let status = Some(StatusMove { to: Target::Column(to.to_owned()), expected: self.status.clone() });
        self.want(DesiredState {
            status,
            badge: self.wanted.badge,
            by: Some(by.to_owned()),
            event: Some(event),
            ..DesiredState::default()
        });
    }

    /// The ticket as one of a tool. Its versions there begin at the time, so that they are higher than those of a
    /// deleted ticket with the same key.
    pub fn in_tool(mut self, tracker: IntegrationId, now: Timestamp) -> Self {
        if self.tracker.as_ref() != Some(&tracker) {
            let unsynced = u32::from(self.is_unsynced());
            let first = u32::try_from(now.millis() / 1_000).unwrap_or_default();
            self.wanted.version = self.wanted.version.max(first);
            self.synced_version = self.wanted.version.saturating_sub(unsynced);
            self.tracker = Some(tracker);
        }
        self
    }

    /// Whether the tool may show a replaced move to `status`, which is no user's move then.
    pub fn is_replaced_status(&self, status: &str, settings: &Settings) -> bool {
        self.wanted.replaced.iter().any(|target| target.status(settings) == Some(status))
    }

    /// The status that a user requested on the board and that the tool has not confirmed.
    pub fn requested_status(&self) -> Option<&str> {
        match &self.wanted.status {
            Some(StatusMove { to: Target::Column(to), .. }) if self.is_unsynced() => Some(to),
            _ => None,
        }
    }

    /// The waiting entry, unless a user has requested another move since, which the tool makes first.
    pub(crate) fn decidable_entry(&self) -> Option<&Entry> {
        let leaves = self.requested_status().is_some_and(|requested| requested != self.status);
        self.again.as_ref().filter(|_| !leaves)
    }

    /// Whether the tool may be getting a retry's move into the trigger status now.
    pub(crate) fn is_retry_unsynced(&self) -> bool {
        let is_retry = self.wanted.status.as_ref().is_some_and(|wanted| wanted.to == Target::Trigger);
        is_retry && self.is_unsynced()
    }

    /// The changes that the ticket's tool does not show yet, as a sentence.
    pub fn sync_note(&self, settings: &Settings) -> Option<String> {
        let tool = &self.tool(settings).filter(|_| self.is_unsynced())?.connection;
        match (&self.sync_fault, self.requested_status()) {
            (Some(fault), _) => Some(format!("{tool} does not show this since {}: {}.", fault.since, fault.problem)),
            (None, Some(status)) => Some(format!("Moving to {status} in {tool}.")),
            (None, None) => None,
        }
    }

    /// The project's tool, if it has this ticket.
    pub fn tool<'a>(&self, settings: &'a Settings) -> Option<&'a TrackerSettings> {
        settings.tracker.as_ref().filter(|tool| self.tracker.as_ref() == Some(&tool.connection))
    }

    /// When the wanted state is written to the tool.
    pub fn sync_at(&self) -> Timestamp {
        self.sync_fault.as_ref().map_or(Timestamp::from_millis(0), |fault| fault.after)
    }

    /// The id of the message with the wanted state, the same in each try.
    pub fn message_id(&self) -> String {
        let text = format!("{}\n{}\n{}", self.project, self.key, self.wanted.version);
        let hash = BASE32_NOPAD.encode(&Sha256::digest(text)).to_ascii_lowercase();
        format!("msg_{}", hash.get(..26).unwrap_or(&hash))
    }

    /// The ticket after a failed write to its tool, which is repeated at `after` at the latest.
    pub fn postpone_sync(&self, problem: String, now: Timestamp, after: Option<Timestamp>) -> Self {
        let (since, tries) = self.sync_fault.as_ref().map_or((now, 0), |fault| (fault.since, fault.tries));
        let after = after.unwrap_or_else(|| now.plus(back_off(tries)));
        let sync_fault = Some(SyncFault { since, after, tries: tries + 1, problem });
        let ticket = Self { sync_fault, ..self.clone() };
        if self.held { ticket.hold(now) } else { ticket }
    }

    /// Removes the link to a pull request. An unwritten move stays.
    pub fn unlink(&mut self) {
        let status = self.wanted.status.clone().filter(|_| self.is_unsynced());
        self.pull_request = None;
        self.want(DesiredState { status, badge: self.wanted.badge, ..DesiredState::default() });
    }

    /// The ticket for a retry: in the trigger status again, from where the end of the job moves it. It is stored with
    /// the job. The tool gets or reads it, and its event is an echo.
    pub(crate) fn for_retry(mut self, trigger: &str) -> Self {
        if self.tracker.is_some() {
            let status = Some(StatusMove { to: Target::Trigger, expected: self.status.clone() });
            self.written_trigger = Some(trigger.to_owned());
            self.want(DesiredState { status, ..DesiredState::default() });
        }
        if self.status != trigger {
            self.status = trigger.to_owned();
            self.written = Some(trigger.to_owned());
        }
        self.found_in = Some(trigger.to_owned());
        self
    }

    /// Records that reviews of a pull request wait until `opens_at`. `None` if that is known, or too many wait.
    pub fn defer_review(&self, pull_request: &PullRequestId, opens_at: Timestamp) -> Option<Self> {
        let key = pull_request.to_string();
        let full = self.deferred.len() >= MAX_DEFERRED && !self.deferred.contains_key(&key);
        if full || self.deferred.get(&key) == Some(&opens_at) {
            return None;
        }
        let mut ticket = self.clone();
        ticket.deferred.insert(key, opens_at);
        Some(ticket)
    }

    /// Records that a stored review may be settled from `opens_at`. The earliest time wins.
    /// The number is unlimited, because a stored review must not be lost when others came first.
    pub fn schedule_review(&self, pull_request: &PullRequestId, opens_at: Timestamp) -> Self {
        let mut ticket = self.clone();
        let earliest = ticket.deferred.entry(pull_request.to_string()).or_insert(opens_at);
        *earliest = opens_at.min(*earliest);
        ticket
    }

    pub fn clear_deferred(&self, pull_request: &PullRequestId) -> Self {
        let mut ticket = self.clone();
        ticket.deferred.remove(&pull_request.to_string());
        ticket.held &= ticket.again.is_some() || !ticket.deferred.is_empty();
        ticket.tries = 0;
        ticket.not_before = None;
        ticket
    }

    pub fn has_deferred(&self, pull_request: &PullRequestId) -> bool {
        self.deferred.contains_key(&pull_request.to_string())
    }

    /// In this order: the write to the tool, the other entry, the reviews that have waited longest.
    pub fn next_settle_step(&self, settings: &Settings, now: Timestamp) -> SettleStep {
        if self.is_unsynced() && (self.tool(settings).is_none() || self.sync_at() <= now) {
            return SettleStep::WriteBack(Box::new(self.after_write_back(settings)));
        }
        if self.active_job.is_some() {
            return SettleStep::Skip;
        }
        match self.decidable_entry() {
            Some(entry) if self.status == settings.statuses.trigger => return SettleStep::DecideEntry(entry.clone()),
            Some(_) => return SettleStep::DropEntry(Box::new(self.drop_entry(settings))),
            None => {}
        }
        let waited = self.deferred.iter().filter(|(_, opens_at)| **opens_at <= now).min_by_key(|(_, at)| **at);
        waited.and_then(|(key, _)| key.parse().ok()).map_or(SettleStep::Skip, SettleStep::DecideReviews)
    }

    /// Waits until the project may start jobs. While a write to the tool is due, the release of the project does not
    /// find the ticket, so that write must not be far away.
    pub fn hold(mut self, now: Timestamp) -> Self {
        self.held = true;
        if let Some(fault) = &mut self.sync_fault {
            fault.after = fault.after.min(now.plus(MAX_HELD_DELAY));
        }
        self
    }

    /// Stores an entry until the project may start jobs. It replaces an older one.
    pub fn hold_entry(self, entry: Entry) -> Self {
        let at = entry.at;
        Self { again: Some(entry), ..self.hold(at) }
    }

    pub fn is_entry_held(&self, entry: &Entry) -> bool {
        self.held && self.again.as_ref() == Some(entry)
    }

    /// Why the entry waits. `None` unless the project is held and the ticket is still in the trigger status.
    pub fn wait_reason(&self, project: &Project, now: Timestamp) -> Option<Wait> {
        let settings = &project.settings;
        let waits_for_move = self.again.is_some() && self.decidable_entry().is_none();
        if !self.held || waits_for_move || self.active_job.is_some() || self.status != settings.statuses.trigger {
            return None;
        }
        let id = project.id.clone();
        match &settings.held_by {
            Some(holder) => Some(Wait::ProjectHeld { project: id, who: holder.clone() }),
            None if settings.budget.has_limit() => {
                Some(Wait::BudgetWait { project: id, time: Day::containing(now).end() })
            }
            None => None,
        }
    }

    pub fn drop_entry(&self, settings: &Settings) -> Self {
        let mut ticket = Self { again: None, held: false, ..self.clone() };
        if let Some(badge) = ticket.owed.take() {
            let back = StatusMove { to: Target::Todo, expected: settings.statuses.trigger.clone() };
            ticket.request_state(Some(back), Some(badge), None);
        }
        ticket
    }

    /// Updates the card of the board, for callers that write the ticket anyway. A tool needs a call. Waiting reviews
    /// stay.
    pub fn mark_synced(self, settings: &Settings) -> Self {
        // A user's requested move is decided first.
        let is_due = self.is_unsynced() && self.tool(settings).is_none() && self.requested_status().is_none();
        if is_due { self.after_write_back(settings) } else { self }
    }

    /// The name of the status to which the wanted move leads.
    pub fn wanted_status<'a>(&'a self, settings: &'a Settings) -> Option<&'a str> {
        self.wanted.status.as_ref()?.to.status(settings)
    }

    /// The ticket after the write to the tool. A user's move wins.
    pub fn after_write_back(&self, settings: &Settings) -> Self {
        let mut ticket = self.clone();
        if let Some(desired) = &self.wanted.status {
            let is_own = !desired.to.is_for_tool();
            let wanted = self.wanted_status(settings);
            let is_moved = wanted != Some(&desired.expected) || !self.wanted.replaced.is_empty();
            if !is_own && wanted == Some(&settings.statuses.trigger) {
                ticket.written_trigger = wanted.filter(|_| is_moved).map(str::to_owned);
            }
            let to = wanted.filter(|_| is_own);
            if let Some(to) = to.filter(|to| self.status == desired.expected && self.status != *to) {
                to.clone_into(&mut ticket.status);
                ticket.written = Some(to.to_owned());
            }
        }
        ticket.wanted.replaced.clear();
        // An older version of the program cannot read the other targets.
        ticket.wanted.status.take_if(|desired| !matches!(desired.to, Target::Todo | Target::Completion));
        ticket.shown = SyncedState { badge: self.wanted.badge, pull_request: self.pull_request.clone() };
        ticket.synced_version = self.wanted.version;
        ticket.sync_fault = None;
        ticket.tries = 0;
        ticket.not_before = None;
        ticket
    }

    /// The ticket after a write to the tool that did not move it, or not last.
    pub fn after_refused_move(&self, settings: &Settings) -> Self {
        let mut ticket = self.after_write_back(settings);
        (ticket.status, ticket.written) = (self.status.clone(), self.written.clone());
        ticket.written_trigger.clone_from(&self.written_trigger);
        ticket
    }
}

#[cfg(test)]
mod tests;
