//! Starts and stops the local system.

use crate::folder::{self, Addresses, Lock};
use crate::keys::LocalKeys;
use crate::{Error, FunctionOverrides, environment, functions};
use pullyard_cloud::{Secrets, TaskDefinitions, setup};
use pullyard_demo_forge::{DemoForge, Extension, NoExtension, User, check_linked_repository, link};
use pullyard_emulator::lambda::Function;
use pullyard_emulator::lambda::gateway::{self, Gateway, Method, Route};
use pullyard_emulator::lambda::{Trigger, event_source, events, schedule};
use pullyard_emulator::{ACCESS_KEY_ID, Aws, Endpoints, REGION, SECRET_ACCESS_KEY, ecs};
use pullyard_entry::auth::to_stored_token;
use pullyard_entry::config::{self, ARTIFACTS_KEPT as KEPT, Config, LiveUpdates};
use pullyard_entry::{Clock, Context, ModelUrls};
use pullyard_function_pages::{LocalMachine, RepositoryProblem};
use pullyard_store::{Scope, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

const TABLE: &str = "pullyard";
const SIGNING_KEY_SECRET: &str = "pullyard/signing-key";
/// In the namespace of secrets that users set, as for every forge.
const FORGE_SECRET: &str = "pullyard/user/demo-forge-token";
const BUCKET: &str = "pullyard-artifacts";
const FORGE_FOLDER: &str = "forge";
/// On this machine the families differ only in name.
const TASK_FAMILIES: [&str; 3] = ["pullyard-runner-small", "pullyard-runner", "pullyard-runner-large"];
const CONTAINER: &str = "runner";
/// A failed message is retried after this time. It is shorter than on AWS, because a person waits. A function that runs
/// longer receives its message again, which is harmless.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Options {
    pub data: PathBuf,
    pub api: String,
    pub forge: String,
    pub forge_extension: Arc<dyn Extension>,
    /// First of five preferred ports; free ports if `None`.
    pub aws_first_port: Option<u16>,
    pub runner: Vec<String>,
    pub task_environment: TaskEnvironment,
    /// Lists the capabilities of this machine's agents, each with whether this process has a key for it.
    pub list_agents: fn() -> Vec<(&'static str, bool)>,
    pub sweep_interval: Duration,
    pub clock: Clock,
    pub hints: HintDelivery,
    pub new_admin_token: bool,
    pub aws_proxies: Option<AwsProxies>,
    pub function_overrides: Option<FunctionOverrides>,
    /// Name in the metrics, which are written to the log; `None` writes none.
    pub deployment: Option<String>,
    pub commit: &'static str,
    pub isolation: String,
    /// Worktrees, mirrors and undelivered results; in the data folder if `None`.
    pub work: Option<PathBuf>,
}

/// Contains keys, so `Debug` shows only the names.
#[derive(Clone, Default)]
pub struct TaskEnvironment(pub Vec<(String, String)>);

impl std::fmt::Debug for TaskEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Proxies of a test between the functions and AWS, which observe or break calls.
#[derive(Clone)]
pub struct AwsProxies(Arc<dyn Fn(Endpoints) -> Endpoints + Send + Sync>);

impl AwsProxies {
    /// `before` converts the addresses of the services to those that the functions call.
    pub fn new(before: impl Fn(Endpoints) -> Endpoints + Send + Sync + 'static) -> Self {
        Self(Arc::new(before))
    }
}

impl std::fmt::Debug for AwsProxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Between { .. }")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintDelivery {
    Deliver,
    /// Drops all hints except the sweeper's, so that only the table can restore the work.
    Drop,
}

