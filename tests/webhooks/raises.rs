//! Tests comments `/pullyard raise` at the forge: permissions, repetitions and replies.

use super::{ANN, ANNS_TOKEN, World};
use crate::prelude::*;
use pullyard_domain::project::spending::SpentOn;
use pullyard_domain::review::published::marker::Marker;
use pullyard_local::User;

pub(crate) fn ann() -> Value {
    json!({ "id": ANN, "login": "ann", "type": "User" })
}

impl Story {
    /// The raises of a ticket. Units: dollars.
    pub(crate) async fn list_raises(&self, project: &ProjectId, ticket: &str) -> Vec<u64> {
        let of = SpentOn::Ticket(TicketKey::new(ticket).unwrap());
        let stored = self.store().await.load_spending(project, &of).await.unwrap();
        stored.into_iter().flat_map(|spending| spending.raises).map(|raise| raise.usd_micros / 1_000_000).collect()
    }
}

impl World {
    /// The answer to a new comment on the pull request.
    async fn send_comment(&self, id: u64, text: &str, user: &Value) -> String {
        let (status, answer) = self.send("acme", "issue_comment", &self.comment(id, text, user)).await;
        assert_eq!(status, 200, "{answer}");
        answer["code"].as_str().unwrap().to_owned()
    }

    /// All comments on the pull request, or on an issue.
    pub(crate) async fn list_comments(&self, number: u64) -> Vec<String> {
        let comments = self.story.call_forge(Method::GET, &format!("/issues/{number}/comments"), Value::Null).await;
        let body = |comment: &Value| comment["body"].as_str().unwrap().to_owned();
        comments.as_array().unwrap().iter().map(body).collect()
    }

    pub(crate) async fn list_raises(&self, ticket: &str) -> Vec<u64> {
        self.story.list_raises(&self.story.project, ticket).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_on_a_pull_request_raises_its_limit_once() {
    let world = World::with_hook().await;
    let text = "/pullyard raise $20\nThe tests are slow.";
    assert_eq!(world.send_comment(5, text, &ann()).await, "limit_raised");
    assert_eq!(world.send_comment(5, text, &ann()).await, "repeat");
    let replies = world.list_comments(world.number).await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert!(replies[0].starts_with("ann raised the limit of APP-1 to $70.00 until "), "{}", replies[0]);
    assert_eq!(world.list_raises("APP-1").await, [20]);

    // All raises together at most double the limit.
    assert_eq!(world.send_comment(6, "/pullyard raise 31", &ann()).await, "raise_refused");
    assert_eq!(world.send_comment(7, "/pullyard raise a bit", &ann()).await, "raise_refused");
    let replies = world.list_comments(world.number).await;
    assert!(replies[1].starts_with("The limit of APP-1 was not raised: ") && replies[1].contains("$50.00"));
    assert!(replies[2].contains("/pullyard raise 20"), "{}", replies[2]);
    // A repeat of a refused raise edits its reply.
    assert_eq!(world.send_comment(6, "/pullyard raise 31", &ann()).await, "raise_refused");
    assert_eq!(world.list_comments(world.number).await.len(), 3);
    assert_eq!(world.list_raises("APP-1").await, [20]);
    assert!(world.story.revisions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn raise_on_an_unlinked_pull_request_gets_a_reply() {
    let mut world = World::with_hook().await;
    let forge = world.story.local.forge();
    forge.commit(REPOSITORY, "feature", "pullyard-bot", &[("other.txt", "one\n", false)]).await.unwrap();
    let body = json!({ "title": "Other", "head": "feature", "base": "main", "body": "" });
    world.number = world.story.call_forge(Method::POST, "/pulls", body).await["number"].as_u64().unwrap();
    assert_eq!(world.send_comment(5, "/pullyard raise 20", &ann()).await, "no_linked_ticket");
    let replies = world.list_comments(world.number).await;
    assert!(replies.len() == 1 && replies[0].contains("`pullyard link "), "{replies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_raises_no_limit_and_gets_no_reply() {
    let world = World::with_hook().await;
    let ben = world.add_reader().await;
    assert_eq!(world.send_comment(5, "/pullyard raise 20", &ben).await, "author_not_permitted");
    assert_eq!(world.list_raises("APP-1").await, [0_u64; 0]);
    assert_eq!(world.list_comments(world.number).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn raise_is_refused_once_when_permissions_are_unreadable() {
    let world = World::new().await;
    let calls = CallFilter { method: None, path: "/permission".into() };
    world.story.local.forge().inject_fault(calls, 1, Fault::status(403));
    world.comment_at_forge(ANNS_TOKEN, "/pullyard raise 20").await;
    for _ in 0..2 {
        world.story.advance_and_sweep(Duration::from_secs(61)).await;
        world.story.wait_for_empty_queues().await;
    }
    assert_eq!(world.list_raises("APP-1").await, [0_u64; 0]);
    assert_eq!(world.list_comments(world.number).await.len(), 1, "no reply");
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_finds_a_comment_that_raises_a_limit() {
    let world = World::new().await;
    world.comment_at_forge(ANNS_TOKEN, "/pullyard raise 20").await;
    for _ in 0..2 {
        world.story.advance_and_sweep(Duration::from_secs(61)).await;
        world.story.wait_for_empty_queues().await;
    }
    assert_eq!(world.list_raises("APP-1").await, [20]);
    assert_eq!(world.list_comments(world.number).await.len(), 2, "the comment and one reply");
}

/// The account may push; only its authorship and our marker prevent a raise.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_marked_comment_raises_nothing() {
    let world = World::with_hook().await;
    let (story, forge) = (&world.story, world.story.local.forge());
    let gh1 = story.store().await.load_integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
    let (token, login, id) = (story.forge_token(), gh1.account.login, gh1.account.id);
    forge.add_user(User { login: login.clone(), id, token: token.clone() }, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, &login, Role::Admin).await.unwrap();
    let text = Marker::Status.append_to(ForgeKind::GitHub, "/pullyard raise 20");
    let comment = world.comment_at_forge(&token, &text).await;
    let user = json!({ "id": id, "login": login, "type": "User" });
    assert_eq!(world.send_comment(comment, &text, &user).await, "own_review");
    // A person at the same account writes without the marker.
    assert_eq!(world.send_comment(comment + 1, "/pullyard raise 10", &user).await, "limit_raised");
    for _ in 0..2 {
        story.advance_and_sweep(Duration::from_secs(3_601)).await;
        story.wait_for_empty_queues().await;
    }
    assert_eq!(world.list_raises("APP-1").await, [10]);
    assert_eq!(world.list_comments(world.number).await.len(), 2, "the comment, and the reply to the person");
}

#[tokio::test(flavor = "multi_thread")]
async fn raise_without_a_limit_names_nothing_to_write() {
    let world = World::with_hook().await;
    world.story.update_settings(|settings| settings.limits.ticket_jobs = None).await;
    assert_eq!(world.send_comment(5, "/pullyard raise 5 jobs", &ann()).await, "no_limit_to_raise");
    let replies = world.list_comments(world.number).await;
    let sentence = "The limit of APP-1 was not raised: the project has no `limits.ticket_jobs` to raise.";
    assert!(replies[0].starts_with(sentence) && !replies[0].contains("Write"), "{}", replies[0]);
    assert_eq!(world.send_comment(6, "/pullyard raise 20", &ann()).await, "limit_raised");
}
