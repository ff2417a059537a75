//! Starts and stops the local system.

use crate::folder::{self, Addresses, Lock};
use crate::functions::{Functions, with_place_hints};
use crate::keys::LocalKeys;
use crate::machine::machine;
use crate::resources::{self, TASK_FAMILIES};
use crate::{Error, Options};
use pullyard_cloud::{QueuePair, RUNNER_CONTAINER};
use pullyard_emulator::lambda::gateway::{self, Gateway};
use pullyard_emulator::lambda::{Function, Trigger, event_source, events, schedule};
use pullyard_emulator::{Access, Aws, Credentials, Endpoints, ecs};
use pullyard_entry::LOCAL_FORGE;
use pullyard_local_forge::{LocalForge, User};
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;

const FORGE_FOLDER: &str = "forge";
const CREDENTIALS: &str = "aws.json";
/// A message that waits for a slow server delays no other message of its batch.
const ONE_BY_ONE: event_source::Options = event_source::Options { batch_size: 1, concurrency: 8 };

/// Dropping the value stops everything. At most one exists per data folder.
#[derive(Debug)]
pub struct LocalSystem {
    api_url: String,
    admin_token: String,
    forge: LocalForge,
    gateway: Gateway,
    dispatcher: Trigger,
    effects: Trigger,
    calls: Trigger,
    submissions: Trigger,
    tasks: Trigger,
    sweeper: Trigger,
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
        let data = &options.data;
        std::fs::create_dir_all(data).map_err(folder::data_error(data))?;
        let lock = Lock::acquire(data)?;
        let mut keys = LocalKeys::load_or_create(data)?;
        if options.new_admin_token {
            keys.renew_admin_token(data)?;
        }
        let (api_listener, api) = listen(&options.api).await?;
        let (forge_listener, forge) = listen(&options.forge).await?;
        let addresses = Addresses { api, forge };
        addresses.save(data)?;
        let api_url = format!("http://{}", addresses.api);

