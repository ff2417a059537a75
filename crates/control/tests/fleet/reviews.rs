//! Reviews of a linked pull request by an authorized author; no test calls a forge.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::review::{
    ProjectScope, PullRequestChange, decide_review, freeze_reviews, record_pull_request_change,
};
use pullyard_control::{
    Answer, cancel_job, handle_effect, retry_job, set_integration_projects, settle_ticket, ticket_view,
};
use pullyard_domain::job::{ContextFault, JobKind, RevisedPullRequest};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::review::pull_request::{Note, PullRequestLink, PullRequestState};
use pullyard_domain::review::{Author, PullRequestSnapshot, RequestedAction, ReviewEvent, ReviewState};
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::run::wakeup::{EffectMessage, JobWakeup, QueuedReview};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::host::{HostRest, host_of};
use pullyard_domain::text::id::{DeliveryId, ReviewId};
use pullyard_domain::ticket::{LastJob, LastOutcome};

const NUMBER: u64 = 7;

struct ReviewWorld {
    world: World,
    id: PullRequestId,
    key: TicketKey,
}

impl ReviewWorld {
    async fn new(world: World) -> Self {
        world.connect().await;
        let (ctx, repository) = (&world.ctx, world.repository());
        world.set_settings(Settings { revise_on_review: true, compute: Compute::Runners, ..Settings::default() }).await;
        let key = TicketKey::new("APP-1").unwrap();
        world.create_ticket(&key).await;
        let id = PullRequestId { integration: repository.integration, repository: repository.id, number: NUMBER };
        let linked = PullRequest {
            url: "https://forge.example/acme/app/pull/7".into(),
            branch: "pullyard/app-1".into(),
            head: "a".repeat(40),
            ..PullRequest::new(id.clone(), world.project.clone(), Some(key.clone()), None)
        };
        assert_applied(ctx.store.update_pull_request(&linked).await);
        Self { world, id, key }
    }

    async fn ticket(&self) -> Ticket {
        self.world.ctx.store.load_ticket(&self.world.project, &self.key).await.unwrap().unwrap()
    }

    async fn set_active_job(&self, job: &JobId) {
        let ticket = Ticket { active_job: Some(job.clone()), ..self.ticket().await };
        assert_applied(self.world.ctx.store.update_ticket(&ticket).await);
    }

    async fn end_job(&self, job: &JobId, outcome: LastOutcome) {
        let last_job = Some(LastJob { id: job.clone(), outcome });
        let ticket = Ticket { active_job: None, last_job, ..self.ticket().await };
        assert_applied(self.world.ctx.store.update_ticket(&ticket).await);
    }

    fn job(&self, name: &str) -> JobId {
        JobId::for_request(&self.world.project, "job", name)
    }

    fn pull_request_at(&self, state: PullRequestState, secs: u64) -> PullRequestSnapshot {
        PullRequestSnapshot {
            id: self.id.clone(),
            repository: self.world.repository().name,
            state,
            head: "b".repeat(40),
            branch: "pullyard/app-1".into(),
            url: "https://forge.example/acme/app/pull/7".into(),
            updated_at: Timestamp::from_millis(1_000_000).plus(Duration::from_secs(secs)),
            title: "Retry calls".into(),
            base: "main".into(),
            from_fork: false,
            draft: false,
            opened_at: None,
        }
    }

    async fn review(&self, review: &str, seen: PullRequestSnapshot) -> Answer {
        self.request(review, seen, RequestedAction::Changes {}).await
    }

    async fn request(&self, review: &str, seen: PullRequestSnapshot, asks: RequestedAction) -> Answer {
        decide_review(&self.world.ctx, &self.reach(), &new_event(review, seen, asks)).await.unwrap()
    }

    fn reach(&self) -> ProjectScope {
        ProjectScope::single(self.world.project.clone())
    }

    async fn receive(&self, seen: &PullRequestSnapshot) -> PullRequestChange {
        record_pull_request_change(&self.world.ctx, &self.reach(), seen).await.unwrap()
    }

