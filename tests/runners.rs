//! Self-hosted runners, with the test speaking as the runner.

mod agents;
mod breakers;

use crate::cli::User;
use crate::story::{Setup, Story, TODO, TRIGGER, Task, begin_all, failed, is};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClaimId, InstanceId, JobId, ProjectId, RepositoryName, RunnerId};
use pullyard_domain::job::{Place, Status};
use pullyard_domain::project::{Compute, OfflinePolicy, Settings};
use pullyard_protocol::attempt::{Assignment, FinishRequest, Phase, StartRequest, StatusRequest};
use pullyard_protocol::client::{AttemptClient, Error, RunnerClient};
use pullyard_protocol::fleet::{RunnerOrder, RunnerStatus};
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::runner::{
    ClaimRequest, ClaimedJob, HeartbeatAnswer, HeartbeatRequest, RegisterRequest, Registered,
};
use pullyard_store::{Scope, TokenKind, Write};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// A process of a runner.
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

    /// The job that this claim gets, if it gets one.
    pub(crate) async fn try_claim(&self, claim: &str) -> Option<JobId> {
        self.claim(claim).await.map(|claimed| claimed.job)
    }

    /// It says that it runs these.
    pub(crate) async fn alive(&self, jobs: &[JobId]) {
        self.beat(&jobs.iter().collect::<Vec<_>>()).await;
    }
}

impl Story {
    /// A story whose jobs wait for runners.
    async fn with_runners() -> Self {
        Self::of_runners(Setup::default().settings).await
    }

    async fn of_runners(settings: Settings) -> Self {
        let settings = Settings { compute: Compute::Runners, ..settings };
        Self::with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await
    }

    /// A story whose jobs wait for runners, and one of those.
    async fn with_kite() -> (Self, Process) {
        let story = Self::with_runners().await;
        let token = story.runner_token("t", None, None).await;
        let kite = story.runner(&token, "kite", "i1").await;
        (story, kite)
    }

    /// A new token for runners, of some projects or of all, for one name or for any.
    pub(crate) async fn runner_token(&self, name: &str, projects: Option<&[&str]>, only: Option<&str>) -> String {
        let token = format!("rnt_{name}");
        let projects = projects.map(|all| all.iter().map(|project| ProjectId::new(*project).unwrap()).collect());
        let mut stored = pullyard_entry::auth::stored_token(&token, name, BTreeSet::new(), projects);
        stored.kind = TokenKind::Runner;
        stored.runner = only.map(str::to_owned);
        assert_eq!(self.store().await.put_token(&stored).await.unwrap(), Write::Applied);
        token
    }

    /// A process that registers with two slots for `command`.
    pub(crate) async fn runner(&self, token: &str, name: &str, instance: &str) -> Process {
        self.register(token, &introduction(name, instance)).await.unwrap()
    }

    async fn register(&self, token: &str, request: &RegisterRequest) -> Result<Process, Error> {
        let client = RunnerClient::new(self.local.api_url(), token)?;
        let Registered { runner, .. } = client.register(request).await?;
        Ok(Process { client, id: runner, instance: request.instance.clone() })
    }

    /// What a `run-job` does first with what its runner claimed.
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

    /// Claims, starts, and goes as far as this phase.
    async fn run(&self, process: &Process, claim: &str, last: Phase) -> (JobId, AttemptClient) {
        let claimed = process.claim(claim).await.expect("a job");
        let (_, client) = self.start(&claimed, claim).await.unwrap();
        begin_all(&client, last).await;
        (claimed.job, client)
    }

    /// Lets time pass in which the sweeper goes round as it should: so much in all, whatever of it the machine takes.
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

