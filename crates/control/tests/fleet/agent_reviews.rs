//! Reviews of pull requests by agents: their guards against the stored pull request, and their end.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::{Finish, finish_attempt, set_phase};
use pullyard_control::review::{
    ProjectScope, PullRequestChange, decide_review, list_pull_request_views, record_pull_request_change,
};
use pullyard_control::{Answer, Error, LimitRaise, RaisedSubject, cancel_job, delete_ticket, raise_limit, sweep};
use pullyard_domain::job::{End, JobKind, JobResult};
use pullyard_domain::project::spending::{DEFAULT_RAISE_TIME, RaiseRight, Spending, SpentOn};
use pullyard_domain::project::{AgentReviewSettings, OfflinePolicy, ReviewWhen};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::output::{JobOutput, PostedReview};
use pullyard_domain::review::pull_request::{Note, PullRequestState};
use pullyard_domain::review::report::review_output::ReviewOutput;
use pullyard_domain::review::{Author, PullRequestSnapshot, RequestedAction, ReviewEvent, ReviewRequest};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::ReviewId;

struct ReviewedWorld {
    world: World,
    id: PullRequestId,
}

impl ReviewedWorld {
    async fn new() -> Self {
        let world = World::begin().await;
        world.connect().await;
        world.set_settings(Settings { compute: Compute::Runners, ..Settings::default() }).await;
        let repository = world.repository();
        let id = PullRequestId { integration: repository.integration, repository: repository.id, number: 7 };
        Self { world, id }
    }

    async fn request(&self, name: &str, head: &str, full: bool) -> Answer {
        let scope = ProjectScope::single(self.world.project.clone());
        self.request_in(&scope, name, head, full).await
    }

    async fn request_in(&self, scope: &ProjectScope, name: &str, head: &str, full: bool) -> Answer {
        let asks = RequestedAction::Review(ReviewRequest { full, ..ReviewRequest::default() });
        self.request_action(scope, name, head, asks).await
    }

    async fn resolve(&self, name: &str) -> Answer {
        let scope = ProjectScope::single(self.world.project.clone());
        let asks = RequestedAction::Review(ReviewRequest { resolve: true, ..ReviewRequest::default() });
        self.request_action(&scope, name, "a", asks).await
    }

    /// Links the pull request to a ticket.
    async fn link(&self) {
        let key = TicketKey::new("APP-1").unwrap();
        self.world.create_ticket(&key).await;
        let linked = PullRequest {
            branch: "feature".into(),
            ..PullRequest::new(self.id.clone(), self.world.project.clone(), Some(key), None)
        };
        assert_applied(self.world.ctx.store.update_pull_request(&linked).await);
    }

    async fn ticket(&self) -> Ticket {
        let key = TicketKey::new("APP-1").unwrap();
        self.world.ctx.store.load_ticket(&self.world.project, &key).await.unwrap().unwrap()
    }

    async fn request_action(&self, scope: &ProjectScope, name: &str, head: &str, asks: RequestedAction) -> Answer {
        let event = ReviewEvent {
            source: Source::Person,
            delivery: None,
            review: ReviewId::new(name).unwrap(),
            asks,
            author: Author { id: 7, login: "ann".into(), bot: false },
            submitted_at: self.world.ctx.clock.now(),
            marked: false,
            pull_request: self.snapshot(head),
        };
        decide_review(&self.world.ctx, scope, &event).await.unwrap()
    }

    fn snapshot(&self, head: &str) -> PullRequestSnapshot {
        PullRequestSnapshot {
            id: self.id.clone(),
            repository: self.world.repository().name,
            state: PullRequestState::Open,
            head: head.repeat(40),
            branch: "feature".into(),
            url: "https://forge.example/acme/app/pull/7".into(),
            updated_at: self.world.ctx.clock.now(),
            title: "Greet".into(),
            base: "main".into(),
            from_fork: false,
            draft: false,
            opened_at: None,
        }
    }

    async fn item(&self) -> PullRequest {
        self.world.ctx.store.load_pull_request(&self.id).await.unwrap().unwrap()
    }

    async fn sentence(&self) -> String {
        let (views, _) = list_pull_request_views(&self.world.ctx, &self.world.project, None, 10).await.unwrap();
        views.into_iter().map(|view| view.sentence).collect()
    }

