//! Models one ticket with a user's own tool: moves in the tool and on the board, ends and retries of jobs.
//!
//! A write to the tool may stop before or after the call, its answer may be lost, and other steps may come in between.
//! The tool reports each move. The steps are those of `crates/control/src/tickets`.
//!
//! Each job has an entry by a user. In the end:
//! - Tool and ticket have the same status: the newest move's, unless two moves were made independently.
//! - A ticket that a user moved into the trigger status has a job.

use crate::explore::{Step, check};
use crate::fixtures::{
    REVIEW, TRIGGER, at, event_id, job_id, plan_ticket_job, project_id, ready_job, repository, settings, ticket_in,
};
use crate::items::{ItemVersion, Items};
use pullyard_domain::job::{JobStatus, to_retry};
use pullyard_domain::project::budget::{DailyUsage, Day};
use pullyard_domain::project::tracker::{TrackerKind, TrackerSettings};
use pullyard_domain::project::{Project, Settings};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::outcome::ticket_after_job;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{EventId, IntegrationId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::event::TicketEvent;
use pullyard_domain::ticket::facts::{Facts, RepositoryFact};
use pullyard_domain::ticket::guard::{FollowUp, decide};
use pullyard_domain::ticket::{LastOutcome, SettleStep, Ticket};

const TODO: &str = "Todo";

/// The number of moves, retries and crashes, and the reports of the tool.
type Setting = ([u8; 4], Reports);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reports {
    InOrder,
    InAnyOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Pending,
    /// Whether the tool left the trigger status for it.
    Shown {
        leaves_trigger: bool,
    },
    /// A user moved the ticket.
    Moved(&'static str),
    /// The event of a user's move on the board is decided; whether a later one is known.
    Decided {
        is_outdated: bool,
        leaves_trigger: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Report {
    status: &'static str,
    time: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    ticket: ItemVersion,
    /// The tool's status and newest version.
    tool: (&'static str, u32),
    /// The ticket whose wanted state is being written.
    call: Option<(ItemVersion, Answer)>,
    reports: [Option<Report>; 8],
    time: u8,
    newest_move: Option<&'static str>,
    entries: u8,
    jobs: u8,
    /// Moves in the tool, moves on the board, retries, crashes.
    left: [u8; 4],
}

struct World {
    setting: Setting,
    settings: Settings,
    tickets: Items<Ticket>,
}

fn name(status: &str) -> &'static str {
    [TODO, TRIGGER, REVIEW].into_iter().find(|name| *name == status).unwrap()
}

impl World {
    fn new(setting: Setting) -> Self {
        let mut settings = settings();
        let own = IntegrationId::new("own").unwrap();
        settings.tracker = Some(TrackerSettings::new(TrackerKind::Http, own));
        assert_eq!((settings.statuses.todo.as_str(), settings.statuses.completion.as_str()), (TODO, REVIEW));
        Self { setting, settings, tickets: Items::new() }
    }

    fn ticket(&self, state: &State) -> Ticket {
        self.tickets.get(state.ticket).clone()
    }

    fn store(&mut self, state: &mut State, ticket: Ticket) {
        state.ticket = self.tickets.number(ticket);
    }

    fn start_job(&mut self, state: &mut State, ticket: &Ticket, is_retry: bool) {
        state.jobs += 1;
        let id = job_id(&format!("j{}", state.jobs));
        let (job, ticket) = plan_ticket_job(&self.settings, id, ticket, at(0));
        let ticket = match is_retry {
            true => to_retry(&ready_job(), &self.settings, job, Some(ticket)).1.unwrap(),
            false => ticket,
        };
        self.store(state, ticket);
    }

    /// Returns whether the event is outdated.
    fn decide_event(&mut self, state: &mut State, source: Source, id: EventId, time: Timestamp, status: &str) -> bool {
        let ticket = self.ticket(state);
        let event = TicketEvent {
            source,
            project: project_id(),
            event: id,
            occurred_at: time,
            actor: None,
            previous_status: None,
            key: ticket.key.clone(),
            status: status.to_owned(),
            text: None,
            rank: None,
            is_own: false,
        };
        let (id, name, settings) = (project_id(), String::new(), self.settings.clone());
        let facts = Facts {
            now: at(100),
            first_decision: None,
            project: Some(Project { id, name, settings, deleted_number: 0, rev: 1 }),
            ticket: Some(ticket.clone()),
            repository: RepositoryFact::Connected(Box::new(repository())),
            usage: DailyUsage::zero(Day::containing(at(100))),
            spending: None,
            labels: Default::default(),
        };
        let decision = decide(&event, &facts);
        if matches!(decision.reason, Reason::Repeat { .. }) || ticket.seen_event.as_ref() == Some(&event.event) {
            return false;
        }
        let seen = Ticket {
            status: event.status.clone(),
            seen_at: time,
            seen_event: Some(event.event.clone()),
            written: None,
            written_trigger: match source {
                Source::Board if status == TRIGGER => Some(event.status.clone()),
                Source::Board => ticket.written_trigger.clone(),
                _ => None,
            },
            ..ticket
        };
        match decision.follow_up {
            FollowUp::UpdateTicket => self.store(state, seen),
            FollowUp::QueueEntry => self.store(state, Ticket { again: Some(event.entry()), ..seen }),
            FollowUp::CreateJob => self.start_job(state, &Ticket { last_entry: Some(event.entry()), ..seen }, false),
            _ => {}
        }
        matches!(decision.reason, Reason::StaleEvent { .. })
    }

    /// The tool's answer to the message of this ticket.
    fn call_tool(&self, state: &mut State, ticket: &Ticket, expected: &str) -> Answer {
        let to = ticket.wanted_status(&self.settings);
        let wanted = ticket.wanted.status.as_ref().map(|wanted| wanted.expected.as_str());
        let leaves_trigger = [wanted, Some(expected)].contains(&Some(TRIGGER)) && to.is_some_and(|to| to != TRIGGER);
        let shown = Answer::Shown { leaves_trigger };
        if ticket.wanted.version < state.tool.1 {
            return shown;
        }
        state.tool.1 = ticket.wanted.version;
        let is_move = |to: &&str| *to != expected || !ticket.wanted.replaced.is_empty();
        match to.filter(is_move).filter(|to| *to != state.tool.0) {
            Some(_) if expected != state.tool.0 => Answer::Moved(state.tool.0),
            Some(to) => {
                move_in_tool(state, name(to));
                shown
            }
            None => shown,
        }
    }

    /// `control/tickets/write_to_tool.rs`: the call, the event of a user's move, the write of the ticket.
    fn continue_call(&mut self, state: &mut State, planned: ItemVersion, answer: Answer) {
        let ticket = self.tickets.get(planned).clone();
        let requested = ticket.requested_status().map(str::to_owned);
        match (answer, requested) {
            (Answer::Pending, _) => {
                let expected = ticket.wanted.status.as_ref().map_or("", |wanted| &wanted.expected).to_owned();
                let mut answer = self.call_tool(state, &ticket, &expected);
                if let Answer::Moved(status) = answer
                    && ticket.is_replaced_status(status, &self.settings)
                {
                    answer = self.call_tool(state, &ticket, status);
                }
                state.call = Some((planned, answer));
            }
            (Answer::Shown { leaves_trigger }, Some(status)) => {
                let event = ticket.wanted.event.clone().unwrap();
                let is_outdated = self.decide_event(state, Source::Board, event, ticket.seen_at, &status);
                state.call = Some((planned, Answer::Decided { is_outdated, leaves_trigger }));
            }
            (Answer::Shown { .. } | Answer::Moved(_), _) if state.ticket != planned => state.call = None,
            _ => {
                let current = self.ticket(state);
                state.call = None;
                if current.wanted.version == ticket.wanted.version {
                    let next = match answer {
                        Answer::Moved(status) => {
                            let next = current.after_refused_move(&self.settings);
                            let event = Some(event_id(&format!("moved{}", next.wanted.version)));
                            match status {
                                TRIGGER => next,
                                _ => Ticket { status: status.into(), written: None, seen_event: event, ..next },
                            }
                        }
                        Answer::Decided { is_outdated, leaves_trigger } => {
                            let mut next = match is_outdated {
                                true => current.after_refused_move(&self.settings),
                                false => current.after_write_back(&self.settings),
                            };
                            let is_entry = ticket.wanted_status(&self.settings) == Some(TRIGGER);
                            next.written_trigger.take_if(|_| !leaves_trigger && !is_entry);
                            next
                        }
                        _ => current.after_write_back(&self.settings),
                    };
                    self.store(state, next);
                }
            }
        }
    }
}

fn move_in_tool(state: &mut State, to: &'static str) {
    state.tool.0 = to;
    state.time += 1;
    let report = Some(Report { status: to, time: state.time });
    *state.reports.iter_mut().find(|free| free.is_none()).expect("a free place") = report;
}

impl crate::explore::World for World {
    type State = State;

    fn start(&mut self) -> State {
        let own = IntegrationId::new("own").unwrap();
        let ticket = self.tickets.number(ticket_in(TODO).in_tool(own, at(0)));
        let (left, reports, tool) = (self.setting.0, [None; 8], (TODO, 0));
        State { ticket, tool, call: None, reports, time: 0, newest_move: None, entries: 0, jobs: 0, left }
    }

    fn check_invariants(&mut self, state: &State) -> Result<(), String> {
        let ticket = self.ticket(state);
        if state.jobs > state.entries {
            return Err("a job without an entry".into());
        }
        let is_quiet = state.call.is_none() && state.reports.iter().all(Option::is_none);
        if !is_quiet || ticket.next_settle_step(&self.settings, at(100)) != SettleStep::Skip {
            return Ok(());
        }
        let is_newest = state.newest_move.is_none_or(|newest| newest == state.tool.0);
        // Without a report of Pullyard's move, a user's next move to the same status counts as this report. A retry may
        // not need the move.
        let is_reported = self.setting.1 == Reports::InOrder && self.setting.0[2] == 0;
        let needs_job = state.newest_move == Some(TRIGGER) && is_reported;
        match () {
            () if ticket.status != state.tool.0 => Err(format!("the ticket is in {}", ticket.status)),
            () if !is_newest => Err("a user's newest move is lost".into()),
            () if needs_job && ticket.active_job.is_none() => Err("an entry has no job".into()),
            () => Ok(()),
        }
    }

    fn next(&mut self, from: &State) -> Result<Vec<(Step, State)>, String> {
        let ticket = self.ticket(from);
        let mut next = Vec::new();
        let mut step = |action, actor, state| next.push((Step::new(action, actor), state));
        let pending = [Some(&ticket), from.call.map(|(planned, _)| self.tickets.get(planned))];
        let pending: Vec<_> = pending.into_iter().flatten().filter(|ticket| ticket.is_unsynced()).cloned().collect();
        // A late report of an earlier move ends the wait for Pullyard's own report, whose move then counts as an entry.
        let is_late = |report: &Report| report.status != TRIGGER;
        let late = u8::from(from.reports.iter().flatten().any(is_late));
        for (number, to) in [TODO, TRIGGER, REVIEW].into_iter().enumerate() {
            if from.left[0] > 0 && from.tool.0 != to {
                let mut state = *from;
                state.left[0] -= 1;
                move_in_tool(&mut state, to);
                // A wanted move may follow, also from a status that another wanted move may have written.
                let may_follow = |ticket: &Ticket| {
                    let is_expected = ticket.wanted.status.as_ref().is_some_and(|wanted| wanted.expected == to);
                    let is_wanted = ticket.wanted_status(&self.settings) == Some(to);
                    is_expected || is_wanted || ticket.is_replaced_status(to, &self.settings)
                };
                let is_last = !pending.iter().any(may_follow);
                state.newest_move = Some(to).filter(|_| is_last);
                state.entries += u8::from(to == TRIGGER) + u8::from(!is_last);
                step("a user moves in the tool to", number, state);
            }
            let withdraws = ticket.requested_status().is_some_and(|requested| requested != to);
            if from.left[1] > 0 && (ticket.status != to || withdraws) && ticket.requested_status() != Some(to) {
                let mut state = *from;
                state.left[1] -= 1;
                let mut moved = ticket.clone();
                moved.request_move(to, "ann", event_id(&format!("drop{}", state.left[1])), &self.settings);
                self.store(&mut state, moved);
                // The writes of the retry and of the move may be under way at the same time.
                let is_alone =
                    from.call.is_none() || self.setting.0[2] == 0 && !matches!(from.call, Some((_, Answer::Moved(_))));
                state.newest_move = Some(to).filter(|_| from.reports[0].is_none() && is_alone);
                state.entries += u8::from(to == TRIGGER) + late;
                state.entries -= u8::from(ticket.requested_status() == Some(TRIGGER));
                step("a user moves on the board to", number, state);
            }
        }
        let failed = ticket.last_job.as_ref().is_some_and(|last| last.outcome == LastOutcome::Failed);
        if from.left[2] > 0 && ticket.active_job.is_none() && failed {
            let mut state = State { newest_move: None, entries: from.entries + 1 + late, ..*from };
            state.left[2] -= 1;
            self.start_job(&mut state, &ticket, true);
            step("a user retries job", 0, state);
        }
        for (number, status) in [JobStatus::Completed, JobStatus::Failed].into_iter().enumerate() {
            if let Some(id) = &ticket.active_job {
                let mut state = *from;
                let mut job = plan_ticket_job(&self.settings, id.clone(), &ticket, at(0)).0;
                (job.status, job.worked, job.ended_at) = (status, true, Some(at(100)));
                self.store(&mut state, ticket_after_job(&job, &ticket));
                state.newest_move = state.newest_move.filter(|newest| *newest != TRIGGER);
                state.entries += late * u8::from(ticket.is_unsynced());
                step("the job ends as", number, state);
            }
        }
        for (number, report) in from.reports.iter().enumerate() {
            let is_next = number == 0 || self.setting.1 == Reports::InAnyOrder;
            if let Some(Report { status, time }) = report.filter(|_| is_next) {
                let mut state = *from;
                state.reports[number] = None;
                let is_later = |(other, report): (usize, &Report)| other != number && report.status == TRIGGER;
                state.entries += u8::from(from.reports.iter().flatten().enumerate().any(is_later));
                state.reports.sort_by_key(|report| report.map_or(u8::MAX, |report| report.time));
                let id = event_id(&format!("report{time}"));
                self.decide_event(&mut state, Source::TicketTool, id, at(u64::from(time)), status);
                step("the tool reports", number, state);
            }
        }
        if let Some((planned, answer)) = from.call {
            let mut state = *from;
            self.continue_call(&mut state, planned, answer);
            step("the write continues", 0, state);
            if from.left[3] > 0 {
                let mut state = State { call: None, ..*from };
                state.left[3] -= 1;
                step("the write stops", 0, state);
            }
            return Ok(next);
        }
        let mut state = *from;
        match ticket.next_settle_step(&self.settings, at(100)) {
            SettleStep::WriteBack(_) => state.call = Some((from.ticket, Answer::Pending)),
            SettleStep::DropEntry(dropped) => self.store(&mut state, *dropped),
            SettleStep::DecideEntry(entry) => {
                self.start_job(&mut state, &Ticket { last_entry: Some(entry), ..ticket }, false)
            }
            SettleStep::DecideReviews(_) | SettleStep::Skip => return Ok(next),
        }
        step("the ticket is settled", 0, state);
        Ok(next)
    }
}

#[test]
fn tool_ends_at_the_wanted_status_or_a_later_move() {
    use Reports::{InAnyOrder, InOrder};
    let settings = [
        ([1, 1, 0, 1], InOrder),
        ([3, 0, 0, 1], InOrder),
        ([1, 0, 1, 1], InOrder),
        ([0, 1, 1, 1], InOrder),
        ([0, 2, 0, 0], InOrder),
        ([2, 0, 0, 1], InAnyOrder),
    ];
    check("ticket in a tool", &settings, |setting| crate::explore::explore(&mut World::new(setting)));
}
