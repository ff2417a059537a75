//! Threads: their list and replies by GraphQL.

use serde_json::{Value, json};

use crate::world::{BOT, EVE, REPOSITORY, RON, World};

const THREADS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    reviewThreads(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id comments(first: 100) { nodes { fullDatabaseId } } }
    } } } }";
const REPLY: &str = "mutation($thread: ID!, $body: String!) {
  addPullRequestReviewThreadReply(input: { pullRequestReviewThreadId: $thread, body: $body }) {
    comment { fullDatabaseId } } }";

async fn graphql(world: &World, login: &str, query: &str, variables: Value) -> (u16, Value) {
    let answer = world.post(login, "/graphql", json!({ "query": query, "variables": variables })).await;
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
async fn thread_is_listed_and_answered() {
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
    let page = threads(&world, Value::Null).await;
    assert_eq!(&page["nodes"][0]["comments"]["nodes"][1]["fullDatabaseId"], replied);
}

#[tokio::test]
async fn refused_operation_is_null_with_an_error() {
    let world = World::new().await;
    world.request_changes(RON, "No.").await;
    let id = threads(&world, Value::Null).await["nodes"][0]["id"].clone();
    for (user, thread) in [(EVE, &id), (RON, &json!("PRRT_1"))] {
        let (status, answer) = graphql(&world, user, REPLY, json!({ "thread": thread, "body": "x" })).await;
        let (fault, field) = (&answer["errors"][0], "addPullRequestReviewThreadReply");
        assert_eq!((status, &answer["data"][field]), (200, &Value::Null), "{user}");
        assert_eq!((&fault["type"], &fault["path"]), (&json!("NOT_FOUND"), &json!([field])), "{user}");
    }
}