    async fn settle(&self) {
        settle_ticket(&self.world.ctx, &self.world.project, &self.key).await.unwrap();
    }

    async fn state(&self, review: &str) -> ReviewState {
        let review = ReviewId::new(review).unwrap();
        self.world.ctx.store.load_review(&self.id, &review).await.unwrap().unwrap().state
    }

    async fn ledger_entry(&self, review: &str) -> Delivery {
        let entry = DeliveryId::for_review(&self.world.project, &self.id, &ReviewId::new(review).unwrap());
        self.world.ctx.store.load_delivery(&entry).await.unwrap().unwrap()
    }
}

fn new_event(review: &str, seen: PullRequestSnapshot, asks: RequestedAction) -> ReviewEvent {
    ReviewEvent {
        source: Source::Person,
        delivery: None,
        review: ReviewId::new(review).unwrap(),
        asks,
        author: Author { id: 7, login: "ann".into(), bot: false },
        submitted_at: seen.updated_at,
        marked: false,
        pull_request: seen,
    }
}

/// Lets the forge of the world's repository rest.
async fn store_forge_rest(world: &World) -> HostRest {
    let host = host_of(&world.integration().api_url).unwrap();
    let rest = HostRest::after_timeout(None, &host, world.ctx.clock.now()).unwrap();
    assert_applied(world.ctx.store.put_host_rest(&rest).await);
    rest
}

#[tokio::test]
async fn misspelled_command_is_answered_once() {
    let desk = ReviewWorld::new(World::begin().await).await;
    desk.world.set_settings(Settings { compute: Compute::Runners, ..Settings::default() }).await;
    let load = async || desk.world.ctx.store.load_pull_request(&desk.id).await.unwrap().unwrap();
    let before = load().await;
    let mut answered = None;
    for _ in 0..2 {
        let seen = desk.pull_request_at(PullRequestState::Open, 1);
        let answer = desk.request("c7", seen, RequestedAction::Misspelled {}).await;
        assert!(matches!(answer.reason, Reason::UnknownCommand { .. }), "{answer:?}");
        let shown = load().await;
        assert_ne!(shown, before);
        assert_eq!(answered.replace(shown.clone()).unwrap_or_else(|| shown.clone()), shown);
    }
}

/// The first ledger entry is found by the conditional write alone.
#[tokio::test]
async fn refused_review_accepted_later_retains_its_first_time() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let settings = Settings { revise_on_review: true, compute: Compute::Runners, ..Settings::default() };
    desk.world.set_settings(Settings { coalesce: false, ..settings }).await;
    let other = desk.job("other");
    desk.set_active_job(&other).await;
    let refused = desk.review("80", desk.pull_request_at(PullRequestState::Open, 1)).await;
    assert!(matches!(refused.reason, Reason::JobActive { .. }), "{refused:?}");
    let first = desk.ledger_entry("80").await;
    desk.end_job(&other, LastOutcome::Completed).await;
    let accepted = desk.review("80", desk.pull_request_at(PullRequestState::Open, 1)).await;
    assert!(matches!(accepted.reason, Reason::Accepted { .. }), "{accepted:?}");
    let entry = desk.ledger_entry("80").await;
    assert_eq!(entry.at, first.at, "{entry:?}");
    assert_eq!(entry.job, accepted.job);
}

#[tokio::test]
async fn late_review_does_not_reopen_a_closed_pull_request() {
    let desk = ReviewWorld::new(World::begin().await).await;
    assert_eq!(desk.receive(&desk.pull_request_at(PullRequestState::Closed, 100)).await, PullRequestChange::Recorded);
    let late = desk.review("80", desk.pull_request_at(PullRequestState::Open, 50)).await;
    assert!(matches!(late.reason, Reason::PullRequestClosed { .. }), "{late:?}");
    assert_eq!(desk.ticket().await.active_job, None);
    // The older closed state does not close a reopened pull request either.
    let newer = desk.review("81", desk.pull_request_at(PullRequestState::Open, 150)).await;
    assert!(matches!(newer.reason, Reason::Accepted { .. }), "{newer:?}");
    assert_eq!(desk.ticket().await.active_job, newer.job);
}

