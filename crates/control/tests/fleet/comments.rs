//! Comments on tickets: repeats, concurrent writers, the prompt, and the ticket's deletion.

use crate::prelude::*;
use crate::world::World;
use futures::future::join_all;
use pullyard_control::{
    AddedComment, CommentChange, CommentPage, Error, NewComment, add_comment, delete_ticket, edit_comment,
    list_comments,
};
use pullyard_domain::ticket::comment::Editor;

fn key() -> TicketKey {
    TicketKey::new("APP-1").unwrap()
}

async fn with_ticket() -> World {
    let world = World::begin().await;
    let ticket = Ticket::new(world.project.clone(), key(), "Todo".into(), world.ctx.clock.now(), None);
    assert_applied(world.ctx.store.update_ticket(&ticket).await);
    world
}

fn new_comment(world: &World, text: &str, request: Option<&str>) -> NewComment {
    NewComment {
        project: world.project.clone(),
        key: key(),
        text: text.into(),
        caller: Requester { id: "t1".into(), name: "ana".into() },
        right: pullyard_domain::project::spending::RaiseRight::Jobs,
        request: request.map(|request| EventId::new(request).unwrap()),
    }
}

async fn list(world: &World, before: Option<u32>) -> CommentPage {
    list_comments(&world.ctx, &world.project, &key(), before).await.unwrap()
}

#[tokio::test]
async fn concurrent_repeats_of_one_request_add_one_comment() {
    let world = with_ticket().await;
    let add = |text, request| add_comment(&world.ctx, new_comment(&world, text, request));
    let answers = join_all((0..8).map(|_| add("Use tabs.", Some("one")))).await;
    let new = answers.iter().filter(|answer| matches!(answer, Ok(AddedComment::New(_)))).count();
    let existing = answers.iter().filter(|answer| matches!(answer, Ok(AddedComment::Existing(_)))).count();
    assert_eq!((new, existing), (1, 7), "{answers:?}");
    assert!(matches!(add("Use spaces.", Some("one")).await, Err(Error::KeyReused)));
    assert!(matches!(add("Use spaces.", None).await, Ok(AddedComment::New(comment)) if comment.number == 2));
    let change = CommentChange { project: world.project.clone(), key: key(), number: 1, editor: Editor::Admin };
    let edited = edit_comment(&world.ctx, change.clone(), "Use spaces.").await.unwrap();
    assert_eq!(edit_comment(&world.ctx, change, "Use spaces.").await.unwrap().edited, edited.edited);
    assert_eq!(list(&world, None).await.comments.len(), 2);
}

#[tokio::test]
async fn deleted_ticket_leaves_no_comments() {
    let world = with_ticket().await;
    for _ in 0..51 {
        add_comment(&world.ctx, new_comment(&world, "Use tabs.", None)).await.unwrap();
    }
    let first = list(&world, None).await;
    assert_eq!((first.comments.len(), first.next), (50, Some(2)));
    assert_eq!(list(&world, first.next).await.comments.len(), 1);
    delete_ticket(&world.ctx, &world.project, &key()).await.unwrap();
    let comments = world.ctx.store.list_comments(&world.project, &key(), None, 10).await.unwrap();
    assert_eq!(comments, []);
    let added = add_comment(&world.ctx, new_comment(&world, "Late.", None)).await;
    assert!(matches!(added, Err(Error::NotFound { resource: "ticket", .. })), "{added:?}");
}
