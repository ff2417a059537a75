//! Calls the domain's functions for the cells of a state and caches every answer.

use super::Setting;
use super::state::{
    Entry, FIRST_JOB, Hour, JOBS, Last, LastRevisions, NEXT_JOB, Reviews, StoredReview, StoredState, TicketCells, Work,
    review_of, second_job, slot,
};
use crate::explore::Fast;
use crate::fixtures::{self, at, linked_pull_request, plan_revise_job, review_id, ticket_in};
use pullyard_domain::job::{Cancel, Job, JobStatus};
use pullyard_domain::project::budget::{Budget, DailyUsage, Day};
use pullyard_domain::review::guard::{
    self, DecisionStep, ReviewFacts, ReviewFollowUp, ReviewSettings, TicketFacts, decide,
};
use pullyard_domain::review::outcome::{pull_request_after_revision, ticket_after_job};
use pullyard_domain::review::pull_request::{LastRevision, PullRequest, PullRequestState};
use pullyard_domain::review::settle::{Settlement, combined_action, reviews_to_settle, settle};
use pullyard_domain::review::{
    Author, Permission, RequestedAction, Review, ReviewState, RevisionRequest, covered_reviews, resolve_absorbed,
    unanswered_reviews,
};
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::text::id::{JobId, ReviewId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::{LastJob, LastOutcome, SettleStep, Ticket};
use std::collections::BTreeSet;
use std::sync::LazyLock;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DecisionFacts {
    pub(super) request: bool,
    pub(super) has_final_answer: bool,
    pub(super) known: Option<StoredReview>,
    pub(super) ticket: TicketCells,
    pub(super) last_revision: LastRevisions,
    pub(super) now: Hour,
    pub(super) held: bool,
    pub(super) closed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum DecideOutcome {
    Answer,
    Record,
    Trigger,
    Remember { held: bool, opens: Hour },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SettleFacts {
    pub(super) reviews: Reviews,
    pub(super) last: Option<Last>,
    pub(super) last_revision: LastRevisions,
    pub(super) now: Hour,
    pub(super) held: bool,
    pub(super) closed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum SettleOutcome {
    Clear,
    Wait(Hour),
    /// Nothing changes until the project is released. A hold only selects the index row, and readers of that row load
    /// the project first.
    Hold,
    Absorb {
        into: u8,
        older: u8,
    },
    Start {
        review: u8,
        job: u8,
        request: bool,
    },
    Refuse {
        newest: u8,
        others: u8,
    },
}

/// A change of the ticket and its pull request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Remember(Hour),
    Wait(Hour),
    Clear,
    StartNew(u8, Hour),
    StartWaiting(u8, Hour),
    Next,
    End(u8, Work, Hour),
}

type ChangeResult = (TicketCells, LastRevisions);

#[derive(Default)]
pub(super) struct Rules {
    decision_cache: Fast<DecisionFacts, DecideOutcome>,
    settle_cache: Fast<SettleFacts, SettleOutcome>,
    change_cache: Fast<(Change, TicketCells, LastRevisions), ChangeResult>,
    covered_cache: Fast<(u8, Reviews), u8>,
    known_cache: Fast<(u8, Reviews), Option<StoredReview>>,
    needs_settling_cache: Fast<(TicketCells, Hour), bool>,
    last_outcome_cache: Fast<(u8, Work), Option<Last>>,
    unanswered_cache: Fast<(u8, Reviews), u8>,
}

pub(super) fn is_final_answer(entry: Entry, known: Option<StoredReview>) -> bool {
    use super::state::Answer;
    match entry.answer {
        Answer::None => false,
        Answer::Held | Answer::Accepted => true,
        Answer::Paused | Answer::Refused => known == Some(StoredReview::Deferred),
    }
}

impl Rules {
    pub(super) fn decide(&mut self, question: DecisionFacts) -> DecideOutcome {
        *self.decision_cache.entry(question).or_insert_with(|| {
            let facts = facts(&question);
            let DecisionStep::Decided(decision) = decide(&facts, job_id(0)) else {
                panic!("the permission is part of the facts")
            };
            match decision.follow {
                ReviewFollowUp::Trigger => DecideOutcome::Trigger,
                ReviewFollowUp::Defer { opens_at, .. } => {
                    DecideOutcome::Remember { held: decision.reason.is_final(), opens: hour(opens_at) }
                }
                ReviewFollowUp::Record
                    if facts.first.is_some() || matches!(facts.stored, Some(guard::StoredResult::Started { .. })) =>
                {
                    DecideOutcome::Answer
                }
                ReviewFollowUp::Record => DecideOutcome::Record,
            }
        })
    }

    pub(super) fn settle(&mut self, waiting: SettleFacts, setting: &Setting) -> SettleOutcome {
        *self.settle_cache.entry(waiting).or_insert_with(|| {
            let all = reviews(&waiting.reviews, setting.requests);
            let at_stake = reviews_to_settle(&all, |_| true);
            let action = combined_action(&at_stake);
            let request = matches!(action, RequestedAction::Revision { .. });
            let cells = TicketCells { active: None, last: waiting.last, deferred: Some(0), row: Some(0) };
            let question = DecisionFacts {
                request,
                has_final_answer: false,
                known: None,
                ticket: cells,
                last_revision: waiting.last_revision,
                now: waiting.now,
                held: waiting.held,
                closed: waiting.closed,
            };
            match settle(&facts(&question), &at_stake) {
                Settlement::Skip => SettleOutcome::Clear,
                Settlement::Wait { opens_at } => SettleOutcome::Wait(hour(opens_at)),
                Settlement::Hold => SettleOutcome::Hold,
                Settlement::Start { review, job } => {
                    SettleOutcome::Start { review: index(&review), job: job_index(&job), request }
                }
                Settlement::Absorb { into, older } => {
                    SettleOutcome::Absorb { into: index(&into), older: review_set(&older) }
                }
                Settlement::Refuse { newest, others, .. } => {
                    SettleOutcome::Refuse { newest: index(&newest), others: review_set(&others) }
                }
            }
        })
    }

    pub(super) fn change(
        &mut self,
        change: Change,
        cells: TicketCells,
        revised: LastRevisions,
    ) -> (TicketCells, LastRevisions) {
        *self.change_cache.entry((change, cells, revised)).or_insert_with(|| {
            let before = ticket(&cells);
            let pull = pull_request(revised, false);
            let (after, pull) = match change {
                Change::Remember(opens) => (before.schedule_review(&pull.id, time(opens)), pull),
                Change::Wait(opens) => (before.defer_review(&pull.id, time(opens)).unwrap_or(before), pull),
                Change::Clear => (before.clear_deferred(&pull.id), pull),
                Change::StartNew(job, now) => plan_job(job, &before, &pull, now),
                Change::StartWaiting(job, now) => plan_job(job, &before.clear_deferred(&pull.id), &pull, now),
                Change::Next => {
                    (fixtures::plan_ticket_job(&fixtures::settings(), job_id(NEXT_JOB), &before, time(0)).1, pull)
                }
                Change::End(job, work, now) => {
                    let ended = ended_job(job, work, now);
                    let revised = !matches!(job, FIRST_JOB | NEXT_JOB);
                    let pull = if revised { pull_request_after_revision(&ended, &pull) } else { pull };
                    (ticket_after_job(&ended, &before), pull)
                }
            };
            let cells = |revised: &LastRevision| (hour(revised.at), job_index(&revised.job));
            let revised = pull.revised.map(|last| (cells(&last), last.earlier.as_deref().map(cells)));
            (ticket_cells(after), revised)
        })
    }

    pub(super) fn covered_reviews(&mut self, job: u8, stored: &Reviews) -> u8 {
        *self.covered_cache.entry((job, *stored)).or_insert_with(|| {
            let all = reviews(stored, 0);
            covered_reviews(&job_id(job), &all).iter().fold(0, |set, review| set | 1 << index(&review.id))
        })
    }

    pub(super) fn stored_review(&mut self, review: u8, stored: &Reviews) -> Option<StoredReview> {
        *self.known_cache.entry((review, *stored)).or_insert_with(|| {
            let all = reviews(stored, 0);
            let one = all.iter().find(|one| index(&one.id) == review)?;
            match &resolve_absorbed(one, &all).state {
                ReviewState::Deferred {} | ReviewState::Absorbed { .. } => Some(StoredReview::Deferred),
                ReviewState::Started { job } => Some(StoredReview::Started(job_index(job))),
                ReviewState::Refused { .. } => None,
            }
        })
    }

    pub(super) fn last_outcome(&mut self, job: u8, work: Work) -> Option<Last> {
        *self.last_outcome_cache.entry((job, work)).or_insert_with(|| {
            let last = ticket_after_job(&ended_job(job, work, 0), &ticket_in(fixtures::REVIEW)).last_job;
            last.filter(|last| last.id == job_id(job)).map(|last| last_outcome_of(last.outcome))
        })
    }

    /// The reviews that the ticket's next job needs, if `failed_job` was its last job.
    pub(super) fn unanswered_reviews(&mut self, failed_job: u8, stored: &Reviews) -> u8 {
        *self.unanswered_cache.entry((failed_job, *stored)).or_insert_with(|| {
            let (all, unfinished) = (reviews(stored, 0), BTreeSet::from([job_id(failed_job)]));
            let unanswered = unanswered_reviews(&all, &fixtures::project_id(), &fixtures::key(), &unfinished);
            unanswered.iter().fold(0, |set, review| set | 1 << index(&review.id))
        })
    }

    pub(super) fn needs_settling(&mut self, cells: TicketCells, now: Hour) -> bool {
        *self.needs_settling_cache.entry((cells, now)).or_insert_with(|| {
            matches!(ticket(&cells).next_settle_step(&fixtures::settings(), time(now)), SettleStep::DecideReviews(_))
        })
    }

    pub(super) fn row(&self, cells: TicketCells) -> Option<Hour> {
        ticket_cells(ticket(&cells)).row
    }
}

fn plan_job(job: u8, ticket: &Ticket, pull: &PullRequest, now: Hour) -> (Ticket, PullRequest) {
    let (_, ticket, pull) = plan_revise_job(job_id(job), &name(review_of(job)), ticket, pull, time(now));
    (ticket, pull)
}

fn ended_job(job: u8, work: Work, now: Hour) -> Job {
    let new_job = match job {
        FIRST_JOB | NEXT_JOB => Job { id: job_id(job), ..fixtures::ready_job() },
        _ => {
            plan_revise_job(
                job_id(job),
                &name(review_of(job)),
                &ticket_in(fixtures::REVIEW),
                &linked_pull_request(),
                time(now),
            )
            .0
        }
    };
    let (status, worked) = match work {
        Work::Completed => (JobStatus::Completed, true),
        Work::Failed => (JobStatus::Failed, true),
        Work::Cancelled => (JobStatus::Cancelled, true),
        Work::NeverBegan => (JobStatus::Failed, false),
        Work::None | Work::Pending | Work::Running => panic!("this work has not ended"),
    };
    let cancel = (work == Work::Cancelled).then(|| Cancel::automatic("#231 was closed", time(now)));
    Job { status, worked, cancel, ended_at: Some(time(now)), ..new_job }
}

fn facts(question: &DecisionFacts) -> ReviewFacts {
    let pull = pull_request(question.last_revision, question.closed);
    let ticket = ticket(&question.ticket);
    ReviewFacts {
        now: time(question.now),
        asks: if question.request { RequestedAction::Revision { message: None } } else { RequestedAction::Changes {} },
        author: "ann".into(),
        own: false,
        first: question.has_final_answer.then(|| ("earlier".into(), None)),
        stored: question.known.map(|known| match known {
            StoredReview::Deferred => guard::StoredResult::Deferred {},
            StoredReview::Started(job) => guard::StoredResult::Started { job: job_id(job) },
        }),
        project: fixtures::project_id(),
        settings: Some(ReviewSettings {
            revise_on_review: true,
            coalesce: true,
            held_by: question.held.then(|| "ann".into()),
            budget: Budget::default(),
        }),
        integration: pull.id.integration.clone(),
        repository: fixtures::repository().name,
        connected: true,
        number: pull.id.number,
        state: pull.state,
        permission: Some(Permission::Write),
        ticket: Some(TicketFacts {
            key: ticket.key.clone(),
            closed: false,
            active_job: ticket.active_job.clone(),
            last_outcome: ticket.last_job.as_ref().map(|last| last.outcome),
            defers: ticket.has_deferred(&pull.id),
            deferred: ticket.deferred.len(),
        }),
        revised: pull.revised,
        today: DailyUsage::zero(Day::containing(time(question.now))),
        spending: None,
        agent_review: None,
    }
}

fn pull_request(revised: LastRevisions, closed: bool) -> PullRequest {
    let last = |(hour, job)| LastRevision { at: time(hour), job: job_id(job), earlier: None };
    let revised = revised.map(|(cells, earlier)| {
        let earlier = earlier.map(|cells| Box::new(last(cells)));
        LastRevision { earlier, ..last(cells) }
    });
    let state = if closed { PullRequestState::Closed } else { PullRequestState::Open };
    PullRequest { revised, state, ..linked_pull_request() }
}

fn ticket(cells: &TicketCells) -> Ticket {
    let mut ticket = ticket_in(fixtures::REVIEW);
    ticket.active_job = cells.active.map(job_id);
    let outcome = cells.last.map(|last| match last {
        Last::Completed => LastOutcome::Completed,
        Last::Failed => LastOutcome::Failed,
    });
    ticket.last_job = outcome.map(|outcome| LastJob { id: fixtures::job_id("earlier"), outcome });
    if let Some(opens) = cells.deferred {
        ticket.deferred.insert(linked_pull_request().id.to_string(), time(opens));
    }
    ticket
}

/// The cells of a ticket, with the row that its write stores. The ticket tool is always up to date.
fn ticket_cells(ticket: Ticket) -> TicketCells {
    let ticket = Ticket { synced_version: ticket.wanted.version, ..ticket };
    let row = due::ticket(&ticket).map(|due| match due {
        Due::At(at) => hour(at),
        Due::Held { .. } | Due::Ready { .. } | Due::Limited { .. } => panic!("a ticket is due at a time"),
    });
    TicketCells {
        active: ticket.active_job.as_ref().map(job_index),
        last: ticket.last_job.map(|last| last_outcome_of(last.outcome)),
        deferred: ticket.deferred.values().next().map(|opens| hour(*opens)),
        row,
    }
}

fn last_outcome_of(outcome: LastOutcome) -> Last {
    match outcome {
        LastOutcome::Completed => Last::Completed,
        LastOutcome::Failed | LastOutcome::Cancelled => Last::Failed,
    }
}

fn reviews((stored, had): &Reviews, requests: u8) -> Vec<Review> {
    let had = |index: u8| *had & 1 << index != 0;
    let known = (0u8..).zip(stored).filter(|(_, stored)| **stored != StoredState::Absent);
    known
        .map(|(index, stored)| Review {
            pull_request: linked_pull_request().id,
            id: review_id(&name(index)),
            project: fixtures::project_id(),
            ticket: fixtures::key(),
            author: Author { id: 7, login: "ann".into(), bot: false },
            submitted_at: at(u64::from(index)),
            request: (requests & 1 << index != 0).then_some(RevisionRequest { message: None }),
            at: at(0),
            state: match stored {
                StoredState::Absent | StoredState::Deferred => ReviewState::Deferred {},
                StoredState::Absorbed(into) => ReviewState::Absorbed { into: review_id(&name(*into)) },
                StoredState::Started => {
                    ReviewState::Started { job: job_id(if had(index) { second_job(index) } else { index }) }
                }
                StoredState::Refused => {
                    ReviewState::Refused { reason: pullyard_domain::text::decision::Reason::OwnReview {}, at: at(0) }
                }
            },
            version: 0,
            had: had(index).then(|| job_id(index)),
        })
        .collect()
}

fn name(review: u8) -> String {
    format!("r{review}")
}

fn index(review: &ReviewId) -> u8 {
    review.as_str()[1..].parse().unwrap()
}

fn review_set(reviews: &[ReviewId]) -> u8 {
    reviews.iter().fold(0, |set, review| set | 1 << index(review))
}

static NAMES: LazyLock<[JobId; JOBS.len()]> = LazyLock::new(|| {
    let own = |review: u8| JobId::for_review(&linked_pull_request().id, &review_id(&name(review)));
    JOBS.map(|job| match job {
        FIRST_JOB => fixtures::job_id("first"),
        NEXT_JOB => fixtures::job_id("next"),
        job if job == review_of(job) => own(job),
        job => {
            JobId::for_review_after(&linked_pull_request().id, &review_id(&name(review_of(job))), &own(review_of(job)))
        }
    })
});

fn job_id(job: u8) -> JobId {
    NAMES[slot(job)].clone()
}

fn job_index(job: &JobId) -> u8 {
    let named = JOBS.into_iter().zip(NAMES.iter()).find(|(_, name)| *name == job);
    named.map_or(FIRST_JOB, |(index, _)| index)
}

fn time(hour: Hour) -> Timestamp {
    at(3_600 * u64::from(hour))
}

fn hour(at: Timestamp) -> Hour {
    u8::try_from(at.since(time(0)).as_secs() / 3_600).unwrap()
}
