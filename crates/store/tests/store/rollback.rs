//! Tests that an older version reads items of a newer version, and writes back the fields that it does not know.

use crate::prelude::*;
use crate::shape::kind;
use crate::world::{World, decode_item, replace_text_by, text_attribute};
use aws_sdk_dynamodb::primitives::Blob;
use pullyard_domain::agent::breaker::Breaker;
use pullyard_domain::job::artifact::Artifacts;
use pullyard_domain::job::{AttemptRecord, Input};
use pullyard_domain::project::budget::DailyUsage;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::naming::SecretProjects;
use pullyard_domain::project::spending::Spending;
use pullyard_store::{Rotation, Token};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The items of a table, as commit b367564f stored them, in DynamoDB's JSON. Never regenerated: every later version
/// must read them.
const STORED_ITEMS: &str = include_str!("rollback/items.jsonl");

const GET: &str = "GetItem";

const UNKNOWN: &str = "field_of_a_newer_version";

/// Maps whose keys are data, and one variant of an enum: a newer version adds no fields to these.
const OTHER_MAPS: [&str; 5] = ["slots", "deferred", "waiting_by", "held_by", "account"];

fn to_attribute(json: &Value) -> AttributeValue {
    let (kind, value) = json.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text.clone()),
        ("N", Value::String(text)) => AttributeValue::N(text.clone()),
        ("BOOL", Value::Bool(value)) => AttributeValue::Bool(*value),
        ("B", Value::String(text)) => {
            AttributeValue::B(Blob::new(data_encoding::BASE64.decode(text.as_bytes()).unwrap()))
        }
        ("M", Value::Object(map)) => {
            AttributeValue::M(map.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect())
        }
        ("L", Value::Array(list)) => AttributeValue::L(list.iter().map(to_attribute).collect()),
        other => panic!("{other:?}"),
    }
}

fn stored_items() -> Vec<Item> {
    let item = |line: &str| {
        let item: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        item.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect()
    };
    STORED_ITEMS.lines().map(item).collect()
}

fn kind_of(item: &Item) -> String {
    kind(&text_attribute(item, "pk"), &text_attribute(item, "sk"))
}

/// Visits each map that is a struct of the domain, the item itself included.
fn visit_structs(item: &mut Item, visit: &mut impl FnMut(&mut Item)) {
    fn inner(value: &mut AttributeValue, visit: &mut impl FnMut(&mut Item)) {
        match value {
            AttributeValue::M(map) => visit_structs(map, visit),
            AttributeValue::L(list) => list.iter_mut().for_each(|value| inner(value, visit)),
            _ => {}
        }
    }
    for (name, value) in item.iter_mut() {
        match value {
            AttributeValue::M(map) if OTHER_MAPS.contains(&name.as_str()) => {
                map.values_mut().for_each(|value| inner(value, visit));
            }
            value => inner(value, visit),
        }
    }
    visit(item);
}

fn with_unknown_fields(item: &Item) -> Item {
    let mut item = item.clone();
    visit_structs(&mut item, &mut |map| drop(map.insert(UNKNOWN.into(), AttributeValue::S("kept".into()))));
    item
}

async fn world_with(items: &[Item]) -> World {
    let world = World::calm().await;
    for item in items {
        world.put_item(item.clone()).await;
    }
    world
}

