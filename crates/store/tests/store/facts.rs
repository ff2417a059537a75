//! Tests the reads of facts for a decision: one call each, with every stored item.

use crate::prelude::*;
use crate::reviews::remember;
use crate::world::World;
use pullyard_domain::pull_request::PullRequestId;
use pullyard_store::{Error, LinkedReviewFacts};

impl World {
    /// The numbers of batch reads and single reads since the last call.
    fn count_reads(&self) -> (usize, usize) {
        (self.faults.take_call_count("BatchGetItem"), self.faults.take_call_count("GetItem"))
    }
}

#[tokio::test]
async fn facts_are_read_in_one_call_with_none_for_absent_items() {
    let world = World::calm().await;
    let (project, repository) =
        (sample::project_with_id(sample::project().as_str()), sample::repository(5, "acme/app"));
    let (shop, of) = (&project.id, &repository.integration);
    let (key, delivery) = (sample::ticket_key("APP-1"), sample::refused_decision("evt-1", sample::at(20)));
    world.count_reads();
    assert_eq!(world.store.load_project_and_ticket(shop, &key).await.unwrap(), (None, None));
    assert_eq!(world.store.load_project_and_repository(shop, of, 5).await.unwrap(), (None, None));
    assert_eq!(
        world.store.load_link_and_review(&pull_request_id(), &review_id("r1")).await.unwrap(),
        (None, None, None)
    );
    let nothing = world.store.load_review_facts(shop, &pull_request_id(), 5, Some(&key), &delivery.id).await.unwrap();
    assert_eq!(nothing, LinkedReviewFacts::default());
    assert_eq!(world.count_reads(), (4, 0));

    world.expect_applied(world.store.put_project(&project)).await;
    world.expect_applied(world.store.put_repository(&repository, None)).await;
    world.expect_applied(world.store.record_delivery(&delivery)).await;
    let read = world.store.load_project(shop).await.unwrap();
    let connected = world.store.load_repository(shop, of, 5).await.unwrap();
    assert!(read.is_some() && connected.is_some());
    world.count_reads();
    assert_eq!(world.store.load_project_and_ticket(shop, &key).await.unwrap(), (read.clone(), None));
    assert_eq!(world.store.load_project_and_repository(shop, of, 5).await.unwrap(), (read.clone(), connected.clone()));
    let found = world.store.load_review_facts(shop, &pull_request_id(), 5, None, &delivery.id).await.unwrap();
    assert_eq!((found.project, found.repository, found.ticket), (read, connected, None));
    assert_eq!(found.delivery.map(|found| found.id), Some(delivery.id));
    assert_eq!(world.count_reads(), (3, 0));
}

#[tokio::test]
async fn combined_reads_equal_single_reads() {
    let world = World::with_linked().await;
    world.expect_applied(world.store.put_integration(&sample::forge(sample::integration().as_str()))).await;
    world.expect_applied(remember(&world.store, &waiting_review("r1"), &held_entry("r1"))).await;
    let (project, key) = (sample::project(), sample::ticket_key("APP-1"));
    let (_, ticket) = world.store.load_project_and_ticket(&project, &key).await.unwrap();
    assert_eq!(ticket, world.store.load_ticket(&project, &key).await.unwrap());
    let entry = held_entry("r1").id;
    let found = world
        .store
        .load_review_facts(&project, &pull_request_id(), pull_request_id().repository, Some(&key), &entry)
        .await
        .unwrap();
    assert_eq!(found.ticket, ticket);
    assert_eq!(found.delivery.map(|found| found.id), Some(entry));
    let (link, review, integration) =
        world.store.load_link_and_review(&pull_request_id(), &review_id("r1")).await.unwrap();
    assert_eq!(link, world.store.load_pull_request(&pull_request_id()).await.unwrap());
    assert_eq!(review, world.store.load_review(&pull_request_id(), &review_id("r1")).await.unwrap());
    assert_eq!(integration, world.store.load_integration(&pull_request_id().integration).await.unwrap());
    assert!(link.is_some() && review.is_some() && integration.is_some());
    world.expect_applied(world.store.remove_integration(&integration.unwrap())).await;
    let of_one_that_is_gone = world.store.load_link_and_review(&pull_request_id(), &review_id("r1")).await.unwrap();
    assert_eq!(of_one_that_is_gone, (link, review, None));
}

#[tokio::test]
async fn link_and_reviews_are_read_in_one_query() {
    let world = World::calm().await;
    let store = &world.store;
    world.expect_applied(store.link_pull_request(&linked_pull_request(), &sample::ticket("APP-1"))).await;
    for review in ["r1", "r2"] {
        world.expect_applied(store.assign_review(&waiting_review(review), None)).await;
    }
    world.faults.take_call_count("Query");
    let (link, reviews) = store.load_link_and_reviews(&pull_request_id()).await.unwrap();
    assert_eq!(world.faults.take_call_count("Query"), 1);
    assert_eq!(
        (link, reviews),
        (
            store.load_pull_request(&pull_request_id()).await.unwrap(),
            store.list_reviews(&pull_request_id()).await.unwrap()
        )
    );
    let other = PullRequestId { number: 1_000, ..pull_request_id() };
    assert_eq!(store.load_link_and_reviews(&other).await.unwrap(), (None, Vec::new()));
}

#[tokio::test]
async fn unreadable_item_is_named_in_the_error() {
    let world = World::calm().await;
    let key = sample::ticket_key("APP-1");
    world.expect_applied(world.store.put_project(&sample::project_with_id(sample::project().as_str()))).await;
    let at = [("pk", format!("TICKET#{}#APP-1", sample::project())), ("sk", "TICKET".to_owned())];
    let item = at.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into();
    world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
    match world.store.load_project_and_ticket(&sample::project(), &key).await {
        Err(Error::Corrupt { key, .. }) => assert!(key.contains("#APP-1"), "{key}"),
        other => panic!("{other:?}"),
    }
}
