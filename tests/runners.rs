//! Tests self-hosted runners; the test acts as the runner.

mod agents;
mod breakers;
mod names;
mod silence;
mod waiting;

use crate::story::{Setup, Story, TRIGGER, Task, begin_all, failed};
use pullyard_domain::id::{ClaimId, InstanceId, JobId, ProjectId, RunnerId};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::{Compute, Settings};
use pullyard_protocol::attempt::{Assignment, Phase, StartRequest};
use pullyard_protocol::client::{AttemptClient, Error, RunnerClient};
use pullyard_protocol::fleet::{RunnerOrder, RunnerStatus};
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::runner::{
    ClaimRequest, ClaimedJob, HeartbeatAnswer, HeartbeatRequest, RegisterRequest, Registered,
};
use pullyard_store::{TokenKind, Write};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) struct Process {
    client: RunnerClient,
    pub(crate) id: RunnerId,
    instance: InstanceId,
}

impl Process {
    async fn beat(&self, active: &[&JobId]) -> HeartbeatAnswer {
        self.say(active, false, false).await.unwrap()
    }

    async fn say(&self, active: &[&JobId], draining: bool, last: bool) -> Result<HeartbeatAnswer, Error> {
        let active = active.iter().map(|job| (*job).clone()).collect();
        let said = HeartbeatRequest { instance: self.instance.clone(), active, draining, last };
        self.client.heartbeat(&self.id, &said).await
    }

    async fn ask(&self, claim: &str) -> Result<Option<ClaimedJob>, Error> {
        let request = ClaimRequest { instance: self.instance.clone(), claim_id: ClaimId::new(claim).unwrap() };
        Ok(self.client.claim(&self.id, &request).await?.job)
    }

    async fn claim(&self, claim: &str) -> Option<ClaimedJob> {
        self.ask(claim).await.unwrap()
    }

    pub(crate) async fn try_claim(&self, claim: &str) -> Option<JobId> {
        self.claim(claim).await.map(|claimed| claimed.job)
    }

    pub(crate) async fn alive(&self, jobs: &[JobId]) {
        self.beat(&jobs.iter().collect::<Vec<_>>()).await;
    }
}

impl Story {
    async fn with_runners() -> Self {
        Self::of_runners(Setup::default().settings).await
    }

    async fn of_runners(settings: Settings) -> Self {
        let settings = Settings { compute: Compute::Runners, ..settings };
        Self::with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await
    }

    /// The same with one registered runner, `kite`.
    async fn with_kite() -> (Self, Process) {
        let story = Self::with_runners().await;
        let token = story.runner_token("t", None, None).await;
        let kite = story.runner(&token, "kite", "i1").await;
        (story, kite)
    }

    /// Creates a runner token, optionally limited to projects or to one runner name.
    pub(crate) async fn runner_token(&self, name: &str, projects: Option<&[&str]>, only: Option<&str>) -> String {
        let token = format!("rnt_{name}");
        let projects = projects.map(|all| all.iter().map(|project| ProjectId::new(*project).unwrap()).collect());
        let mut stored = pullyard_entry::auth::stored_token(&token, name, BTreeSet::new(), projects);
        stored.kind = TokenKind::Runner;
        stored.runner = only.map(str::to_owned);
        assert_eq!(self.store().await.put_token(&stored).await.unwrap(), Write::Applied);
        token
    }

    pub(crate) async fn runner(&self, token: &str, name: &str, instance: &str) -> Process {
        self.register(token, &introduction(name, instance)).await.unwrap()
    }

    async fn register(&self, token: &str, request: &RegisterRequest) -> Result<Process, Error> {
        let client = RunnerClient::new(self.local.api_url(), token)?;
        let Registered { runner, .. } = client.register(request).await?;
        Ok(Process { client, id: runner, instance: request.instance.clone() })
    }

    async fn start(&self, claimed: &ClaimedJob, claim: &str) -> Result<(Assignment, AttemptClient), Error> {
        let request = StartRequest {
            claim_id: ClaimId::new(claim).unwrap(),
            instance: InstanceId::new("run-job").unwrap(),
            task: None,
        };
        let base = self.local.api_url();
        let made = AttemptClient::start(base, &claimed.bootstrap, &claimed.job, claimed.attempt, &request).await?;
        let client = AttemptClient::new(base, &made.lease, &claimed.job, made.attempt)?;
        Ok((made, client))
    }

