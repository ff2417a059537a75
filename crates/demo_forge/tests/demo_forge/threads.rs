//! Answers in threads, by REST and by GraphQL, and threads that are resolved.

use serde_json::{Value, json};

use crate::world::{ANN, BOT, EVE, REPOSITORY, RON, World};

const THREADS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    reviewThreads(first: 2, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id isResolved isOutdated path line comments(first: 1) { nodes { databaseId } totalCount } }
    } } } }";

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
async fn a_reply_makes_a_review_that_says_nothing_and_takes_a_first_comment_only() {
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
async fn threads_are_paged_answered_and_resolved() {
    let world = World::new().await;
    for _ in 0..3 {
        world.request_changes(RON, "No.").await;
    }
    let page = threads(&world, Value::Null).await;
    assert_eq!(page["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(page["pageInfo"]["hasNextPage"], json!(true));
    let rest = threads(&world, page["pageInfo"]["endCursor"].clone()).await;
    assert_eq!((rest["nodes"].as_array().unwrap().len(), &rest["pageInfo"]["hasNextPage"]), (1, &json!(false)));

    let thread = page["nodes"][0]["id"].clone();
    let reply = "mutation($id: ID!, $body: String!) { addPullRequestReviewThreadReply(input: {pullRequestReviewThreadId: $id, body: $body}) { comment { databaseId url } } }";
    let (status, answer) = graphql(&world, BOT, reply, json!({ "id": thread, "body": "Done." })).await;
    assert_eq!(status, 200);
    assert!(answer["data"]["addPullRequestReviewThreadReply"]["comment"]["databaseId"].is_u64(), "{answer}");
    let resolve = "mutation($id: ID!) { resolveReviewThread(input: {threadId: $id}) { thread { isResolved } } }";
    let (_, answer) = graphql(&world, BOT, resolve, json!({ "id": thread })).await;
    assert_eq!(answer["data"]["resolveReviewThread"]["thread"]["isResolved"], json!(true));
    let page = threads(&world, Value::Null).await;
    assert_eq!(
        (&page["nodes"][0]["isResolved"], &page["nodes"][0]["comments"]["totalCount"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(page["nodes"][0]["comments"]["nodes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_field_that_fails_is_null_beside_the_ones_that_do_not() {
    let world = World::new().await;
    world.request_changes(RON, "No.").await;
    let id = threads(&world, Value::Null).await["nodes"][0]["id"].clone();
    let both = "mutation($a: ID!) { good: resolveReviewThread(input: {threadId: $a}) { thread { id } } bad: resolveReviewThread(input: {threadId: \"PRRT_1\"}) { thread { id } } }";
    let (status, answer) = graphql(&world, ANN, both, json!({ "a": id })).await;
    assert_eq!((status, &answer["data"]["good"]["thread"]["id"], &answer["data"]["bad"]), (200, &id, &Value::Null));
    assert_eq!((&answer["errors"][0]["type"], &answer["errors"][0]["path"]), (&json!("NOT_FOUND"), &json!(["bad"])));
    let one = "mutation($a: ID!) { resolveReviewThread(input: {threadId: $a}) { thread { id } } }";
    for (who, kind) in [(RON, "FORBIDDEN"), (EVE, "NOT_FOUND")] {
        let (status, answer) = graphql(&world, who, one, json!({ "a": id })).await;
        assert_eq!((status, &answer["errors"][0]["type"]), (200, &json!(kind)), "{who}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_refused_with_its_name() {
    let world = World::new().await;
    for (query, name) in
        [("{ viewer { login } }", "viewer"), ("mutation { mergePullRequest(input: {}) { id } }", "mergePullRequest")]
    {
        let (status, answer) = graphql(&world, BOT, query, json!({})).await;
        assert_eq!(status, 422);
        assert!(answer["message"].as_str().unwrap().contains(name), "{answer}");
    }
    world.request_changes(RON, "No.").await;
    let id = threads(&world, Value::Null).await["nodes"][0]["id"].clone();
    let odd = "mutation($a: ID!) { addPullRequestReviewThreadReply(input: {pullRequestReviewThreadId: $a, body: \"x\"}) { comment { mood } } }";
    assert_eq!(graphql(&world, BOT, odd, json!({ "a": id })).await.0, 422);
    let comments = world.get(BOT, "pulls/1/comments").await.body;
    assert_eq!(comments.as_array().unwrap().len(), 1, "nothing was said");
}
