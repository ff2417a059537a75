//! Creates the table, secrets, queues and bucket, as the template does on AWS.

use crate::keys::LocalKeys;
use crate::{Error, HintDelivery, Options};
use pullyard_cloud::{QueuePair, Secrets, TaskDefinitions};
use pullyard_domain::project::secret::{LOCAL_FORGE_SECRET, LOCAL_PERSON_SECRET};
use pullyard_emulator::sqs::Sqs;
use pullyard_emulator::{ACCOUNT, Aws, Endpoints, REGION};
use pullyard_entry::config::{self, ARTIFACTS_KEPT, AllowedRanges, Config, Tags};
use pullyard_store::{Scope, SecretRecord, Store, to_stored_token};
use serde_json::{Value, json};
use std::time::Duration;

const TABLE: &str = "pullyard";
const SIGNING_KEY_SECRET: &str = "pullyard/signing-key";
const BUCKET: &str = "pullyard-artifacts";
/// On this machine the families differ only in name.
pub(crate) const TASK_FAMILIES: [&str; 3] = ["pullyard-runner-small", "pullyard-runner", "pullyard-runner-large"];
/// A failed message is retried after this time. It is shorter than on AWS, because a person waits. A function that runs
/// longer receives its message again, which is harmless.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than the calls of one message, because a message that is received again is a further call to its host.
const CALL_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_RECEIVES: u32 = 5;
/// SQS's maximum.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(14 * 86_400);

pub(crate) struct Queues {
    pub(crate) dispatch: QueuePair,
    pub(crate) effects: QueuePair,
    pub(crate) calls: QueuePair,
    pub(crate) submissions: QueuePair,
    undelivered_url: String,
    /// Instead of `dispatch` and both FIFO queues, for hints that shall be lost.
    lost: Option<[String; 2]>,
}

/// Idempotent: resources of an earlier start remain, and the keys of the data folder replace the stored ones.
pub(crate) async fn create(aws: &Aws, keys: &LocalKeys, options: &Options) -> Result<Queues, Error> {
    let credentials = aws.credentials();
    let mut sdk = config::local_sdk_config(REGION, &credentials.access_key_id, &credentials.secret_access_key).await;
    if let Some(limit) = options.answer_limit {
        sdk = config::with_call_limit(sdk, limit);
    }
    let endpoints = aws.endpoints();
    let store = Store::new(&sdk, Some(&endpoints.dynamodb), TABLE);
    store.create_table().await?;
    // `Stale`: the token exists from an earlier start.
    store.put_token(&to_stored_token(&keys.admin_token, "admin", [Scope::Admin].into(), None)).await?;
    for hash in &keys.retired {
        // `Stale`: the data folder is new.
        store.revoke_token(hash).await?;
    }
    let secrets = Secrets::new(&sdk, Some(&endpoints.secretsmanager));
    secrets.put(SIGNING_KEY_SECRET, &keys.signing_key).await?;
    for (secret, value) in [(LOCAL_FORGE_SECRET, &keys.forge_token), (LOCAL_PERSON_SECRET, &keys.person_token)] {
        let stored = store.load_secret_record(secret).await?;
        // `Stale` is impossible: only one process uses the data folder.
        store.put_secret_record(&SecretRecord::next(stored, secret, options.clock.now())).await?;
        secrets.put(secret, value).await?;
    }
    let sqs = aws.sqs();
    let lost = match options.hints {
        HintDelivery::Deliver => None,
        HintDelivery::Drop => {
            Some([create_queue(sqs, "lost", json!({})).await?, create_queue(sqs, "lost.fifo", json!({})).await?])
        }
    };
    let queues = Queues {
        dispatch: create_queue_pair(sqs, "dispatch", VISIBILITY_TIMEOUT).await?,
        effects: create_queue_pair(sqs, "effects.fifo", VISIBILITY_TIMEOUT).await?,
        calls: create_queue_pair(sqs, "calls.fifo", CALL_VISIBILITY_TIMEOUT).await?,
        submissions: create_queue_pair(sqs, "submissions", VISIBILITY_TIMEOUT).await?,
        undelivered_url: create_dead_letter_queue(sqs, "undelivered").await?,
        lost,
    };
    aws.s3().create(BUCKET, Some(ARTIFACTS_KEPT))?;
    Ok(queues)
}

async fn create_queue_pair(sqs: &Sqs, name: &str, visibility: Duration) -> Result<QueuePair, Error> {
    let dead_name = match name.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dead.fifo"),
        None => format!("{name}-dead"),
    };
    let dead_url = create_dead_letter_queue(sqs, &dead_name).await?;
    let dead_arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{dead_name}");
    let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES }).to_string();
    let visibility = visibility.as_secs().to_string();
    let attributes = json!({ "VisibilityTimeout": visibility, "RedrivePolicy": redrive });
    Ok(QueuePair { queue_url: create_queue(sqs, name, attributes).await?, dead_url })
}

async fn create_dead_letter_queue(sqs: &Sqs, name: &str) -> Result<String, Error> {
    let retention = DEAD_LETTER_RETENTION.as_secs().to_string();
    create_queue(sqs, name, json!({ "MessageRetentionPeriod": retention })).await
}

/// A name that ends in `.fifo` makes a FIFO queue. Returns the queue's URL.
async fn create_queue(sqs: &Sqs, name: &str, mut attributes: Value) -> Result<String, Error> {
    if name.ends_with(".fifo") {
        attributes["FifoQueue"] = "true".into();
    }
    let created = sqs.call("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes })).await?;
    Ok(created["QueueUrl"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn config(options: &Options, queues: &Queues, endpoints: &Endpoints, api_url: &str) -> Config {
    let [small, medium, large] = TASK_FAMILIES.map(str::to_owned);
    Config {
        table: TABLE.into(),
        dispatch_queue_url: queues.dispatch.queue_url.clone(),
        effects_queue_url: queues.effects.queue_url.clone(),
        calls_queue_url: queues.calls.queue_url.clone(),
        dispatch_dlq_url: queues.dispatch.dead_url.clone(),
        effects_dlq_url: queues.effects.dead_url.clone(),
        calls_dlq_url: queues.calls.dead_url.clone(),
        undelivered_dlq_url: queues.undelivered_url.clone(),
        submissions: Some(queues.submissions.clone()),
        cluster: "pullyard".into(),
        task_definitions: TaskDefinitions { small, medium, large },
        network: None,
        key_secret: SIGNING_KEY_SECRET.into(),
        api_url: api_url.into(),
        public_url: options.public_url.clone(),
        task_isolation: options.isolation.clone(),
        on_one_machine: true,
        disk: options.disk.clone(),
        artifacts_bucket: BUCKET.into(),
        kms_key: None,
        tags: Tags::parse(&format!("pullyard:deployment={TABLE}")).unwrap_or_default(),
        outbound_allow: AllowedRanges::loopback(),
        deployment: options.deployment.clone(),
        endpoints: config::Endpoints {
            dynamodb: Some(endpoints.dynamodb.clone()),
            sqs: Some(endpoints.sqs.clone()),
            ecs: Some(endpoints.ecs.clone()),
            secretsmanager: Some(endpoints.secretsmanager.clone()),
            s3: Some(endpoints.s3.clone()),
        },
    }
}

/// The configuration of all functions but the sweeper.
pub(crate) fn without_hints(config: Config, queues: &Queues) -> Config {
    match queues.lost.clone() {
        Some([dispatch_queue_url, effects_queue_url]) => {
            Config { dispatch_queue_url, calls_queue_url: effects_queue_url.clone(), effects_queue_url, ..config }
        }
        None => config,
    }
}