    async fn finish(&self, job: &JobId, end: End, head: Option<&str>) {
        let fence = self.world.claim(job, None).await;
        for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
            let next = self.world.load_job(job).await.advance(&fence, phase, self.world.ctx.clock.now()).unwrap();
            assert_applied(self.world.ctx.store.update_job(&next).await);
        }
        let output = head.map(|head| {
            let review = ReviewOutput { summary: "Good.".into(), findings: Vec::new(), threads: Vec::new() };
            JobOutput::Review(PostedReview {
                fixed: 0,
                head: head.repeat(40),
                since: None,
                adopted: false,
                base: "main".into(),
                review,
                places: Vec::new(),
                earlier: Vec::new(),
            })
        });
        let id = FinishId::new("f1").unwrap();
        let finish = Finish { id, end, spent_usd_micros: Some(1_120_000), work: None, output };
        finish_attempt(&self.world.ctx, &fence, &finish).await.unwrap();
    }
}

#[tokio::test]
async fn pull_request_without_a_ticket_is_reviewed_once_per_commit() {
    let desk = ReviewedWorld::new().await;
    let job = desk.request("c1", "a", false).await.job.unwrap();
    assert_eq!(desk.item().await.reviews.active_job, Some(job.clone()));
    assert_eq!(desk.item().await.note, Some(Note::job_created(job.clone())));
    assert!(desk.sentence().await.starts_with(&format!("Job {} reviews acme/app#7: ", job.short())));
    let repeat = desk.request("c1", "a", false).await;
    assert_eq!((repeat.reason, repeat.job), (Reason::Repeat { first: "accepted".into() }, Some(job.clone())));
    let pr = || "acme/app#7".to_owned();
    assert_eq!(desk.request("c2", "b", false).await.reason, Reason::ReviewRunning { pr: pr(), job: job.clone() });

    desk.finish(&job, End::Completed(None), Some("a")).await;
    let item = desk.item().await;
    assert_eq!((&item.reviews.active_job, item.reviews.count, item.reviews.spent_usd_micros), (&None, 1, 1_120_000));
    assert_eq!(item.note, Some(Note::job_ended(job.clone())));
    assert_eq!(desk.sentence().await, "An agent reviewed acme/app#7 at aaaaaaaaaa. Posted no finding.");
    let reviewed = Reason::AlreadyReviewed { pr: pr(), commit: "a".repeat(10), job };
    assert_eq!(desk.request("c3", "a", false).await.reason, reviewed);
    // A refused request is decided again if it is repeated.
    assert!(desk.request("c2", "b", false).await.job.is_some());
}

#[tokio::test]
async fn next_review_reads_what_is_new() {
    let desk = ReviewedWorld::new().await;
    let since = async |job: &JobId| {
        let job = desk.world.load_job(job).await;
        let context = desk.world.ctx.store.load_context(&job.id, &job.context).await.unwrap().unwrap();
        context.reviews.unwrap().since
    };
    let first = desk.request("c1", "a", false).await.job.unwrap();
    desk.finish(&first, End::Completed(None), Some("a")).await;
    let second = desk.request("c2", "b", false).await.job.unwrap();
    desk.finish(&second, End::Completed(None), Some("b")).await;
    let third = desk.request("c3", "c", true).await.job.unwrap();
    assert_eq!([since(&first).await, since(&second).await, since(&third).await], [None, Some("a".repeat(40)), None]);
}

#[tokio::test]
async fn draft_and_fork_get_no_automatic_review() {
    let desk = ReviewedWorld::new().await;
    let scope = ProjectScope::single(desk.world.project.clone());
    let change = async |snapshot: PullRequestSnapshot| {
        record_pull_request_change(&desk.world.ctx, &scope, &snapshot).await.unwrap()
    };
    assert_eq!(change(desk.snapshot("a")).await, PullRequestChange::Unlinked, "the setting is off");
    let review = AgentReviewSettings { when: ReviewWhen::Opened };
    desk.world.set_settings(Settings { review, compute: Compute::Runners, ..Settings::default() }).await;
    let recent = |head| PullRequestSnapshot { opened_at: Some(desk.world.ctx.clock.now()), ..desk.snapshot(head) };
    for other in [
        PullRequestSnapshot { draft: true, ..recent("a") },
        PullRequestSnapshot { from_fork: true, ..recent("a") },
        PullRequestSnapshot { state: PullRequestState::Closed, ..recent("a") },
        desk.snapshot("a"),
    ] {
        assert_eq!(change(other).await, PullRequestChange::Unlinked);
    }
    let opened = recent("a");
    assert_eq!(change(opened.clone()).await, PullRequestChange::Recorded);
    assert_eq!(change(opened).await, PullRequestChange::Unchanged);
    let item = desk.item().await;
    assert_eq!((item.head, item.branch.as_str()), ("a".repeat(40), "feature"));
    assert!(desk.sentence().await.starts_with("An agent reviews acme/app#7 in "));

    // A close ends it; a reopened one is reviewed.
    change(PullRequestSnapshot { state: PullRequestState::Closed, ..desk.snapshot("a") }).await;
    assert_eq!(desk.item().await.reviews.automatic.wanted, None);
    change(recent("a")).await;
    assert!(desk.item().await.review_wanted_at().is_some());

    // A user's request takes its place.
    desk.request("c1", "a", false).await.job.unwrap();
    assert_eq!(desk.item().await.reviews.automatic.wanted, None);
    change(recent("b")).await;
    assert_eq!(desk.item().await.reviews.automatic.wanted, None, "once");
}

