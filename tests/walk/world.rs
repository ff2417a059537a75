//! A whole system that only the test drives: the embedded AWS, a forge behind a proxy that numbers calls, and the
//! functions. Each function has its own context until its process dies.

use super::inbox::Inbox;
use super::raw::Raw;
use super::step::{Call, From};
use crate::functions;
use crate::prelude::*;
use pullyard_emulator::{Access, Aws, ecs};
use pullyard_entry::config::{self, AllowedRanges, Config, Endpoints, QueuePair, RUNNER_CONTAINER, TaskDefinitions};
use pullyard_entry::{Clock, http};
use pullyard_fake_tracker::{FakeTracker, Kind};
use pullyard_forge::Connections;
use pullyard_local_forge::LocalForge;
use pullyard_store::Store;
use pullyard_testkit::{DirectClient, Proxy, Receiver, Wire};

pub(super) const DISPATCH: &str = "dispatch";
pub(super) const EFFECTS: &str = "effects.fifo";
pub(super) const WEBHOOK: &str = "webhook";
pub(super) const CALLS: &str = "calls.fifo";
pub(super) const QUEUES: [(&str, &str); 4] = [
    (DISPATCH, "the dispatcher is woken"),
    (EFFECTS, "the effects function is woken"),
    (CALLS, "the effects function is woken for a call"),
    (WEBHOOK, "the forge calls the webhook"),
];
pub(super) const DISPATCH_DEAD: &str = "dispatch-dead";
pub(super) const EFFECTS_DEAD: &str = "effects-dead.fifo";
pub(super) const SUBMISSIONS: &str = "submissions";
pub(super) const TABLE: &str = "pullyard";
pub(super) const BUCKET: &str = "pullyard-artifacts";
pub(super) const ADMIN: &str = "pat_walk";
const KEY_SECRET: &str = "pullyard/signing-key";
/// Longer than the sweeper's grace periods and its time limit for a hint.
pub(super) const ROUND: Duration = Duration::from_secs(61);

const INVOCATION_TIME: Duration = Duration::from_millis(1);

/// A clock that only the walk advances. With real time a busy machine delays the sweeper, which then judges no runner.
fn frozen_clock() -> Clock {
    Clock::new_simulated(SystemTime::now().into(), |by| Box::pin(tokio::time::sleep(by)))
}

/// Clients that all walks of a flow share, because their construction is slow: each loads the root certificates.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) http: reqwest::Client,
    /// Builds a context that calls AWS over a wire.
    sdk: Arc<dyn Fn(&Wire) -> Sdk + Send + Sync>,
    /// The store of the DynamoDB at this address, outside the wire.
    pub(super) store: Arc<dyn Fn(&str) -> Store + Send + Sync>,
}

impl Clients {
    pub(super) async fn new() -> Self {
        let plain = config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
        // Many concurrent walks share the processors.
        let plain = config::with_call_limit(plain, WAIT_LIMIT);
        let retry = plain.retry_config().unwrap().clone().with_initial_backoff(Duration::from_millis(1));
        let (table, forges) = (plain.clone(), Connections::default());
        let sdk = move |wire: &Wire| {
            let sdk = plain.to_builder().http_client(wire.clone());
            let sdk = sdk.retry_config(retry.clone()).build();
            let forges = forges.clone();
            Box::new(move |config: Config, clock| config.context_with(&sdk, clock, forges.clone())) as Sdk
        };
        let store = move |url: &str| Store::new(&table, Some(url), TABLE);
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Self { http, sdk: Arc::new(sdk), store: Arc::new(store) }
    }
}

pub(super) struct Snapshot {
    pub(super) ground: Clients,
    pub(super) items: Vec<Value>,
    pub(super) secrets: Vec<(String, String)>,
    pub(super) notes: BTreeMap<String, Value>,
    pub(super) forge: Option<TempDir>,
}

