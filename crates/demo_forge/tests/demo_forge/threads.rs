//! Threads: replies by REST and GraphQL, and resolution.

use serde_json::{Value, json};

use crate::world::{ANN, BOT, EVE, REPOSITORY, RON, World};

const THREADS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    reviewThreads(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id isResolved isOutdated path line comments(first: 100) { nodes { fullDatabaseId } } }
    } } } }";
const REPLY: &str = "mutation($thread: ID!, $body: String!) {
  addPullRequestReviewThreadReply(input: { pullRequestReviewThreadId: $thread, body: $body }) {
    comment { fullDatabaseId url } } }";
const RESOLVE: &str = "mutation($thread: ID!) {
  resolveReviewThread(input: { threadId: $thread }) { thread { id isResolved } } }";

async fn graphql(world: &World, who: &str, query: &str, variables: Value) -> (u16, Value) {
    let answer = world.post(who, "/graphql", json!({ "query": query, "variables": variables })).await;
    (answer.status, answer.body)
}

async fn threads(world: &World, after: Value) -> Value {
    let (owner, name) = REPOSITORY.split_once('/').unwrap();
    let variables = json!({ "owner": owner, "name": name, "number": 1, "after": after });
    let (status, answer) = graphql(world, BOT, THREADS, variables).await;
    assert_eq!((status, &answer["errors"]), (200, &Value::Null));
    answer["data"]["repository"]["pullRequest"]["reviewThreads"].clone()
}

async fn first_comment(world: &World) -> u64 {
    world.get(BOT, "pulls/1/comments").await.body[0]["id"].as_u64().unwrap()
}

#[tokio::test]
async fn reply_creates_an_empty_review_below_a_first_comment() {
    let world = World::new().await;
    world.request_changes(RON, "No.").await;
    let first = first_comment(&world).await;
    let reply = world.post(BOT, &format!("pulls/1/comments/{first}/replies"), json!({ "body": "Done." })).await;
    assert_eq!((reply.status, &reply.body["in_reply_to_id"]), (201, &json!(first)));
    let reviews = world.get(BOT, "pulls/1/reviews").await.body;
    assert_eq!((&reviews[1]["state"], &reviews[1]["body"]), (&json!("COMMENTED"), &json!("")));
    assert_eq!(reviews[1]["id"], reply.body["pull_request_review_id"]);
    let to_reply = format!("pulls/1/comments/{}/replies", reply.body["id"]);
    assert_eq!(world.post(BOT, &to_reply, json!({ "body": "And?" })).await.status, 404);
    assert_eq!(world.post(BOT, "pulls/1/comments/7/replies", json!({ "body": "x" })).await.status, 404);
}

#[tokio::test]
async fn thread_is_answered_and_resolved() {
    let world = World::new().await;
    for _ in 0..2 {
        world.request_changes(RON, "No.").await;
    }
    let page = threads(&world, Value::Null).await;
    assert_eq!((page["nodes"].as_array().unwrap().len(), &page["pageInfo"]["hasNextPage"]), (2, &json!(false)));
    let rest = threads(&world, page["pageInfo"]["endCursor"].clone()).await;
    assert_eq!(rest["nodes"], json!([]));

    let thread = page["nodes"][0]["id"].clone();
    let (status, answer) = graphql(&world, BOT, REPLY, json!({ "thread": thread, "body": "Done." })).await;
    assert_eq!(status, 200);
    let replied = &answer["data"]["addPullRequestReviewThreadReply"]["comment"]["fullDatabaseId"];
    assert!(replied.is_string(), "{answer}");
    let (_, answer) = graphql(&world, BOT, RESOLVE, json!({ "thread": thread })).await;
    assert_eq!(answer["data"]["resolveReviewThread"]["thread"]["isResolved"], json!(true));
    let page = threads(&world, Value::Null).await;
    assert_eq!(page["nodes"][0]["isResolved"], json!(true));
    assert_eq!(&page["nodes"][0]["comments"]["nodes"][1]["fullDatabaseId"], replied);
}

#[tokio::test]
async fn refused_operation_is_null_with_an_error() {
    let world = World::new().await;
    world.request_changes(RON, "No.").await;
    let id = threads(&world, Value::Null).await["nodes"][0]["id"].clone();
    let none = json!("PRRT_1");
    for (user, thread, kind) in [(RON, &id, "FORBIDDEN"), (EVE, &id, "NOT_FOUND"), (ANN, &none, "NOT_FOUND")] {
        let (status, answer) = graphql(&world, user, RESOLVE, json!({ "thread": thread })).await;
        let fault = &answer["errors"][0];
        assert_eq!((status, &answer["data"]["resolveReviewThread"]), (200, &Value::Null), "{user}");
        assert_eq!((&fault["type"], &fault["path"]), (&json!(kind), &json!(["resolveReviewThread"])), "{user}");
    }
}