impl Options {
    pub fn new(data: PathBuf, runner: Vec<String>) -> Self {
        let any = || "127.0.0.1:0".to_owned();
        Self {
            data,
            api: any(),
            forge: any(),
            forge_extension: Arc::new(NoExtension),
            aws_first_port: None,
            runner,
            task_environment: TaskEnvironment::default(),
            list_agents: Vec::new,
            sweep_interval: Duration::from_secs(5),
            clock: Clock::default(),
            hints: HintDelivery::Deliver,
            new_admin_token: false,
            aws_proxies: None,
            function_overrides: None,
            deployment: None,
            commit: "unknown",
            isolation: "none".into(),
            work: None,
        }
    }
}

/// Dropping the value stops everything. At most one exists per data folder.
#[derive(Debug)]
pub struct LocalSystem {
    api_url: String,
    admin_token: String,
    forge: DemoForge,
    gateway: Gateway,
    dispatcher: Trigger,
    effects: Trigger,
    tasks: Trigger,
    sweeper: schedule::Schedule,
    function_endpoints: Endpoints,
    aws: Aws,
    /// Dropped last, after the last write to the folder.
    _lock: Lock,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocations {
    pub http: u64,
    pub dispatcher: u64,
    pub effects: u64,
    pub tasks: u64,
    pub sweeper: u64,
}

impl LocalSystem {
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options {
            data,
            api,
            forge,
            forge_extension,
            aws_first_port,
            runner,
            task_environment,
            list_agents,
            sweep_interval: sweep_every,
            clock,
            hints,
            new_admin_token,
            aws_proxies: before_aws,
            function_overrides: deploy,
            deployment,
            commit,
            isolation,
            work,
        } = options;
        let inner = |name: &str| {
            let path = data.join(name);
            std::fs::create_dir_all(&path).map_err(folder::data_error(&path))?;
            Ok::<_, Error>(path)
        };
        std::fs::create_dir_all(&data).map_err(folder::data_error(&data))?;
        let lock = Lock::acquire(&data)?;
        let mut keys = LocalKeys::load_or_create(&data)?;
        if new_admin_token {
            keys.renew_admin_token(&data)?;
        }
        let (api_listener, forge_listener) = (listen(&api).await?, listen(&forge).await?);
        let bound =
            Addresses { api: bound_address(&api, &api_listener)?, forge: bound_address(&forge, &forge_listener)? };
        bound.save(&data)?;
        let api_url = format!("http://{}", bound.api);

        let work = work.map_or_else(|| inner("work"), Ok)?.display().to_string();
        let definition = |family: &str| ecs::TaskDefinition {
            family: family.into(),
            container: CONTAINER.into(),
            command: runner.clone(),
            environment: [("PULLYARD_WORK_DIR".into(), work.clone())]
                .into_iter()
                .chain(task_environment.0.clone())
                .collect(),
        };
        let services = pullyard_emulator::Options {
            data: Some(inner("dynamodb")?),
            tasks: ecs::Options::new(inner("ecs")?, TASK_FAMILIES.map(definition).into()),
        };
        let aws = Aws::start_on(services, aws_first_port).await?;

        let bot = User { login: "pullyard-bot".into(), id: (1 << 53) + 7, token: keys.forge_token.clone() };
        // The person at the forge's pages: the bot cannot review its own pull requests. An empty token never matches.
        let person = User { login: "local-user".into(), id: (1 << 53) + 9, token: String::new() };
        let forge_folder = inner(FORGE_FOLDER)?;
        let forge = DemoForge::start(pullyard_demo_forge::Options {
            dir: forge_folder.clone(),
            listener: forge_listener,
            users: vec![bot, person],
            extension: forge_extension,
        })
        .await?;

