//! Tests self-hosted runners; the test acts as the runner.

mod agents;
mod breakers;
mod names;
mod orders;
mod queue;
mod silence;
mod waiting;
mod wake;

use crate::prelude::*;
use pullyard_domain::text::id::{ClaimId, InstanceId, RunnerId};
use pullyard_protocol::attempt::{Assignment, StartRequest};
use pullyard_protocol::client::{Error, RunnerClient};
use pullyard_protocol::runner::{
    ClaimRequest, ClaimedJob, HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest, RunnerIsolation,
    Updates,
};
use pullyard_protocol::runner_admin::RunnerOrder;

pub(crate) struct RunnerProcess {
    pub(crate) client: RunnerClient,
    pub(crate) id: RunnerId,
    pub(crate) instance: InstanceId,
    mailbox: String,
}

impl RunnerProcess {
    async fn heartbeat(&self, active: &[&JobId]) -> HeartbeatAnswer {
        self.try_heartbeat(active, false, false).await.unwrap()
    }

    async fn try_heartbeat(&self, active: &[&JobId], draining: bool, last: bool) -> Result<HeartbeatAnswer, Error> {
        let active = active.iter().map(|job| (*job).clone()).collect();
        let request = HeartbeatRequest { instance: self.instance.clone(), active, draining, last, order: None };
        self.client.heartbeat(&self.id, &request).await
    }

    async fn try_claim_job(&self, claim: &str) -> Result<Option<ClaimedJob>, Error> {
        let request = ClaimRequest { instance: self.instance.clone(), claim_id: ClaimId::new(claim).unwrap() };
        Ok(self.client.claim(&self.id, &request).await?.job)
    }

    async fn claim(&self, claim: &str) -> Option<ClaimedJob> {
        self.try_claim_job(claim).await.unwrap()
    }

    pub(crate) async fn claim_job_id(&self, claim: &str) -> Option<JobId> {
        self.claim(claim).await.map(|claimed| claimed.job)
    }

    pub(crate) async fn report_active(&self, jobs: &[JobId]) {
        self.heartbeat(&jobs.iter().collect::<Vec<_>>()).await;
    }
}

impl Story {
    async fn with_runners() -> Self {
        Self::with_runners_and_settings(Setup::default().settings).await
    }

    async fn with_runners_and_settings(settings: Settings) -> Self {
        let settings = Settings { compute: Compute::Runners, ..settings };
        Self::start_with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await
    }

    /// The same with one registered runner, `kite`.
    async fn with_one_runner() -> (Self, RunnerProcess) {
        let story = Self::with_runners().await;
        let token = story.runner_token("t", None, None).await;
        let kite = story.register_runner(&token, "kite", "i1").await;
        (story, kite)
    }

    pub(crate) async fn runner_token(&self, name: &str, projects: Option<&[&str]>, only: Option<&str>) -> String {
        let token = format!("rnt_{name}");
        let projects = projects.map(|all| all.iter().map(|project| ProjectId::new(*project).unwrap()).collect());
        let mut stored = pullyard_store::to_stored_token(&token, name, BTreeSet::new(), projects);
        stored.kind = TokenKind::Runner;
        stored.runner = only.map(str::to_owned);
        assert_eq!(self.store().await.put_token(&stored).await.unwrap(), Write::Applied);
        token
    }

    pub(crate) async fn register_runner(&self, token: &str, name: &str, instance: &str) -> RunnerProcess {
        self.try_register(token, &register_request(name, instance)).await.unwrap()
    }

    pub(crate) async fn try_register(&self, token: &str, request: &RegisterRequest) -> Result<RunnerProcess, Error> {
        let client = RunnerClient::new(self.local.api_url(), token)?.with_call_timeout(WAIT_LIMIT);
        let RegisterAnswer { runner, mailbox, .. } = client.register(request).await?;
        Ok(RunnerProcess { client, id: runner, instance: request.instance.clone(), mailbox: mailbox.unwrap() })
    }

    async fn start_claimed(&self, claimed: &ClaimedJob, claim: &str) -> Result<(Assignment, AttemptClient), Error> {
        let request = StartRequest {
            claim_id: ClaimId::new(claim).unwrap(),
            instance: InstanceId::new("run-job").unwrap(),
            task: None,
        };
        let base = self.local.api_url();
        let client =
            AttemptClient::new(base, &claimed.bootstrap, &claimed.job, claimed.attempt)?.with_call_timeout(WAIT_LIMIT);
        let assignment = client.start(&request).await?;
        let client = AttemptClient::new(base, &assignment.lease, &claimed.job, assignment.attempt)?
            .with_call_timeout(WAIT_LIMIT);
        Ok((assignment, client))
    }