/// Loads an item and saves it, as a use case does. `clean` is the item without unknown fields. Returns whether it was
/// written.
async fn load_and_save(world: &World, clean: &Item) -> bool {
    fn same<T: DeserializeOwned + PartialEq + std::fmt::Debug>(loaded: Option<T>, clean: &Item) -> T {
        let loaded = loaded.unwrap();
        assert_eq!(loaded, decode_item(clean));
        loaded
    }
    let store = &world.store;
    let (pk, sk) = (text_attribute(clean, "pk"), text_attribute(clean, "sk"));
    let part = |index: usize| pk.split('#').nth(index).unwrap().to_owned();
    let job = || JobId::new(part(1)).unwrap();
    let write = match kind_of(clean).as_str() {
        "SETTINGS" => {
            let project = same(store.load_project(&sample::project()).await.unwrap(), clean);
            // A request replaces all settings that this version knows.
            let settings = pullyard_domain::project::Settings { auto_create: true, ..Default::default() };
            store.put_project(&Project { settings, ..project }).await
        }
        "REPO" => {
            let repository = store.load_repository(&sample::project(), &sample::integration(), 99).await.unwrap();
            store.put_repository(&same(repository, clean), None).await
        }
        "INTEGRATION" if clean.contains_key("gone") => {
            let id = IntegrationId::new("gh2").unwrap();
            assert!(store.load_former_url(&id).await.unwrap().is_some());
            return false;
        }
        "INTEGRATION" => {
            let integration: Integration = same(store.load_integration(&sample::integration()).await.unwrap(), clean);
            store.remove_integration(&integration).await
        }
        "TICKET" => {
            let ticket: Ticket = decode_item(clean);
            store.update_ticket(&same(store.load_ticket(&ticket.project, &ticket.key).await.unwrap(), clean)).await
        }
        "COMMENT" => {
            let comment: Comment = decode_item(clean);
            let found = store.load_comment(&comment.project, &comment.ticket, comment.number).await.unwrap();
            store.update_comment(&same(found, clean).edit("Use spaces.", at(9)).unwrap()).await
        }
        "JOB" => store.update_job(&same(store.load_job(&job()).await.unwrap(), clean)).await,
        "ARTIFACTS" => {
            let artifacts: Artifacts = same(store.load_artifacts(&job(), 1).await.unwrap(), clean);
            let reserved = artifacts.kept.iter().find(|artifact| !artifact.stored).unwrap();
            store.put_artifacts(&artifacts.mark_stored(&reserved.id).unwrap()).await
        }
        "PR" => {
            let pull_request = same(store.load_pull_request(&pull_request_id()).await.unwrap(), clean);
            store.update_pull_request(&pull_request).await
        }
        "REVIEW" => {
            let id = review_id(sk.strip_prefix("REVIEW#").unwrap());
            let review: Review = same(store.load_review(&pull_request_id(), &id).await.unwrap(), clean);
            let from = review.started_job().unwrap();
            store.assign_review(&review.assign_to(&sample::job_id("next")), Some(from)).await
        }
        "DELIVERY" => {
            let delivery: Delivery = decode_item(clean);
            let delivery = same(store.load_delivery(&delivery.id).await.unwrap(), clean);
            if delivery.reason.is_final() {
                return false;
            }
            store.record_delivery(&delivery).await
        }
        "RUNNERS" => {
            let runner: Runner = decode_item(clean);
            let member = store.load_member(&runner.id).await.unwrap().unwrap();
            let (runner, profile) = (same(Some(member.runner), clean), member.profile);
            let previous = Some(&runner);
            store.register_runner(&RegistrationWrite { runner: &runner, profile: &profile, previous }).await
        }
        "HOOK" => store.put_hook(&same(store.load_hook(&hook("acme").name).await.unwrap(), clean)).await,
        "POLL" => {
            let poll = store.load_poll(&sample::project(), &sample::integration(), 99).await.unwrap();
            store.put_poll(&same::<Poll>(poll, clean)).await
        }
        "BREAKER" => {
            let breaker: Breaker = decode_item(clean);
            let breaker = same(store.load_breaker(&breaker.id).await.unwrap(), clean);
            store.put_breaker(&breaker, Some(&breaker)).await
        }
        "ROTATION" => {
            store.put_rotation(&same::<Rotation>(store.load_rotation("hook-acme").await.unwrap(), clean)).await
        }
        "PROJECTS" => {
            let list = store.load_secret_projects(&["pullyard/job/key"]).await.unwrap().pop();
            store.put_secret_projects(&same::<SecretProjects>(list, clean)).await
        }
        "SWEEPER" => store.put_sweeper_state(&same(store.load_sweeper_state().await.unwrap(), clean)).await,
        "TEXT" => {
            let ticket = sample::ticket_key("APP-1");
            let stored = store.load_ticket_text(&sample::project(), &ticket).await.unwrap().unwrap();
            replace_text_by(store, "evt-9", &TicketText { title: "New".into(), ..stored.text.clone() }, Some(&stored))
                .await
        }
        // Items that no write replaces.
        "ATTEMPT" => {
            let attempts: Vec<AttemptRecord> = store.list_attempts(&job()).await.unwrap();
            return !attempts.contains(&decode_item(clean));
        }
        "INPUT" => {
            let inputs: Vec<Input> = store.list_inputs(&job(), 0).await.unwrap();
            return !inputs.contains(&decode_item(clean));
        }
        "TOKEN" => {
            let token: Token = same(store.load_token(&part(1)).await.unwrap(), clean);
            store.revoke_token(&token.hash).await
        }
        "SPENT" => {
            let spending: Spending = decode_item(clean);
            let stored = same(store.load_spending(&spending.project, &spending.of).await.unwrap(), clean);
            store.put_spending(&stored).await
        }
        "BUDGET" => {
            let usage: DailyUsage = decode_item(clean);
            let found = store.load_budget(&sample::project(), usage.day).await.unwrap();
            return same(found, clean) != usage;
        }
        "CLASS" => return store.list_classes(&sample::project()).await.unwrap().iter().any(Result::is_err),
        "CONTEXT" => {
            let hash = sk.strip_prefix("CONTEXT#").unwrap();
            return store.load_context(&job(), hash).await.unwrap().is_none();
        }
        "EVENTS" => return store.list_event_batches::<String>(&job(), 1, 0, 10).await.unwrap().len() != 1,
        "HEARD" => return store.load_hook_stats(&hook("acme")).await.unwrap().refused != 3,
        "IDEMPOTENCY" => {
            return store.load_request::<JobId>(&sample::request("key", at(0))).await.unwrap().is_none();
        }
        "NAME" => return store.load_runner_id("kite").await.unwrap().is_none(),
        "PROFILE" => return false,
        "REPONAME" => {
            let name = RepositoryName::new("acme/app").unwrap();
            return store.load_repository_by_name(&sample::project(), &name).await.unwrap().is_none();
        }
        "FIRST" => return store.load_first_token().await.unwrap().is_none(),
        "SIGNIN" => return store.use_sign_in("one", at(600)).await.unwrap() == Write::Applied,
        other => panic!("a new kind of item: {other}"),
    };
    assert_eq!(write.unwrap(), Write::Applied, "{pk} / {sk}");
    true
}

