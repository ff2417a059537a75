//! Provides the values of the tests: one project, its repository, tickets and jobs.

use crate::agent::Agent;
use crate::agent::checks::CommandOverrides;
use crate::agent::runner::{Runner, RunnerRegistration, Slot};
use crate::job::sweep::{JobStep, Watch, next_step};
use crate::job::{
    AgentReport, Claim, End, Fence, Job, JobResult, JobStatus, Pause, Priority, SuspendReport, Suspension,
};
use crate::kinds::{JobPlan, RevisionPlan, plan_for_ticket, plan_revision};
use crate::project::budget::{DailyUsage, Day};
use crate::project::forge::ForgeKind;
use crate::project::hook::{Webhook, WebhookScope};
use crate::project::spending::SpendingFact;
use crate::project::{Project, Repository, Settings};
use crate::review::delivery::Source;
use crate::review::pull_request::PullRequest;
use crate::text::failure::Failure;
use crate::text::id::{
    ClaimId, EventId, FinishId, HookName, InstanceId, IntegrationId, JobId, MailboxId, ProjectId, RepositoryName,
    ReviewId, RunnerId, SecretName, TicketKey,
};
use crate::text::pull_request_id::PullRequestId;
use crate::text::time::Timestamp;
use crate::ticket::event::{TicketEvent, TicketText};
use crate::ticket::facts::{Facts, RepositoryFact};
use crate::ticket::{Entry, Ticket};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

pub(crate) const TODO: &str = "Todo";
pub(crate) const TRIGGER: &str = "AI Processing";
pub(crate) const REVIEW: &str = "In Review";
pub(crate) const IN_PROGRESS: &str = "Doing";

pub(crate) fn time_at(secs: u64) -> Timestamp {
    Timestamp::from_millis(1_795_154_400_000).plus(Duration::from_secs(secs))
}

pub(crate) fn just_before(at: Timestamp) -> Timestamp {
    at.minus(Duration::from_millis(1))
}

pub(crate) fn project_id() -> ProjectId {
    ProjectId::new("acme").unwrap()
}

pub(crate) fn key() -> TicketKey {
    TicketKey::new("APP-17").unwrap()
}

pub(crate) fn event_id(name: &str) -> EventId {
    EventId::new(name).unwrap()
}

pub(crate) fn job_id(name: &str) -> JobId {
    JobId::for_request(&project_id(), "story", name)
}

pub(crate) fn finish_id(name: &str) -> FinishId {
    FinishId::new(name).unwrap()
}

pub(crate) fn entry(name: &str, secs: u64) -> Entry {
    Entry { at: time_at(secs), event: event_id(name) }
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings { auto_create: true, ..Settings::default() };
    settings.statuses.columns.push(IN_PROGRESS.into());
    settings
}

pub(crate) fn project() -> Project {
    Project { id: project_id(), name: "Acme".into(), settings: settings(), deleted_number: 0, rev: 1 }
}

pub(crate) fn repository() -> Repository {
    Repository {
        workflows: false,
        commands: CommandOverrides::default(),
        running_jobs: None,
        labels: BTreeSet::new(),
        project: project_id(),
        integration: IntegrationId::new("gh1").unwrap(),
        id: 99,
        name: RepositoryName::new("acme/app").unwrap(),
        default_branch: "main".into(),
        clone_url: "https://forge.test/acme/app.git".into(),
        agent: Agent { capability: "command".into(), command: vec!["./agent".into()], model: None },
    }
}

pub(crate) fn ticket_in(status: &str) -> Ticket {
    Ticket::new(project_id(), key(), status.into(), time_at(0), Some(event_id("earlier")))
}

pub(crate) fn event(name: &str, status: &str, secs: u64) -> TicketEvent {
    TicketEvent {
        source: Source::TicketTool,
        project: project_id(),
        event: event_id(name),
        occurred_at: time_at(secs),
        actor: Some("ann".into()),
        previous_status: None,
        key: key(),
        status: status.into(),
        text: Some(TicketText::default()),
        rank: None,
        is_own: false,
    }
}