    async fn run(&self, process: &Process, claim: &str, last: Phase) -> (JobId, AttemptClient) {
        let claimed = process.claim(claim).await.expect("a job");
        let (_, client) = self.start(&claimed, claim).await.unwrap();
        begin_all(&client, last).await;
        (claimed.job, client)
    }

    /// Advances the clock by `secs` in total, with a sweep at least every ten seconds.
    async fn steps(&self, secs: u64) {
        let end = self.clock.now().plus(Duration::from_secs(secs));
        loop {
            let left = end.since(self.clock.now());
            if left.is_zero() {
                return;
            }
            self.pass(left.min(Duration::from_secs(10))).await;
        }
    }

    async fn runner_is(&self, name: &str, status: RunnerStatus) {
        assert_eq!(self.api.runner(name).await.unwrap().status, status, "{name}");
    }

    async fn waits_for(&self, job: &JobId, code: &str) {
        let why = self.api.why(job).await.unwrap();
        assert_eq!(why.code.as_deref(), Some(code), "{}", why.sentence);
        assert_eq!(self.api.job(job).await.unwrap().waits.map(|wait| wait.code), Some(code.to_owned()));
    }

    /// Revokes a token in the table.
    pub(crate) async fn revoke(&self, token: &str) {
        let pk = format!("TOKEN#{}", pullyard_entry::auth::hash_of(token));
        let revoke = json!({
            "TableName": "pullyard", "Key": { "pk": { "S": pk }, "sk": { "S": "TOKEN" } },
            "UpdateExpression": "SET revoked = :yes", "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": { ":yes": { "BOOL": true } },
        });
        self.dynamodb("UpdateItem", revoke).await;
    }
}

