//! Tickets of a fake, and the changes of users in the tool.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::Kind;

/// The columns, by index into the tool's statuses.
pub const BACKLOG: usize = 0;
pub const PROCESSING: usize = 1;
pub const IN_REVIEW: usize = 2;
pub const DONE: usize = 3;

/// Accounts: id and name.
pub const BOT: (&str, &str) = ("5b10-bot", "Bot");
pub const PERSON: (&str, &str) = ("5b10-person", "Ada Example");

/// The only credential that a fake accepts. Linear's fake accepts `app:secret`, too.
pub const CREDENTIAL: &str = "bot@acme.example:token";

/// Linear joins the changes of one person within this time into one entry. Units: milliseconds.
const GROUPING: i64 = 300_000;

/// Name, category in Jira, and type in Linear.
pub(crate) const STATUSES: [(&str, &str, &str); 4] = [
    ("Backlog", "new", "backlog"),
    ("AI Processing", "indeterminate", "started"),
    ("In Review", "indeterminate", "started"),
    ("Done", "done", "completed"),
];

#[derive(Clone, Debug, PartialEq)]
pub enum TicketBody {
    Empty,
    Text(String),
    /// Atlassian Document Format.
    Document(Value),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) at: i64,
    pub(crate) updated: i64,
    pub(crate) by: (&'static str, &'static str),
    /// Statuses; `None` for a change of something else.
    pub(crate) moved: Option<(usize, usize)>,
}

/// A stay in a status, until the next one begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) id: u64,
    pub(crate) at: i64,
    pub(crate) status: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: String,
    pub(crate) body: Value,
    pub(crate) properties: Value,
}

#[derive(Clone, Debug)]
pub struct Ticket {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) body: TicketBody,
    pub status: usize,
    pub labels: Vec<String>,
    /// URL to title.
    pub links: BTreeMap<String, String>,
    pub(crate) comments: Vec<Comment>,
    /// Ids of comments that a person deleted.
    pub(crate) deleted_comments: Vec<String>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// Oldest first.
    pub(crate) history: Vec<Entry>,
    /// Oldest first.
    pub(crate) spans: Vec<Span>,
    /// The field that transitions require has a value.
    pub(crate) is_filled: bool,
    pub(crate) is_trashed: bool,
    /// A transition is being executed.
    pub(crate) is_busy: bool,
}

impl Ticket {
    pub fn is_in_transition(&self) -> bool {
        self.is_busy
    }

    pub fn comments(&self) -> Vec<String> {
        self.comments
            .iter()
            .map(|comment| comment.body.as_str().map_or_else(|| comment.body.to_string(), str::to_owned))
            .collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Team,
    OtherTeam,
    Workspace,
}

#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) id: u64,
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) filter: String,
    pub(crate) enabled: bool,
}

#[derive(Debug)]
pub struct State {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) tickets: BTreeMap<String, Ticket>,
    pub(crate) hooks: Vec<Hook>,
    /// Id, name and owner, at Linear.
    pub(crate) labels: Vec<(u64, String, Owner)>,
    /// Pairs of statuses without a transition.
    pub(crate) closed_paths: Vec<(usize, usize)>,
    /// Statuses with a second transition, which needs no field.
    pub(crate) shortcuts: Vec<usize>,
    /// Fields that transitions to a status require.
    pub(crate) required: BTreeMap<usize, String>,
    /// Where our moves end, whatever status they ask for.
    pub(crate) end_of_moves: Option<usize>,
    /// Lets transitions wait until it is false.
    pub(crate) holds_transitions: watch::Sender<bool>,
    /// Whether Jira's account belongs to a service.
    pub(crate) is_app: bool,
    /// Number of the app's valid token.
    pub(crate) app_token: u64,
    next_id: u64,
    pub(crate) page_size: usize,
    pub(crate) has_endless_pages: bool,
    /// Units: milliseconds since 1970.
    now: i64,
}

