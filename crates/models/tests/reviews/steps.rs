//! The possible next steps of a state, and its invariants.

use super::Setting;
use super::rules::{Change, DecideOutcome, DecisionFacts, Rules, SettleFacts, SettleOutcome, is_final_answer};
use super::state::{
    Answer, DeliveryProcess, FIRST_JOB, JOBS, MAX_REVIEWS, NEXT_JOB, Settler, State, StoredReview, StoredState, Work,
    slot,
};
use super::table::{self, NewJob, NewWaitingReview, members};
use crate::explore::{self, Step};

type NextStates = Vec<(Step, State)>;

pub(super) struct World {
    setting: Setting,
    rules: Rules,
}

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting, rules: Rules::default() }
    }

    /// A write and its three outcomes: the process continues, dies, or finds its facts stale.
    fn write(
        &self,
        name: Step,
        state: &State,
        written: Option<State>,
        next: &mut NextStates,
        [continues, dies, retries]: [&dyn Fn(&mut State); 3],
    ) {
        let Some(written) = written else {
            let mut stale = *state;
            retries(&mut stale);
            next.push((name.with_suffix(": stale"), stale));
            return;
        };
        let mut applied = written;
        continues(&mut applied);
        next.push((name, applied));
        if written.remaining.faults > 0 {
            for (fault, effect) in [(": dies", dies), (": answer lost", retries)] {
                let mut faulty = written;
                faulty.remaining.faults -= 1;
                effect(&mut faulty);
                next.push((name.with_suffix(fault), faulty));
            }
        }
    }

    fn read_facts(&mut self, state: &State, review: usize) -> DeliveryProcess {
        let table = &state.table;
        let known = self.rules.stored_review(u8::try_from(review).unwrap_or(0), &table.reviews());
        let first = is_final_answer(table.ledger[review], known);
        DeliveryProcess::Read { known, first, closed: table.closed, revised: table.last_revision, pr: true }
    }

    fn delivery(&mut self, state: &State, hook: usize, review: usize, next: &mut NextStates) -> Result<(), String> {
        let table = &state.table;
        let id = u8::try_from(review).unwrap_or(0);
        let request = self.setting.requests & 1 << review != 0;
        let step = |action| Step::new(action, hook);
        let answered = move |state: &mut State| {
            state.hooks[hook] = DeliveryProcess::Idle;
            state.remaining.answered |= 1 << review;
        };
        let dies = move |state: &mut State| state.hooks[hook] = DeliveryProcess::Idle;
        let (name, written) = match state.hooks[hook] {
            DeliveryProcess::Idle => {
                let remaining = state.remaining.deliveries[review];
                if remaining > 0 || state.remaining.answered & 1 << review == 0 {
                    let mut after = *state;
                    after.remaining.deliveries[review] = remaining.saturating_sub(1);
                    after.hooks[hook] = self.read_facts(state, review);
                    next.push((step("delivery reads,"), after));
                }
                return Ok(());
            }
            DeliveryProcess::Read { known, first, closed, revised, pr } => {
                let facts = DecisionFacts {
                    request,
                    has_final_answer: first,
                    known,
                    ticket: table.ticket,
                    last_revision: revised,
                    now: table.now,
                    held: table.held,
                    closed,
                };
                let outcome = self.rules.decide(facts);
                let mut after = *state;
                match outcome {
                    DecideOutcome::Answer => answered(&mut after),
                    DecideOutcome::Record => after.hooks[hook] = DeliveryProcess::Record,
                    DecideOutcome::Trigger => {
                        after.hooks[hook] = DeliveryProcess::Trigger { then: table.now, ticket: true, pr }
                    }
                    DecideOutcome::Remember { held, opens } => {
                        let answer = if held { Answer::Held } else { Answer::Paused };
                        let job = table.ticket.active.filter(|_| !request);
                        let marked = self.rules.change(Change::Remember(opens), table.ticket, revised).0;
                        match known {
                            Some(_) if marked == table.ticket => answered(&mut after),
                            Some(_) => after.hooks[hook] = DeliveryProcess::Mark { opens, ticket: true },
                            None => after.hooks[hook] = DeliveryProcess::Put { answer, job, opens, ticket: true },
                        }
                    }
                }
                next.push((
                    step(match outcome {
                        DecideOutcome::Answer => "delivery decides: answered before,",
                        DecideOutcome::Record => "delivery decides: refused,",
                        DecideOutcome::Trigger => "delivery decides: a job,",
                        DecideOutcome::Remember { .. } => "delivery decides: it waits,",
                    }),
                    after,
                ));
                return Ok(());
            }
            DeliveryProcess::Record => ("delivery records,", table::record(state, id, Answer::Refused)),
            DeliveryProcess::Trigger { then, ticket, pr } => {
                let new = NewJob { review: id, job: table.next_job(id), then, request, fresh: ticket && pr };
                ("delivery starts its job,", table::trigger(state, &new, &mut self.rules)?)
            }
            DeliveryProcess::Put { answer, job, opens, ticket } => {
                let waits = NewWaitingReview { review: id, answer, job, opens, fresh: ticket };
                ("delivery remembers,", table::remember(state, &waits, &mut self.rules))
            }
            DeliveryProcess::Mark { opens, ticket } => {
                ("delivery marks the ticket,", table::mark(state, opens, ticket, &mut self.rules))
            }
        };
        let facts = self.read_facts(written.as_ref().unwrap_or(state), review);
        let retries = move |state: &mut State| state.hooks[hook] = facts;
        self.write(step(name), state, written, next, [&answered, &dies, &retries]);
        Ok(())
    }

    fn settler(&mut self, state: &State, at: usize, next: &mut NextStates) -> Result<(), String> {
        let table = &state.table;
        let step = |action| Step::new(action, at);
        let idle = move |state: &mut State| state.settlers[at] = Settler::Idle;
        let mut advance = |action: &'static str, settler: Settler| {
            let mut after = *state;
            after.settlers[at] = settler;
            next.push((step(action), after));
        };
        match state.settlers[at] {
            Settler::Idle => {
                if table.ticket.row.is_some_and(|row| row <= table.now) {
                    if !self.rules.needs_settling(table.ticket, table.now) {
                        return Err("a ticket is due and needs nothing".into());
                    }
                    advance("settling reads the ticket,", Settler::Read { last: table.ticket.last, ticket: true });
                }
            }
            Settler::Read { last, ticket } => {
                let facts = SettleFacts {
                    reviews: table.reviews(),
                    last,
                    last_revision: table.last_revision,
                    now: table.now,
                    held: table.held,
                    closed: table.closed,
                };
                let outcome = self.rules.settle(facts, &self.setting);
                advance(
                    "settling decides,",
                    match outcome {
                        SettleOutcome::Clear => Settler::Clear { ticket },
                        SettleOutcome::Hold => Settler::Idle,
                        SettleOutcome::Wait(opens) => Settler::Wait { opens, ticket },
                        SettleOutcome::Absorb { into, older } => Settler::Absorb { into, older },
                        SettleOutcome::Start { review, job, request } => {
                            Settler::Start { review, job, then: table.now, ticket, pr: true, request }
                        }
                        SettleOutcome::Refuse { newest, others } => {
                            Settler::Conclude { newest, others, ticket, as_read: true }
                        }
                    },
                );
            }
            Settler::Clear { ticket } => {
                let written = table::change_ticket(state, Change::Clear, ticket, &mut self.rules);
                self.write(step("settling takes the mark off,"), state, written, next, [&idle, &idle, &idle]);
            }
            Settler::Wait { opens, ticket } => {
                let written = table::change_ticket(state, Change::Wait(opens), ticket, &mut self.rules);
                self.write(step("settling lets them wait,"), state, written, next, [&idle, &idle, &idle]);
            }
            Settler::Absorb { into, older } => {
                let written = table::absorb(state, into, older);
                self.write(step("settling absorbs,"), state, written, next, [&idle, &idle, &idle]);
            }
            Settler::Start { review, job, then, ticket, pr, request } => {
                let new = NewJob { review, job, then, request, fresh: ticket && pr };
                let written = table::start(state, &new, &mut self.rules)?;
                self.write(
                    Step::new("settling starts job", usize::from(job)),
                    state,
                    written,
                    next,
                    [&idle, &idle, &idle],
                );
            }
            Settler::Conclude { newest, others, .. } => {
                let written = Some(table::conclude_refused(state, others | 1 << newest));
                let continues = move |state: &mut State| {
                    let Settler::Conclude { ticket, as_read, .. } = state.settlers[at] else { return };
                    state.settlers[at] = match others {
                        0 => Settler::RefuseNewest { newest, ticket, as_read },
                        others => Settler::RefuseOthers { newest, others, ticket, as_read },
                    };
                };
                self.write(step("settling tells the ledger,"), state, written, next, [&continues, &idle, &continues]);
            }
            Settler::RefuseOthers { newest, others, as_read, .. } => {
                let written = table::refuse_others(state, newest, others, as_read);
                let continues = move |state: &mut State| {
                    let Settler::RefuseOthers { ticket, as_read, .. } = state.settlers[at] else { return };
                    state.settlers[at] = Settler::RefuseNewest { newest, ticket, as_read };
                };
                self.write(step("settling refuses the older,"), state, written, next, [&continues, &idle, &idle]);
            }
            Settler::RefuseNewest { newest, as_read, .. } => {
                let written = table::refuse_newest(state, newest, as_read);
                let continues = move |state: &mut State| {
                    let Settler::RefuseNewest { ticket, .. } = state.settlers[at] else { return };
                    state.settlers[at] = Settler::Clear { ticket };
                };
                self.write(step("settling refuses the newest,"), state, written, next, [&continues, &idle, &idle]);
            }
        }
        Ok(())
    }

    /// Jobs advance and end. Their writer retries until the write succeeds.
    fn jobs(&mut self, state: &State, next: &mut NextStates) {
        for job in JOBS {
            let work = state.table.jobs[slot(job)];
            let mut ends = |name, work: Work| {
                let ended = table::end(state, job, work, &mut self.rules, &self.setting);
                next.push((Step::new(name, usize::from(job)), ended));
            };
            match work {
                Work::Pending if job == NEXT_JOB => {
                    ends("ends before it began: job", Work::NeverBegan);
                    self.defer_reviews_to_next_job(state, next);
                }
                Work::Pending => {
                    ends("ends before it began: job", Work::NeverBegan);
                    let covers = self.rules.covered_reviews(job, &state.table.reviews());
                    let mut admitted = table::conclude_covered(state, covers, job);
                    admitted.table.jobs[slot(job)] = Work::Running;
                    admitted.table.covers[usize::from(job)] = covers;
                    next.push((Step::new("is told what it covers: job", usize::from(job)), admitted));
                }
                Work::Running => {
                    ends("completes: job", Work::Completed);
                    ends("fails: job", Work::Failed);
                    if state.table.closed && !matches!(job, FIRST_JOB | NEXT_JOB) {
                        ends("is called off: job", Work::Cancelled);
                    }
                }
                _ => {}
            }
        }
    }

    fn defer_reviews_to_next_job(&mut self, state: &State, next: &mut NextStates) {
        let unanswered =
            state.table.failed_job.map_or(0, |failed| self.rules.unanswered_reviews(failed, &state.table.reviews()));
        if unanswered == 0 {
            let mut alone = *state;
            alone.table.jobs[slot(NEXT_JOB)] = Work::Running;
            next.push((Step::new("goes on alone: job", usize::from(NEXT_JOB)), alone));
            return;
        }
        for review in 0..MAX_REVIEWS {
            if unanswered & 1 << review != 0 {
                let waits = u8::try_from(review).ok().and_then(|id| table::wait_for_next(state, id));
                next.extend(waits.map(|waits| (Step::new("waits for the next job: review", review), waits)));
            }
        }
    }

    fn environment(&mut self, state: &State, next: &mut NextStates) {
        let table = &state.table;
        let none_yet = table.ticket.active.is_none() && table.jobs[slot(NEXT_JOB)] == Work::None;
        if self.setting.next_job_without_reviews && none_yet && table.failed_job.is_some() {
            let started = table::next_job(state, &mut self.rules);
            next.extend(started.map(|started| (Step::new("the next begins: job", usize::from(NEXT_JOB)), started)));
        }
        if state.table.now < self.setting.hours {
            let mut later = *state;
            later.table.now += 1;
            next.push((Step::new("an hour passes", 0), later));
        }
        if state.remaining.closes > 0 {
            let mut news = *state;
            news.remaining.closes -= 1;
            news.table.closed = !news.table.closed;
            news.mark_pull_request_reads_stale();
            next.push((Step::new("closed", usize::from(news.table.closed)), news));
        }
        if state.table.closed && state.table.ticket.deferred.is_some_and(|opens| opens > state.table.now) {
            let sooner = table::change_ticket(state, Change::Wait(state.table.now), true, &mut self.rules);
            next.extend(sooner.map(|sooner| (Step::new("what waits is looked at sooner", 0), sooner)));
        }
        if state.remaining.holds > 0 {
            let mut held = *state;
            held.remaining.holds -= 1;
            held.table.held = !held.table.held;
            next.push((Step::new("held", usize::from(held.table.held)), held));
        }
    }

    /// The invariant of one review once no work is left.
    fn check_idle_review(&mut self, state: &State, review: usize) -> Result<(), String> {
        let table = &state.table;
        let entry = table.ledger[review];
        let id = u8::try_from(review).unwrap_or(0);
        let alone = self.setting.next_job_without_reviews;
        let failed = |job: u8| alone && table.jobs[slot(job)] == Work::Failed;
        // The ledger entry names the first job of the review.
        let first_job_failed = entry.job.is_some_and(failed);
        let is_consistent = match (table.reviews[review], self.rules.stored_review(id, &table.reviews())) {
            (StoredState::Refused, _) if first_job_failed => true,
            (StoredState::Absent | StoredState::Refused, _) => {
                // A user's request is refused only for a closed pull request.
                let may_be_refused = self.setting.requests & 1 << review == 0 || self.setting.closes > 0;
                may_be_refused && entry.answer == Answer::Refused && entry.job.is_none()
            }
            (StoredState::Started | StoredState::Absorbed(_), Some(StoredReview::Started(job))) => {
                let cut_short = table.covers[usize::from(job)] == 0 && table.jobs[slot(job)] == Work::NeverBegan;
                let is_in_ledger = (entry.job == Some(job) || first_job_failed) && entry.answer != Answer::Refused;
                // The next job gets the reviews of a failed job while that is the ticket's last.
                let is_current = !failed(job) || table.failed_job == Some(job);
                let covers = |covered: u8| members(covered).any(|covered| covered == review);
                cut_short || is_in_ledger && is_current && covers(table.covers[usize::from(job)])
            }
            (StoredState::Deferred | StoredState::Absorbed(_), Some(StoredReview::Deferred)) => {
                let is_marked = table.ticket.deferred.is_some() && table.ticket.row.is_some();
                is_marked && (entry.job.is_none() || first_job_failed)
            }
            _ => false,
        };
        if is_consistent { Ok(()) } else { Err(format!("r{review} is lost")) }
    }
}