/// Only the review reports that the pull request was reopened.
#[tokio::test]
async fn waiting_review_survives_an_older_closed_state() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let first = desk.job("first");
    desk.set_active_job(&first).await;
    assert_eq!(desk.receive(&desk.pull_request_at(PullRequestState::Closed, 50)).await, PullRequestChange::Recorded);
    let waits = desk.review("80", desk.pull_request_at(PullRequestState::Open, 100)).await;
    assert_eq!(waits.reason, Reason::HeldForJob { job: first.clone() });
    desk.end_job(&first, LastOutcome::Completed).await;
    desk.settle().await;
    let state = desk.state("80").await;
    assert!(matches!(state, ReviewState::Started { .. }), "{state:?}");
}

async fn waiting_reviews(desk: &ReviewWorld) -> JobId {
    let first = desk.job("first");
    desk.set_active_job(&first).await;
    for (review, secs) in [("80", 1), ("81", 2)] {
        desk.review(review, desk.pull_request_at(PullRequestState::Open, secs)).await;
    }
    desk.end_job(&first, LastOutcome::Completed).await;
    desk.settle().await;
    let ReviewState::Started { job } = desk.state("81").await else { panic!("the review has no job") };
    assert!(matches!(desk.state("80").await, ReviewState::Absorbed { .. }));
    assert_eq!(ledger_jobs(desk).await, [None, None], "the job is named at admission");
    job
}

async fn ledger_jobs(desk: &ReviewWorld) -> [Option<JobId>; 2] {
    [desk.ledger_entry("80").await.job, desk.ledger_entry("81").await.job]
}

#[tokio::test]
async fn waiting_review_names_its_job_cancelled_at_admission() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let job = waiting_reviews(&desk).await;
    // The job was not informed of the closed pull request.
    let store = &desk.world.ctx.store;
    let linked = store.load_pull_request(&desk.id).await.unwrap().unwrap();
    assert_applied(store.update_pull_request(&PullRequest { state: PullRequestState::Closed, ..linked }).await);
    freeze_reviews(&desk.world.ctx, &job).await.unwrap();
    assert_eq!(desk.world.load_job(&job).await.status, JobStatus::Cancelled);
    assert_eq!(ledger_jobs(&desk).await, [Some(job.clone()), Some(job)]);
}

#[tokio::test]
async fn waiting_review_names_its_job_when_the_pull_request_closes() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let job = waiting_reviews(&desk).await;
    assert_eq!(desk.receive(&desk.pull_request_at(PullRequestState::Closed, 100)).await, PullRequestChange::Recorded);
    assert_eq!(desk.world.load_job(&job).await.status, JobStatus::Cancelled);
    assert_eq!(ledger_jobs(&desk).await, [Some(job.clone()), Some(job)]);
}

/// An ended job is never visited again, so its reviews must name it before its end.
#[tokio::test]
async fn waiting_review_names_its_job_after_a_crash_in_cancel() {
    let begin = async || {
        let wire = Wire::default();
        let desk = ReviewWorld::new(World::with_client(wire.clone()).await).await;
        let job = waiting_reviews(&desk).await;
        wire.restart(None);
        (desk, wire, job)
    };
    let (desk, wire, job) = begin().await;
    let ended = cancel_job(&desk.world.ctx, &job, "ana", None).await.unwrap();
    assert_eq!(ended.status, JobStatus::Cancelled);
    let (points, mut cancelled) = (wire.points(), 0);
    assert_eq!(ledger_jobs(&desk).await, [Some(job.clone()), Some(job)]);
    for (at, point) in points.iter().enumerate() {
        for fault in [Fault::StopBefore, Fault::StopAfter] {
            let case = format!("{fault} at {at}, {}", point.operation);
            let (desk, wire, job) = begin().await;
            wire.restart(Some((at, fault)));
            assert!(
                wire.run_until_stopped(cancel_job(&desk.world.ctx, &job, "ana", None)).await.is_none(),
                "{case}: no crash"
            );
            wire.restart(None);
            match desk.world.load_job(&job).await.status {
                // The admission or a repeated cancel names the job.
                JobStatus::Pending => continue,
                status => assert_eq!(status, JobStatus::Cancelled, "{case}"),
            }
            cancelled += 1;
            assert_eq!(ledger_jobs(&desk).await, [Some(job.clone()), Some(job)], "{case}");
        }
    }
    assert!(cancelled > 0, "no crash after the cancel");
}

