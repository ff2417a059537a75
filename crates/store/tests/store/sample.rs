//! Valid default domain values that differ by one argument.

use crate::prelude::*;
use pullyard_domain::agent::Agent;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::agent::runner::Profile;
use pullyard_domain::agent::runner::order::OrderKind;
use pullyard_domain::job::fleet::{FleetSnapshot, Member, MemberSummary};
use pullyard_domain::job::{AttemptRecord, Claim, JobKind, JobResult, Priority, StepOfRun};
use pullyard_domain::kinds::prompt::Context;
use pullyard_domain::kinds::{JobPlan, plan_for_ticket, plan_without_ticket};
use pullyard_domain::project::Settings;
use pullyard_domain::project::forge::{Account, Auth, ForgeKind, Integration};
use pullyard_domain::project::hook::poll_progress::PollProgress;
use pullyard_domain::project::hook::{Ingress, Poll};
use pullyard_domain::project::naming::SecretProjects;
use pullyard_domain::project::schedule::{Occurrence, Outcome, Schedule, ScheduleId, ScheduleSpec, Starts};
use pullyard_domain::project::spending::{Spending, SpendingLimits};
use pullyard_domain::project::template::{Template, TemplateId};
use pullyard_domain::project::tracker::{ToolAccount, Tracker, TrackerKind};
use pullyard_domain::review::analysis::{Analysis, AnalysisCounts, CompletedAnalysis, FailedAnalysis};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::output::{Answer, JobOutput};
use pullyard_domain::run::notice::{Endpoint, EndpointKind, EndpointState, Notice, NoticeRecord, Window};
use pullyard_domain::run::{FrozenPlan, Group, Run};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::host::HostRest;
use pullyard_domain::text::id::{
    DeliveryId, EndpointId, EventId, FinishId, MailboxId, NoticeId, OrderId, RunId, RunnerId, ScheduleName,
    TemplateName, TicketKey,
};
use pullyard_domain::ticket::event::TicketEvent;
use pullyard_domain::ticket::look::{TicketLook, WaitingLook};
use pullyard_store::{Scope, SecretRecord, Token, TokenKind};

/// This many seconds after a start in the far future: DynamoDB deletes expired items by its own clock.
pub(crate) fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(4_102_466_401_007).plus(Duration::from_secs(secs))
}

pub(crate) fn project() -> ProjectId {
    ProjectId::new("acme").unwrap()
}

pub(crate) fn integration() -> IntegrationId {
    IntegrationId::new("gh1").unwrap()
}

pub(crate) fn ticket_key(key: &str) -> TicketKey {
    TicketKey::new(key).unwrap()
}

pub(crate) fn event_id(id: &str) -> EventId {
    EventId::new(id).unwrap()
}

pub(crate) fn finish(id: &str) -> FinishId {
    FinishId::new(id).unwrap()
}

pub(crate) fn schedule(rev: u64) -> Schedule {
    let id = ScheduleId { project: project(), name: ScheduleName::new("nightly").unwrap() };
    let text = |text: &str| Some(text.to_owned());
    let (every, cron, window) = (text("6h"), text("0 3 * * *"), text("02:00-02:59"));
    let times = ScheduleSpec { every, cron, window, ..ScheduleSpec::default() };
    let spec = ScheduleSpec { analyse: true, cooldown: text("20h"), zone: text("UTC"), ..times };
    let last = Some(Occurrence { at: at(1), outcome: Outcome::Ran(Starts { started: 1, ..Starts::default() }) });
    Schedule { spec, paused: false, next: Some(at(9)), last, rev, ..Schedule::new(id, at(0)) }
}