    async fn claim_and_start(&self, process: &RunnerProcess, claim: &str, last: Phase) -> (JobId, AttemptClient) {
        let claimed = process.claim(claim).await.expect("a job");
        let (_, client) = self.start_claimed(&claimed, claim).await.unwrap();
        enter_phases(&client, last).await;
        (claimed.job, client)
    }

    async fn assert_runner_status(&self, name: &str, status: RunnerStatus) {
        assert_eq!(self.api.runner(name).await.unwrap().status, status, "{name}");
    }

    async fn assert_waits(&self, job: &JobId, code: &str) {
        let explanation = self.api.explain_job(job).await.unwrap();
        assert_eq!(explanation.code.as_deref(), Some(code), "{}", explanation.sentence);
        assert_eq!(self.api.job(job).await.unwrap().waits.map(|wait| wait.code), Some(code.to_owned()));
    }

    pub(crate) async fn revoke_token(&self, token: &str) {
        let pk = format!("TOKEN#{}", pullyard_store::hash_token(token));
        let revoke = json!({
            "TableName": "pullyard", "Key": { "pk": { "S": pk }, "sk": { "S": "TOKEN" } },
            "UpdateExpression": "SET revoked = :yes", "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": { ":yes": { "BOOL": true } },
        });
        self.call_dynamodb("UpdateItem", revoke).await;
    }
}

pub(crate) fn register_request(name: &str, instance: &str) -> RegisterRequest {
    RegisterRequest {
        name: name.into(),
        instance: InstanceId::new(instance).unwrap(),
        capabilities: BTreeSet::from(["command".into()]),
        labels: BTreeSet::new(),
        version: "0.1.0".into(),
        slots: 2,
        active: BTreeSet::new(),
        isolation: Some(RunnerIsolation { level: "none".into(), result: "agents have all rights of this user".into() }),
        offline_after_secs: None,
        updates: Some(Updates::Denied),
        check_only: false,
    }
}