pub(super) struct World {
    pub(super) clients: Clients,
    pub(super) wire: Wire,
    pub(super) clock: Clock,
    pub(super) raw: Raw,
    pub(super) aws: Aws,
    pub(super) forge: Option<LocalForge>,
    pub(super) inbox: Inbox,
    /// The endpoint of notifications.
    pub(super) receiver: Receiver,
    /// Jira or Linear, behind a proxy, if the world has the note `tracker`.
    pub(super) tracker: Option<(FakeTracker, Proxy)>,
    proxy: Option<Proxy>,
    /// Numbers the calls of the bucket, which bypass the SDK.
    _bucket: Proxy,
    config: Config,
    sdk: Sdk,
    processes: Mutex<BTreeMap<&'static str, (Context, Option<axum::Router>)>>,
    notes: Mutex<BTreeMap<String, Value>>,
    pub(super) folder: TempDir,
}

type Sdk = Box<dyn Fn(Config, Clock) -> Context + Send + Sync>;

#[derive(Debug)]
pub(super) enum Invocation {
    Done(Value),
    Failed(String),
    Died,
}

impl World {
    /// An empty world, over a copy of this forge's folder if given.
    pub(super) async fn empty(ground: &Clients, forge: Option<&Path>) -> Self {
        let folder = TempDir::new().unwrap();
        let definition = |family: &str| ecs::TaskDefinition {
            family: family.into(),
            container: RUNNER_CONTAINER.into(),
            command: vec!["true".into()],
            environment: Vec::new(),
        };
        let families = ["small", "medium", "large"];
        // No task runs; the test sends the calls of its runner.
        let tasks = ecs::Options {
            transition_delay: Duration::from_secs(24 * 3_600),
            ..ecs::Options::new(folder.path().join("ecs"), families.map(definition).into())
        };
        let aws = Aws::start(pullyard_emulator::Options { data: None, tasks, access: Access::Open }).await.unwrap();
        let at = aws.endpoints().clone();
        let wire = Wire::default().with_client(DirectClient(aws.direct()));
        let (forge, proxy) = match forge {
            None => (None, None),
            Some(from) => {
                let forge = super::forge::start(from, &folder.path().join("forge")).await;
                let proxy = Proxy::start(&wire, "forge", &forge.url()).await.unwrap();
                (Some(forge), Some(proxy))
            }
        };
        aws.s3().create(BUCKET, None).unwrap();
        let bucket = Proxy::start(&wire, "S3", &at.s3).await.unwrap();
        let raw = Raw::new(at.clone(), ground.http.clone());
        (ground.store)(&at.dynamodb).create_table().await.unwrap();
        let config = Config {
            table: TABLE.into(),
            dispatch_queue_url: raw.create_queue(aws.sqs(), DISPATCH).await,
            effects_queue_url: raw.create_queue(aws.sqs(), EFFECTS).await,
            calls_queue_url: raw.create_queue(aws.sqs(), CALLS).await,
            dispatch_dlq_url: raw.create_queue(aws.sqs(), DISPATCH_DEAD).await,
            effects_dlq_url: raw.create_queue(aws.sqs(), EFFECTS_DEAD).await,
            calls_dlq_url: raw.create_queue(aws.sqs(), "calls-dead.fifo").await,
            undelivered_dlq_url: raw.create_queue(aws.sqs(), "undelivered").await,
            submissions: Some(QueuePair {
                queue_url: raw.create_queue(aws.sqs(), SUBMISSIONS).await,
                dead_url: raw.create_queue(aws.sqs(), "submissions-dead").await,
            }),
            cluster: "pullyard".into(),
            task_definitions: TaskDefinitions { small: "small".into(), medium: "medium".into(), large: "large".into() },
            network: None,
            key_secret: KEY_SECRET.into(),
            api_url: "http://api.test".into(),
            public_url: None,
            task_isolation: "none".into(),
            on_one_machine: false,
            disk: Default::default(),
            artifacts_bucket: BUCKET.into(),
            kms_key: None,
            tags: Default::default(),
            outbound_allow: AllowedRanges::loopback(),
            deployment: None,
            endpoints: Endpoints {
                dynamodb: Some(at.dynamodb),
                sqs: Some(at.sqs),
                ecs: Some(at.ecs),
                secretsmanager: Some(at.secretsmanager),
                s3: Some(bucket.url().to_owned()),
            },
        };
        let (clock, processes, notes) = (frozen_clock(), Mutex::default(), Mutex::default());
        let receiver = Receiver::start().await.unwrap();
        let (ground, sdk, inbox, _bucket) = (ground.clone(), (ground.sdk)(&wire), Inbox::open().await, bucket);
        let world = Self {
            clients: ground,
            wire,
            clock,
            raw,
            aws,
            forge,
            inbox,
            receiver,
            tracker: None,
            proxy,
            _bucket,
            config,
            sdk,
            processes,
            notes,
            folder,
        };
        world.raw.put_secret(KEY_SECRET, "a key that signs the tokens of attempts").await;
        world
    }