pub(crate) fn facts(ticket: Option<Ticket>) -> Facts {
    Facts {
        now: time_at(1_000),
        first_decision: None,
        project: Some(project()),
        ticket,
        repository: RepositoryFact::Connected(Box::new(repository())),
        usage: DailyUsage::zero(Day::containing(time_at(1_000))),
        spending: None,
        labels: BTreeSet::new(),
    }
}

pub(crate) fn plan<'a>(id: JobId, settings: &'a Settings, repository: &'a Repository, now: Timestamp) -> JobPlan<'a> {
    static PROJECT: LazyLock<ProjectId> = LazyLock::new(project_id);
    static LABELS: BTreeSet<String> = BTreeSet::new();
    JobPlan {
        id,
        project: &PROJECT,
        settings,
        repository,
        context: "c0ffee".into(),
        labels: &LABELS,
        priority: Priority::Normal,
        now,
    }
}

pub(crate) fn plan_job(settings: &Settings, id: JobId, ticket: &Ticket, now: Timestamp) -> (Job, Ticket) {
    plan_for_ticket(&plan(id, settings, &repository(), now), ticket)
}

/// A new job, created at 0 s, of a ticket in the trigger status.
pub(crate) fn job_and_ticket() -> (Job, Ticket) {
    plan_job(&settings(), job_id("j"), &ticket_in(TRIGGER), time_at(0))
}

/// A ticket that has used its limit.
pub(crate) fn spent_fact() -> SpendingFact {
    SpendingFact {
        subject: key().to_string(),
        command: "tickets".into(),
        usd_micros: Some(50_000_000),
        max_jobs: Some(20),
        jobs: 9,
        taken_usd_micros: 50_000_000,
        spent_usd_micros: 50_000_000,
    }
}

pub(crate) fn ready_job() -> Job {
    job_and_ticket().0
}

pub(crate) fn pull_request_id(number: u64) -> PullRequestId {
    PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number }
}

pub(crate) fn linked_pull_request() -> PullRequest {
    let mut linked = PullRequest::new(pull_request_id(231), project_id(), Some(key()), None);
    linked.branch = "pullyard/acme/app-17-1".into();
    linked.head = "9f3".into();
    linked
}

pub(crate) fn hook() -> Webhook {
    Webhook {
        name: HookName::new("acme").unwrap(),
        integration: repository().integration,
        forge: ForgeKind::GitHub,
        home: project_id(),
        kind: WebhookScope::Repository { name: repository().name, id: repository().id },
        secret: SecretName::new("hook-acme").unwrap(),
        base_url: None,
        forge_id: None,
        template: None,
        created: time_at(0),
        rev: 0,
    }
}

pub(crate) fn review_id(name: &str) -> ReviewId {
    ReviewId::new(name).unwrap()
}

pub(crate) fn revision(
    review: &str,
    ticket: &Ticket,
    linked: &PullRequest,
    now: Timestamp,
) -> (Job, Ticket, PullRequest) {
    let id = JobId::for_review(&linked.id, &review_id(review));
    let (settings, repository) = (settings(), repository());
    let plan = JobPlan { context: String::new(), ..plan(id, &settings, &repository, now) };
    plan_revision(&plan, ticket, linked, RevisionPlan { review: &review_id(review), head: None })
}

/// A revise job created at 0 s, before its review was read.
pub(crate) fn pending() -> Job {
    revision("r1", &ticket_in(REVIEW), &linked_pull_request(), time_at(0)).0
}

pub(crate) fn claim(attempt: u32, name: &str) -> Claim {
    Claim {
        attempt,
        claim: ClaimId::new(name).unwrap(),
        instance: InstanceId::new("i1").unwrap(),
        runner: None,
        task: Some(format!("task-{name}")),
    }
}

pub(crate) fn fence(job: &Job, attempt: u32, name: &str) -> Fence {
    Fence { job: job.id.clone(), attempt, claim: ClaimId::new(name).unwrap() }
}