/// The items of the older version, with all reviews in jobs, because other states are left by updates.
fn items_in_jobs() -> Vec<Item> {
    let mut items = stored_items();
    for item in items.iter_mut().filter(|item| kind_of(item) == "REVIEW") {
        let state = json!({ "M": { "is": { "S": "started" }, "job": { "S": sample::job_id("before") } } });
        item.insert("state".into(), to_attribute(&state));
    }
    items
}

#[tokio::test]
async fn items_of_commit_b367564f_stay_readable() {
    let items = items_in_jobs();
    let kinds: BTreeSet<_> = items.iter().map(kind_of).collect();
    assert_eq!(kinds.len(), 31, "{kinds:?}");
    let world = world_with(&items).await;
    for item in &items {
        load_and_save(&world, item).await;
    }
}

#[tokio::test]
async fn unknown_fields_of_each_item_survive_a_save() {
    let items = items_in_jobs();
    let unknown: Vec<Item> = items.iter().map(with_unknown_fields).collect();
    let mut world = world_with(&unknown).await;
    let mut written = BTreeSet::new();
    for clean in &items {
        // Each use case must find the unknown fields by itself.
        world.reopen();
        if load_and_save(&world, clean).await {
            written.insert(kind_of(clean));
        }
    }
    let mut saved = world.items().await;
    for was in &unknown {
        let (pk, sk) = (text_attribute(was, "pk"), text_attribute(was, "sk"));
        let item = saved.get_mut(&(pk.clone(), sk.clone())).unwrap();
        // These groups of settings are younger than the stored items.
        if let Some(AttributeValue::M(settings)) = item.get_mut("settings") {
            settings.retain(|group, _| group != "analysis" && group != "review");
        }
        visit_structs(item, &mut |map| assert!(map.contains_key(UNKNOWN), "{pk} / {sk} lost a field: {map:?}"));
    }
    let expected = "ARTIFACTS BREAKER COMMENT DELIVERY HOOK INTEGRATION JOB POLL PR REPO REVIEW ROTATION RUNNERS \
                    SETTINGS SWEEPER TEXT TICKET TOKEN";
    assert_eq!(written, expected.split_whitespace().map(str::to_owned).collect());
}

