//! GraphQL for review threads, which REST lacks: the threads of a pull request, and a reply.
//! An operation is recognised by the name of its field; its variables have fixed names, and the answer contains each
//! field that our client reads. A failed operation is null, with an error in a 200 answer.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{body, caller::Caller, refusal::ApiError};
use crate::{
    access::{AccessDecision, Actor, Authority, Requirement},
    forge_state::Shared,
    record::{LineCommentRecord, PullRecord},
    replies,
    repositories::RepositoryEntry,
    reviews::Rejection,
};

const PAGE: usize = 100;

struct FieldError {
    kind: &'static str,
    message: String,
}

impl FieldError {
    fn not_found(id: &str) -> Self {
        Self { kind: "NOT_FOUND", message: format!("Could not resolve to a node with the global id of '{id}'") }
    }

    fn forbidden(actor: &Actor, field: &str) -> Self {
        let message = match actor.authority {
            Authority::App(_) => "Resource not accessible by integration".to_owned(),
            _ => format!("{} does not have the correct permissions to execute `{field}`", actor.account.login),
        };
        Self { kind: "FORBIDDEN", message }
    }
}

impl From<crate::Error> for FieldError {
    fn from(error: crate::Error) -> Self {
        tracing::warn!(error = %error, "GraphQL operation failed");
        Self { kind: "INTERNAL", message: "Something went wrong while executing your query.".to_owned() }
    }
}

#[derive(Deserialize)]
struct Query {
    query: String,
    variables: Option<Map<String, Value>>,
}

pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let actor = caller.actor()?;
    let Query { query, variables } = body::parse(&body)?;
    let variables = variables.unwrap_or_default();
    let (field, outcome) = if query.contains("addPullRequestReviewThreadReply(") {
        ("addPullRequestReviewThreadReply", reply(&shared, &actor, &variables).await)
    } else if query.contains("reviewThreads(") {
        ("repository", threads(&shared, &actor, &variables).await)
    } else {
        let names = "reviewThreads and addPullRequestReviewThreadReply";
        return Err(ApiError::unsupported(format!("The local forge knows the GraphQL fields {names} only")));
    };
    Ok(Json(match outcome {
        Ok(data) => json!({ "data": { field: data } }),
        Err(FieldError { kind, message }) => json!({
            "data": { field: null },
            "errors": [{
                "type": kind, "path": [field], "locations": [{ "line": 1, "column": 1 }], "message": message,
            }],
        }),
    }))
}

fn text<'a>(variables: &'a Map<String, Value>, name: &str) -> &'a str {
    variables.get(name).and_then(Value::as_str).unwrap_or_default()
}

async fn threads(shared: &Shared, actor: &Actor, variables: &Map<String, Value>) -> Result<Value, FieldError> {
    let (owner, name) = (text(variables, "owner"), text(variables, "name"));
    let hidden = || FieldError {
        kind: "NOT_FOUND",
        message: format!("Could not resolve to a Repository with the name '{owner}/{name}'."),
    };
    let entry = shared.repositories.find(owner, name).await.ok_or_else(hidden)?;
    match actor.check(&entry, Requirement::PULLS_READ).await {
        AccessDecision::Yes => {}
        AccessDecision::No => return Err(FieldError::forbidden(actor, "repository")),
        AccessDecision::Hidden => return Err(hidden()),
    }
    let number = variables.get("number").and_then(Value::as_u64).unwrap_or(0);
    let pull = entry.record.lock().await.pulls.iter().find(|pull| pull.number == number).cloned();
    let message = format!("Could not resolve to a PullRequest with the number of {number}.");
    let pull = pull.ok_or(FieldError { kind: "NOT_FOUND", message })?;
    let thread_starts = pull.comments.iter().filter(|comment| comment.in_reply_to.is_none());
    let all = thread_starts.map(|first| thread_node(&pull, first)).collect();
    Ok(json!({ "pullRequest": { "reviewThreads": page(all, text(variables, "after")) } }))
}

/// The page after a cursor, which is the number of the last node that was returned.
fn page(nodes: Vec<Value>, after: &str) -> Value {
    let start = after.parse().unwrap_or(0);
    let end = nodes.len().min(start + PAGE);
    json!({
        "pageInfo": { "hasNextPage": end < nodes.len(), "endCursor": (end > start).then(|| end.to_string()) },
        "nodes": nodes.get(start..end).unwrap_or_default(),
    })
}

fn comment_node(comment: &LineCommentRecord) -> Value {
    json!({ "fullDatabaseId": comment.id.to_string() })
}

fn thread_node(pull: &PullRecord, first: &LineCommentRecord) -> Value {
    let comments = pull.comments.iter().filter(|comment| comment.thread() == first.id);
    json!({
        "id": format!("PRRT_{}", first.id), "isResolved": false,
        "comments": page(comments.map(comment_node).collect(), ""),
    })
}

async fn find_thread(
    shared: &Shared,
    actor: &Actor,
    id: &str,
) -> Result<(Arc<RepositoryEntry>, PullRecord, LineCommentRecord), FieldError> {
    let number: Option<u64> = id.strip_prefix("PRRT_").and_then(|number| number.parse().ok());
    for entry in shared.repositories.list().await {
        let pulls = entry.record.lock().await.pulls.clone();
        for pull in pulls {
            let first =
                pull.comments.iter().find(|comment| Some(comment.id) == number && comment.in_reply_to.is_none());
            if let Some(first) = first.cloned()
                && actor.check(&entry, Requirement::PULLS_READ).await == AccessDecision::Yes
            {
                return Ok((entry, pull, first));
            }
        }
    }
    Err(FieldError::not_found(id))
}

async fn reply(shared: &Arc<Shared>, actor: &Actor, variables: &Map<String, Value>) -> Result<Value, FieldError> {
    let (id, body) = (text(variables, "thread"), text(variables, "body"));
    let (entry, pull, first) = find_thread(shared, actor, id).await?;
    if actor.check(&entry, Requirement::PULLS_WRITE).await != AccessDecision::Yes {
        return Err(FieldError::forbidden(actor, "AddPullRequestReviewThreadReply"));
    }
    if body.trim().is_empty() {
        return Err(FieldError { kind: "UNPROCESSABLE", message: "Body can't be blank".to_owned() });
    }
    let result = replies::create_reply(shared, &entry, actor, (pull.number, first.id, None), body.to_owned()).await;
    let (comment, _) = result.map_err(|objection| match objection {
        Rejection::Unprocessable(message) => FieldError { kind: "UNPROCESSABLE", message },
        Rejection::Forbidden(message) => FieldError { kind: "FORBIDDEN", message: message.to_owned() },
        Rejection::NotFound => FieldError::not_found(id),
        Rejection::Internal(error) => error.into(),
    })?;
    Ok(json!({ "comment": comment_node(&comment) }))
}