/// Otherwise the setting would start a review of each open pull request.
#[tokio::test]
async fn only_pushes_to_older_pull_requests_are_reviewed() {
    let desk = ReviewedWorld::new().await;
    let review = AgentReviewSettings { when: ReviewWhen::Pushed };
    desk.world.set_settings(Settings { review, compute: Compute::Runners, ..Settings::default() }).await;
    let mut stored = PullRequest::new(desk.id.clone(), desk.world.project.clone(), None, None);
    stored.head = "a".repeat(40);
    assert_applied(desk.world.ctx.store.update_pull_request(&stored).await);
    let scope = ProjectScope::single(desk.world.project.clone());
    for (head, is_wanted) in [("a", false), ("b", true)] {
        record_pull_request_change(&desk.world.ctx, &scope, &desk.snapshot(head)).await.unwrap();
        assert_eq!(desk.item().await.reviews.automatic.wanted.is_some(), is_wanted, "{head}");
    }
}

#[tokio::test]
async fn review_cancelled_before_its_claim_leaves_the_pull_request_free() {
    let desk = ReviewedWorld::new().await;
    let job = desk.request("c1", "a", false).await.job.unwrap();
    cancel_job(&desk.world.ctx, &job, "ana", None).await.unwrap();
    assert_eq!(desk.item().await.reviews.active_job, None);
    assert!(desk.request("c2", "a", false).await.job.is_some());
}

#[tokio::test]
async fn closed_pull_request_ends_its_review() {
    let desk = ReviewedWorld::new().await;
    let job = desk.request("c1", "a", false).await.job.unwrap();
    let scope = ProjectScope::single(desk.world.project.clone());
    let closed = PullRequestSnapshot { state: PullRequestState::Merged, ..desk.snapshot("a") };
    record_pull_request_change(&desk.world.ctx, &scope, &closed).await.unwrap();
    assert_eq!(desk.world.load_job(&job).await.status, JobStatus::Cancelled);
    assert_eq!(desk.item().await.reviews.active_job, None);
}

/// The repository was removed from the project in which its pull request was reviewed, and connected to another.
#[tokio::test]
async fn project_takes_over_a_pull_request_that_another_only_reviewed() {
    let desk = ReviewedWorld::new().await;
    let other = ProjectId::new("other").unwrap();
    let of_other = PullRequest::new(desk.id.clone(), other.clone(), None, None);
    let store = &desk.world.ctx.store;
    assert_applied(store.update_pull_request(&of_other).await);
    let job = desk.request("c1", "a", false).await.job.unwrap();
    assert_eq!(desk.item().await.project, desk.world.project);
    // The other project's end or link of the item does not take this review.
    let linked = PullRequest { project: other.clone(), reviews: Default::default(), ..desk.item().await };
    assert_applied(store.update_pull_request(&linked).await);
    desk.finish(&job, End::Completed(None), Some("a")).await;
    assert!(desk.item().await.reviews.is_empty());

    let ticket = Some(TicketKey::new("X-1").unwrap());
    let owned = PullRequest { project: other, ticket, ..desk.item().await };
    assert_applied(store.update_pull_request(&owned).await);
    let refused = desk.request("c2", "b", false).await;
    assert!(matches!(refused.reason, Reason::EventIgnored { .. }), "{refused:?}");
}

