//! Tests that the fakes refuse the same requests as the tools. Otherwise a wrong request would pass the other tests.

use crate::world::{World, http};
use pullyard_fake_tracker::{CREDENTIAL, Kind};
use pullyard_outbound::{HeaderMap, MAX_READ, Method, Request};
use serde_json::{Value, json};

async fn send(world: &World, method: Method, path: &str, body: Value) -> (u16, Value) {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let authorization = match world.kind {
        Kind::Jira => format!("Basic {}", BASE64_STANDARD.encode(CREDENTIAL)),
        Kind::Linear => "lin_api_key".to_owned(),
    };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", authorization.parse().unwrap());
    headers.insert("content-type", "application/json".parse().unwrap());
    let url = format!("{}{path}", world.fake.url()).parse().unwrap();
    let request = Request { method, url, headers, body: body.to_string().into(), max_response_bytes: MAX_READ };
    let response = http().send(request).await.unwrap();
    (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or_default())
}

#[tokio::test]
async fn fake_of_jira_refuses_invalid_requests() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let comment = |content: Value| json!({ "body": { "type": "doc", "version": 1, "content": content } });
    let paragraph = |nodes: Value| comment(json!([{ "type": "paragraph", "content": nodes }]));
    let link = |object: Value| json!({ "globalId": "a", "object": object });
    for (method, path, body, reason) in [
        (Method::PUT, "", json!({ "fields": { "status": { "id": "10000" } } }), "Field 'status' cannot be set"),
        (Method::PUT, "", json!({ "labels": [] }), "Unrecognized field"),
        (Method::PUT, "", json!({ "update": { "labels": [{ "add": "AI Failed" }] } }), "contains spaces"),
        (Method::PUT, "", json!({ "update": { "labels": [{ "put": "a" }] } }), "no operation"),
        (Method::POST, "/comment", json!({ "body": "plain text" }), "INVALID_INPUT"),
        (Method::POST, "/comment", paragraph(json!([text("")])), "needs text"),
        (Method::POST, "/comment", comment(json!([text("a")])), "is no paragraph"),
        (Method::POST, "/comment", paragraph(json!([{ "type": "text", "text": "a", "href": "b" }])), "href is unknown"),
        (Method::POST, "/comment", json!({ "text": "a" }), "Unrecognized field"),
        (Method::POST, "/remotelink", link(json!({ "url": "https://a.example" })), "is required"),
        (
            Method::POST,
            "/remotelink",
            link(json!({ "url": "https://a.example", "title": "a", "name": "a" })),
            "Unrecognized",
        ),
        (Method::POST, "/transitions", json!({ "transition": { "id": "99" } }), "not valid for this issue"),
        (Method::POST, "/transitions", json!({ "transition": { "to": "10000" } }), "Unrecognized"),
        (Method::GET, "?field=status", Value::Null, "Unrecognized"),
    ] {
        let world = World::new(Kind::Jira).await;
        let (status, answer) = send(&world, method, &format!("/rest/api/3/issue/PRJ-7{path}"), body).await;
        assert_eq!((status, answer.to_string().contains(reason)), (400, true), "{reason}: {answer}");
    }
}

#[tokio::test]
async fn fake_of_linear_refuses_graphql_outside_the_schema() {
    for (query, variables, reason) in [
        ("query A { viewer { id nickname } }", json!({}), "Cannot query field \\\"nickname\\\" on type \\\"User\\\""),
        ("query A { viewer }", json!({}), "wrong selection"),
        ("query A { issue { id } }", json!({}), "is required"),
        ("query A { issue(key: \"ENG-7\") { id } }", json!({}), "Unknown argument"),
        ("query A($id: String!) { issue(id: $id) { id } }", json!({}), "invalid value null"),
        ("query A($id: String!) { issue(id: $id) { id } }", json!({ "id": 7 }), "invalid value 7"),
        ("query A($id: ID!) { issue(id: $id) { id } }", json!({ "id": "ENG-7" }), "used in position expecting"),
        ("query A($id: String!) { viewer { id } }", json!({ "id": "a" }), "is never used"),
        ("query A { issue(id: $id) { id } }", json!({}), "is not defined"),
        (
            "query A { issues(filter: { identifier: { eq: \"ENG-7\" } }) { nodes { id } } }",
            json!({}),
            "is not defined by type \\\"IssueFilter\\\"",
        ),
        ("query A { issues(sort: [{ updatedAt: { order: Up } }]) { nodes { id } } }", json!({}), "Up is no"),
        (
            "mutation A($input: IssueUpdateInput!) { issueUpdate(id: \"ENG-7\", input: $input) { success } }",
            json!({ "input": { "status": "Done" } }),
            "\\\"status\\\" is not defined by type \\\"IssueUpdateInput\\\"",
        ),
        ("query A { viewer { id }", json!({}), "Syntax Error"),
        (
            "query A { teams { nodes { states(first: 250) { nodes { id name type position } } } } }",
            json!({}),
            "The query has 17550 points; the limit is 10000.",
        ),
        ("query A { issues(first: 251) { nodes { id } } }", json!({}), "first must not be greater than 250"),
        (
            "mutation A($input: CommentCreateInput!) { commentCreate(input: $input) { success } }",
            json!({ "input": { "id": "7", "issueId": "ENG-7", "body": "a" } }),
            "id must be a UUID",
        ),
    ] {
        let world = World::new(Kind::Linear).await;
        let (_, answer) =
            send(&world, Method::POST, "/graphql", json!({ "query": query, "variables": variables })).await;
        assert!(answer.to_string().contains(reason), "{reason}: {answer}");
        assert_eq!(answer["data"], Value::Null);
    }
}
