//! A control plane over the embedded AWS, with jobs and runners but without HTTP.

use crate::prelude::*;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::HttpClient;
use futures::StreamExt as _;
use pullyard_cloud::{DeadLetters, Objects, QueuePair, Secrets, TaskDefinitions, Tasks, Wakeups};
use pullyard_control::runner::{ClaimAnswer, Registration, claim_job, record_heartbeat, register_runner};
use pullyard_control::{
    Clock, Connections, Context, ContextParts, Error, ForgeTokens, NewTicket, create_project, create_ticket,
};
use pullyard_domain::agent::Agent;
use pullyard_domain::agent::breaker::{self, AccountFault, AttemptRef, Breaker, BreakerCause, BreakerId, KeyOwner};
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::agent::runner::Heartbeat;
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::job::{Claim, JobKind, JobResult, Priority};
use pullyard_domain::kinds::{JobPlan, plan_without_ticket, prompt};
use pullyard_domain::project::forge::{Account, Auth, ForgeKind, Integration};
use pullyard_domain::project::hook::{Webhook, WebhookScope};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::text::id::{HookName, IntegrationId, RepositoryName, SecretName};
use pullyard_domain::ticket::Entry;
use pullyard_emulator::{ACCESS_KEY_ID, Access, Aws, Options, REGION, SECRET_ACCESS_KEY, ecs};
use pullyard_outbound::AllowedRanges;
use pullyard_store::{JobCreation, Store, Token, TokenKind, Write};
use pullyard_testkit::Meter;

const KEY: &str = "fleet/signing-key";
const FORGE: &str = "fleet/user/forge";
const TABLE: &str = "fleet";
const CAPABILITY: &str = "command";

/// Concurrent calls of the set-up.
const AT_ONCE: usize = 32;

pub(crate) struct World {
    pub(crate) ctx: Context,
    pub(crate) meter: Meter,
    pub(crate) token: RunnerToken,
    pub(crate) project: ProjectId,
    aws: Aws,
}

pub(crate) fn job_result(job: &Job) -> JobResult {
    JobResult {
        branch: job.branch.clone(),
        head: "a".repeat(40),
        number: 7,
        url: "https://forge.example/acme/app/pull/7".into(),
        files: 1,
        insertions: 2,
        deletions: 3,
        replies: None,
    }
}

/// Moves only where a test advances it, so that a slow machine changes no result.
pub(crate) fn standing_clock() -> Clock {
    Clock::new_simulated(Timestamp::from_millis(1_900_000_000_000), |_| Box::pin(tokio::task::yield_now()))
}

impl World {
    /// Replaces an attribute of an item by a value that no version can parse.
    pub(crate) async fn break_item(&self, pk: &str, sk: &str, attribute: &str) {
        let at = &self.aws.endpoints().dynamodb;
        let config = aws_sdk_dynamodb::config::Builder::from(&sdk(&self.meter)).endpoint_url(at).build();
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let update = aws_sdk_dynamodb::Client::from_conf(config).update_item().table_name(TABLE);
        let update = update.key("pk", text(pk)).key("sk", text(sk)).update_expression("SET #broken = :broken");
        let update = update.expression_attribute_names("#broken", attribute);
        update.expression_attribute_values(":broken", text("broken")).send().await.unwrap();
    }

    pub(crate) fn hook(&self) -> Webhook {
        let now = self.ctx.clock.now();
        Webhook {
            name: HookName::new("acme").unwrap(),
            integration: self.repository().integration,
            forge: ForgeKind::GitHub,
            home: self.project.clone(),
            kind: WebhookScope::Organisation { login: "acme".into() },
            secret: SecretName::new("hook-acme").unwrap(),
            base_url: None,
            forge_id: None,
            template: None,
            created: now,
            rev: 0,
        }
    }

    pub(crate) async fn set_settings(&self, settings: Settings) {
        let project = self.ctx.store.load_project(&self.project).await.unwrap().unwrap();
        assert_applied(self.ctx.store.put_project(&Project { settings, ..project }).await);
    }

    pub(crate) async fn create_ticket(&self, key: &TicketKey) {
        let caller = Requester { id: "t1".into(), name: "ana".into() };
        let text = TicketText { title: "A title".into(), ..TicketText::default() };
        let (project, key) = (self.project.clone(), key.clone());
        let new = NewTicket { project, key: Some(key), text, status: None, caller, request: None };
        create_ticket(&self.ctx, new).await.unwrap();
    }