/// A runner of a release, whose owner allows updates.
pub(crate) fn updatable_request(name: &str, version: &str) -> RegisterRequest {
    RegisterRequest { version: version.into(), updates: Some(Updates::Allowed), ..register_request(name, "i1") }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_claim_returns_the_same_job_until_it_ends() {
    let (story, kite) = Story::with_one_runner().await;
    assert!(kite.claim("c0").await.is_none());
    let job = story.create_job("e1", "APP-1", 1).await;
    story.assert_waits(&job, "starting_now").await;
    let claimed = kite.claim("c1").await.unwrap();
    assert_eq!((&claimed.job, claimed.attempt), (&job, 1));
    // A repeated claim after a lost answer must not return another job.
    let second = story.create_job("e2", "APP-2", 2).await;
    let again = kite.claim("c1").await.unwrap();
    assert_eq!((&again.job, again.attempt), (&job, 1));
    let (assignment, client) = story.start_claimed(&again, "c1").await.unwrap();
    let (repeat, _) = story.start_claimed(&claimed, "c1").await.unwrap();
    assert_eq!(assignment.lease, repeat.lease);
    assert_eq!(story.start_claimed(&claimed, "other").await.err().unwrap().code(), Some("lease_lost"));
    let runner = story.api.runner("kite").await.unwrap();
    assert_eq!((runner.busy, runner.slots, &runner.jobs[0].job), (1, 2, &job));
    client.finish(&failed_finish("f1")).await.unwrap();
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Failed);
    assert_eq!(story.api.runner("kite").await.unwrap().busy, 0);
    assert!(kite.claim("c1").await.is_none());
    assert_eq!(kite.claim("c2").await.unwrap().job, second);
    assert!(story.list_tasks(&job).await.is_empty() && story.list_tasks(&second).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn job_goes_to_a_runner_with_its_agent_and_labels() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", Some(&["acme"]), None).await;
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    event.ticket.labels = BTreeSet::from(["runner:gpu".into(), "docs".into()]);
    let job = story.api.send_ticket_event(&event).await.unwrap().job.unwrap();
    story.assert_waits(&job, "no_runner").await;
    // The sweeper moves the job within a minute.
    story.update_settings(|settings| settings.compute = Compute::Fargate).await;
    story.assert_waits(&job, "starting_now").await;
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    let codex = RegisterRequest { capabilities: BTreeSet::from(["codex".into()]), ..register_request("gull", "i1") };
    let gull = story.try_register(&token, &codex).await.unwrap();
    story.assert_waits(&job, "no_capability").await;
    assert!(gull.claim("c1").await.is_none());
    let kite = story.register_runner(&token, "kite", "i1").await;
    story.assert_waits(&job, "no_label").await;
    assert!(kite.claim("c1").await.is_none());
    let labelled =
        RegisterRequest { labels: BTreeSet::from(["gpu".into(), "eu".into()]), ..register_request("swan", "i1") };
    let swan = story.try_register(&token, &labelled).await.unwrap();
    story.assert_waits(&job, "starting_now").await;
    assert_eq!(swan.claim("c1").await.unwrap().job, job);
    // Jobs are claimed in order of creation across classes.
    let plain = story.create_job("e2", "APP-2", 2).await;
    story.clock.advance(Duration::from_secs(1));
    event.event_id = "e3".parse().unwrap();
    event.ticket.key = "APP-3".parse().unwrap();
    story.api.send_ticket_event(&event).await.unwrap();
    assert_eq!(swan.claim("c2").await.unwrap().job, plain);
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
    let job = story.create_job("e1", "APP-1", 1).await;
    let foreign = story.register_runner(&theirs, "foreign", "i1").await;
    assert!(foreign.claim("c1").await.is_none());
    story.assert_waits(&job, "no_runner").await;
    let (kite, gull) =
        (story.register_runner(&ours, "kite", "i1").await, story.register_runner(&ours, "gull", "i1").await);
    let (one, two) = tokio::join!(kite.claim("c1"), gull.claim("c1"));
    let claims = [one, two].into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].job, job);
    // A runner is visible only with its own token.
    let stolen = RunnerProcess {
        client: foreign.client.clone(),
        id: kite.id.clone(),
        instance: kite.instance.clone(),
        mailbox: kite.mailbox.clone(),
    };
    assert_eq!(stolen.try_claim_job("c2").await.err().unwrap().code(), Some("not_found"));
    assert_eq!(stolen.try_heartbeat(&[], false, false).await.err().unwrap().code(), Some("not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_runner_keeps_its_job_and_claims_no_other() {
    let (story, kite) = Story::with_one_runner().await;
    story.create_job("e1", "APP-1", 1).await;
    let (job, client) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    let drained = story.api.command_runner("kite", RunnerOrder::Drain).await.unwrap();
    assert_eq!(drained.status, RunnerStatus::Draining);
    let waiting = story.create_job("e2", "APP-2", 2).await;
    assert!(kite.claim("c2").await.is_none(), "the drain applies before the runner is informed");
    story.assert_waits(&waiting, "runners_paused").await;
    assert!(kite.heartbeat(&[&job]).await.drain);
    assert_eq!(story.api.runner("kite").await.unwrap().drain.unwrap().acknowledged, None);
    assert!(kite.try_heartbeat(&[&job], true, false).await.unwrap().drain);
    assert!(story.api.runner("kite").await.unwrap().drain.unwrap().acknowledged.is_some());
    client.finish(&failed_finish("f1")).await.unwrap();
    let resumed = story.api.command_runner(kite.id.as_str(), RunnerOrder::Resume).await.unwrap();
    assert_eq!(resumed.drain, None);
    assert!(!kite.try_heartbeat(&[], false, false).await.unwrap().drain);
    assert_eq!(kite.claim("c2").await.unwrap().job, waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_runner_gets_no_job_and_why_counts_the_jobs_ahead() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let one = RegisterRequest { slots: 1, ..register_request("kite", "i1") };
    let kite = story.try_register(&token, &one).await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    story.claim_and_start(&kite, "c1", Phase::Executing).await;
    for (number, key) in [(2, "APP-2"), (3, "APP-3")] {
        story.clock.advance(Duration::from_secs(1));
        story.create_job(&format!("e{number}"), key, number).await;
    }
    let last = story.ticket("APP-3").await.active_job.unwrap();
    assert!(kite.claim("c2").await.is_none());
    story.assert_waits(&last, "slots_busy").await;
    let explanation = story.api.explain_job(&last).await.unwrap();
    assert_eq!(explanation.sentence, "All 1 slots of 1 matching runners are busy; 1 jobs are ahead.");
    story.clock.advance(Duration::from_secs(91));
    // `why` is computed at read time and needs no sweep.
    story.assert_waits(&last, "no_online_runner").await;
}
