//! Creates the table, secrets, queues and bucket, as the template does on AWS.

use crate::keys::LocalKeys;
use crate::{Error, HintDelivery, Options};
use pullyard_cloud::{QueuePair, Secrets, TaskDefinitions, setup};
use pullyard_emulator::{ACCESS_KEY_ID, Aws, Endpoints, REGION, SECRET_ACCESS_KEY};
use pullyard_entry::auth::to_stored_token;
use pullyard_entry::config::{self, ARTIFACTS_KEPT, Config, LiveUpdates};
use pullyard_store::{Scope, Store};
use std::time::Duration;

const TABLE: &str = "pullyard";
const SIGNING_KEY_SECRET: &str = "pullyard/signing-key";
/// In the namespace of secrets that users set, as for every forge.
pub(crate) const FORGE_SECRET: &str = "pullyard/user/demo-forge-token";
const BUCKET: &str = "pullyard-artifacts";
/// On this machine the families differ only in name.
pub(crate) const TASK_FAMILIES: [&str; 3] = ["pullyard-runner-small", "pullyard-runner", "pullyard-runner-large"];
pub(crate) const CONTAINER: &str = "runner";
/// A failed message is retried after this time. It is shorter than on AWS, because a person waits. A function that runs
/// longer receives its message again, which is harmless.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Queues {
    pub(crate) dispatch: QueuePair,
    pub(crate) effects: QueuePair,
    undelivered_url: String,
    /// Instead of `dispatch` and `effects`, for hints that shall be lost.
    lost: Option<[String; 2]>,
}

/// Idempotent: resources of an earlier start remain, and the keys of the data folder replace the stored ones.
pub(crate) async fn create(aws: &Aws, keys: &LocalKeys, hints: HintDelivery) -> Result<Queues, Error> {
    let sdk = config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
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
    secrets.put(FORGE_SECRET, &keys.forge_token).await?;
    let create_queue = async |name| setup::create_queue(&sdk, &endpoints.sqs, name, VISIBILITY_TIMEOUT).await;
    let lost = match hints {
        HintDelivery::Deliver => None,
        HintDelivery::Drop => Some([create_queue("lost").await?.queue_url, create_queue("lost.fifo").await?.queue_url]),
    };
    let queues = Queues {
        dispatch: create_queue("dispatch").await?,
        effects: create_queue("effects.fifo").await?,
        undelivered_url: setup::create_dead_letter_queue(&sdk, &endpoints.sqs, "undelivered").await?,
        lost,
    };
    aws.s3().create(BUCKET, Some(ARTIFACTS_KEPT))?;
    Ok(queues)
}

pub(crate) fn config(options: &Options, queues: &Queues, endpoints: &Endpoints, api_url: &str) -> Config {
    let [small, medium, large] = TASK_FAMILIES.map(str::to_owned);
    Config {
        table: TABLE.into(),
        dispatch_queue_url: queues.dispatch.queue_url.clone(),
        effects_queue_url: queues.effects.queue_url.clone(),
        dispatch_dlq_url: queues.dispatch.dead_url.clone(),
        effects_dlq_url: queues.effects.dead_url.clone(),
        undelivered_dlq_url: Some(queues.undelivered_url.clone()),
        cluster: "pullyard".into(),
        task_definitions: TaskDefinitions { small, medium, large },
        container: CONTAINER.into(),
        network: None,
        key_secret: SIGNING_KEY_SECRET.into(),
        api_url: api_url.into(),
        task_isolation: options.isolation.clone(),
        // One process serves all pages, so a held request costs nothing.
        live_updates: LiveUpdates::LongPoll,
        artifacts_bucket: BUCKET.into(),
        kms_key: None,
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
        Some([dispatch_queue_url, effects_queue_url]) => Config { dispatch_queue_url, effects_queue_url, ..config },
        None => config,
    }
}