#[tokio::test]
async fn rate_limited_forge_is_not_called_by_a_repeated_message() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let now = ctx.clock.now();
    let job = world.job(&Settings { compute: Compute::Runners, ..Settings::default() }).await;
    assert_applied(ctx.store.update_job(&job.clone().await_reviews(now)).await);
    let fault = ContextFault::RateLimited { until: now.plus(Duration::from_secs(600)) };
    let waits = world.load_job(&job.id).await.record_context_fault(fault, now).unwrap();
    assert_applied(ctx.store.update_job(&waits).await);
    let before = world.load_job(&job.id).await;
    freeze_reviews(ctx, &job.id).await.unwrap();
    assert_eq!(world.load_job(&job.id).await, before);
}

#[tokio::test]
async fn rest_of_a_forge_puts_off_only_a_pending_job() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let pending = waiting_reviews(&desk).await;
    let ctx = &desk.world.ctx;
    let ready = desk.world.job(&Settings { compute: Compute::Runners, ..Settings::default() }).await;
    let rest = store_forge_rest(&desk.world).await;
    let before = desk.world.load_job(&pending).await.not_before;
    assert!(before < Some(rest.until), "{before:?}");
    for (job, expected) in [(&pending, Some(rest.until)), (&ready.id, ready.not_before)] {
        let wakeup = JobWakeup { job: job.clone() };
        handle_effect(ctx, EffectMessage::Admit(wakeup)).await.unwrap();
        assert_eq!(desk.world.load_job(job).await.not_before, expected);
    }
}

#[tokio::test]
async fn queued_review_is_decided_while_its_forge_rests() {
    let desk = ReviewWorld::new(World::begin().await).await;
    desk.set_active_job(&desk.job("first")).await;
    store_forge_rest(&desk.world).await;
    let event = new_event("80", desk.pull_request_at(PullRequestState::Open, 1), RequestedAction::Changes {});
    let queued = QueuedReview { hook: None, projects: vec![desk.world.project.clone()], event };
    handle_effect(&desk.world.ctx, EffectMessage::Review(Box::new(queued))).await.unwrap();
    assert_eq!(desk.ledger_entry("80").await.project, desk.world.project);
}

#[tokio::test]
async fn failing_admission_backs_off() {
    let wire = Wire::default();
    let desk = ReviewWorld::new(World::with_client(wire.clone()).await).await;
    let job = desk.review("80", desk.pull_request_at(PullRequestState::Open, 1)).await.job.unwrap();
    let ctx = &desk.world.ctx;
    for (times, rest) in [(1, 60), (2, 120)] {
        let rest = Duration::from_secs(rest);
        let least = ctx.clock.now().plus(rest);
        wire.fail_next("GetItem", Fault::error(400, "AccessDenied"));
        assert!(freeze_reviews(ctx, &job).await.is_err());
        let put_off = desk.world.load_job(&job).await;
        // A repeated message finds nothing due.
        freeze_reviews(ctx, &job).await.unwrap();
        assert_eq!(desk.world.load_job(&job).await, put_off);
        let most = ctx.clock.now().plus(rest);
        assert_eq!((put_off.status, put_off.tries), (JobStatus::Pending, times));
        let not_before = put_off.not_before.unwrap();
        assert!(least <= not_before && not_before <= most, "{not_before}: {least} to {most}");
        assert_eq!(due::job(&put_off), Some(Due::At(not_before)), "the sweeper waits until then");
        ctx.clock.advance(rest);
    }
    let waiting = desk.world.load_job(&job).await;
    freeze_reviews(ctx, &job).await.unwrap();
    assert_ne!(desk.world.load_job(&job).await, waiting);
}

