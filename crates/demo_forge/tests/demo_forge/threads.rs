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
