//! A small world for the property tests: tickets, jobs and a ledger in memory, every coordinating write a
//! compare-and-set on `rev`, and the steps of the use cases over them as one caller after another takes
//! them, each from a fresh or from a stale copy.
//!
//! It owns no rule: what is decided comes from the domain, what must hold stands in the tests.

use crate::budget::{Day, Today};
use crate::decision::Reason;
use crate::delivery::Source;
use crate::event::TicketEvent;
use crate::facts::{Facts, FirstAnswer, RepositoryFact};
use crate::failure::Failure;
use crate::guard::{Decision, Follow, decide, decide_again, decide_request, record};
use crate::id::{EventId, JobId, TicketKey};
use crate::job::{
    Cancel, DispatchFault, End, Fence, Job, NotNow, Pause, Rest, Status, Yielded, as_retry, may_be_retried,
};
use crate::outcome::{ticket_after, ticket_while};
use crate::project::Project;
use crate::story;
use crate::sweep::{Step, step};
use crate::ticket::{Settling, Ticket};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

mod tests;

/// A conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Applied,
    Stale,
}

/// A status that a ticket got, and at which step of the history.
#[derive(Clone, Debug)]
struct Said {
    step: u32,
    status: String,
}

/// An entry during a job.
#[derive(Clone, Debug)]
struct Waiting {
    ticket: TicketKey,
    event: EventId,
    job: JobId,
    step: u32,
}

struct World {
    now: Timestamp,
    step: u32,
    project: Project,
    tickets: BTreeMap<TicketKey, Ticket>,
    jobs: BTreeMap<JobId, Job>,
    ledger: BTreeMap<EventId, FirstAnswer>,
    days: BTreeMap<Day, Today>,
    /// Copies that somebody may still hold.
    old_tickets: Vec<Ticket>,
    old_jobs: Vec<Job>,
    /// Everything that was ever told, started or claimed: it may be told again.
    events: Vec<TicketEvent>,
    starts: Vec<(JobId, u32, u32)>,
    fences: Vec<Fence>,
    /// What the tests compare with, noted beside the items: a person's last move, and each job's making
    /// and end.
    moved: BTreeMap<TicketKey, Said>,
    made: BTreeMap<JobId, Said>,
    ended: BTreeMap<TicketKey, (u32, JobId)>,
    waiting: Vec<Waiting>,
}

