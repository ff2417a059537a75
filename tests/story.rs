//! The test world of the system: a local deployment with a project, a repository and helpers.
//!
//! Its tasks run the real runner, or only wait while the test acts as the attempt.

mod attempt;
mod aws;
mod forge;

pub(crate) use attempt::{completed_finish, enter_phases, failed_finish, finish_request, no_changes};
pub(crate) use aws::{aws_credentials, task_variable};

use crate::calls::{AllowedCalls, Calls};
use crate::prelude::*;
use crate::processes::{Functions, Processes};
use pullyard_domain::project::Statuses;
use pullyard_entry::Config;
use pullyard_entry::config::{self, AllowedRanges, Endpoints, QueuePair};
use pullyard_fake_forge::FakeForge;
use pullyard_local::{Clock, Disk, Options};
use pullyard_protocol::client::Error;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::ticket::{EventTicket, TicketEvent};
use pullyard_testkit::lambda::{EnvironmentInfo, Runtime};
use std::ops::Deref;
use tokio::runtime::Handle;

pub(crate) const TODO: &str = "Todo";
pub(crate) const TRIGGER: &str = "AI Processing";
pub(crate) const REVIEW: &str = "In Review";
pub(crate) const REPOSITORY: &str = "acme/app";

/// Limit of every wait, long enough for a loaded machine.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(300);

pub(crate) const WORKING_AGENT: &str = "#!/bin/sh\ncat > prompt.txt\necho done >> work.txt\nrm prompt.txt\n";

#[derive(Clone)]
pub(crate) struct DynamodbProxy(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl DynamodbProxy {
    pub(crate) fn new(before: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(before))
    }
}

fn tap_aws(calls: &Calls, dynamodb: Option<DynamodbProxy>) -> pullyard_local::AwsProxies {
    let observer = calls.observer();
    Arc::new(move |services| {
        let mut taps = observer.start_taps(&services).unwrap();
        if let Some(between) = &dynamodb {
            taps.dynamodb = (between.0)(&taps.dynamodb);
        }
        taps
    })
}

pub(crate) struct Setup {
    pub(crate) task: Task,
    pub(crate) agent: &'static str,
    pub(crate) command: Vec<String>,
    pub(crate) hints: HintDelivery,
    pub(crate) sweep_every: Duration,
    pub(crate) settings: Settings,
    pub(crate) before_dynamodb: Option<DynamodbProxy>,
    pub(crate) calls: Calls,
    pub(crate) functions: Functions,
    /// Variables of tasks and their agents.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) disk: Disk,
    pub(crate) public_url: Option<String>,
    /// Jobs at once, as of `up`.
    pub(crate) max_jobs: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Tasks {
    Die,
    /// The tasks keep running and are adopted.
    Survive,
}

pub(crate) enum Task {
    Runner,
    /// Only waits: the test acts as the attempt.
    Waiting,
    Program(Vec<String>),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            task: Task::Runner,
            agent: WORKING_AGENT,
            command: vec!["./agent.sh".into()],
            hints: HintDelivery::Deliver,
            sweep_every: Duration::from_secs(3_600),
            settings: Settings {
                auto_create: true,
                statuses: Statuses { allow_others: true, ..Statuses::default() },
                default_repository: Some(RepositoryName::new(REPOSITORY).unwrap()),
                ..Settings::default()
            },
            before_dynamodb: None,
            calls: Calls::default(),
            functions: Functions::Libraries,
            environment: Vec::new(),
            disk: Disk::default(),
            public_url: None,
            max_jobs: None,
        }
    }
}

/// A system that shuts down when its story ends, unless the test has failed.
pub(crate) struct Local(Option<LocalSystem>);

impl Local {
    pub(crate) async fn shutdown(mut self) {
        self.take().shutdown().await;
    }

    fn take(&mut self) -> LocalSystem {
        self.0.take().expect("the system runs")
    }
}

impl Deref for Local {
    type Target = LocalSystem;