    pub(crate) async fn begin() -> Self {
        Self::with_client(Wire::default()).await
    }

    /// Sends every call to AWS through this client.
    pub(crate) async fn with_client(client: impl HttpClient + 'static) -> Self {
        Self::with_clock(client, standing_clock()).await
    }

    /// As `pullyard up`, whose tasks are processes of this machine.
    pub(crate) async fn on_one_machine(client: impl HttpClient + 'static) -> Self {
        Self::begin_with(client, Clock::default(), true, loopback()).await
    }

    pub(crate) async fn with_clock(client: impl HttpClient + 'static, clock: Clock) -> Self {
        Self::begin_with(client, clock, false, loopback()).await
    }

    /// Ends each call to a user's address after this time. The clock of the use cases is simulated.
    pub(crate) async fn with_call_limit(client: impl HttpClient + 'static, limit: Duration) -> Self {
        let clock = standing_clock();
        let outbound = pullyard_outbound::Client::with_limit(AllowedRanges::loopback(), limit);
        Self::begin_with(client, clock, false, outbound).await
    }

    /// Stops each limited step of the use cases after this time, but no single call.
    pub(crate) async fn with_work_limit(limit: Duration) -> Self {
        let clock = standing_clock().with_limit(limit);
        let outbound = pullyard_outbound::Client::with_limit(AllowedRanges::loopback(), Duration::from_secs(600));
        Self::begin_with(Wire::default(), clock, false, outbound).await
    }

    async fn begin_with(
        client: impl HttpClient + 'static,
        clock: Clock,
        on_one_machine: bool,
        outbound: pullyard_outbound::Client,
    ) -> Self {
        let tasks = ecs::Options::new(env!("CARGO_TARGET_TMPDIR").into(), vec![]);
        let aws = Aws::start(Options { data: None, tasks, access: Access::Open }).await.unwrap();
        let meter = Meter::wrap(client);
        let sdk = sdk(&meter);
        let at = aws.endpoints();
        let store = Store::new(&sdk, Some(&at.dynamodb), TABLE);
        store.create_table().await.unwrap();
        let secrets = Secrets::new(&sdk, Some(&at.secretsmanager));
        secrets.put(KEY, &"k".repeat(64)).await.unwrap();
        let queue = format!("{}/000000000000/nobody", at.sqs);
        let lane = || QueuePair { queue_url: queue.clone(), dead_url: queue.clone() };
        let families = ["s", "m", "l"].map(str::to_owned);
        let [small, medium, large] = families;
        let ctx = Context::new(ContextParts {
            store,
            wakeups: Wakeups::new(&sdk, Some(&at.sqs), queue.clone(), queue.clone(), queue.clone()),
            dead_letters: DeadLetters::new(&sdk, Some(&at.sqs), lane(), lane(), lane(), queue.clone()),
            tasks: Tasks::new(&sdk, Some(&at.ecs), TABLE, TaskDefinitions { small, medium, large }, None),
            secrets,
            objects: Objects::new(&sdk, None, "nobody"),
            forges: Connections::default(),
            forge_tokens: ForgeTokens::default(),
            outbound,
            clock,
            key_secret: KEY.into(),
            secret_root: format!("{TABLE}/"),
            api_url: "https://pullyard.example".into(),
            public_url: None,
            task_isolation: "none".into(),
            on_one_machine,
            disk: Default::default(),
            deployment: None,
        });
        let project = ProjectId::new("acme").unwrap();
        let settings = Settings { compute: Compute::Runners, ..Settings::default() };
        create_project(&ctx, None, project.clone(), "Acme".into(), settings).await.unwrap();
        let hash = "a".repeat(64);
        assert_applied(ctx.store.put_token(&token(&hash)).await);
        Self { ctx, meter, token: RunnerToken { hash, projects: None }, project, aws }
    }

    pub(crate) async fn runners(&self, count: usize, kinds: usize, slots: u32) -> Vec<Runner> {
        self.runners_that_state(count, kinds, slots, None).await
    }