    /// Takes a token back, as an operator would in the table.
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
async fn a_runner_claims_a_job_once_however_often_it_asks_and_its_run_job_ends_it() {
    let (story, kite) = Story::with_kite().await;
    assert!(kite.claim("c0").await.is_none());
    let job = story.job_for("e1", "APP-1", 1).await;
    story.waits_for(&job, "starting_now").await;
    let claimed = kite.claim("c1").await.unwrap();
    assert_eq!((&claimed.job, claimed.attempt), (&job, 1));
    // The answer was lost; another job must not be given for the same claim.
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
    assert_eq!(story.ended(&job).await.status, Status::Failed);
    assert_eq!(story.api.runner("kite").await.unwrap().busy, 0);
    // Its job has ended: the claim stays answered.
    assert!(kite.claim("c1").await.is_none());
    assert_eq!(kite.claim("c2").await.unwrap().job, second);
    assert!(story.tasks_of(&job).await.is_empty() && story.tasks_of(&second).await.is_empty());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_to_the_runner_that_has_the_agent_and_the_labels() {
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
    // First come, first served, whatever the class.
    let plain = story.job_for("e2", "APP-2", 2).await;
    story.clock.advance(Duration::from_secs(1));
    event.event_id = "e3".parse().unwrap();
    event.ticket.key = "APP-3".parse().unwrap();
    story.api.ticket_event(&event).await.unwrap();
    assert_eq!(swan.claim("c2").await.unwrap().job, plain);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runners_one_gets_the_job_and_a_job_of_another_project_nobody() {
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
    // A runner is its token's: of another one it is not there.
    let stolen = Process { client: foreign.client.clone(), id: kite.id.clone(), instance: kite.instance.clone() };
    assert_eq!(stolen.ask("c2").await.err().unwrap().code(), Some("not_found"));
    assert_eq!(stolen.say(&[], false, false).await.err().unwrap().code(), Some("not_found"));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_falls_silent_while_an_agent_works_fails_its_job_and_comes_back_with_a_heartbeat() {
    let (story, kite) = Story::with_kite().await;
    story.local.sweep().await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    let (job, client) = story.run(&kite, "c1", Phase::Executing).await;
    kite.beat(&[&job]).await;
    story.steps(50).await;
    story.runner_is("kite", RunnerStatus::Online).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Executing);
    story.steps(50).await;
    story.runner_is("kite", RunnerStatus::Offline).await;
    let ended = story.ended(&job).await;
    let failure = ended.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.facts["runner"].as_str()), ("runner_offline", Some("kite")));
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    assert_eq!(client.credentials().await.err().unwrap().code(), Some("lease_lost"));
    assert!(kite.claim("c2").await.is_none(), "a silent runner is heard first");
    kite.beat(&[]).await;
    story.runner_is("kite", RunnerStatus::Online).await;
    let next = story.job_for("e2", "APP-2", 2).await;
    assert_eq!(kite.claim("c2").await.unwrap().job, next);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_agent_had_not_begun_or_whose_policy_says_so_goes_to_another_runner() {
    let settings = Settings { offline: OfflinePolicy::Requeue, ..Setup::default().settings };
    let story = Story::of_runners(settings).await;
    let token = story.runner_token("t", None, None).await;
    let (kite, gull) = (story.runner(&token, "kite", "i1").await, story.runner(&token, "gull", "i1").await);
    kite.beat(&[]).await;
    story.local.sweep().await.unwrap();
    let job = story.job_for("e1", "APP-1", 1).await;
    assert_eq!(story.run(&kite, "c1", Phase::Executing).await.0, job);
    for _ in 0..10 {
        gull.beat(&[]).await;
        story.steps(10).await;
    }
    story.runner_is("gull", RunnerStatus::Online).await;
    story.runner_is("kite", RunnerStatus::Offline).await;
    story.job_until(&job, is(Status::Ready)).await;
    story.waits_for(&job, "starting_now").await;
    let again = gull.claim("c1").await.unwrap();
    assert_eq!((&again.job, again.attempt), (&job, 2));
    assert!(story.tasks_of(&job).await.is_empty(), "the dispatcher left it alone");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_may_be_pushing_is_left_to_its_runner() {
    let (story, kite) = Story::with_kite().await;
    story.local.sweep().await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    let (job, _) = story.run(&kite, "c1", Phase::Syncing).await;
    // Silent for more than 90 s, and within the 120 s in which it may push: the machine may take the rest.
    story.steps(100).await;
    story.runner_is("kite", RunnerStatus::Offline).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Syncing);
    story.steps(30).await;
    // What it may have pushed is looked for before the job fails, by whoever comes.
    story.job_until(&job, is(Status::Ready)).await;
    let why = story.api.why(&job).await.unwrap().sentence;
    assert!(why.starts_with("It waits for a runner to look for what the lost attempt may have pushed. No "), "{why}");
    kite.beat(&[]).await;
    let claimed = kite.claim("c2").await.unwrap();
    let (assignment, client) = story.start(&claimed, "c2").await.unwrap();
    assert!(assignment.adopts && assignment.job == job, "{assignment:?}");
    begin_all(&client, Phase::Preparing).await;
    // It can't look, so that nobody knows whether the push arrived: a person is told so.
    let denied = Failure::SourceDenied { forge: "GitHub".into(), repo: RepositoryName::new("acme/app").unwrap() };
    client.finish(&FinishRequest { failure: Some(denied), ..failed("f2") }).await.unwrap();
    let ended = story.ended(&job).await;
    let failure = ended.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.facts["runner"].as_str()), ("runner_offline", Some("kite")));
    assert_eq!(ended.unlooked.unwrap().code, "source_denied");
    let why = story.api.why(&job).await.unwrap();
    let unlooked = " It may have pushed, and looking for that failed: GitHub refused the credentials for acme/app.";
    assert!(why.sentence.ends_with(unlooked) && why.help.starts_with("Look at the forge for its branch `"), "{why:?}");
    let attempts = story.api.attempts(&job).await.unwrap().attempts;
    let looked = attempts.into_iter().find(|attempt| attempt.attempt == 2).unwrap();
    assert_eq!(looked.failure.unwrap().code, "source_denied");
    let shown = User::of(&story).run(&["jobs", "show", job.as_str()]).await.done();
    assert!(shown.contains("\npushed\tperhaps, to its branch: looking for that failed. GitHub refused"), "{shown}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweeper_that_was_down_takes_no_job_from_a_runner_that_could_not_be_heard() {
    let (story, kite) = Story::with_kite().await;
    story.local.sweep().await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    let (job, client) = story.run(&kite, "c1", Phase::Executing).await;
    // Everything was down for ten minutes.
    story.pass(Duration::from_secs(600)).await;
    story.runner_is("kite", RunnerStatus::Offline).await;
    story.steps(50).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Executing);
    kite.beat(&[&job]).await;
    story.steps(30).await;
    client.credentials().await.unwrap();
    // Who does not come back within that window loses it.
    story.pass(Duration::from_secs(600)).await;
    story.steps(100).await;
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "runner_offline");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_its_living_runner_does_not_name_has_lost_its_process() {
    let (story, kite) = Story::with_kite().await;
    story.local.sweep().await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    story.job_for("e2", "APP-2", 2).await;
    let (one, _) = story.run(&kite, "c1", Phase::Executing).await;
    let (two, _) = story.run(&kite, "c2", Phase::Executing).await;
    // A heartbeat may have left before the claim was answered.
    for _ in 0..3 {
        kite.beat(&[&two]).await;
        story.steps(10).await;
        assert_eq!(story.api.job(&one).await.unwrap().status, Status::Executing);
    }
    story.steps(40).await;
    kite.beat(&[&two]).await;
    story.local.sweep().await.unwrap();
    assert_eq!(story.ended(&one).await.failure.unwrap().code, "runner_crashed");
    assert_eq!(story.api.job(&two).await.unwrap().status, Status::Executing);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_while_the_first_lives_and_takes_over_after_its_crash() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.runner(&token, "kite", "i1").await;
    story.local.sweep().await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    story.job_for("e2", "APP-2", 2).await;
    let (lives, client) = story.run(&kite, "c1", Phase::Executing).await;
    let (died, _) = story.run(&kite, "c2", Phase::Executing).await;
    let mut second = introduction("kite", "i2");
    second.active = BTreeSet::from([lives.clone()]);
    let refused = story.register(&token, &second).await.err().unwrap();
    assert_eq!(refused.code(), Some("runner_live"));
    assert!(refused.to_string().contains("kite"), "{refused}");
    // The same process again is a repeat.
    assert_eq!(story.runner(&token, "kite", "i1").await.id, kite.id);
    kite.beat(&[&lives, &died]).await;
    story.clock.advance(Duration::from_secs(91));
    let new = story.register(&token, &second).await.unwrap();
    assert_eq!(new.id, kite.id);
    assert_eq!(kite.say(&[], false, false).await.err().unwrap().code(), Some("runner_replaced"));
    assert_eq!(kite.ask("c3").await.err().unwrap().code(), Some("runner_replaced"));
    story.local.sweep().await.unwrap();
    assert_eq!(story.ended(&died).await.failure.unwrap().code, "runner_crashed");
    client.credentials().await.unwrap();
    new.beat(&[&lives]).await;
    story.steps(60).await;
    assert_eq!(story.api.job(&lives).await.unwrap().status, Status::Executing);
    // A goodbye lets the next one in at once.
    new.say(&[&lives], true, true).await.unwrap();
    story.runner_is("kite", RunnerStatus::Offline).await;
    let mut third = introduction("kite", "i3");
    third.active = BTreeSet::from([lives.clone()]);
    story.register(&token, &third).await.unwrap();
    story.steps(60).await;
    assert_eq!(story.api.job(&lives).await.unwrap().status, Status::Executing);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_belongs_to_one_token_and_a_token_may_be_for_one_name() {
    let story = Story::with_runners().await;
    let (one, two) = (story.runner_token("one", None, None).await, story.runner_token("two", None, Some("gull")).await);
    story.runner(&one, "kite", "i1").await;
    let bound = story.register(&two, &introduction("kite", "i1")).await.err().unwrap();
    assert_eq!(bound.code(), Some("not_allowed"));
    story.runner(&two, "gull", "i1").await;
    let taken = story.register(&one, &introduction("gull", "i2")).await.err().unwrap();
    assert_eq!(taken.code(), Some("name_taken"));
    for (bad, code) in [("", "body_unreadable"), ("a b", "invalid"), ("a/b", "invalid")] {
        assert_eq!(story.register(&one, &introduction(bad, "i1")).await.err().unwrap().code(), Some(code), "{bad}");
    }
    let none = RegisterRequest { capabilities: BTreeSet::new(), ..introduction("new", "i1") };
    assert_eq!(story.register(&one, &none).await.err().unwrap().code(), Some("invalid"));
    for slots in [0, 13] {
        let many = RegisterRequest { slots, ..introduction("new", "i1") };
        assert_eq!(story.register(&one, &many).await.err().unwrap().code(), Some("invalid"));
    }
    let listed = story.api.runners().await.unwrap().runners;
    assert_eq!(listed.iter().map(|runner| runner.name.as_str()).collect::<Vec<_>>(), ["gull", "kite"]);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_can_not_be_read_is_named_beside_the_others_to_who_may_see_all() {
    let (story, _kite) = Story::with_kite().await;
    let broken = json!({ "pk": { "S": "RUNNERS#0" }, "sk": { "S": "broken" } });
    story.dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": broken })).await;
    let listed = story.api.runners().await.unwrap();
    assert_eq!(listed.runners.iter().map(|runner| runner.name.as_str()).collect::<Vec<_>>(), ["kite"]);
    let [unread] = &listed.unreadable[..] else { panic!("one can't be read: {listed:?}") };
    assert!(unread.item.contains("RUNNERS#0") && unread.item.contains("broken"), "{unread:?}");
    let ran = User::of(&story).run(&["runners", "list"]).await.ended(1, "can't be read");
    assert!(ran.out.contains("kite"), "{ran:?}");
    // Whoever may not see every project does not learn of it.
    let own = story.token(&[Scope::Read], Some(&["acme"])).await;
    let (status, _, said) = story.raw(Method::GET, "/v1/runners", Some(&own), Vec::new()).await;
    assert_eq!((status, said.get("unreadable")), (200, None), "{said}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_registered_and_said_nothing_more_was_never_heard() {
    let (story, kite) = Story::with_kite().await;
    story.runner_is("kite", RunnerStatus::Online).await;
    story.clock.advance(Duration::from_secs(91));
    story.runner_is("kite", RunnerStatus::NeverHeard).await;
    kite.beat(&[]).await;
    story.clock.advance(Duration::from_secs(91));
    story.runner_is("kite", RunnerStatus::Offline).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_runner_keeps_its_job_takes_no_other_and_says_so() {
    let (story, kite) = Story::with_kite().await;
    story.job_for("e1", "APP-1", 1).await;
    let (job, client) = story.run(&kite, "c1", Phase::Executing).await;
    let drained = story.api.command_runner("kite", RunnerOrder::Drain).await.unwrap();
    assert_eq!(drained.status, RunnerStatus::Draining);
    let waiting = story.job_for("e2", "APP-2", 2).await;
    assert!(kite.claim("c2").await.is_none(), "it need not have heard of it");
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
async fn a_full_runner_gets_no_job_and_the_job_says_how_many_are_ahead() {
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
    // Nobody has swept; whoever looks is told all the same.
    story.waits_for(&last, "no_online_runner").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stops_its_runner_and_takes_its_jobs() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.runner(&token, "kite", "i1").await;
    story.local.sweep().await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    let (job, client) = story.run(&kite, "c1", Phase::Executing).await;
    story.revoke(&token).await;
    assert_eq!(kite.say(&[&job], false, false).await.err().unwrap().code(), Some("not_signed_in"));
    assert_eq!(client.credentials().await.err().unwrap().code(), Some("lease_lost"));
    let pushing = client.status(&StatusRequest { status: Phase::Syncing, inputs: None }).await;
    assert_eq!(pushing.err().unwrap().code(), Some("lease_lost"));
    story.local.sweep().await.unwrap();
    let failure = story.ended(&job).await.failure.unwrap();
    assert_eq!(failure.code, "runner_removed");
    assert!(failure.sentence.contains("revoked"), "{}", failure.sentence);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_runner_loses_its_jobs_then_its_name() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.runner(&token, "kite", "i1").await;
    story.local.sweep().await.unwrap();
    story.job_for("e1", "APP-1", 1).await;
    let (job, _) = story.run(&kite, "c1", Phase::Executing).await;
    assert!(!story.api.remove_runner("kite").await.unwrap().gone);
    story.runner_is("kite", RunnerStatus::Deleting).await;
    assert_eq!(kite.say(&[&job], false, false).await.err().unwrap().code(), Some("runner_deleting"));
    assert_eq!(kite.ask("c2").await.err().unwrap().code(), Some("runner_deleting"));
    let early = story.register(&token, &introduction("kite", "i2")).await.err().unwrap();
    assert_eq!(early.code(), Some("runner_deleting"));
    story.local.sweep().await.unwrap();
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "runner_removed");
    assert_eq!(story.api.runner("kite").await.err().unwrap().code(), Some("not_found"));
    assert_eq!(kite.say(&[], false, false).await.err().unwrap().code(), Some("not_found"), "no ghost comes back");
    let other = story.runner_token("other", None, None).await;
    story.runner(&other, "kite", "i1").await;
    assert!(story.api.remove_runner("kite").await.unwrap().gone);
    assert!(story.api.runners().await.unwrap().runners.is_empty());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_takes_in_a_day_fails_and_says_why() {
    let story = Story::with_runners().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(Duration::from_secs(86_300)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Ready);
    story.pass(Duration::from_secs(100)).await;
    let failure = story.ended(&job).await.failure.unwrap();
    assert_eq!(failure.code, "never_claimed");
    assert!(failure.sentence.contains("No runner"), "{}", failure.sentence);
    assert_eq!(story.settled("APP-1").await.badges, ["AI Failed"]);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_given_up_after_a_day_says_what_became_of_the_runners() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    story.runner(&token, "kite", "i1").await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(Duration::from_secs(86_461)).await;
    let failure = story.ended(&job).await.failure.unwrap();
    assert_eq!(failure.code, "never_claimed");
    assert!(failure.sentence.ends_with(": No runner of acme is online."), "{}", failure.sentence);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_follows_its_project_to_fargate_and_back() {
    let story = Story::with_runners().await;
    story.local.sweep().await.unwrap();
    let job = story.job_for("e1", "APP-1", 1).await;
    story.settings(|settings| settings.compute = Compute::Fargate).await;
    story.pass(Duration::from_secs(20)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Place::Runners);
    story.pass(Duration::from_secs(61)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Place::Fargate);
    story.task_of(&job, 1).await;

    // A start that AWS refuses waits on runners, once its project says so.
    story.local.aws().ecs().script(vec![pullyard_emulator::ecs::Outcome::CapacityUnavailable]);
    let job = story.job_for("e2", "APP-2", 2).await;
    story.job_until(&job, |job| job.waits.as_ref().is_some_and(|wait| wait.code == "fargate_capacity")).await;
    story.settings(|settings| settings.compute = Compute::Runners).await;
    story.pass(Duration::from_secs(61)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Place::Runners);
    let token = story.runner_token("t", None, None).await;
    assert_eq!(story.runner(&token, "kite", "i1").await.claim("c1").await.unwrap().job, job);
    story.end().await;
}