    fn deref(&self) -> &LocalSystem {
        self.0.as_ref().expect("the system runs")
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(local) = self.0.take().filter(|_| !std::thread::panicking()) {
            tokio::task::block_in_place(|| Handle::current().block_on(local.shutdown()));
        }
    }
}

pub(crate) struct Story {
    pub(crate) local: Local,
    pub(crate) api: ApiClient,
    pub(crate) project: ProjectId,
    pub(crate) clock: Clock,
    http: reqwest::Client,
    folder: TempDir,
    runner: Vec<String>,
    calls: AllowedCalls,
    processes: Processes,
}

impl Story {
    /// Starts a story with the real runner and a working agent.
    pub(crate) async fn begin_story() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with_waiting_tasks() -> Self {
        Self::start_with(Setup { task: Task::Waiting, ..Setup::default() }).await
    }

    /// A job whose task waits.
    pub(crate) async fn with_job() -> (Self, JobId) {
        let story = Self::start_with_waiting_tasks().await;
        let job = story.create_job("e1", "APP-1", 1).await;
        (story, job)
    }

    pub(crate) async fn with_user() -> (Self, User) {
        let story = Self::start_with_waiting_tasks().await;
        let user = User::of(&story);
        (story, user)
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        Self::start_prepared(setup, async |_| {}).await
    }

    pub(crate) async fn start_prepared(setup: Setup, prepare: impl AsyncFnOnce(&LocalSystem)) -> Self {
        let (folder, calls) = (TempDir::new().unwrap(), AllowedCalls(setup.calls));
        let command = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
        let runner = match setup.task {
            Task::Runner => command(&[env!("CARGO_BIN_EXE_pullyard"), "runner", "run-job"]),
            Task::Waiting => command(&["sleep", "3600"]),
            Task::Program(program) => program,
        };
        let mut options = Options::new(folder.path().to_path_buf(), runner.clone());
        options.forge_extension = FakeForge::extension();
        options.sweep_interval = setup.sweep_every;
        options.hints = setup.hints;
        options.task_environment = setup.environment;
        options.disk = setup.disk;
        options.answer_limit = Some(WAIT_LIMIT);
        options.public_url = setup.public_url;
        options.max_jobs = setup.max_jobs;
        options.aws_proxies = Some(tap_aws(&calls.0, setup.before_dynamodb));
        let processes = Processes::new(setup.functions, folder.path().join("functions"));
        options.function_overrides = processes.deploy();
        options.credentials = aws_credentials();
        options.commit = COMMIT;
        let clock = options.clock.clone();
        let local = Local(Some(LocalSystem::start(options).await.unwrap()));
        prepare(&local).await;
        let api = ApiClient::new(local.api_url(), local.admin_token()).unwrap().with_call_timeout(WAIT_LIMIT);
        let project = ProjectId::new("acme").unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let story = Self { local, api, project, clock, http, folder, runner, calls, processes };
        story.create_project(setup.agent, setup.command, setup.settings).await;
        story
    }

    async fn create_project(&self, agent: &str, command: Vec<String>, settings: Settings) {
        let files = [("README.md", "# App\n", false), ("agent.sh", agent, true)];
        self.local.forge().create_repository(REPOSITORY, "main", &files).await.unwrap();
        let connect = CreateIntegration {
            id: IntegrationId::new("gh1").unwrap(),
            kind: ForgeKind::GitHub,
            api_url: self.local.forge().api_url(),
            token_secret: self.local.forge_secret().into(),
        };
        self.api.create_integration(&connect).await.unwrap();
        let create = CreateProject { id: self.project.clone(), name: "Acme".into(), settings };
        self.api.create_project(&create).await.unwrap();
        self.connect_repository(Agent { capability: "command".into(), command, model: None }).await;
    }