impl State {
    pub(crate) fn new(kind: Kind, url: &str) -> Self {
        Self {
            kind,
            url: url.to_owned(),
            tickets: BTreeMap::new(),
            hooks: Vec::new(),
            labels: Vec::new(),
            closed_paths: Vec::new(),
            shortcuts: Vec::new(),
            required: BTreeMap::new(),
            end_of_moves: None,
            holds_transitions: watch::Sender::new(false),
            is_app: false,
            app_token: 1,
            next_id: 20_000,
            page_size: 100,
            has_endless_pages: false,
            now: 1_795_176_241_000,
        }
    }

    /// Units: milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// A fake's clock moves by this call alone.
    pub fn set_now(&mut self, millis: i64) {
        self.now = millis;
    }

    pub(crate) fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The tool's id of a status.
    pub fn status_id(&self, status: usize) -> String {
        match self.kind {
            Kind::Jira => format!("1000{status}"),
            Kind::Linear => uuid(10_000 + status as u64),
        }
    }

    pub(crate) fn status_index(&self, id: &str) -> Option<usize> {
        (0..STATUSES.len()).find(|status| self.status_id(*status) == id)
    }

    /// Jira's account becomes one of a service.
    pub fn set_app(&mut self) {
        self.is_app = true;
    }

    /// Each page of a list has a next one.
    pub fn set_endless_pages(&mut self) {
        self.has_endless_pages = true;
    }

    /// Pages of lists get at most this size.
    pub fn set_page_size(&mut self, size: usize) {
        self.page_size = size;
    }

    pub fn add_ticket(&mut self, key: &str, title: &str, body: TicketBody, status: usize) {
        let (id, now) = (self.take_id(), self.now);
        let ticket = Ticket {
            key: key.to_owned(),
            title: title.to_owned(),
            body,
            status,
            labels: Vec::new(),
            links: BTreeMap::new(),
            comments: Vec::new(),
            deleted_comments: Vec::new(),
            created: now,
            updated: now,
            history: Vec::new(),
            spans: vec![Span { id, at: now, status }],
            is_filled: false,
            is_trashed: false,
            is_busy: false,
        };
        self.tickets.insert(key.to_owned(), ticket);
    }

    /// Linear moves it to its trash.
    pub fn delete_ticket(&mut self, key: &str) {
        match self.kind {
            Kind::Jira => drop(self.tickets.remove(key)),
            Kind::Linear => self.ticket_mut(key).is_trashed = true,
        }
    }

    /// Moves a ticket to another project or team, where it has another key. The old key leads to it.
    pub fn rename_ticket(&mut self, key: &str, to: &str) {
        self.ticket_mut(key).key = to.to_owned();
    }

    pub fn delete_comments(&mut self, key: &str) {
        let ticket = self.ticket_mut(key);
        ticket.deleted_comments.extend(ticket.comments.drain(..).map(|comment| comment.id));
    }

    pub fn has_ticket(&self, key: &str) -> bool {
        self.tickets.contains_key(key)
    }

    pub fn ticket(&self, key: &str) -> &Ticket {
        self.tickets.get(key).expect("a ticket of the fake")
    }

    pub fn move_ticket(&mut self, key: &str, status: usize, by: (&'static str, &'static str)) {
        let from = self.ticket(key).status;
        self.add_entry(key, by, Some((from, status)));
        let id = self.take_id();
        let ticket = self.ticket_mut(key);
        ticket.status = status;
        ticket.spans.push(Span { id, at: ticket.updated, status });
    }

    /// Leaves the history behind, as a tool may do for a moment.
    pub fn set_status(&mut self, key: &str, status: usize) {
        self.ticket_mut(key).status = status;
    }

    /// Changes a field that is no status.
    pub fn touch(&mut self, key: &str, by: (&'static str, &'static str)) {
        self.add_entry(key, by, None);
    }

    pub fn set_labels(&mut self, key: &str, labels: &[&str]) {
        for label in labels {
            if self.kind == Kind::Linear && !self.labels.iter().any(|(_, name, _)| name == label) {
                self.add_label(label, Owner::Team);
            }
        }
        self.ticket_mut(key).labels = labels.iter().map(|label| (*label).to_owned()).collect();
    }

    /// A label of Linear's workspace, which all teams may use.
    pub fn add_workspace_label(&mut self, name: &str) {
        self.add_label(name, Owner::Workspace);
    }