impl World {
    fn new() -> Self {
        Self {
            now: story::at(0),
            step: 0,
            project: story::project(),
            tickets: BTreeMap::new(),
            jobs: BTreeMap::new(),
            ledger: BTreeMap::new(),
            days: BTreeMap::new(),
            old_tickets: Vec::new(),
            old_jobs: Vec::new(),
            events: Vec::new(),
            starts: Vec::new(),
            fences: Vec::new(),
            moved: BTreeMap::new(),
            made: BTreeMap::new(),
            ended: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    // The store.

    fn job_is_fresh(&self, job: &Job) -> bool {
        self.jobs.get(&job.id).map_or(0, |stored| stored.rev) == job.rev
    }

    fn ticket_is_fresh(&self, ticket: &Ticket) -> bool {
        self.tickets.get(&ticket.key).map_or(0, |stored| stored.rev) == ticket.rev
    }

    /// Writes a job, a ticket or both, or neither.
    fn put(&mut self, job: Option<&Job>, ticket: Option<&Ticket>) -> Write {
        if !job.is_none_or(|job| self.job_is_fresh(job)) || !ticket.is_none_or(|ticket| self.ticket_is_fresh(ticket)) {
            return Write::Stale;
        }
        if job.is_some_and(|job| !self.count(job)) {
            return Write::Stale;
        }
        if let Some(job) = job {
            let mut job = job.clone();
            job.rev += 1;
            self.old_jobs.push(job.clone());
            self.jobs.insert(job.id.clone(), job);
        }
        if let Some(ticket) = ticket {
            let mut ticket = ticket.clone();
            ticket.rev += 1;
            self.old_tickets.push(ticket.clone());
            self.tickets.insert(ticket.key.clone(), ticket);
        }
        Write::Applied
    }

    /// What the write of a job takes from its day or gives back to it. False: the day has not enough left.
    fn count(&mut self, job: &Job) -> bool {
        let stored = self.jobs.get(&job.id);
        if let Some(charge) = self.project.settings.budget.charge(job).filter(|_| stored.is_none()) {
            let day = self.days.entry(charge.day).or_insert(Today::unused(charge.day));
            let dear = charge.usd_micros_at_most.is_some_and(|most| day.taken_usd_micros > most);
            if dear || charge.jobs_below.is_some_and(|below| day.jobs >= below) {
                return false;
            }
            day.jobs += 1;
            day.taken_usd_micros += charge.usd_micros;
        }
        if let Some(returned) = job.returned().filter(|_| stored.is_some_and(|stored| !stored.status.is_terminal())) {
            let day = self.days.get_mut(&returned.day).unwrap();
            day.jobs -= returned.jobs;
            day.taken_usd_micros = day.taken_usd_micros - returned.reserved_usd_micros + returned.spent_usd_micros;
            day.spent_usd_micros += returned.spent_usd_micros;
        }
        true
    }

    fn today(&self) -> Today {
        let day = Day::of(self.now);
        self.days.get(&day).copied().unwrap_or(Today::unused(day))
    }

    /// Some job, as stored or as somebody read it earlier.
    fn some_job(&self, pick: usize, stale: bool) -> Option<Job> {
        let job = self.jobs.values().nth(pick % self.jobs.len().max(1))?;
        let mut copies = self.old_jobs.iter().filter(|copy| stale && copy.id == job.id);
        Some(copies.nth(pick / 7).unwrap_or(job).clone())
    }

    fn ticket_copy(&self, key: &TicketKey, pick: usize, stale: bool) -> Option<Ticket> {
        let ticket = self.tickets.get(key)?;
        let mut copies = self.old_tickets.iter().filter(|copy| stale && copy.key == *key);
        Some(copies.nth(pick / 7).unwrap_or(ticket).clone())
    }

    // Ticket events.

    fn facts(&self, event: &TicketEvent, ticket: Option<Ticket>) -> Facts {
        Facts {
            now: self.now,
            first: self.ledger.get(&event.event).cloned(),
            project: Some(self.project.clone()),
            ticket,
            repository: RepositoryFact::Connected(Box::new(story::repository())),
            today: self.today(),
        }
    }

    fn tell(&mut self, event: &TicketEvent, ticket: Option<Ticket>) {
        let facts = self.facts(event, ticket);
        let decision = decide(event, &facts);
        let conditional = matches!(decision.follow, Follow::Trigger | Follow::EnterAgain | Follow::Wait);
        if !conditional || self.apply(event, &facts, &decision) == Write::Stale {
            let facts = self.facts(event, self.tickets.get(&event.key).cloned());
            let decision = decide(event, &facts);
            assert_eq!(self.apply(event, &facts, &decision), Write::Applied, "fresh facts are never stale");
        }
    }

    fn apply(&mut self, event: &TicketEvent, facts: &Facts, decision: &Decision) -> Write {
        let seen = Ticket {
            status: event.status.clone(),
            seen_at: event.occurred_at,
            seen_event: Some(event.event.clone()),
            written: None,
            ..facts.ticket.clone().unwrap_or_else(|| {
                let (project, key) = (event.project.clone(), event.key.clone());
                Ticket::first_seen(project, key, event.status.clone(), event.occurred_at, None)
            })
        };
        let before = self.tickets.get(&event.key).map(|ticket| ticket.status.clone());
        let written = match decision.follow {
            Follow::Nothing => Write::Applied,
            // Not over `rev`.
            Follow::Snapshot => {
                let mut stored = self.tickets.get(&event.key).cloned().unwrap_or_else(|| seen.clone());
                if stored.seen_at <= event.occurred_at {
                    stored.status.clone_from(&event.status);
                    stored.seen_at = event.occurred_at;
                    stored.seen_event = Some(event.event.clone());
                    stored.written = None;
                    self.put(None, Some(&stored));
                }
                Write::Applied
            }
            Follow::EnterAgain => {
                let again = Some(event.entry());
                self.put(None, Some(&Ticket { again, held: false, ..seen }))
            }
            Follow::Wait => self.put(None, Some(&seen.waiting_with(event.entry()))),
            Follow::Trigger => match &decision.reason {
                Reason::Accepted { job } => {
                    let last_entry = Some(event.entry());
                    self.make(job, &Ticket { last_entry, ..seen })
                }
                other => panic!("{other:?} makes no job"),
            },
        };
        if written == Write::Applied {
            if before.as_ref() != self.tickets.get(&event.key).map(|ticket| &ticket.status) {
                let (step, status) = (self.step, event.status.clone());
                self.moved.insert(event.key.clone(), Said { step, status });
            }
            if let Reason::JobActive { job, .. } = &decision.reason {
                self.waiting.push(Waiting {
                    ticket: event.key.clone(),
                    event: event.event.clone(),
                    job: job.clone(),
                    step: self.step,
                });
            }
            let answer = FirstAnswer {
                reason: decision.reason.clone(),
                status_before: record(event, facts).status_before,
                at: facts.now,
                seen: Vec::new(),
            };
            let stands = facts.first.as_ref().is_some_and(|first| first.reason.is_final());
            if !stands {
                self.ledger.insert(event.event.clone(), answer);
            }
        }
        written
    }

    fn make(&mut self, id: &JobId, ticket: &Ticket) -> Write {
        let (job, locked) = story::planned(&self.project.settings, id.clone(), ticket, self.now);
        if self.ticket_is_fresh(ticket) {
            assert!(!self.jobs.contains_key(id), "an entry that has its job is accepted again");
        }
        let written = self.put(Some(&job), Some(&locked));
        if written == Write::Applied {
            let (step, status) = (self.step, ticket.status.clone());
            self.made.insert(id.clone(), Said { step, status });
        }
        written
    }

    fn request(&mut self, key: &TicketKey, pick: usize, stale: bool) {
        let Some(ticket) = self.ticket_copy(key, pick, stale) else {
            return;
        };
        let fact = RepositoryFact::Connected(Box::new(story::repository()));
        if decide_request(&self.project, &ticket, &fact, &self.today()).is_none() {
            self.make(&story::job_id(&format!("request {}", self.step)), &ticket);
        }
    }

    // Settling.

    /// One step of settling. False: nothing is left to do.
    fn settle(&mut self, ticket: &Ticket) -> bool {
        match ticket.settling(&self.project.settings, self.now) {
            Settling::Nothing | Settling::Revise(_) | Settling::Mend(_) => return false,
            Settling::WriteBack(next) => {
                if self.put(None, Some(&next)) == Write::Applied && next.status != ticket.status {
                    self.check_move(ticket, &next);
                }
            }
            Settling::Forget(next) => {
                self.put(None, Some(&next));
            }
            Settling::Enter(entry) => {
                let event = TicketEvent {
                    actor: None,
                    occurred_at: entry.at.max(ticket.seen_at),
                    ..self.event(&ticket.key, entry.event.as_str(), &ticket.status, entry.at)
                };
                let facts = self.facts(&event, Some(ticket.clone()));
                let decision = decide_again(&event, &facts);
                let next = match decision.follow {
                    Follow::Trigger => None,
                    // It waits already.
                    Follow::Nothing => return false,
                    Follow::Wait => Some(ticket.clone().waiting_with(entry)),
                    _ => Some(ticket.forgotten(&self.project.settings)),
                };
                let decision = match next {
                    None => decision,
                    Some(next) if self.put(None, Some(&next)) == Write::Applied => {
                        Decision { follow: Follow::Nothing, ..decision }
                    }
                    Some(_) => return true,
                };
                self.apply(&event, &facts, &decision);
            }
        }
        true
    }

    /// A write-back moves a ticket for the job that ended last, from where that job found it, while no
    /// other is at work.
    fn check_move(&self, before: &Ticket, after: &Ticket) {
        assert_eq!(after.active_job, None, "a running job's ticket is moved by an older write-back");
        let (_, job) = &self.ended[&before.key];
        // Whoever put it into the trigger status meanwhile asked for work, and is answered by its end.
        let asked = before.status == story::TRIGGER;
        assert!(asked || before.status == self.made[job].status, "a person's move is overwritten");
        let completed = self.jobs[job].status == Status::Completed;
        assert_eq!(after.status, if completed { story::REVIEW } else { story::TODO });
    }

    fn event(&self, key: &TicketKey, id: &str, status: &str, occurred_at: Timestamp) -> TicketEvent {
        TicketEvent { source: Source::TicketTool, key: key.clone(), occurred_at, ..story::event(id, status, 0) }
    }

    // Jobs.

    fn write(&mut self, next: Result<Job, NotNow>) -> Write {
        next.map_or(Write::Stale, |next| self.put(Some(&next), None))
    }

    /// The end of a job, with its ticket.
    fn end(&mut self, ended: &Job) {
        let key = ended.ticket.clone().unwrap();
        let ticket = self.tickets[&key].clone();
        if ticket.active_job.as_ref() != Some(&ended.id) {
            assert!(!self.job_is_fresh(ended), "a job ends that does not lock its ticket");
            return;
        }
        if self.put(Some(ended), Some(&ticket_after(ended, &ticket))) == Write::Applied {
            self.ended.insert(key, (self.step, ended.id.clone()));
        }
    }

    /// The dispatcher: writes a start down, or gives a silent one up.
    fn dispatch(&mut self, job: &Job) {
        let next = match step(job, self.now) {
            Step::StartAnew(fault) => job.start_failed(job.attempt + 1, job.dispatch.number, fault, self.now),
            _ => job.dispatched(self.now),
        };
        if self.write(next) == Write::Applied {
            let stored = &self.jobs[&job.id];
            if stored.dispatch.starting {
                self.starts.push((job.id.clone(), stored.attempt + 1, stored.dispatch.number));
            }
        }
    }

    fn claim(&mut self, job: &Job, attempt: u32, name: &str) {
        let claim = story::claim(attempt, name);
        if self.write(job.claimed(&claim, self.now)) == Write::Applied {
            self.fences.push(story::fence(job, attempt, name));
        }
    }

    fn finish(&mut self, job: &Job, fence: &Fence, pick: usize) {
        let end = match pick % 5 {
            0 => End::Failed(story::no_changes(), None),
            1 => End::Failed(story::no_changes(), Some(story::result())),
            2 => End::Cancelled,
            _ => End::Completed(story::result()),
        };
        let cost = [0, 400_000, 7_000_000][pick % 3];
        let finish = story::finish_id(&format!("f{}", pick % 3));
        if let Ok(ended) = job.finished(fence, &finish, end, self.now) {
            self.end(&ended.with_cost(cost));
        }
    }

    fn sweep(&mut self, job: &Job) {
        match step(job, self.now) {
            // No reviews here: `review::corner` walks through those.
            Step::Nothing | Step::Admit => {}
            Step::Start | Step::StartAnew(_) => self.dispatch(job),
            // Its people may want it to stop or to pause.
            Step::Requeue(_) => self.rest(job.requeued(self.now)),
            Step::Adopt(loss) => self.rest(job.requeued_to_adopt(loss, self.now)),
            Step::GiveUp(failure) => {
                if let Ok(ended) = job.given_up(failure, self.now) {
                    self.end(&ended);
                }
            }
            Step::CallOff => {
                if let Ok(ended) = job.called_off(self.now) {
                    self.end(&ended);
                }
            }
            Step::Expire => {
                if let Ok(ended) = job.expired(self.now) {
                    self.end(&ended);
                }
            }
        }
    }

    /// A write of a job that stands still or goes on, with what its ticket shows of that.
    fn rest(&mut self, next: Result<Job, NotNow>) {
        let Ok(next) = next else { return };
        if next.status.is_terminal() {
            return self.end(&next);
        }
        let ticket = self.tickets[&next.ticket.clone().unwrap()].clone();
        self.put(Some(&next), ticket_while(&next, &ticket).as_ref());
    }

    /// Somebody pauses a job, continues it, or speaks to its agent; or its runner gives it back.
    fn pause_or_speak(&mut self, job: &Job, pick: usize) {
        let fence = job.run.as_ref();
        let fence = fence.map(|run| Fence { job: job.id.clone(), attempt: job.attempt, claim: run.claim.clone() });
        let rest = if pick.is_multiple_of(2) { story::asks() } else { Rest::Pauses };
        let inputs = if pick.is_multiple_of(3) { 0 } else { job.inputs };
        let yielded = Yielded { id: story::finish_id(&format!("y{}", self.step)), ..story::yielded(rest, inputs) };
        let next = match (pick % 7, fence) {
            (0, _) => job.paused(Pause::new("ann", self.now), self.now),
            (1 | 2, _) => job.continued(self.now),
            (3, _) => job.told(self.now),
            (_, Some(fence)) => job.yielded(&fence, &yielded, self.now).map(|job| job.with_cost(400_000)),
            _ => return,
        };
        self.rest(next);
    }

    /// Somebody cancels a job, or retries it if it is over.
    fn cancel_or_retry(&mut self, job: &Job) {
        match job.cancelled(Cancel::new("ann", None, self.now), self.now) {
            Ok(next) if next.status.is_terminal() => self.end(&next),
            Ok(next) => {
                self.put(Some(&next), None);
            }
            Err(_) => self.retry(job),
        }
    }

    fn retry(&mut self, of: &Job) {
        let Some(key) = of.ticket.clone().filter(|_| may_be_retried(of).is_ok()) else { return };
        let ticket = self.tickets[&key].clone();
        let fact = RepositoryFact::Connected(Box::new(story::repository()));
        if decide_request(&self.project, &ticket, &fact, &self.today()).is_some() {
            return;
        }
        let id = story::job_id(&format!("retry {}", self.step));
        let (job, locked) = story::planned(&self.project.settings, id.clone(), &ticket, self.now);
        let (job, locked) = as_retry(of, &self.project.settings, job, Some(locked));
        let (Some(locked), step) = (locked, self.step) else { return };
        if self.put(Some(&job), Some(&locked)) == Write::Applied {
            self.made.insert(id, Said { step, status: locked.status.clone() });
        }
    }

    /// What would come next if all went well.
    fn work(&mut self, job: &Job, pick: usize) {
        let fence =
            job.run.as_ref().map(|run| Fence { job: job.id.clone(), attempt: job.attempt, claim: run.claim.clone() });
        match (job.status, fence) {
            (Status::Ready, _) if job.dispatch.starting => self.claim(job, job.attempt + 1, &format!("c{}", self.step)),
            (Status::Ready, _) => self.dispatch(job),
            (Status::Syncing, Some(fence)) => self.finish(job, &fence, pick),
            (status, Some(fence)) if status.is_active() => {
                let to = match status {
                    Status::Claimed => Status::Preparing,
                    Status::Preparing => Status::Executing,
                    _ => Status::Syncing,
                };
                self.write(job.progressed(&fence, to, self.now));
            }
            _ => {}
        }
    }

    fn start_comes_to_nothing(&mut self, job: &Job, attempt: u32, number: u32, pick: usize) {
        let since = self.now;
        let reason = || "x".repeat(pick);
        let fault = match pick % 6 {
            0 => DispatchFault::Capacity { since, times: 1 },
            1 => DispatchFault::Throttled { times: 1 },
            2 => DispatchFault::Refused { reason: reason(), times: 1 },
            3 => DispatchFault::Died { reason: reason(), times: 1 },
            4 => DispatchFault::Interrupted { times: 1 },
            _ => DispatchFault::Silent { times: 1 },
        };
        self.write(job.start_failed(attempt, number, fault, self.now));
    }

    fn container_dies(&mut self, job: &Job, pick: usize) {
        let failure = match pick % 4 {
            0 => story::no_changes(),
            1 => story::crashed(),
            2 => Failure::SpotInterrupted {},
            _ => Failure::TaskStopped { reason: "host gone".into() },
        };
        let task = job.run.as_ref().and_then(|run| run.task.clone());
        self.write(job.container_died(&task.unwrap_or_default(), failure, self.now));
    }

    /// The sweeper failed on a job and leaves it alone for a while.
    fn put_off(&mut self, job: &Job) {
        let mut job = job.clone();
        job.not_before = Some(self.now.plus(crate::sweep::back_off(job.tries)));
        job.tries += 1;
        if !job.status.is_terminal() {
            self.put(Some(&job), None);
        }
    }

    fn wait(&mut self, secs: u64) {
        self.now = self.now.plus(Duration::from_secs(secs));
    }
}