    pub(crate) fn event(&self, event: &str, key: &str, status: &str, minute: i64) -> TicketEvent {
        TicketEvent {
            event_id: EventId::new(event).unwrap(),
            occurred_at: Timestamp::from_millis(1_795_132_800_000 + minute * 60_000),
            project: self.project.clone(),
            actor: Some("ana".into()),
            previous_status: None,
            ticket: EventTicket {
                key: TicketKey::new(key).unwrap(),
                title: format!("About {key}"),
                description: "Do it.".into(),
                status: status.into(),
                labels: Default::default(),
                url: None,
                repository: None,
            },
        }
    }

    pub(crate) async fn send_ticket_event(&self, event: &str, key: &str, status: &str, minute: i64) -> Decision {
        self.api.send_ticket_event(&self.event(event, key, status, minute)).await.unwrap()
    }

    pub(crate) async fn create_job(&self, event: &str, key: &str, minute: i64) -> JobId {
        let decision = self.send_ticket_event(event, key, TRIGGER, minute).await;
        assert_eq!(decision.verdict, Verdict::Accepted, "{}: {}", decision.code, decision.sentence);
        decision.job.unwrap()
    }

    pub(crate) async fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let mut call = self.http.request(method, format!("{}{path}", self.local.api_url())).body(body);
        if let Some(token) = token {
            call = call.bearer_auth(token);
        }
        let answer = call.header("content-type", "application/json").send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn request_with_headers(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let mut call = self.http.request(method, format!("{}{path}", self.local.api_url())).body(body);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let answer = call.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn store(&self) -> pullyard_store::Store {
        use pullyard_emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
        let sdk = pullyard_entry::config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
        let sdk = pullyard_entry::config::with_call_limit(sdk, WAIT_LIMIT);
        pullyard_store::Store::new(&sdk, Some(&self.local.aws().endpoints().dynamodb), "pullyard")
    }

    pub(crate) async fn create_token(&self, scopes: &[pullyard_store::Scope], projects: Option<&[&str]>) -> String {
        let token =
            format!("pat_{scopes:?}_{projects:?}").replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-");
        let projects = projects.map(|all| all.iter().map(|project| ProjectId::new(*project).unwrap()).collect());
        let scopes = scopes.iter().copied().collect();
        let stored = pullyard_store::to_stored_token(&token, "a test's", scopes, projects);
        self.store().await.put_token(&stored).await.unwrap();
        token
    }

    /// Another instance of a function, with these queues for its hints.
    pub(crate) async fn function_context(&self, dispatch: &str, effects: &str) -> Context {
        self.function_context_of(self.function_config(dispatch, effects).await).await
    }

    pub(crate) async fn function_context_at(&self, api_url: &str, dispatch: &str, effects: &str) -> Context {
        let config = self.function_config(dispatch, effects).await;
        self.function_context_of(Config { api_url: api_url.into(), ..config }).await
    }

    pub(crate) async fn function_context_of(&self, config: Config) -> Context {
        let sdk = config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
        config.context(&config::with_call_limit(sdk, WAIT_LIMIT), self.clock.clone())
    }

    /// The configuration of another instance.
    pub(crate) async fn function_config(&self, dispatch: &str, effects: &str) -> Config {
        let at = self.local.aws().endpoints().clone();
        let url = async |name| self.queue_url(name).await.as_str().unwrap().to_owned();
        Config {
            table: "pullyard".into(),
            dispatch_queue_url: url(dispatch).await,
            effects_queue_url: url(effects).await,
            calls_queue_url: url(if effects == "effects.fifo" { "calls.fifo" } else { effects }).await,
            dispatch_dlq_url: url("dispatch-dead").await,
            effects_dlq_url: url("effects-dead.fifo").await,
            calls_dlq_url: url("calls-dead.fifo").await,
            undelivered_dlq_url: url("undelivered").await,
            submissions: Some(QueuePair {
                queue_url: url("submissions").await,
                dead_url: url("submissions-dead").await,
            }),
            cluster: "pullyard".into(),
            task_definitions: pullyard_entry::config::TaskDefinitions {
                small: "pullyard-runner-small".into(),
                medium: "pullyard-runner".into(),
                large: "pullyard-runner-large".into(),
            },
            network: None,
            key_secret: "pullyard/signing-key".into(),
            api_url: self.local.api_url().into(),
            public_url: None,
            task_isolation: "none".into(),
            on_one_machine: true,
            disk: Disk::default(),
            artifacts_bucket: "pullyard-artifacts".into(),
            kms_key: None,
            tags: Default::default(),
            outbound_allow: AllowedRanges::loopback(),
            deployment: None,
            endpoints: Endpoints {
                dynamodb: Some(at.dynamodb),
                sqs: Some(at.sqs),
                ecs: Some(at.ecs),
                secretsmanager: Some(at.secretsmanager),
                s3: Some(at.s3),
            },
        }
    }

    /// Changes the project's settings in the table, without the API's validation.
    pub(crate) async fn update_settings(&self, change: impl FnOnce(&mut Settings)) {
        let store = self.store().await;
        let mut project = store.load_project(&self.project).await.unwrap().unwrap();
        change(&mut project.settings);
        assert_eq!(store.put_project(&project).await.unwrap(), pullyard_store::Write::Applied);
    }

    pub(crate) async fn connect_repository(&self, agent: Agent) {
        let add =
            AddRepository::new(IntegrationId::new("gh1").unwrap(), RepositoryName::new(REPOSITORY).unwrap(), agent);
        self.api.add_repository(&self.project, &add).await.unwrap();
    }

    pub(crate) async fn set_ingress(&self, repository: &str, ingress: Ingress) {
        let set = SetIngress { repository: RepositoryName::new(repository).unwrap(), ingress };
        self.api.set_ingress(&self.project, &set).await.unwrap();
    }

    /// The test acts as the runner, so that no agent starts.
    pub(crate) async fn set_agent(&self, capability: &str) {
        let command = if capability == "command" { vec!["./agent.sh".into()] } else { Vec::new() };
        self.connect_repository(Agent { capability: capability.into(), command, model: None }).await;
    }

    pub(crate) async fn set_agent_command(&self, command: &[&str]) {
        let command = command.iter().map(|word| word.to_string()).collect();
        self.connect_repository(Agent { capability: "command".into(), command, model: None }).await;
    }

    pub(crate) async fn ticket(&self, key: &str) -> Ticket {
        self.api.ticket(&self.project, &TicketKey::new(key).unwrap()).await.unwrap()
    }

    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.api.jobs(&self.project, None).await.unwrap().jobs
    }