#[tokio::test]
async fn review_does_not_hide_the_unshown_state_of_a_revision() {
    let desk = ReviewedWorld::new().await;
    let revision = JobId::for_request(&desk.world.project, "ana", "revision");
    let mut item = PullRequest::new(desk.id.clone(), desk.world.project.clone(), None, Some(revision.clone()));
    item.set_note(Note::job_ended(revision.clone()));
    assert_applied(desk.world.ctx.store.update_pull_request(&item).await);
    desk.request("c1", "a", false).await.job.unwrap();
    assert_eq!(desk.item().await.note, Some(Note::job_ended(revision)));
}

/// A refusal must not replace the status of the work either.
#[tokio::test]
async fn refused_review_is_no_state_of_the_work() {
    let desk = ReviewedWorld::new().await;
    desk.request("c1", "a", false).await.job.unwrap();
    let refused = desk.request("c2", "a", false).await;
    assert_eq!(desk.item().await.note, Some(Note::ReviewRefusal { reason: refused.reason }));
}

#[tokio::test]
async fn failed_review_counts_as_cost_and_not_as_a_review() {
    let desk = ReviewedWorld::new().await;
    let first = desk.request("c1", "a", false).await.job.unwrap();
    desk.finish(&first, End::Failed(Failure::OutputInvalid { fault: "it is empty".into() }, None), None).await;
    let reviews = desk.item().await.reviews;
    assert_eq!((reviews.spent_usd_micros, reviews.last_posted()), (1_120_000, None));
    let second = desk.request("c2", "a", false).await;
    assert!(second.job.is_some_and(|job| job != first), "the commit was not reviewed");
}

#[tokio::test]
async fn output_of_another_kind_is_refused() {
    let desk = ReviewedWorld::new().await;
    let job = desk.request("c1", "a", false).await.job.unwrap();
    let fence = desk.world.claim(&job, None).await;
    let output =
        Some(JobOutput::Read(pullyard_domain::review::output::Answer { text: "Yes.".into(), ..Default::default() }));
    let id = FinishId::new("f1").unwrap();
    let finish = Finish { id, end: End::Completed(None), spent_usd_micros: None, work: None, output };
    let error = finish_attempt(&desk.world.ctx, &fence, &finish).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { pointer: "/output", .. }), "{error:?}");
}

fn pushed(head: &str) -> End {
    End::Completed(Some(JobResult {
        number: 7,
        url: "https://forge.example/acme/app/pull/7".into(),
        branch: "feature".into(),
        head: head.repeat(40),
        files: 1,
        insertions: 1,
        deletions: 0,
        replies: None,
    }))
}

#[tokio::test]
async fn resolve_locks_the_ticket_of_its_pull_request_until_its_end() {
    let desk = ReviewedWorld::new().await;
    desk.link().await;
    let job = desk.resolve("c1").await.job.unwrap();
    let stored = desk.world.load_job(&job).await;
    assert_eq!(
        (stored.kind, stored.ticket, stored.branch.as_str()),
        (JobKind::Resolve, Some(desk.ticket().await.key), "feature")
    );
    assert_eq!(
        (desk.ticket().await.active_job, desk.item().await.reviews.active_job),
        (Some(job.clone()), Some(job.clone()))
    );
    assert_eq!(desk.resolve("c2").await.reason.code(), "review_running");
    let scope = ProjectScope::single(desk.world.project.clone());
    let revision = desk.request_action(&scope, "c3", "a", RequestedAction::Revision { message: None }).await;
    assert_eq!(revision.reason, Reason::HeldForJob { job: job.clone() });

    desk.finish(&job, pushed("b"), Some("b")).await;
    let (ticket, item) = (desk.ticket().await, desk.item().await);
    assert_eq!((ticket.active_job, ticket.last_job, ticket.wanted.status), (None, None, None));
    assert_eq!((item.reviews.active_job, item.reviews.count, item.head), (None, 1, "b".repeat(40)));
    // A review of the ticket's pull request does not wait, but a change does.
    let busy = Ticket { active_job: Some(job.clone()), ..desk.ticket().await };
    assert_applied(desk.world.ctx.store.update_ticket(&busy).await);
    assert_eq!(desk.resolve("c4").await.reason.code(), "job_active");
    assert!(desk.request("c5", "c", false).await.job.is_some());
}

#[tokio::test]
async fn resolve_without_a_change_completes_with_its_output_alone() {
    let desk = ReviewedWorld::new().await;
    let job = desk.resolve("c1").await.job.unwrap();
    desk.finish(&job, End::Completed(None), Some("a")).await;
    assert_eq!(desk.world.load_job(&job).await.status, JobStatus::Completed);
    assert_eq!(desk.item().await.reviews.count, 1);
}