impl explore::World for World {
    type State = State;

    fn start(&mut self) -> State {
        State::new(&self.setting)
    }

    fn check_invariants(&mut self, state: &State) -> Result<(), String> {
        let table = &state.table;
        let active: Vec<u8> =
            JOBS.into_iter().filter(|job| matches!(table.jobs[slot(*job)], Work::Pending | Work::Running)).collect();
        if active.len() > 1 || active.first() != table.ticket.active.as_ref() {
            return Err(format!("jobs {active:?} are active, and the ticket names {:?}", table.ticket.active));
        }
        let alone = self.setting.next_job_without_reviews;
        let failed = |at: usize| alone && table.jobs[at] == Work::Failed;
        let overlap = |job: usize, other: usize| table.covers[job] & table.covers[other] != 0;
        for job in 0..table.covers.len() {
            // A review is in two jobs only if the first job failed.
            if (0..job).any(|other| overlap(job, other) && !failed(job) && !failed(other)) {
                return Err("a review is in two jobs".into());
            }
        }
        if self.rules.row(table.ticket) != table.ticket.row {
            return Err("the ticket's row is not what it should be".into());
        }
        let busy = state.hooks.iter().any(|hook| *hook != DeliveryProcess::Idle)
            || state.settlers.iter().any(|settler| *settler != Settler::Idle)
            || !active.is_empty()
            || table.ticket.row.is_some_and(|row| row <= table.now)
            || table.now < self.setting.hours;
        let has_all_answers = (0..self.setting.reviews).all(|review| state.remaining.answered & 1 << review != 0);
        if busy || !has_all_answers {
            return Ok(());
        }
        (0..self.setting.reviews).try_for_each(|review| self.check_idle_review(state, review))
    }

    fn next(&mut self, state: &State) -> Result<NextStates, String> {
        let mut next = Vec::new();
        for hook in 0..=MAX_REVIEWS {
            let review = if hook == MAX_REVIEWS { 0 } else { hook };
            if review < self.setting.reviews && (hook != MAX_REVIEWS || self.setting.concurrent_delivery) {
                self.delivery(state, hook, review, &mut next)?;
            }
        }
        for settler in 0..self.setting.settlers {
            self.settler(state, settler, &mut next)?;
        }
        self.jobs(state, &mut next);
        self.environment(state, &mut next);
        Ok(next)
    }
}