pub(crate) fn template(rev: u64) -> Template {
    let id = TemplateId { project: project(), name: TemplateName::new("fix").unwrap() };
    Template { id, plan: r#"{"name":"fix"}"#.into(), by: "ann".into(), created: at(0), changed: at(1), rev }
}

/// The plan of a run with one step.
pub(crate) fn frozen_plan() -> FrozenPlan {
    let json = serde_json::json!({ "name": "release", "steps": [{ "name": "notes", "prompt": "Write them." }] });
    let plan = pullyard_domain::project::plan::Plan::parse(json).unwrap();
    FrozenPlan { plan, parameters: BTreeMap::new(), repository: repository(99, "acme/app"), base: "main".into() }
}

/// A run with a step whose job has ended.
pub(crate) fn run(rev: u64) -> Run {
    let id = RunId::for_request(&project(), "", "one");
    let mut run = Run::new(id, project(), &frozen_plan().plan, "ann".into(), at(1));
    for step in &mut run.steps {
        (step.job, step.started) = (Some(step_job().id), Some(at(2)));
    }
    Run { content: "0a".into(), result: Some(result(7)), rev, ..run }
}

/// The group of the run and of another one.
pub(crate) fn group(rev: u64) -> Group {
    let group = Group::new(project(), "deploy".into(), at(1));
    let group = group.with_waiting(&run(0), &frozen_plan().plan).unwrap();
    Group { holders: [RunId::for_request(&project(), "", "two")].into(), rev, ..group }
}

/// The job of its step.
pub(crate) fn step_job() -> Job {
    let run = RunId::for_request(&project(), "", "one");
    Job {
        step: Some(StepOfRun {
            run,
            name: "notes".into(),
            may_change_nothing: true,
            reports: true,
            has_own_branch: false,
        }),
        ..job("step")
    }
}

pub(crate) fn endpoint() -> Endpoint {
    let (url, secret) = (Some("https://hooks.acme.example/p".into()), Some("pullyard/user/hook-ci".into()));
    let events = Some(["job.completed", "job.failed"].map(str::to_owned).into());
    let id = EndpointId::new("ci").unwrap();
    Endpoint { id, kind: EndpointKind::Webhook, url, url_secret: None, secret, events }
}

/// The notice that a job failed.
pub(crate) fn notice(rev: u64) -> Notice {
    let before = job("one");
    let failed = Job { status: JobStatus::Failed, failure: Some(failure()), attempt: 1, ..before.clone() };
    let notice = Notice::of_job(&before, &failed, &[endpoint()], "https://p.example/jobs/one".into(), at(4));
    Notice { rev, ..notice.unwrap() }
}

pub(crate) fn other_notice() -> Notice {
    Notice { id: NoticeId::for_job(&job_id("other"), 1, "job.failed"), ..notice(0) }
}

/// A notice and the state of its endpoint at these revisions.
pub(crate) fn notice_record(notice_rev: u64, state_rev: u64) -> NoticeRecord {
    NoticeRecord { notice: notice(notice_rev), state: Some(endpoint_state(state_rev)), other: None }
}

/// An endpoint with a failure and a digest.
pub(crate) fn endpoint_state(rev: u64) -> EndpointState {
    let window = Window { from: at(1), single: 5, held: [("job.failed".to_owned(), 2)].into() };
    EndpointState {
        failures: 1,
        failing_since: Some(at(2)),
        rest_until: Some(at(3)),
        window: Some(window),
        rev,
        ..EndpointState::new(project(), endpoint().id)
    }
}

pub(crate) fn host_rest(rev: u64) -> HostRest {
    HostRest { host: "hooks.test:8443".into(), timeouts: 2, until: at(3), rev }
}

pub(crate) fn ticket_look(rev: u64) -> TicketLook {
    let waiting = Some(WaitingLook { since: at(2), delivery: Some(at(1)) });
    let key = TicketKey::new("APP-1").unwrap();
    TicketLook { waiting, covered: Some(at(0)), rev, ..TicketLook::new(project(), key, at(2)) }
}

pub(crate) fn tracker(rev: u64) -> Tracker {
    Tracker {
        id: IntegrationId::new("own").unwrap(),
        kind: TrackerKind::Http,
        url: "https://tickets.example/hook".into(),
        cloud_id: Some("6a1b".into()),
        account: Some(ToolAccount { ids: vec!["5b10".into()], name: "Bot".into(), is_person: true }),
        secret: "pullyard/user/tracker-own".into(),
        hook_secret: Some("pullyard/user/tracker-own-hook".into()),
        created: at(0),
        last_ok: Some(at(1)),
        problem: Some("it answered 500".into()),
        rest_until: Some(at(2)),
        rev,
    }
}

pub(crate) fn repository(id: u64, name: &str) -> Repository {
    Repository {
        project: project(),
        integration: integration(),
        id,
        name: RepositoryName::new(name).unwrap(),
        default_branch: "main".into(),
        clone_url: format!("https://forge.example/{name}.git"),
        agent: Agent { capability: "command".into(), command: vec!["./agent.sh".into(), "--go".into()], model: None },
        workflows: false,
        commands: CommandOverrides::default(),
        running_jobs: None,
        labels: Default::default(),
    }
}

pub(crate) fn project_with_id(id: &str) -> Project {
    Project {
        id: ProjectId::new(id).unwrap(),
        name: id.to_uppercase(),
        settings: Settings::default(),
        deleted_number: 0,
        rev: 0,
    }
}

pub(crate) fn forge(id: &str) -> Integration {
    Integration {
        id: IntegrationId::new(id).unwrap(),
        kind: ForgeKind::GitHub,
        api_url: "https://api.forge.example".into(),
        auth: Auth::Token { secret: format!("pullyard/{id}") },
        account: Account { id: u64::MAX, login: "pullyard[bot]".into() },
        projects: None,
    }
}

/// The list of a secret at this revision.
pub(crate) fn secret_projects(rev: u64, projects: &[&str]) -> SecretProjects {
    let projects = projects.iter().map(|id| ProjectId::new(*id).unwrap()).collect();
    SecretProjects { secret: "pullyard/job/key".into(), projects: Some(projects), rev }
}

/// The name of a secret at this revision.
pub(crate) fn secret_record(rev: u64) -> SecretRecord {
    SecretRecord { secret: "pullyard/job/key".into(), set_at: at(0), rev }
}

/// The analyses of a repository at this revision.
pub(crate) fn analysis(rev: u64) -> Analysis {
    let last = CompletedAnalysis {
        job: job_id("last"),
        at: at(1),
        spent_usd_micros: 20_000,
        counts: AnalysisCounts { pulls: Some(4), issues: Some(12), ..AnalysisCounts::default() },
    };
    let failed = FailedAnalysis { job: job_id("failed"), sentence: "The agent did not answer.".into() };
    let (active_job, last, failed) = (Some(job_id("one")), Some(last), Some(failed));
    Analysis { rev, active_job, last, failed, ..Analysis::new(&repository(99, "acme/app")) }
}

/// A ticket in the trigger status that is not stored yet.
pub(crate) fn ticket(key: &str) -> Ticket {
    Ticket::new(project(), ticket_key(key), Settings::default().statuses.trigger, at(0), Some(event_id("evt-0")))
}

pub(crate) fn comment(number: u32) -> Comment {
    Comment {
        project: project(),
        ticket: ticket_key("APP-1"),
        number,
        author_id: "t1".into(),
        author: "ana".into(),
        text: "Use tabs.".into(),
        created: at(1),
        edited: None,
        rev: 0,
    }
}

pub(crate) fn event(key: &str, id: &str, occurred_at: Timestamp, status: &str) -> TicketEvent {
    TicketEvent {
        source: Source::Board,
        project: project(),
        event: event_id(id),
        occurred_at,
        actor: Some("user-1".into()),
        previous_status: None,
        key: ticket_key(key),
        status: status.into(),
        text: Some(TicketText {
            title: format!("{key} {id}"),
            description: "Make it so.".into(),
            labels: BTreeSet::from(["runner:gpu".into()]),
            url: None,
            repository: None,
        }),
        rank: None,
        is_own: false,
    }
}

pub(crate) fn job_id(name: &str) -> JobId {
    JobId::for_request(&project(), "test", name)
}

fn with_job_plan<T>(name: &str, compute: Compute, now: Timestamp, make: impl FnOnce(&JobPlan<'_>) -> T) -> T {
    let settings = Settings { compute, ..Settings::default() };
    make(&JobPlan {
        id: job_id(name),
        project: &project(),
        settings: &settings,
        repository: &repository(99, "acme/app"),
        context: "0123456789abcdef0123456789abcdef".into(),
        labels: &BTreeSet::new(),
        priority: Priority::Normal,
        now,
    })
}

/// A new job without a ticket, for Fargate.
pub(crate) fn job(name: &str) -> Job {
    job_at(name, Compute::Fargate, at(0))
}

pub(crate) fn job_at(name: &str, compute: Compute, now: Timestamp) -> Job {
    with_job_plan(name, compute, now, plan_without_ticket)
}

pub(crate) fn plan_ticket_job(ticket: &Ticket, name: &str) -> (Job, Ticket) {
    plan_ticket_job_at(ticket, name, Compute::Fargate, at(0))
}

pub(crate) fn plan_ticket_job_at(ticket: &Ticket, name: &str, compute: Compute, now: Timestamp) -> (Job, Ticket) {
    with_job_plan(name, compute, now, |plan| plan_for_ticket(plan, ticket))
}

pub(crate) const SPENDING_LIMITS: SpendingLimits =
    SpendingLimits { usd_micros: Some(50_000_000), jobs: Some(20), usd_micros_per_job: 5_000_000 };

/// The first job of a ticket with its charge, and the ticket's spending.
pub(crate) fn charge_spending(job: &Job) -> (Job, Spending) {
    charge_next(job, Spending::new(job.project.clone(), job.spent_on(None).unwrap())).unwrap()
}

pub(crate) fn charge_next(job: &Job, spending: Spending) -> Option<(Job, Spending)> {
    let (next, charge) = spending.reserve(&SPENDING_LIMITS, job.kind.spec().writes, job.created)?;
    Some((Job { charged: Some(charge), ..job.clone() }, next))
}

pub(crate) fn accepted_decision(job: &Job) -> Delivery {
    Delivery {
        job: Some(job.id.clone()),
        reason: Reason::Accepted { job: job.id.clone() },
        ..refused_decision(job.id.as_str(), at(0))
    }
}

pub(crate) fn refused_decision(event: &str, at: Timestamp) -> Delivery {
    let id = DeliveryId::for_ticket_event(&project(), &event_id(event));
    let reason = Reason::AutoCreateOff { project: project() };
    let delivery = Delivery::new(id, project(), Source::Board, event_id(event), at, reason);
    Delivery { ticket: Some(ticket_key("APP-1")), ..delivery }
}

pub(crate) fn request(key: &str, at: Timestamp) -> Request {
    Request { caller: "token-1".into(), key: event_id(key), content: "c0ffee".into(), at }
}

pub(crate) fn runner(name: &str, max: u32) -> Runner {
    Runner {
        id: RunnerId::for_registration("token", name),
        name: name.into(),
        token: "token".into(),
        status: Presence::Online,
        epoch: 1,
        instance: InstanceId::new("process-1").unwrap(),
        last_heartbeat: at(0),
        has_sent_heartbeat: false,
        slots: BTreeMap::new(),
        active: BTreeSet::new(),
        max,
        draining: false,
        drain: None,
        steady_since: None,
        spared_until: None,
        claims: Vec::new(),
        mailbox: Some(MailboxId::new("m".repeat(26)).unwrap()),
        offline_secs: None,
        order: None,
        updates: None,
    }
}

pub(crate) fn order(id: &str, state: OrderState) -> Order {
    let id = OrderId::new(id).unwrap();
    Order { id, kind: OrderKind::Restart, version: None, by: "ann".into(), at: at(5), state, reason: None }
}

pub(crate) fn profile(runner: &Runner, name: &str) -> Profile {
    Profile {
        id: runner.id.clone(),
        name: name.into(),
        capabilities: BTreeSet::from(["command".into()]),
        labels: BTreeSet::from(["gpu".into()]),
        version: "0.1.0".into(),
        projects: None,
        isolation: None,
    }
}

/// A fleet of one runner, read at this time.
pub(crate) fn fleet(secs: u64) -> FleetSnapshot {
    let runner = runner("kite", 2);
    let member = Member { profile: profile(&runner, "kite"), runner };
    FleetSnapshot { at: at(secs), members: vec![MemberSummary::from(&member)] }
}

pub(crate) fn claim_by_task(job: &Job, claim: &str) -> Claim {
    Claim {
        attempt: job.attempt + 1,
        claim: ClaimId::new(claim).unwrap(),
        instance: InstanceId::new("process-1").unwrap(),
        runner: None,
        task: Some("arn:aws:ecs:us-east-1:000000000000:task/pullyard/0123456789abcdef0123456789abcdef".into()),
    }
}

pub(crate) fn claim_by(runner: &Runner, job: &Job, claim: &str) -> Claim {
    Claim {
        instance: runner.instance.clone(),
        runner: Some(runner.id.clone()),
        task: None,
        ..claim_by_task(job, claim)
    }
}

pub(crate) fn failure() -> Failure {
    Failure::TaskStopped { reason: "Spot interruption".into() }
}

pub(crate) fn result(number: u64) -> JobResult {
    JobResult {
        branch: "pullyard/acme/app-1-1".into(),
        head: "9f3c0d5e9f3c0d5e9f3c0d5e9f3c0d5e9f3c0d5e".into(),
        number,
        url: format!("https://forge.example/acme/app/pull/{number}"),
        files: 3,
        insertions: 120,
        deletions: 14,
        replies: None,
    }
}

pub(crate) fn pull_request(job: &Job, number: u64) -> PullRequest {
    let result = result(number);
    let id = result.pull_request(&job.integration, job.repository);
    PullRequest {
        url: result.url,
        branch: result.branch,
        head: result.head,
        ..PullRequest::new(id, job.project.clone(), job.ticket.clone(), Some(job.id.clone()))
    }
}

pub(crate) fn ended_attempt(before: &Job, ended: AttemptEnd, now: Timestamp) -> Option<AttemptRecord> {
    Some(AttemptRecord {
        job: before.id.clone(),
        number: before.attempt,
        run: before.run.clone().filter(|_| before.status.is_active())?,
        ended_at: now,
        ended,
        work: None,
        spent_usd_micros: None,
    })
}

pub(crate) fn context(words: &str) -> Context {
    Context {
        kind: JobKind::Implement,
        ticket: None,
        comments: Vec::new(),
        instructions: Some(words.into()),
        reviews: None,
        analysis: None,
        repository: repository(99, "acme/app"),
        base: "main".into(),
        review: None,
        commands: None,
        egress: Vec::new(),
        author: None,
        labels: Default::default(),
        priority: Some(Priority::High),
        step: None,
    }
}

pub(crate) fn token(hash: &str, name: &str) -> Token {
    Token {
        hash: hash.into(),
        name: name.into(),
        prefix: "pya_1234".into(),
        scopes: BTreeSet::from([Scope::Read, Scope::Jobs]),
        projects: Some(BTreeSet::from([project()])),
        expires_at: Some(at(1_000_000)),
        revoked: false,
        kind: TokenKind::Api,
        runner: None,
        created: Some(at(1)),
        created_by: Some("admin".into()),
        last_used: None,
    }
}

/// A repository without a webhook, polled a minute from now.
pub(crate) fn poll(rev: u64) -> Poll {
    Poll {
        project: project(),
        integration: integration(),
        repository: 99,
        ingress: Ingress::Poll,
        gone_at: None,
        next: at(60),
        look: PollProgress::default(),
        tries: 0,
        not_before: None,
        rev,
    }
}

pub(crate) fn answer() -> JobOutput {
    JobOutput::Read(Answer { text: "`retry()` is called in `src/client.rs`.".into(), ..Default::default() })
}