fn unpack(item: &Item) -> Value {
    let body = item["body"].as_b().unwrap();
    serde_json::from_slice(&zstd::bulk::decompress(body.as_ref(), 1 << 20).unwrap()).unwrap()
}

fn pack(item: &mut Item, body: &Value) {
    let body = zstd::bulk::compress(&serde_json::to_vec(body).unwrap(), 3).unwrap();
    item.insert("body".into(), AttributeValue::B(Blob::new(body)));
}

#[tokio::test]
async fn unknown_fields_of_a_text_survive_an_edit() {
    let mut items = items_in_jobs();
    let text = items.iter_mut().find(|item| kind_of(item) == "TEXT").unwrap();
    let mut body = unpack(text);
    body[UNKNOWN] = json!({ "kept": true });
    pack(text, &body);
    let text = text.clone();
    let world = world_with(&items).await;
    load_and_save(&world, &text).await;
    let saved = unpack(&world.item("TICKET#acme#APP-1", "TEXT").await);
    assert_eq!((&saved["title"], &saved[UNKNOWN]), (&json!("New"), &json!({ "kept": true })));
}

#[tokio::test]
async fn unknown_fields_of_contexts_and_events_are_ignored() {
    /// An event as the wire defines it: requests with unknown fields are refused.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Event {
        seq: u64,
    }
    let mut items = stored_items();
    let context = items.iter_mut().find(|item| kind_of(item) == "CONTEXT").unwrap();
    let mut body = unpack(context);
    for pointer in ["", "/repository", "/repository/agent"] {
        body.pointer_mut(pointer).unwrap()[UNKNOWN] = json!(1);
    }
    pack(context, &body);
    let context = context.clone();
    let world = world_with(&items).await;
    load_and_save(&world, &context).await;
    let job = sample::job_id("newer");
    let batch =
        EventBatch { job: &job, attempt: 1, first: 1, at: at(60), events: &[json!({ "seq": 1, UNKNOWN: [{}] })] };
    world.expect_applied(world.store.create_event_batch(&batch)).await;
    let batches = world.store.list_event_batches::<Event>(&job, 1, 0, 10).await.unwrap();
    assert_eq!(batches[0].events, [Event { seq: 1 }]);
}

/// A ticket that was deleted has nothing to do with the next ticket of its key.
#[tokio::test]
async fn new_item_inherits_no_unknown_field() {
    let items: Vec<Item> = stored_items().iter().map(with_unknown_fields).collect();
    let world = world_with(&items).await;
    let ticket = world.ticket("APP-9").await;
    world.expect_applied(world.store.delete_ticket(&ticket)).await;
    world.expect_applied(world.store.update_ticket(&sample::ticket("APP-9"))).await;
    assert!(!world.item("TICKET#acme#APP-9", "TICKET").await.contains_key(UNKNOWN));
}

#[tokio::test]
async fn write_reads_its_item_only_after_unknown_fields() {
    for (items, reads) in [(stored_items(), 1), (stored_items().iter().map(with_unknown_fields).collect(), 2)] {
        let world = world_with(&items).await;
        world.faults.take_call_count(GET);
        let ticket = world.ticket("APP-9").await;
        world.expect_applied(world.store.update_ticket(&ticket)).await;
        assert_eq!(world.faults.take_call_count(GET), reads);
    }
}