    /// A label of another team of Linear.
    pub fn add_foreign_label(&mut self, name: &str) {
        self.add_label(name, Owner::OtherTeam);
    }

    pub(crate) fn add_label(&mut self, name: &str, owner: Owner) -> u64 {
        let id = self.take_id();
        self.labels.push((id, name.to_owned(), owner));
        id
    }

    /// The labels of Linear's workspace, used or not.
    pub fn label_names(&self) -> Vec<&str> {
        self.labels.iter().map(|(_, name, _)| name.as_str()).collect()
    }

    /// Removes the path between two statuses from Jira's workflow.
    pub fn close_path(&mut self, from: usize, to: usize) {
        self.closed_paths.push((from, to));
    }

    /// Lets Jira's transitions to a status require a field.
    pub fn require_field(&mut self, to: usize, field: &str) {
        self.required.insert(to, field.to_owned());
    }

    /// Gives the required field a value.
    pub fn fill_field(&mut self, key: &str) {
        self.ticket_mut(key).is_filled = true;
    }

    /// Adds a second transition to a status of Jira, which needs no field.
    pub fn add_shortcut(&mut self, to: usize) {
        self.shortcuts.push(to);
    }

    /// Lets our moves end in this status, as a rule of the workflow or an automation does.
    pub fn redirect_moves(&mut self, to: usize) {
        self.end_of_moves = Some(to);
    }

    pub(crate) fn move_by_us(&mut self, key: &str, to: usize) {
        let to = self.end_of_moves.unwrap_or(to);
        match self.ticket(key).status == to {
            true => self.touch(key, BOT),
            false => self.move_ticket(key, to, BOT),
        }
    }

    pub fn hold_transitions(&mut self, hold: bool) {
        self.holds_transitions.send_replace(hold);
    }

    /// Linear rejects the token that an app has.
    pub fn revoke_token(&mut self) {
        self.app_token += 1;
    }

    /// URL, secret and whether it is enabled, of each webhook.
    pub fn hooks(&self) -> Vec<(String, Option<String>, bool)> {
        self.hooks.iter().map(|hook| (hook.url.clone(), hook.secret.clone(), hook.enabled)).collect()
    }

    /// As Linear does after many failed deliveries.
    pub fn disable_hooks(&mut self) {
        self.hooks.iter_mut().for_each(|hook| hook.enabled = false);
    }

    pub(crate) fn ticket_mut(&mut self, key: &str) -> &mut Ticket {
        self.tickets.get_mut(key).expect("a ticket of the fake")
    }

    pub(crate) fn add_entry(&mut self, key: &str, by: (&'static str, &'static str), moved: Option<(usize, usize)>) {
        let (id, now, groups) = (self.take_id(), self.now, self.kind == Kind::Linear);
        let ticket = self.ticket_mut(key);
        // Two changes within a millisecond have an order.
        ticket.updated = now.max(ticket.updated + 1);
        let at = ticket.updated;
        let last = ticket.history.iter_mut().rev().find(|entry| entry.by == by && at - entry.at < GROUPING);
        match last.filter(|_| groups) {
            Some(entry) => {
                entry.updated = at;
                entry.moved = match (entry.moved, moved) {
                    (Some((from, _)), Some((_, to))) => Some((from, to)),
                    (before, moved) => moved.or(before),
                };
            }
            None => ticket.history.push(Entry { id, at, updated: at, by, moved }),
        }
    }
}

/// The project or team of a ticket.
pub(crate) fn scope_of(key: &str) -> &str {
    key.rsplit_once('-').map_or(key, |(scope, _)| scope)
}

/// `2026-11-20T12:04:01.000` with the given offset of UTC.
pub(crate) fn to_time(millis: i64, offset: &str) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).expect("a time");
    let (date, (hour, minute, second, milli)) = (at.date(), at.to_hms_milli());
    let month = u8::from(date.month());
    format!("{}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}{offset}", date.year(), date.day())
}

pub(crate) fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

pub(crate) fn person(by: (&str, &str), id: &str, name: &str) -> Value {
    json!({ id: by.0, name: by.1 })
}
