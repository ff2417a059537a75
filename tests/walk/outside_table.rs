//! Collects a flow's state outside the table: secrets, hooks at the forge, dead letters, objects in the bucket.
//!
//! Tokens are here too, because their keys are hashes of random text. Markers replace random values.

use super::outcome::Outcome;
use super::raw::Secret;
use super::world::{BUCKET, DISPATCH_DEAD, EFFECTS_DEAD, World};
use crate::prelude::*;
use pullyard_domain::job::artifact::{Artifacts, object_key};

pub(super) async fn collect(world: &World, items: &[Value]) -> Outcome {
    let secrets = world.raw.secrets().await;
    let mut outcome = Outcome::new();
    for secret in &secrets {
        let is_of_hook = items.iter().any(|item| item["hook_secret"] == secret.name.as_str());
        let name = match &*secret.name {
            _ if is_of_hook => "of a tool's webhook",
            // Made for a connection that was not stored.
            name if name.contains("/tracker-") => continue,
            name => name,
        };
        outcome.insert(format!("secret {name}"), secret_entry(secret, items));
    }
    outcome.insert("names without a secret".into(), abandoned_names(&secrets, items));
    outcome.insert("hooks at the tool".into(), tool_hook_entries(world, &secrets));
    outcome.insert("hooks at the forge".into(), hook_entries(world, &secrets, items));
    for queue in [DISPATCH_DEAD, EFFECTS_DEAD] {
        outcome.insert(format!("messages in {queue}"), world.raw.count(world.aws.sqs(), queue).await.into());
    }
    outcome.insert("mailboxes without a runner".into(), abandoned_mailboxes(world, items).await.into());
    outcome.insert("tokens".into(), tokens(items).into());
    outcome.insert("objects".into(), objects(world, items).into());
    outcome
}

async fn abandoned_mailboxes(world: &World, items: &[Value]) -> usize {
    let listed = world.aws.sqs().call("ListQueues", &json!({ "QueueNamePrefix": "wake-" })).await.unwrap();
    let urls = listed["QueueUrls"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let has_runner = |url: &str| items.iter().any(|item| item["mailbox"].as_str().is_some_and(|id| url.ends_with(id)));
    urls.filter(|url| !has_runner(url)).count()
}

/// Names of secrets without a value, except those made for a connection that was not stored.
fn abandoned_names(secrets: &[Secret], items: &[Value]) -> Value {
    let names = items.iter().filter(|item| item["pk"] == "SECRETS").filter_map(|item| item["secret"].as_str());
    let is_set = |name: &str| secrets.iter().any(|secret| secret.name == name);
    names.filter(|name| !is_set(name) && !name.contains("/tracker-")).collect()
}

/// The secret's value, whether its name is in the table, and whether its rotation names the previous version.
fn secret_entry(secret: &Secret, items: &[Value]) -> Value {
    let rotation = items.iter().find(|item| item["sk"] == "ROTATION" && item["secret"] == secret.name.as_str());
    let counts = rotation.map(|rotation| rotation["previous"].as_str() == secret.previous.as_deref());
    let is_random = secret.value.starts_with("whsec_")
        || secret.value.len() == 64 && secret.value.chars().all(|letter| letter.is_ascii_hexdigit());
    let value = if is_random { "<made at random>" } else { secret.value.as_str() };
    let is_named = items.iter().any(|item| item["pk"] == "SECRETS" && item["secret"] == secret.name.as_str());
    json!({ "value": value, "is named": is_named, "the one before counts": counts })
}

/// Hooks in the forge's record, each with the name of the secret that signs it.
fn hook_entries(world: &World, secrets: &[Secret], items: &[Value]) -> Value {
    let Ok(text) = std::fs::read(world.folder.path().join("forge").join("forge.json")) else {
        // The forge writes its record with its first change.
        assert!(!items.iter().any(|item| item["sk"] == "HOOK"), "a hook exists, but forge.json does not");
        return Value::Null;
    };
    let record: Value = serde_json::from_slice(&text).unwrap();
    let entry = |hook: &Value| {
        let known = secrets.iter().find(|secret| hook["secret"] == secret.value.as_str());
        let url = hook["url"].as_str().unwrap().replace(world.inbox.url(), "http://inbox.test");
        json!({
            "of": hook["target"], "active": hook["active"], "events": hook["events"], "url": url,
            "content_type": hook["content_type"], "insecure_ssl": hook["insecure_ssl"],
            "secret": known.map(|secret| secret.name.as_str()),
        })
    };
    record["hooks"].as_array().into_iter().flatten().map(entry).collect()
}

/// Hooks of Jira or Linear, each with whether a stored secret signs it.
fn tool_hook_entries(world: &World, secrets: &[Secret]) -> Value {
    let Some((fake, _)) = &world.tracker else { return Value::Null };
    let is_known = |value: &Option<String>| secrets.iter().any(|secret| Some(&secret.value) == value.as_ref());
    let hooks = fake.state().hooks().into_iter();
    hooks.map(|(url, secret, enabled)| json!({ "url": url, "signed": is_known(&secret), "enabled": enabled })).collect()
}

fn tokens(items: &[Value]) -> Vec<Value> {
    let tokens = items.iter().filter(|item| item["sk"] == "TOKEN");
    let entries = tokens.map(|token| json!([token["name"], token["kind"], token["revoked"]]));
    let mut tokens: Vec<_> = entries.collect();
    tokens.sort_by_key(Value::to_string);
    tokens
}

/// The stored artifacts, and whether the bucket has their bytes.
fn objects(world: &World, items: &[Value]) -> Vec<Value> {
    let mut found = Vec::new();
    for item in items.iter().filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("ARTIFACTS#"))) {
        let artifacts: Artifacts = serde_json::from_value(item.clone()).unwrap();
        for one in &artifacts.kept {
            let is_there = world.aws.s3().has_object(BUCKET, &object_key(&artifacts.job, artifacts.attempt, &one.id));
            found.push(json!({ "attempt": artifacts.attempt, "name": one.name, "is there": is_there }));
        }
    }
    found
}
