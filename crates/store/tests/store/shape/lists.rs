//! Tests the table's schema, and its lists page by page.

use crate::prelude::*;
use crate::sample;
use crate::world::{World, text_attribute};
use aws_sdk_dynamodb::types::{KeySchemaElement, ProjectionType};
use pullyard_store::Error;
use std::collections::HashSet;

fn key_elements(schema: &[KeySchemaElement]) -> Vec<(String, String)> {
    let element = |element: &KeySchemaElement| (element.attribute_name.clone(), element.key_type.to_string());
    schema.iter().map(element).collect()
}

#[tokio::test]
async fn table_schema_matches_the_design() {
    let world = World::new().await;
    let answer = world.client.describe_table().table_name(&world.table).send().await.unwrap();
    let table = answer.table.unwrap();
    let hash_and_range =
        |hash: &str, range: &str| vec![(hash.to_owned(), "HASH".to_owned()), (range.to_owned(), "RANGE".to_owned())];
    assert_eq!(key_elements(table.key_schema()), hash_and_range("pk", "sk"));
    let types: BTreeMap<_, _> = table
        .attribute_definitions()
        .iter()
        .map(|attribute| (attribute.attribute_name.as_str(), attribute.attribute_type.as_str()))
        .collect();
    assert_eq!(types, [("pk", "S"), ("sk", "S"), ("wk", "S"), ("ws", "N"), ("lk", "S"), ("ls", "S")].into());
    let indexes: BTreeMap<_, _> = table
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let projection = index.projection.as_ref().and_then(|projection| projection.projection_type.clone());
            assert_eq!(projection, Some(ProjectionType::KeysOnly));
            (index.index_name.clone().unwrap(), key_elements(index.key_schema()))
        })
        .collect();
    let expected = [("work", hash_and_range("wk", "ws")), ("list", hash_and_range("lk", "ls"))];
    assert_eq!(indexes, expected.map(|(name, keys)| (name.to_owned(), keys)).into());
    let billing = table.billing_mode_summary.and_then(|billing| billing.billing_mode);
    assert_eq!(billing.map(|mode| mode.to_string()), Some("PAY_PER_REQUEST".into()));
    assert!(table.local_secondary_indexes.unwrap_or_default().is_empty());

    let answer = world.client.describe_time_to_live().table_name(&world.table).send().await.unwrap();
    let ttl = answer.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name.as_deref(), Some("expires"));
    assert_eq!(ttl.time_to_live_status.map(|status| status.to_string()), Some("ENABLED".into()));
}

#[tokio::test]
async fn existing_table_is_left_unchanged() {
    let world = World::new().await;
    world.create_ticket_job("APP-1").await;
    let before = world.items().await;
    world.store.create_table().await.unwrap();
    assert_eq!(world.items().await, before);
}

#[tokio::test]
async fn forbidden_table_creation_is_an_error() {
    let world = World::calm().await;
    world.faults.fail_next("CreateTable", Fault::error(400, "AccessDeniedException"));
    let error = world.store.create_table().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { operation: "create the table", .. }), "{error}");
}

async fn create_job(world: &World, name: &str, second: u64) -> pullyard_domain::text::id::JobId {
    let job = sample::job_at(name, pullyard_domain::project::Compute::Fargate, at(second));
    assert_eq!(world.store.create_job(&job_trigger(&job)).await.unwrap(), Write::Applied);
    job.id
}

#[tokio::test]
async fn pages_continue_although_jobs_arrive() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for second in 0..7 {
        // Two jobs of one millisecond: the index decides their order, and neither is lost or doubled.
        for twin in ["a", "b"] {
            expected.push(create_job(&world, &format!("{second}-{twin}"), second).await);
        }
    }
    // Later jobs may appear late, and sort before the first page.
    world.catch_up().await;
    let (mut listed, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (ids, next) = world.store.list_job_ids(&sample::project(), None, cursor.as_deref(), 3).await.unwrap();
        assert!(ids.len() <= 3);
        listed.extend(ids);
        pages += 1;
        create_job(&world, &format!("new-{pages}"), 100 + pages).await;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, 5);
    let seconds: Vec<_> = listed.iter().map(|id| expected.iter().position(|known| known == id).unwrap() / 2).collect();
    assert!(seconds.is_sorted_by(|newer, older| newer >= older), "{seconds:?}");
    assert_eq!(listed.iter().collect::<HashSet<_>>(), expected.iter().collect());
    assert_eq!(listed.len(), expected.len());
}

#[tokio::test]
async fn list_contains_only_jobs_of_its_project() {
    let world = World::new().await;
    create_job(&world, "one", 0).await;
    let mut foreign = sample::job("two");
    foreign.project = ProjectId::new("acme-2").unwrap();
    world.expect_applied(world.store.create_job(&job_trigger(&foreign))).await;
    let listed = world
        .after_catching_up(async || world.store.list_job_ids(&foreign.project, None, None, 10).await.unwrap())
        .await;
    assert_eq!(listed, (vec![foreign.id], None));
}

#[tokio::test]
async fn longest_due_items_come_first_up_to_the_limit() {
    let world = World::new().await;
    let mut by_shard: BTreeMap<u8, Vec<WorkKey>> = BTreeMap::new();
    for second in 0..40 {
        let id = create_job(&world, &format!("job-{second}"), second).await;
        let item = world.store.load_job(&id).await.unwrap().unwrap();
        let shard = pullyard_domain::run::due::shard(&format!("JOB#{}", item.id));
        by_shard.entry(shard).or_default().push(WorkKey::Job(id));
    }
    let late = at(1_000_000);
    for (shard, expected) in by_shard {
        assert_eq!(world.due_items(shard, late, 100).await, expected);
        assert_eq!(world.due_items(shard, late, 1).await, expected[..1]);
    }
    assert_eq!(world.all_due(at(59)).await, [], "the first job is due after a minute");
    assert_eq!(world.all_due(at(60)).await.len(), 1);
}

#[tokio::test]
async fn job_row_names_its_due_shard() {
    let world = World::new().await;
    let job = world.create_ticket_job("APP-1").await;
    let item = world.item("JOB#", "JOB").await;
    let shard = pullyard_domain::run::due::shard(&format!("JOB#{}", job.id));
    assert_eq!(text_attribute(&item, "wk"), format!("DUE#{shard}"));
}