pub(crate) fn advance_to(job: &Job, status: JobStatus) -> Job {
    let mut job = job.claim(&claim(1, "c1"), time_at(100)).unwrap();
    for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        if job.status == status {
            break;
        }
        if phase == JobStatus::Preparing {
            job = heartbeat_at(&job, 150);
        }
        job = job.advance(&fence(&job, 1, "c1"), phase, time_at(200)).unwrap();
    }
    assert_eq!(job.status, status, "only active statuses can be reached");
    job
}

/// The step of a sweeper that has always run.
pub(crate) fn step_at(job: &Job, now: Timestamp) -> JobStep {
    next_step(job, Watch { since: time_at(0), runner: None, project: None }, now)
}

/// The job with its newest heartbeat at `secs`.
pub(crate) fn heartbeat_at(job: &Job, secs: u64) -> Job {
    let mut job = job.clone();
    if let Some(run) = &mut job.run {
        run.heartbeat = Some(time_at(secs));
    }
    job
}

pub(crate) fn suspend_report(rest: Suspension, inputs: u32) -> SuspendReport {
    SuspendReport {
        id: finish_id("y1"),
        suspension: rest,
        agent: Some("command".into()),
        session: Some("s1".into()),
        inputs,
    }
}

pub(crate) fn question() -> Suspension {
    Suspension::Question { question: "Which list?".into() }
}

/// A job whose agent asked a question at 250 s.
pub(crate) fn awaiting_input_job() -> Job {
    let job = active(JobStatus::Executing);
    job.suspend(&fence(&job, 1, "c1"), &suspend_report(question(), 0), time_at(250)).unwrap()
}

/// A job that ann paused at 240 s and its runner yielded at 250 s.
pub(crate) fn paused_job() -> Job {
    let job = active(JobStatus::Executing).pause(Pause::new("ann", time_at(240)), time_at(240)).unwrap();
    job.suspend(&fence(&job, 1, "c1"), &suspend_report(Suspension::Pause, 0), time_at(250)).unwrap()
}

pub(crate) fn active(status: JobStatus) -> Job {
    advance_to(&ready_job(), status)
}

pub(crate) fn result() -> JobResult {
    JobResult {
        branch: "pullyard/acme/app-17-1".into(),
        head: "9f3".into(),
        number: 231,
        url: "https://forge.test/acme/app/pull/231".into(),
        files: 2,
        insertions: 10,
        deletions: 3,
        replies: None,
    }
}

pub(crate) fn no_changes_failure() -> Failure {
    Failure::NoChanges { left_out: crate::text::Quoted(None) }
}

pub(crate) fn crash_failure() -> Failure {
    Failure::RunnerCrashed { exit: "signal 9".into() }
}

pub(crate) fn finish(job: &Job, end: End) -> Job {
    job.finish(&fence(job, 1, "c1"), &finish_id("f1"), end, time_at(300)).unwrap()
}

/// A runner of the token `t1` that registered at 0 s with two slots.
pub(crate) fn runner(name: &str) -> Runner {
    let new = RunnerRegistration {
        id: RunnerId::for_registration("t1", name),
        name: name.into(),
        token: "t1".into(),
        instance: InstanceId::new("i1").unwrap(),
        max_slots: 2,
        active_jobs: BTreeSet::new(),
        new_mailbox: MailboxId::new(format!("{:0>26}", name.to_lowercase())).unwrap(),
        offline_secs: None,
        updates: None,
    };
    Runner::register(None, new, time_at(0)).unwrap()
}

pub(crate) fn slot(claim: &str, since: u64) -> Slot {
    Slot { attempt: 1, claim: ClaimId::new(claim).unwrap(), project: project_id(), since: time_at(since) }
}

/// The usage of an agent that reports neither version nor model.
pub(crate) fn work(agent: &str) -> AgentReport {
    AgentReport {
        agent: agent.into(),
        version: None,
        model: None,
        session: None,
        isolation: "none".into(),
        isolation_check: None,
        refused_hosts: Vec::new(),
        starts: 1,
        turns: 3,
        input_tokens: 300,
        cached_input_tokens: 0,
        output_tokens: 30,
        about_usd_micros: None,
        prompt_sha256: None,
        base_commit: None,
        commit: None,
        checks: Vec::new(),
    }
}