        let sdk = config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
        let at = aws.endpoints().clone();
        let store = Store::new(&sdk, Some(&at.dynamodb), TABLE);
        store.create_table().await?;
        let all = [Scope::Admin].into();
        // `Stale`: the token exists from an earlier start.
        store.put_token(&to_stored_token(&keys.admin_token, "admin", all, None)).await?;
        for hash in &keys.retired {
            // `Stale`: the data folder is new.
            store.revoke_token(hash).await?;
        }
        // The stored keys override values from an earlier start.
        let secrets = Secrets::new(&sdk, Some(&at.secretsmanager));
        secrets.put(SIGNING_KEY_SECRET, &keys.signing_key).await?;
        secrets.put(FORGE_SECRET, &keys.forge_token).await?;
        let dispatch_queue = setup::create_queue(&sdk, &at.sqs, "dispatch", VISIBILITY_TIMEOUT).await?;
        let effects_queue = setup::create_queue(&sdk, &at.sqs, "effects.fifo", VISIBILITY_TIMEOUT).await?;
        let undelivered = setup::create_dead_letter_queue(&sdk, &at.sqs, "undelivered").await?;

        aws.s3().create(BUCKET, Some(KEPT))?;
        let called = before_aws.map_or_else(|| at.clone(), |between| (between.0)(at.clone()));
        let config = Config {
            table: TABLE.into(),
            dispatch_queue_url: dispatch_queue.queue_url.clone(),
            effects_queue_url: effects_queue.queue_url.clone(),
            dispatch_dlq_url: dispatch_queue.dead_url.clone(),
            effects_dlq_url: effects_queue.dead_url.clone(),
            undelivered_dlq_url: Some(undelivered),
            cluster: "pullyard".into(),
            task_definitions: task_definitions(),
            container: CONTAINER.into(),
            network: None,
            key_secret: SIGNING_KEY_SECRET.into(),
            api_url: api_url.clone(),
            task_isolation: isolation,
            // One process serves all pages, so a held request costs nothing.
            live_updates: LiveUpdates::LongPoll,
            artifacts_bucket: BUCKET.into(),
            kms_key: None,
            deployment,
            endpoints: config::Endpoints {
                dynamodb: Some(called.dynamodb.clone()),
                sqs: Some(called.sqs.clone()),
                ecs: Some(called.ecs.clone()),
                secretsmanager: Some(called.secretsmanager.clone()),
                s3: Some(called.s3.clone()),
            },
        };
        environment::save_environment(&data, &config)?;
        let delivering_config = config.clone();
        let config = match hints {
            HintDelivery::Deliver => config,
            HintDelivery::Drop => Config {
                dispatch_queue_url: setup::create_queue(&sdk, &at.sqs, "lost", VISIBILITY_TIMEOUT).await?.queue_url,
                effects_queue_url: setup::create_queue(&sdk, &at.sqs, "lost.fifo", VISIBILITY_TIMEOUT).await?.queue_url,
                ..config
            },
        };
        // One context per function, as on AWS: functions share no connections and caches.
        let start = async |name: &'static str, config: &Config, library: &dyn Fn(Context) -> Function| {
            if let Some(function) = deploy.as_ref().and_then(|deploy| deploy.find(name, config)) {
                return function;
            }
            let sdk = config::local_sdk_config_for(name, REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
            library(config.clone().context(&sdk, clock.clone()))
        };
        let api_library =
            |ctx| functions::api(ctx, commit, machine(&forge_folder, list_agents, task_environment.clone()));
        let sweeper = start("sweeper", &delivering_config, &functions::sweeper).await;
        let dispatcher = start("dispatcher", &config, &functions::dispatcher).await;
        let effects = start("effects", &config, &functions::effects).await;
        let tasks = start("tasks", &config, &functions::tasks).await;
        let api = start("api", &config, &api_library).await;
        let tickets = start("tickets", &config, &functions::tickets).await;
        let webhook = start("webhook", &config, &functions::webhook).await;
        let pages = start("pages", &config, &functions::pages).await;
        let under = |prefix: &str, function| Route { method: None, prefix: prefix.into(), exact: false, function };
        let exactly = |method, path: &str, function| Route { method, prefix: path.into(), exact: true, function };
        let routes = vec![
            exactly(Some(Method::POST), "/v1/tickets/events", tickets),
            under("/webhooks", webhook),
            under("/v1", api.clone()),
            under("/setup", api.clone()),
            exactly(None, "/healthz", api.clone()),
            exactly(None, "/readyz", api.clone()),
            exactly(None, "/metrics", api.clone()),
            exactly(None, "/openapi.json", api),
            under("/", pages),
        ];
        let batches = event_source::Options::default();
        Ok(Self {
            gateway: gateway::serve(api_listener, routes),
            dispatcher: event_source::poll(aws.sqs(), &dispatch_queue.queue_url, batches, dispatcher),
            effects: event_source::poll(aws.sqs(), &effects_queue.queue_url, batches, effects),
            tasks: events::forward(aws.ecs().subscribe(), tasks),
            sweeper: schedule::every(sweep_every, sweeper),
            function_endpoints: called,
            api_url,
            admin_token: keys.admin_token,
            forge,
            aws,
            _lock: lock,
        })
    }

    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    pub fn forge(&self) -> &DemoForge {
        &self.forge
    }