#[tokio::test]
async fn end_of_a_revision_leaves_another_projects_pull_request() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let job = desk.review("80", desk.pull_request_at(PullRequestState::Open, 1)).await.job.unwrap();
    let store = &desk.world.ctx.store;
    let load = async || store.load_pull_request(&desk.id).await.unwrap().unwrap();
    let taken = PullRequest { project: ProjectId::new("other").unwrap(), ticket: None, ..load().await };
    assert_applied(store.update_pull_request(&taken).await);
    let before = load().await;
    cancel_job(&desk.world.ctx, &job, "ana", None).await.unwrap();
    assert_eq!(desk.world.load_job(&job).await.status, JobStatus::Cancelled);
    assert_eq!(load().await, before);
}

#[tokio::test]
async fn job_of_a_project_that_left_the_list_fails_unread() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let job = desk.review("80", desk.pull_request_at(PullRequestState::Open, 1)).await.job.unwrap();
    let (ctx, integration) = (&desk.world.ctx, desk.world.integration().id);
    set_integration_projects(ctx, &integration, Some(&BTreeSet::new())).await.unwrap();
    freeze_reviews(ctx, &job).await.unwrap();
    let ended = desk.world.load_job(&job).await;
    assert_eq!(ended.status, JobStatus::Failed);
    assert_eq!(ended.failure.map(|failure| failure.code()), Some("context_unavailable"));
}

#[tokio::test]
async fn closing_a_pr_cancels_only_the_job_that_revises_it() {
    for (number, status) in
        [(None, JobStatus::Ready), (Some(NUMBER + 1), JobStatus::Ready), (Some(NUMBER), JobStatus::Cancelled)]
    {
        let desk = ReviewWorld::new(World::begin().await).await;
        let job = desk.world.job(&Settings { compute: Compute::Runners, ..Settings::default() }).await;
        desk.set_active_job(&job.id).await;
        if let Some(number) = number {
            let revises =
                RevisedPullRequest { number, branch: "pullyard/app-1".into(), head: "a".repeat(40), review: None };
            let job = Job { kind: JobKind::Revise, revises: Some(revises), ..desk.world.load_job(&job.id).await };
            assert_applied(desk.world.ctx.store.update_job(&job).await);
        }
        let closed = desk.pull_request_at(PullRequestState::Closed, 100);
        assert_eq!(desk.receive(&closed).await, PullRequestChange::Recorded);
        assert_eq!(desk.world.load_job(&job.id).await.status, status, "{number:?}");
    }
}

/// A project that starts no jobs for reviews.
async fn world_without_reviews() -> (ReviewWorld, Wire) {
    let wire = Wire::default();
    let desk = ReviewWorld::new(World::with_client(wire.clone()).await).await;
    desk.world
        .set_settings(Settings { revise_on_review: false, compute: Compute::Runners, ..Settings::default() })
        .await;
    wire.restart(None);
    (desk, wire)
}