#[tokio::test]
async fn closing_a_linked_pull_request_ends_its_resolve() {
    let desk = ReviewedWorld::new().await;
    desk.link().await;
    let job = desk.resolve("c1").await.job.unwrap();
    let closed = PullRequestSnapshot { state: PullRequestState::Closed, ..desk.snapshot("a") };
    let scope = ProjectScope::single(desk.world.project.clone());
    record_pull_request_change(&desk.world.ctx, &scope, &closed).await.unwrap();
    assert_eq!(desk.world.load_job(&job).await.status, JobStatus::Cancelled);
    let (ticket, item) = (desk.ticket().await, desk.item().await);
    assert_eq!((ticket.active_job, item.state, item.reviews.active_job), (None, PullRequestState::Closed, None));
}

/// The pull request goes on naming its deleted ticket, so the guard and the charge must read the ticket's sums.
#[tokio::test]
async fn review_of_a_deleted_tickets_pull_request_counts_for_it() {
    let desk = ReviewedWorld::new().await;
    desk.link().await;
    let (ctx, project, key) = (&desk.world.ctx, &desk.world.project, TicketKey::new("APP-1").unwrap());
    delete_ticket(ctx, project, &key).await.unwrap();
    let of = SpentOn::Ticket(key.clone());
    let (taken_usd_micros, spent_usd_micros) = (50_000_000, 50_000_000);
    let spent = Spending { taken_usd_micros, spent_usd_micros, ..Spending::new(project.clone(), of.clone()) };
    assert_applied(ctx.store.put_spending(&spent).await);
    let refused = desk.request("c1", "a", false).await;
    assert_eq!((refused.reason.code(), refused.job), ("ticket_limit", None));

    let raise = |usd_micros: u64| LimitRaise {
        subject: RaisedSubject::Ticket(project.clone(), key.clone()),
        usd_micros,
        jobs: 0,
        duration: DEFAULT_RAISE_TIME,
        right: RaiseRight::Jobs,
        caller: Requester { id: "t1".into(), name: "ann".into() },
        key: Some("k1".into()),
    };
    assert_eq!(raise_limit(ctx, &raise(20_000_000)).await.unwrap().raises.len(), 1);
    assert_eq!(raise_limit(ctx, &raise(20_000_000)).await.unwrap().raises.len(), 1, "a repeat");
    assert!(matches!(raise_limit(ctx, &raise(30_000_000)).await, Err(Error::KeyReused)));
    let job = desk.request("c1", "a", false).await.job.unwrap();
    assert_eq!(desk.world.load_job(&job).await.charged.unwrap().of, of);
}

#[tokio::test]
async fn lost_review_that_used_its_money_fails_and_names_its_limit() {
    let desk = ReviewedWorld::new().await;
    let (world, ctx) = (&desk.world, &desk.world.ctx);
    let offline = OfflinePolicy::Requeue;
    world.set_settings(Settings { compute: Compute::Runners, offline, ..Settings::default() }).await;
    let sweep_for = async |rounds: u32| {
        for _ in 0..rounds {
            ctx.clock.advance(Duration::from_secs(30));
            let _ = sweep(ctx).await;
        }
    };
    // The sweeper trusts silence only after rounds without a pause.
    sweep_for(4).await;
    let job = desk.request("c1", "a", false).await.job.unwrap();
    let fence = world.claim(&job, None).await;
    for phase in [JobStatus::Preparing, JobStatus::Executing] {
        set_phase(ctx, &fence, phase, None, None).await.unwrap();
    }
    let mut working = world.load_job(&job).await;
    let charge = working.charged.as_mut().unwrap();
    charge.lost_usd_micros = charge.usd_micros.unwrap() - 1_000_000;
    assert_applied(ctx.store.update_job(&working).await);
    sweep_for(10).await;
    let failed = world.load_job(&job).await;
    let failure = failed.failure.as_ref().unwrap_or_else(|| panic!("{failed:?}"));
    assert_eq!((failed.status, failed.attempt, failed.requeues), (JobStatus::Failed, 1, 0));
    let sentence = "The job spent up to $25.00 of $25.00, which was the rest of the limit of acme/app#7.";
    assert_eq!(failure.sentence(), sentence);
    assert!(failure.help().contains("pullyard pulls raise acme/app#7 "), "{}", failure.help());
}
