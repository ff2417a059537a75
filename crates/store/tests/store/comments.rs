//! Tests the comments of tickets: their order, and deletions over the state that was read.

use crate::prelude::*;
use crate::sample::{self, comment};
use crate::world::World;

async fn commented_ticket(world: &World, count: u32) -> Ticket {
    world.expect_applied(world.store.update_ticket(&sample::ticket("APP-1"))).await;
    for _ in 0..count {
        let (ticket, number) = world.ticket("APP-1").await.add_comment().unwrap();
        let creation = CommentCreation { ticket: &ticket, comment: &comment(number), request: None };
        world.expect_applied(world.store.create_comment(&creation)).await;
    }
    world.ticket("APP-1").await
}

fn numbers(comments: &[Comment]) -> Vec<u32> {
    comments.iter().map(|comment| comment.number).collect()
}

#[tokio::test]
async fn comments_are_listed_newest_first_by_page() {
    let world = World::new().await;
    let Ticket { project, key, last_comment, .. } = commented_ticket(&world, 12).await;
    assert_eq!(last_comment, Some(12));
    let list = async |before| numbers(&world.store.list_comments(&project, &key, before, 5).await.unwrap());
    assert_eq!(list(None).await, [12, 11, 10, 9, 8]);
    assert_eq!(list(Some(8)).await, [7, 6, 5, 4, 3]);
    assert_eq!(list(Some(3)).await, [2, 1]);
    for first in [0, 1] {
        assert_eq!(list(Some(first)).await, [0; 0]);
    }
}

#[tokio::test]
async fn comments_are_deleted_only_as_read() {
    let world = World::new().await;
    let Ticket { project, key, .. } = commented_ticket(&world, 2).await;
    let read = world.store.list_comments(&project, &key, None, 5).await.unwrap();
    let edited = read[0].edit("Another text.", at(9)).unwrap();
    world.expect_applied(world.store.update_comment(&edited)).await;
    world.expect_refused(world.store.delete_comments(&read)).await;
    let read = world.store.list_comments(&project, &key, None, 5).await.unwrap();
    assert_eq!((read[0].text.as_str(), read[0].edited, read[0].rev), ("Another text.", Some(at(9)), 2));
    for _ in 0..2 {
        world.expect_applied(world.store.delete_comments(&read)).await;
    }
    assert_eq!(world.store.list_comments(&project, &key, None, 5).await.unwrap(), []);
    world.expect_refused(world.store.update_comment(&edited)).await;
}

#[tokio::test]
async fn comment_of_a_deleted_ticket_is_refused() {
    let world = World::new().await;
    let read = commented_ticket(&world, 0).await;
    world.expect_applied(world.store.delete_ticket(&read)).await;
    let (ticket, number) = read.add_comment().unwrap();
    let creation = CommentCreation { ticket: &ticket, comment: &comment(number), request: None };
    world.expect_refused(world.store.create_comment(&creation)).await;
    assert!(world.items().await.is_empty());
}