/// Polling does not decide a recorded review again, and the forge may not list its deliveries.
#[tokio::test]
async fn recorded_refusal_is_noted_after_a_crash() {
    let reason = |desk: &ReviewWorld| Reason::RetriggerDisabled { project: desk.world.project.clone() };
    let note_state = async |desk: &ReviewWorld| {
        let linked = desk.world.ctx.store.load_pull_request(&desk.id).await.unwrap().unwrap();
        let is_told = linked.note == Some(Note::Decision { reason: reason(desk) }) && linked.is_note_outdated();
        (is_told, linked.note_version)
    };
    let (desk, wire) = world_without_reviews().await;
    let answer = desk.review("80", desk.pull_request_at(PullRequestState::Open, 1)).await;
    let points = wire.points();
    assert_eq!((answer.reason, note_state(&desk).await), (reason(&desk), (true, 1)));
    let mut recorded = 0;
    for (at, point) in points.iter().enumerate() {
        for fault in [Fault::StopBefore, Fault::StopAfter] {
            let case = format!("{fault} at {at}, {}", point.operation);
            let (desk, wire) = world_without_reviews().await;
            let seen = desk.pull_request_at(PullRequestState::Open, 1);
            wire.restart(Some((at, fault)));
            assert!(wire.run_until_stopped(desk.review("80", seen.clone())).await.is_none(), "{case}: no crash");
            wire.restart(None);
            let entry = DeliveryId::for_review(&desk.world.project, &desk.id, &ReviewId::new("80").unwrap());
            if desk.world.ctx.store.load_delivery(&entry).await.unwrap().is_some() {
                recorded += 1;
                assert_eq!(note_state(&desk).await, (true, 1), "{case}");
            }
            // A repeat gives the same answer and no second note.
            assert_eq!(desk.review("80", seen).await.reason, reason(&desk), "{case}");
            assert_eq!(
                (note_state(&desk).await, desk.ledger_entry("80").await.reason),
                ((true, 1), reason(&desk)),
                "{case}"
            );
        }
    }
    assert!(recorded > 0, "no crash after the ledger write");
}

#[tokio::test]
async fn ticket_hides_a_pull_request_of_another_project() {
    let desk = ReviewWorld::new(World::begin().await).await;
    let (ctx, project) = (&desk.world.ctx, &desk.world.project);
    let linked = ctx.store.load_pull_request(&desk.id).await.unwrap().unwrap();
    let link = PullRequestLink { id: desk.id.clone(), url: linked.url.clone(), branch: linked.branch.clone() };
    let mut ticket = desk.ticket().await;
    ticket.request_state(None, None, Some(link));
    assert_applied(ctx.store.update_ticket(&ticket.mark_synced(&Settings::default())).await);
    let pull_request_view = async || ticket_view(ctx, project, &desk.key).await.unwrap().pull_request;
    assert_eq!(pull_request_view().await, Some(PullRequestState::Open));
    let taken = PullRequest { project: ProjectId::new("other").unwrap(), ticket: None, ..linked };
    assert_applied(ctx.store.update_pull_request(&taken).await);
    assert_eq!(pull_request_view().await, None);
}

async fn kind_of_retry(change: fn(PullRequest) -> PullRequest) -> JobKind {
    let desk = ReviewWorld::new(World::begin().await).await;
    let job = desk.review("80", desk.pull_request_at(PullRequestState::Open, 1)).await.job.unwrap();
    let (ctx, caller) = (&desk.world.ctx, Requester { id: "t1".into(), name: "ana".into() });
    cancel_job(ctx, &job, "ana", None).await.unwrap();
    let linked = ctx.store.load_pull_request(&desk.id).await.unwrap().unwrap();
    assert_applied(ctx.store.update_pull_request(&change(linked)).await);
    let again = retry_job(ctx, &job, &caller, None).await.unwrap().job.unwrap();
    let again = desk.world.load_job(&again).await;
    assert_eq!(again.retry_of, Some(job));
    assert_eq!(again.revises.is_some(), again.kind == JobKind::Revise, "{again:?}");
    again.kind
}

#[tokio::test]
async fn retry_revises_only_an_open_pull_request_of_its_ticket() {
    assert_eq!(kind_of_retry(|linked| linked).await, JobKind::Revise);
    let begin_anew: [fn(PullRequest) -> PullRequest; 5] = [
        |linked| PullRequest { state: PullRequestState::Closed, ..linked },
        |linked| PullRequest { state: PullRequestState::Merged, ..linked },
        |linked| PullRequest { ticket: None, ..linked },
        |linked| PullRequest { ticket: Some(TicketKey::new("APP-2").unwrap()), ..linked },
        |linked| PullRequest { project: ProjectId::new("other").unwrap(), ..linked },
    ];
    for change in begin_anew {
        assert_eq!(kind_of_retry(change).await, JobKind::Implement);
    }
}