        let aws = start_aws(&options).await?;
        let forge = start_forge(&options, forge_listener, &keys, &api_url).await?;
        let queues = resources::create(&aws, &keys, &options).await?;
        let endpoints = match &options.aws_proxies {
            Some(proxies) => proxies(aws.endpoints().clone()),
            None => aws.endpoints().clone(),
        };
        let sweeper_config = resources::config(&options, &queues, &endpoints, &api_url);
        let config = resources::without_hints(sweeper_config.clone(), &queues);
        let machine = machine(&Self::forge_folder(data), &options);
        let mut gateway_options = gateway::Options {
            further_hosts: options.public_url.as_deref().and_then(host_of).into_iter().collect(),
            ..options.open_files.map_or_else(Default::default, gateway::Options::for_open_files)
        };
        if let Some(limit) = options.answer_limit {
            gateway_options = gateway_options.with_time_limit(limit);
        }
        let functions = Functions::start(&options, &config, &sweeper_config, machine).await;
        let tasks = match options.max_jobs {
            Some(_) => with_place_hints(functions.tasks.clone(), functions.dispatcher.clone()),
            None => functions.tasks.clone(),
        };
        let poll_with = |queue: &QueuePair, options: event_source::Options, function: &Function| {
            event_source::poll(aws.sqs(), &queue.queue_url, options, function.clone())
        };
        let poll = |queue: &QueuePair, function: &Function| poll_with(queue, Default::default(), function);
        Ok(Self {
            dispatcher: poll(&queues.dispatch, &functions.dispatcher),
            effects: poll_with(&queues.effects, ONE_BY_ONE, &functions.effects),
            calls: poll_with(&queues.calls, ONE_BY_ONE, &functions.effects),
            submissions: poll(&queues.submissions, &functions.effects),
            tasks: events::forward(aws.ecs().subscribe(), tasks),
            sweeper: schedule::every(options.sweep_interval, functions.sweeper.clone()),
            gateway: gateway::serve(api_listener, functions.routes(aws.sqs().clone()), gateway_options),
            function_endpoints: endpoints,
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

    pub fn forge(&self) -> &LocalForge {
        &self.forge
    }

    pub fn forge_folder(data: &Path) -> PathBuf {
        data.join(FORGE_FOLDER)
    }

    pub fn forge_secret(&self) -> &'static str {
        pullyard_domain::project::secret::LOCAL_FORGE_SECRET
    }

    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    pub async fn sweep(&self) -> Result<(), String> {
        schedule::invoke_now(&self.sweeper).await.map(|_| ())
    }

    pub fn invocations(&self) -> Invocations {
        Invocations {
            http: self.gateway.invocations(),
            dispatcher: self.dispatcher.invocations(),
            effects: self.effects.invocations() + self.calls.invocations(),
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
        self.submissions.shutdown().await;
        self.effects.shutdown().await;
        self.calls.shutdown().await;
        self.gateway.shutdown().await;
        self.forge.shutdown().await;
        // The next start resends state changes that are lost here.
        self.tasks.shutdown().await;
        (self.aws, self._lock)
    }
}

async fn start_aws(options: &Options) -> Result<Aws, Error> {
    let work = options.work.clone().map_or_else(|| create_folder(&options.data, "work"), Ok)?;
    let environment: Vec<_> = [("PULLYARD_WORK_DIR".into(), work.display().to_string())]
        .into_iter()
        .chain(options.task_environment.clone())
        .collect();
    let definition = |family: &str| ecs::TaskDefinition {
        family: family.into(),
        container: RUNNER_CONTAINER.into(),
        command: options.runner.clone(),
        environment: environment.clone(),
    };
    save_credentials(&options.data, &options.credentials)?;
    let tasks = ecs::Options {
        max_tasks: options.max_jobs,
        disk_check: Some(ecs::DiskCheck { folder: work, find_low_space: options.find_low_space }),
        ..ecs::Options::new(create_folder(&options.data, "ecs")?, TASK_FAMILIES.map(definition).into())
    };
    let services = pullyard_emulator::Options {
        access: Access::Signed(options.credentials.clone()),
        data: Some(create_folder(&options.data, "dynamodb")?),
        tasks,
    };
    Ok(Aws::start_on(services, options.aws_first_port).await?)
}

/// Stores the credentials in the format of the AWS SDKs' `credential_process`, for tools such as `sam local invoke`.
fn save_credentials(data: &Path, credentials: &Credentials) -> Result<(), Error> {
    let Credentials { access_key_id, secret_access_key } = credentials;
    let json = json!({ "Version": 1, "AccessKeyId": access_key_id, "SecretAccessKey": secret_access_key });
    folder::save_json(data, CREDENTIALS, &json)
}

async fn start_forge(
    options: &Options,
    listener: TcpListener,
    keys: &LocalKeys,
    api_url: &str,
) -> Result<LocalForge, Error> {
    let bot = User { login: "pullyard-bot".into(), id: (1 << 53) + 7, token: keys.forge_token.clone() };
    // The person at our pages: the bot cannot review its own pull requests.
    let person = User { login: "local-user".into(), id: (1 << 53) + 9, token: keys.person_token.clone() };
    let pages = options.public_url.clone().unwrap_or_else(|| api_url.to_owned());
    let forge = pullyard_local_forge::Options {
        dir: create_folder(&options.data, FORGE_FOLDER)?,
        listener,
        users: vec![bot, person],
        pages: Some(format!("{}/pulls/{LOCAL_FORGE}", pages.trim_end_matches('/'))),
        extension: options.forge_extension.clone(),
    };
    Ok(LocalForge::start(forge).await?)
}

fn create_folder(data: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = data.join(name);
    std::fs::create_dir_all(&path).map_err(folder::data_error(&path))?;
    Ok(path)
}

/// The host of a URL, without the port.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    rest.split([':', '/']).next().map(str::to_owned)
}

/// Returns the listener and its address, which has the chosen port if `address` has port 0.
async fn listen(address: &str) -> Result<(TcpListener, String), Error> {
    let failed = |source| Error::Listen { address: address.into(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound.to_string()))
}