    pub(super) async fn from_snapshot(snapshot: &Snapshot) -> Self {
        let mut world = Self::empty(&snapshot.ground, snapshot.forge.as_ref().map(TempDir::path)).await;
        let proxy = world.forge_url().unwrap_or_default();
        // The forge's URL differs between worlds.
        let unmask_urls = |text: String| text.replace(super::forge::FORGE_PLACEHOLDER, &proxy);
        let items = snapshot.items.iter().map(|item| serde_json::from_str(&unmask_urls(item.to_string())).unwrap());
        world.raw.put_items(items.collect()).await;
        for (name, value) in &snapshot.secrets {
            world.raw.put_secret(name, value).await;
        }
        *world.notes.lock().unwrap() = snapshot.notes.clone();
        if let Some(kind) = world.note_value("tracker") {
            let kind = if kind == "jira" { Kind::Jira } else { Kind::Linear };
            let fake = FakeTracker::start(kind).await;
            let proxy = Proxy::start(&world.wire, "tracker", fake.url()).await.unwrap();
            world.tracker = Some((fake, proxy));
            // Webhooks need it.
            world.config.public_url = Some("https://pullyard.test".into());
        }
        if let Some(hook) = world.note_value("forge hook") {
            super::forge::redirect_hook(&world, &hook).await;
        }
        world
    }

    pub(super) fn forge_url(&self) -> Option<String> {
        self.proxy.as_ref().map(|proxy| proxy.url().to_owned())
    }

    pub(super) fn note(&self, name: &str, value: impl Into<Value>) {
        self.notes.lock().unwrap().insert(name.into(), value.into());
    }

    pub(super) fn forget(&self, name: &str) {
        self.notes.lock().unwrap().remove(name);
    }

    pub(super) fn note_value(&self, name: &str) -> Option<String> {
        let notes = self.notes.lock().unwrap();
        let noted = notes.get(name)?;
        Some(noted.as_str().map_or_else(|| noted.to_string(), str::to_owned))
    }

    pub(super) fn notes(&self) -> BTreeMap<String, Value> {
        self.notes.lock().unwrap().clone()
    }