    pub(crate) async fn runners_that_state(
        &self,
        count: usize,
        kinds: usize,
        slots: u32,
        offline_secs: Option<u64>,
    ) -> Vec<Runner> {
        let registrations = futures::stream::iter(0..count).map(async |number| {
            let new = Registration {
                name: format!("runner-{number}"),
                instance: InstanceId::new(format!("process-{number}")).unwrap(),
                capabilities: BTreeSet::from([CAPABILITY.into()]),
                labels: BTreeSet::from([kind(number % kinds)]),
                version: "0.1.0".into(),
                slots,
                active_jobs: BTreeSet::new(),
                isolation: None,
                offline_secs,
                updates: None,
            };
            register_runner(&self.ctx, &self.token, &new).await.unwrap()
        });
        registrations.buffered(AT_ONCE).collect().await
    }

    /// Creates Ready jobs for runners, evenly in `kinds` classes.
    pub(crate) async fn jobs(&self, name: &str, count: usize, kinds: usize) -> Vec<Job> {
        for number in 0..kinds {
            let job = self.plan(name, number, kinds);
            let needs = ClassRequirements {
                capability: CAPABILITY.into(),
                labels: BTreeSet::from([kind(number)]),
                key: KeyOwner::Runner,
            };
            self.ctx.store.create_class(&self.project, &job.class, &needs).await.unwrap();
        }
        let creations =
            futures::stream::iter(0..count).map(async |number| self.store_job(&self.plan(name, number, kinds)).await);
        creations.buffered(AT_ONCE).collect().await
    }

    /// Connects the repository of all jobs, to a forge that does not exist.
    pub(crate) async fn connect(&self) {
        self.ctx.secrets.put(FORGE, "a token").await.unwrap();
        assert_applied(self.ctx.store.put_integration(&self.integration()).await);
        assert_applied(self.ctx.store.put_repository(&self.repository(), None).await);
    }

    pub(crate) fn integration(&self) -> Integration {
        Integration {
            id: self.repository().integration,
            kind: ForgeKind::GitHub,
            api_url: "http://127.0.0.1:9".into(),
            auth: Auth::Token { secret: FORGE.into() },
            account: Account { id: 1, login: "pullyard-bot".into() },
            projects: None,
        }
    }

    pub(crate) async fn job(&self, settings: &Settings) -> Job {
        self.job_with_text(settings, None).await
    }

    pub(crate) async fn job_with_text(&self, settings: &Settings, text: Option<TicketText>) -> Job {
        let repository = self.repository();
        let labels = text.as_ref().map(TicketText::runner_labels).unwrap_or_default();
        let context = prompt::Context {
            kind: JobKind::Implement,
            ticket: text.map(|text| (TicketKey::new("APP-1").unwrap(), text)),
            comments: Vec::new(),
            instructions: Some("Do it.".into()),
            reviews: None,
            analysis: None,
            repository: repository.clone(),
            base: "main".into(),
            review: None,
            commands: None,
            egress: Vec::new(),
            author: None,
            labels: Default::default(),
            priority: None,
            step: None,
        };
        let id = JobId::for_request(&self.project, "one", "1");
        let context = self.ctx.store.create_context(&id, &context).await.unwrap();
        let job = plan_without_ticket(&JobPlan {
            id,
            project: &self.project,
            settings,
            repository: &repository,
            context,
            labels: &labels,
            priority: Priority::Normal,
            now: self.ctx.clock.now(),
        });
        self.store_job(&job).await
    }

    pub(crate) async fn store_job(&self, job: &Job) -> Job {
        let new = JobCreation {
            job,
            ticket: None,
            delivery: None,
            pull_request: None,
            analysis: None,
            charge: None,
            spending: None,
            request: None,
        };
        assert_applied(self.ctx.store.create_job(&new).await);
        self.load_job(&job.id).await
    }

    pub(crate) async fn claim(&self, job: &JobId, runner: Option<&Runner>) -> Fence {
        let job = self.load_job(job).await;
        let attempt = job.attempt + 1;
        let claim = Claim {
            attempt,
            claim: ClaimId::new(format!("c{attempt}")).unwrap(),
            instance: runner.map_or_else(|| InstanceId::new("i1").unwrap(), |runner| runner.instance.clone()),
            runner: runner.map(|runner| runner.id.clone()),
            task: None,
        };
        assert_applied(self.ctx.store.claim_job(&job.claim(&claim, self.ctx.clock.now()).unwrap()).await);
        Fence { job: job.id, attempt, claim: claim.claim }
    }

