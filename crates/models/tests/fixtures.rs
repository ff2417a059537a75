//! The project, repository, ticket and jobs at the start of every model.

use pullyard_domain::agent::Agent;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::agent::runner::{Runner, RunnerRegistration};
use pullyard_domain::job::{Job, JobResult, Priority, SuspendReport, Suspension};
use pullyard_domain::kinds::{JobPlan, RevisionPlan, plan_for_ticket, plan_revision};
use pullyard_domain::project::{Repository, Settings};
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::text::id::{
    EventId, FinishId, InstanceId, IntegrationId, JobId, MailboxId, ProjectId, RepositoryName, ReviewId, RunnerId,
    TicketKey,
};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) const TRIGGER: &str = "AI Processing";
pub(crate) const REVIEW: &str = "In Review";

pub(crate) fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(1_795_154_400_000).plus(Duration::from_secs(secs))
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
    JobId::for_request(&project_id(), "model", name)
}

pub(crate) fn finish_id(name: &str) -> FinishId {
    FinishId::new(name).unwrap()
}

pub(crate) fn review_id(name: &str) -> ReviewId {
    ReviewId::new(name).unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings { auto_create: true, ..Settings::default() }
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
    Ticket::new(project_id(), key(), status.into(), at(0), Some(event_id("earlier")))
}

pub(crate) fn plan_ticket_job(settings: &Settings, id: JobId, ticket: &Ticket, now: Timestamp) -> (Job, Ticket) {
    plan_for_ticket(&plan(settings, id, ticket, &repository(), now), ticket)
}

pub(crate) fn ready_job() -> Job {
    plan_ticket_job(&settings(), job_id("j"), &ticket_in(TRIGGER), at(0)).0
}

pub(crate) fn plan_revise_job(
    id: JobId,
    review: &str,
    ticket: &Ticket,
    linked: &PullRequest,
    now: Timestamp,
) -> (Job, Ticket, PullRequest) {
    let (settings, repository) = (settings(), repository());
    let plan = plan(&settings, id, ticket, &repository, now);
    plan_revision(&plan, ticket, linked, RevisionPlan { review: &review_id(review), head: None })
}

fn plan<'a>(
    settings: &'a Settings,
    id: JobId,
    ticket: &'a Ticket,
    repository: &'a Repository,
    now: Timestamp,
) -> JobPlan<'a> {
    const NO_LABELS: &BTreeSet<String> = &BTreeSet::new();
    let context = "c0ffee".into();
    JobPlan {
        id,
        project: &ticket.project,
        settings,
        repository,
        context,
        labels: NO_LABELS,
        priority: Priority::Normal,
        now,
    }
}

pub(crate) fn linked_pull_request() -> PullRequest {
    let id = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 231 };
    let mut linked = PullRequest::new(id, project_id(), Some(key()), None);
    linked.branch = "pullyard/acme/app-17-1".into();
    linked.head = "9f3".into();
    linked
}

pub(crate) fn question() -> Suspension {
    Suspension::Question { question: "Which list?".into() }
}

pub(crate) fn new_yield(rest: Suspension, inputs: u32) -> SuspendReport {
    SuspendReport {
        id: finish_id("y1"),
        suspension: rest,
        agent: Some("command".into()),
        session: Some("s1".into()),
        inputs,
    }
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

/// A runner of the token `t1` with two slots, registered at 0 s.
pub(crate) fn runner(name: &str) -> Runner {
    let new = RunnerRegistration {
        id: RunnerId::for_registration("t1", name),
        name: name.into(),
        token: "t1".into(),
        instance: InstanceId::new("i1").unwrap(),
        max_slots: 2,
        active_jobs: BTreeSet::new(),
        new_mailbox: MailboxId::new(format!("{:0>26}", name)).unwrap(),
        offline_secs: None,
        updates: None,
    };
    Runner::register(None, new, at(0)).unwrap()
}