    /// Invokes a function with one event. A process that dies loses the state in its memory.
    pub(super) async fn invoke(&self, call: &Call) -> Invocation {
        let (ctx, router) = {
            let mut processes = self.processes.lock().unwrap();
            let process = processes.entry(call.function).or_insert_with(|| {
                let ctx = (self.sdk)(self.config.clone(), self.clock.clone());
                (ctx.clone(), functions::router(&ctx, call.function))
            });
            process.clone()
        };
        self.clock.advance(INVOCATION_TIME);
        // The future contains all functions and is too large for a thread's stack.
        let life: BoxFuture<'_, _> = match router {
            Some(router) => Box::pin(http::invoke(router, call.event.clone())),
            None => Box::pin(functions::invoke_without_router(&ctx, call.function, call.event.clone())),
        };
        let Some(answer) = self.wire.run_until_stopped(life).await else {
            self.processes.lock().unwrap().remove(call.function);
            self.answer_forge(call, StatusCode::BAD_GATEWAY);
            return Invocation::Died;
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.answer_forge(call, StatusCode::BAD_GATEWAY);
                return Invocation::Failed(error);
            }
        };
        match &call.from {
            From::Aws => Invocation::Done(answer),
            From::Queue { queue, receipt } => match answer["batchItemFailures"].as_array() {
                Some(failed) if !failed.is_empty() => Invocation::Failed(answer.to_string()),
                _ => {
                    self.raw.delete_message(self.aws.sqs(), queue, receipt).await;
                    Invocation::Done(answer)
                }
            },
            From::Http | From::Forge(_) => {
                let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
                let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap();
                self.answer_forge(call, status);
                let body = answer["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
                if !status.is_success() {
                    return Invocation::Failed(format!("{}: {body}", status.as_u16()));
                }
                (call.on_answer)(self, &body);
                Invocation::Done(body)
            }
        }
    }

    fn answer_forge(&self, call: &Call, status: StatusCode) {
        if let From::Forge(number) = call.from {
            self.inbox.answer(number, status);
        }
    }

    pub(super) async fn message(&self, queue: &'static str) -> Option<Call> {
        if queue == WEBHOOK {
            // A call of the forge may still be on its way.
            return tokio::select! {
                biased;
                call = self.inbox.next() => Some(call),
                () = self.forge.as_ref()?.wait_for_deliveries() => None,
            };
        }
        let (event, receipt) = self.raw.receive(self.aws.sqs(), queue).await?;
        let function = if queue == DISPATCH { "dispatcher" } else { "effects" };
        Some(Call { function, event, from: From::Queue { queue, receipt }, on_answer: |_, _| {} })
    }

    pub(super) fn sweep_event(&self) -> Call {
        let event = json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
        Call { function: "sweeper", event, from: From::Aws, on_answer: |_, _| {} }
    }

    pub(super) async fn drain(&self) -> usize {
        let mut delivered = 0;
        loop {
            let before = delivered;
            for (queue, _) in QUEUES {
                while let Some(call) = self.message(queue).await {
                    delivered += 1;
                    assert!(delivered < 200, "messages without end: {}", call.event);
                    if let Invocation::Failed(_) = self.invoke(&call).await {
                        // The table knows that the work is due, so a sweep repeats it.
                        self.raw.delete_message_of(self.aws.sqs(), &call).await;
                    }
                }
            }
            if delivered == before {
                return delivered;
            }
        }
    }

    pub(super) async fn advance(&self, time: Duration) {
        self.clock.advance(time);
        let swept = self.invoke(&self.sweep_event()).await;
        assert!(matches!(swept, Invocation::Done(_)), "{swept:?}");
        self.drain().await;
    }

    pub(super) fn has_runners(&self) -> bool {
        self.note_value("runner").is_some()
    }

    pub(super) async fn refuse_late_tasks(&self) {
        for task in self.tasks().await {
            if task["desiredStatus"] != "RUNNING" {
                continue;
            }
            let variable = |name: &str| super::attempt::environment_value(&task, name).unwrap_or_default();
            let path = format!("/v1/jobs/{}/attempts/{}/start", variable("PULLYARD_JOB"), variable("PULLYARD_ATTEMPT"));
            let arn = &task["taskArn"];
            // The task that did the work repeats its own claim here, and is refused as well.
            let claim = json!({ "claim_id": "claim-late", "instance": "instance-late", "task": arn });
            let call = super::http::post(path, claim).token(&variable("PULLYARD_BOOTSTRAP"));
            match self.invoke(&call.into()).await {
                Invocation::Failed(reason) if reason.starts_with('4') => self.raw.stop_task(arn).await,
                other => panic!("a late task was not refused: {other:?}"),
            }
        }
    }

    pub(super) async fn tasks(&self) -> Vec<Value> {
        self.raw.tasks().await
    }
}