fn introduction(name: &str, instance: &str) -> RegisterRequest {
    RegisterRequest {
        name: name.into(),
        instance: InstanceId::new(instance).unwrap(),
        capabilities: BTreeSet::from(["command".into()]),
        labels: BTreeSet::new(),
        version: "0.1.0".into(),
        slots: 2,
        active: BTreeSet::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_claim_returns_the_same_job_until_it_ends() {
    let (story, kite) = Story::with_kite().await;
    assert!(kite.claim("c0").await.is_none());
    let job = story.job_for("e1", "APP-1", 1).await;
    story.waits_for(&job, "starting_now").await;
    let claimed = kite.claim("c1").await.unwrap();
    assert_eq!((&claimed.job, claimed.attempt), (&job, 1));
    // A repeated claim after a lost answer must not return another job.
    let second = story.job_for("e2", "APP-2", 2).await;
    let again = kite.claim("c1").await.unwrap();
    assert_eq!((&again.job, again.attempt), (&job, 1));
    let (assignment, client) = story.start(&again, "c1").await.unwrap();
    let (repeat, _) = story.start(&claimed, "c1").await.unwrap();
    assert_eq!(assignment.lease, repeat.lease);
    assert_eq!(story.start(&claimed, "other").await.err().unwrap().code(), Some("lease_lost"));
    let shown = story.api.runner("kite").await.unwrap();
    assert_eq!((shown.busy, shown.slots, &shown.jobs[0].job), (1, 2, &job));
    client.finish(&failed("f1")).await.unwrap();
    assert_eq!(story.ended(&job).await.status, JobStatus::Failed);
    assert_eq!(story.api.runner("kite").await.unwrap().busy, 0);
    assert!(kite.claim("c1").await.is_none());
    assert_eq!(kite.claim("c2").await.unwrap().job, second);
    assert!(story.tasks_of(&job).await.is_empty() && story.tasks_of(&second).await.is_empty());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_goes_to_a_runner_with_its_agent_and_labels() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", Some(&["acme"]), None).await;
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    event.ticket.labels = BTreeSet::from(["runner:gpu".into(), "docs".into()]);
    let job = story.api.ticket_event(&event).await.unwrap().job.unwrap();
    story.waits_for(&job, "no_runner").await;
    let codex = RegisterRequest { capabilities: BTreeSet::from(["codex".into()]), ..introduction("gull", "i1") };
    let gull = story.register(&token, &codex).await.unwrap();
    story.waits_for(&job, "no_capability").await;
    assert!(gull.claim("c1").await.is_none());
    let kite = story.runner(&token, "kite", "i1").await;
    story.waits_for(&job, "no_label").await;
    assert!(kite.claim("c1").await.is_none());
    let labelled =
        RegisterRequest { labels: BTreeSet::from(["gpu".into(), "eu".into()]), ..introduction("swan", "i1") };
    let swan = story.register(&token, &labelled).await.unwrap();
    story.waits_for(&job, "starting_now").await;
    assert_eq!(swan.claim("c1").await.unwrap().job, job);
    // Jobs are claimed in order of creation across classes.
    let plain = story.job_for("e2", "APP-2", 2).await;
    story.clock.advance(Duration::from_secs(1));
    event.event_id = "e3".parse().unwrap();
    event.ticket.key = "APP-3".parse().unwrap();
    story.api.ticket_event(&event).await.unwrap();
    assert_eq!(swan.claim("c2").await.unwrap().job, plain);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_runners_gets_the_job_and_foreign_runners_none() {
    let story = Story::with_runners().await;
    let (ours, theirs) = (
        story.runner_token("ours", Some(&["acme"]), None).await,
        story.runner_token("theirs", Some(&["other"]), None).await,
    );
    let other = CreateProject { id: "other".parse().unwrap(), name: "Other".into(), settings: Settings::default() };
    story.api.create_project(&other).await.unwrap();
    let job = story.job_for("e1", "APP-1", 1).await;
    let foreign = story.runner(&theirs, "foreign", "i1").await;
    assert!(foreign.claim("c1").await.is_none());
    story.waits_for(&job, "no_runner").await;
    let (kite, gull) = (story.runner(&ours, "kite", "i1").await, story.runner(&ours, "gull", "i1").await);
    let (one, two) = tokio::join!(kite.claim("c1"), gull.claim("c1"));
    let got = [one, two].into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].job, job);
    // A runner is visible only with its own token.
    let stolen = Process { client: foreign.client.clone(), id: kite.id.clone(), instance: kite.instance.clone() };
    assert_eq!(stolen.ask("c2").await.err().unwrap().code(), Some("not_found"));
    assert_eq!(stolen.say(&[], false, false).await.err().unwrap().code(), Some("not_found"));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_runner_keeps_its_job_and_claims_no_other() {
    let (story, kite) = Story::with_kite().await;
    story.job_for("e1", "APP-1", 1).await;
    let (job, client) = story.run(&kite, "c1", Phase::Executing).await;
    let drained = story.api.command_runner("kite", RunnerOrder::Drain).await.unwrap();
    assert_eq!(drained.status, RunnerStatus::Draining);
    let waiting = story.job_for("e2", "APP-2", 2).await;
    assert!(kite.claim("c2").await.is_none(), "the drain applies before the runner is informed");
    story.waits_for(&waiting, "runners_paused").await;
    assert!(kite.beat(&[&job]).await.drain);
    assert_eq!(story.api.runner("kite").await.unwrap().drain.unwrap().acknowledged, None);
    assert!(kite.say(&[&job], true, false).await.unwrap().drain);
    assert!(story.api.runner("kite").await.unwrap().drain.unwrap().acknowledged.is_some());
    client.finish(&failed("f1")).await.unwrap();
    let resumed = story.api.command_runner(kite.id.as_str(), RunnerOrder::Resume).await.unwrap();
    assert_eq!(resumed.drain, None);
    assert!(!kite.say(&[], false, false).await.unwrap().drain);
    assert_eq!(kite.claim("c2").await.unwrap().job, waiting);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_runner_gets_no_job_and_why_counts_the_jobs_ahead() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let one = RegisterRequest { slots: 1, ..introduction("kite", "i1") };
    let kite = story.register(&token, &one).await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    story.run(&kite, "c1", Phase::Executing).await;
    for (number, key) in [(2, "APP-2"), (3, "APP-3")] {
        story.clock.advance(Duration::from_secs(1));
        story.job_for(&format!("e{number}"), key, number).await;
    }
    let last = story.ticket("APP-3").await.active_job.unwrap();
    assert!(kite.claim("c2").await.is_none());
    story.waits_for(&last, "slots_busy").await;
    let why = story.api.why(&last).await.unwrap();
    assert_eq!(why.sentence, "All 1 slots of 1 matching runners are busy; 1 jobs are ahead.");
    story.clock.advance(Duration::from_secs(91));
    // `why` is computed at read time and needs no sweep.
    story.waits_for(&last, "no_online_runner").await;
    story.end().await;
}