    /// Oldest first.
    pub(crate) async fn revisions(&self) -> Vec<Job> {
        let mut jobs = self.jobs().await;
        jobs.retain(|job| job.kind == JobKind::Revise);
        jobs.sort_by_key(|job| job.created);
        jobs
    }

    /// Waits until there are this many revise jobs, and returns the newest.
    pub(crate) async fn wait_for_revision(&self, count: usize) -> Job {
        wait_until("a revise job is made", async || {
            let mut jobs = self.revisions().await;
            if jobs.len() == count { Ok(jobs.remove(count - 1)) } else { Err(format!("{jobs:?}")) }
        })
        .await
    }

    pub(crate) async fn wait_for_job(&self, id: &JobId, good: impl Fn(&Job) -> bool) -> Job {
        wait_until("the job gets there", async || {
            let job = self.api.job(id).await.unwrap();
            if good(&job) { Ok(job) } else { Err(format!("{job:?}")) }
        })
        .await
    }

    pub(crate) async fn wait_for_end(&self, id: &JobId) -> Job {
        self.wait_for_job(id, |job| job.status.is_terminal()).await
    }

    pub(crate) async fn wait_for_settled_ticket(&self, key: &str) -> Ticket {
        wait_until("the ticket settles", async || {
            let ticket = self.ticket(key).await;
            let settled = ticket.synced && ticket.active_job.is_none();
            if settled { Ok(ticket) } else { Err(format!("{ticket:?}")) }
        })
        .await
    }