    pub(crate) async fn takes(&self, runner: &Runner, id: &str) -> Result<Option<JobId>, Error> {
        self.takes_with(runner, id, 2).await
    }

    pub(crate) async fn takes_with(&self, runner: &Runner, id: &str, protocol: u32) -> Result<Option<JobId>, Error> {
        let id = ClaimId::new(id).unwrap();
        match claim_job(&self.ctx, &self.token, &runner.id, (&runner.instance, &id), protocol).await? {
            ClaimAnswer::Job(claimed) => Ok(Some(claimed.job.id)),
            ClaimAnswer::NoJob | ClaimAnswer::ClaimUsed => Ok(None),
        }
    }

    pub(crate) async fn beats(&self, runner: &Runner, active_jobs: BTreeSet<JobId>) {
        let instance = runner.instance.clone();
        let heartbeat = Heartbeat { instance, active_jobs, draining: false, is_sign_off: false, order: None };
        record_heartbeat(&self.ctx, &self.token, &runner.id, &heartbeat).await.unwrap();
    }

    /// Opens the breaker of this account, as another job's attempt.
    pub(crate) async fn limit(&self, account: breaker::Account) -> Breaker {
        let id = BreakerId { account, capability: CAPABILITY.into() };
        let limit = AccountFault { cause: BreakerCause::LimitReached, ends_at: None };
        let by = AttemptRef { job: JobId::for_request(&self.project, "other", "1"), attempt: 1 };
        let opened = Breaker::record_fault(None, &id, &limit, &by, self.ctx.clock.now()).unwrap();
        assert_applied(self.ctx.store.put_breaker(&opened, None).await);
        self.ctx.store.load_breaker(&id).await.unwrap().unwrap()
    }

    pub(crate) async fn entries_that_wait(&self, count: u32) {
        let now = self.ctx.clock.now();
        for number in 0..count {
            let key = TicketKey::new(format!("APP-{number}")).unwrap();
            let ticket = Ticket::new(self.project.clone(), key, "AI Processing".into(), now, None);
            let entry = Entry { at: now, event: EventId::new(format!("e{number}")).unwrap() };
            assert_applied(self.ctx.store.update_ticket(&ticket.hold_entry(entry)).await);
        }
    }

    pub(crate) async fn load_job(&self, job: &JobId) -> Job {
        self.ctx.store.load_job(job).await.unwrap().unwrap()
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository {
            project: self.project.clone(),
            integration: IntegrationId::new("gh1").unwrap(),
            id: 99,
            name: RepositoryName::new("acme/app").unwrap(),
            default_branch: "main".into(),
            clone_url: "https://forge.example/acme/app.git".into(),
            agent: Agent { capability: CAPABILITY.into(), command: vec!["agent.sh".into()], model: None },
            workflows: false,
            commands: CommandOverrides::default(),
            running_jobs: None,
            labels: Default::default(),
        }
    }

    pub(crate) fn plan(&self, name: &str, number: usize, kinds: usize) -> Job {
        let repository = self.repository();
        plan_without_ticket(&JobPlan {
            id: JobId::for_request(&self.project, name, &number.to_string()),
            project: &self.project,
            settings: &Settings { compute: Compute::Runners, ..Settings::default() },
            repository: &repository,
            context: "0123456789abcdef0123456789abcdef".into(),
            labels: &BTreeSet::from([kind(number % kinds)]),
            priority: Priority::Normal,
            now: self.ctx.clock.now(),
        })
    }
}

fn loopback() -> pullyard_outbound::Client {
    pullyard_outbound::Client::new(AllowedRanges::loopback())
}

fn kind(number: usize) -> String {
    format!("kind-{number}")
}

pub(crate) fn assert_applied(write: Result<Write, pullyard_store::Error>) {
    assert_eq!(write.unwrap(), Write::Applied);
}

pub(crate) fn token(hash: &str) -> Token {
    Token {
        hash: hash.to_owned(),
        kind: TokenKind::Runner,
        name: "fleet".into(),
        prefix: "rnt_".into(),
        scopes: BTreeSet::new(),
        projects: None,
        expires_at: None,
        revoked: false,
        runner: None,
        created: None,
        created_by: None,
        last_used: None,
    }
}

fn sdk(meter: &Meter) -> SdkConfig {
    let credentials = Credentials::from_keys(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None);
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(60)).build())
        .http_client(meter.clone())
        .build()
}