    pub fn forge_folder(data: &Path) -> PathBuf {
        data.join(FORGE_FOLDER)
    }

    pub fn forge_secret(&self) -> &'static str {
        FORGE_SECRET
    }

    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    pub async fn sweep(&self) -> Result<(), String> {
        self.sweeper.invoke_now().await.map(|_| ())
    }

    pub fn invocations(&self) -> Invocations {
        Invocations {
            http: self.gateway.invocations(),
            dispatcher: self.dispatcher.invocations(),
            effects: self.effects.invocations(),
            tasks: self.tasks.invocations(),
            sweeper: self.sweeper.invocations(),
        }
    }

    pub fn function_endpoints(&self) -> &Endpoints {
        &self.function_endpoints
    }

    pub async fn count_running_tasks(&self) -> usize {
        self.aws.ecs().count_running().await
    }

    /// Leaves the tasks running; the next start on this folder takes them over.
    pub async fn detach(self) {
        let (aws, _lock) = self.stop_functions().await;
        aws.detach().await;
    }

    /// Stops callers before functions, and functions before services.
    pub async fn shutdown(self) {
        let (aws, _lock) = self.stop_functions().await;
        aws.shutdown().await;
    }

    async fn stop_functions(self) -> (Aws, Lock) {
        self.sweeper.shutdown().await;
        self.dispatcher.shutdown().await;
        self.effects.shutdown().await;
        self.gateway.shutdown().await;
        self.forge.shutdown().await;
        // The next start resends state changes that are lost here.
        self.tasks.shutdown().await;
        (self.aws, self._lock)
    }
}

/// The pages link and check folders as `pullyard repos add --path` does.
fn machine(
    forge: &Path,
    list_agents: fn() -> Vec<(&'static str, bool)>,
    TaskEnvironment(environment): TaskEnvironment,
) -> LocalMachine {
    let (links, checks) = (forge.to_owned(), forge.to_owned());
    let variable = |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    LocalMachine {
        link_folder: Arc::new(move |name, path| Ok(link(&links, name, path).map(drop)?)),
        check_repository: Arc::new(move |name, branch, command| {
            let fault = check_linked_repository(&checks, name, branch, command).err()?;
            Some(RepositoryProblem { sentence: format!("{name} {fault}."), help: fault.help() })
        }),
        list_agents,
        folder: std::env::current_dir().ok().filter(|folder| folder.join(".git").is_dir()),
        model_urls: ModelUrls { anthropic: variable("ANTHROPIC_BASE_URL"), openai: variable("OPENAI_BASE_URL") },
    }
}

fn task_definitions() -> TaskDefinitions {
    let [small, medium, large] = TASK_FAMILIES.map(str::to_owned);
    TaskDefinitions { small, medium, large }
}

async fn listen(address: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address: address.into(), source })
}

fn bound_address(address: &str, listener: &TcpListener) -> Result<String, Error> {
    let bound = listener.local_addr().map_err(|source| Error::Listen { address: address.into(), source })?;
    Ok(bound.to_string())
}