    pub(crate) async fn call_forge(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}/repos/{REPOSITORY}{path}", self.local.forge().api_url());
        let mut call = self.http.request(method, url).bearer_auth(self.forge_token());
        if !body.is_null() {
            call = call.body(body.to_string());
        }
        call.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    pub(crate) async fn pull_requests(&self) -> Vec<Value> {
        let listed = self.call_forge(reqwest::Method::GET, "/pulls?state=all", Value::Null).await;
        listed.as_array().unwrap().clone()
    }

    pub(crate) async fn advance_and_sweep(&self, time: Duration) {
        self.clock.advance(time);
        self.local.sweep().await.unwrap();
    }

    /// Advances the clock by `secs` in total, with a sweep at least every ten seconds.
    pub(crate) async fn pass_in_steps(&self, secs: u64) {
        let end = self.clock.now().plus(Duration::from_secs(secs));
        loop {
            let remaining = end.since(self.clock.now());
            if remaining.is_zero() {
                return;
            }
            self.advance_and_sweep(remaining.min(Duration::from_secs(10))).await;
        }
    }

    pub(crate) async fn git(&self, arguments: &[&str]) -> String {
        let repository = self.local.forge().repository(REPOSITORY).await.unwrap();
        let run = tokio::process::Command::new("git").arg("-C").arg(repository.git_dir).args(arguments).output().await;
        let output = run.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) async fn branches(&self) -> Vec<String> {
        let output = self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/pullyard"]).await;
        output.lines().map(str::to_owned).collect()
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Crashes the system and starts it again with its folder and addresses, without automatic sweeps. Tasks die or
    /// keep running.
    pub(crate) async fn restart(self, tasks: Tasks) -> Self {
        self.restart_with_jobs(tasks, None).await
    }

    /// `max_jobs`: jobs at once, as of `up`.
    pub(crate) async fn restart_with_jobs(self, tasks: Tasks, max_jobs: Option<usize>) -> Self {
        let Self { mut local, api, project, clock, http, folder, runner, calls, processes } = self;
        let mut options = Options::new(folder.path().to_path_buf(), runner.clone());
        options.api = local.api_url().trim_start_matches("http://").to_owned();
        options.forge = local.forge().url().trim_start_matches("http://").to_owned();
        options.forge_extension = FakeForge::extension();
        options.sweep_interval = Duration::from_secs(3_600);
        options.answer_limit = Some(WAIT_LIMIT);
        options.max_jobs = max_jobs;
        options.clock = clock.clone();
        options.credentials = aws_credentials();
        options.aws_proxies = Some(tap_aws(&calls.0, None));
        match tasks {
            Tasks::Die => drop(local.take()),
            Tasks::Survive => local.take().detach().await,
        }
        let local = wait_until("the folder and the addresses are free", async || {
            LocalSystem::start(options.clone()).await.map_err(|error| format!("{error:?}"))
        })
        .await;
        let local = Local(Some(local));
        Self { local, api, project, clock, http, folder, runner, calls, processes }
    }

    pub(crate) fn function_processes(&self, function: &str) -> Vec<Arc<EnvironmentInfo>> {
        self.processes.of(function)
    }

    pub(crate) fn function_runtime(&self, function: &str) -> Runtime {
        self.processes.runtime(function)
    }

    pub(crate) async fn shut_down(self) {
        self.local.shutdown().await;
        self.processes.shutdown().await;
    }
}

pub(crate) async fn wait_until<T>(condition: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(last) => assert!(since.elapsed() < WAIT_LIMIT, "timed out waiting until {condition}: {last}"),
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Serves these routes on a port of their own; returns the address.
pub(crate) async fn serve(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

pub(crate) fn has_status(status: JobStatus) -> impl Fn(&Job) -> bool {
    move |job| job.status == status
}

pub(crate) fn problem_of<T: std::fmt::Debug>(answer: Result<T, Error>) -> (u16, String, String) {
    match answer.unwrap_err() {
        Error::Problem(problem) => (problem.status, problem.code, problem.detail),
        other => panic!("{other}"),
    }
}
