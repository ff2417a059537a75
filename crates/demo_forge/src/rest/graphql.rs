//! The three GraphQL operations for review threads, which REST lacks. A failed field is null, with an error in a 200
//! answer.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State};
use serde_json::{Map, Value, json};

use super::{caller::Caller, fields::Fields, refusal::Refusal};
use crate::{
    access::{Actor, Allowed, Need, Role},
    answers, clock,
    forge::Shared,
    graphql::{self, Field},
    names,
    pulls::{self, Touched},
    record::{LineCommentRecord, PullRecord, ReviewState},
    replies,
    repositories::Entry,
    reviews,
};

const UNKNOWN_FIELD: &str = "UNKNOWN_FIELD";

struct Failure {
    kind: &'static str,
    message: String,
}

impl Failure {
    fn not_found(id: &str) -> Self {
        Self { kind: "NOT_FOUND", message: format!("Could not resolve to a node with the global id of '{id}'") }
    }

    fn forbidden(actor: &Actor, field: &str) -> Self {
        let message = match actor.may {
            crate::access::May::Granted(_) => "Resource not accessible by integration".to_owned(),
            _ => format!("{} does not have the correct permissions to execute `{field}`", actor.account.login),
        };
        Self { kind: "FORBIDDEN", message }
    }

    fn unprocessable(message: impl Into<String>) -> Self {
        Self { kind: "UNPROCESSABLE", message: message.into() }
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        tracing::warn!(error = %error, "a field was not answered: failed to {error}");
        Self { kind: "INTERNAL", message: "Something went wrong while executing your query.".to_owned() }
    }
}

pub(crate) async fn answer(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let actor = caller.actor()?;
    let fields = Fields::parse(&body)?;
    let query = fields.required("query")?;
    let variables = match fields.get("variables") {
        Some(Value::Object(variables)) => variables.clone(),
        _ => Map::new(),
    };
    let document = graphql::parse(&query, &variables).map_err(Refusal::unsupported)?;
    let known: &[&str] = if document.is_mutation {
        &["addPullRequestReviewThreadReply", "resolveReviewThread"]
    } else {
        &["repository", "node"]
    };
    if let Some(field) = document.fields.iter().find(|field| !known.contains(&field.name.as_str())) {
        return Err(Refusal::unsupported(format!("The demo forge does not know the field {:?}", field.name)));
    }
    let unknown = |name: String| Refusal::unsupported(format!("The demo forge does not know the field {name:?}"));
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for field in &document.fields {
        let outcome = match field.name.as_str() {
            "addPullRequestReviewThreadReply" => reply(&shared, &actor, field).await,
            "resolveReviewThread" => resolve(&shared, &actor, field).await,
            "repository" => repository(&shared, &actor, field).await,
            _ => node(&shared, &actor, field).await,
        };
        let shown = match outcome {
            Ok(found) => project(&found, &field.fields).map_err(unknown)?,
            Err(failure) if failure.kind == UNKNOWN_FIELD => return Err(unknown(failure.message)),
            Err(failure) => {
                let Failure { kind, message } = failure;
                let at = [json!({ "line": 1, "column": 1 })];
                errors.push(json!({ "type": kind, "path": [field.alias], "locations": at, "message": message }));
                Value::Null
            }
        };
        data.insert(field.alias.clone(), shown);
    }
    let mut answer = json!({ "data": data });
    if !errors.is_empty() {
        answer["errors"] = json!(errors);
    }
    Ok(Json(answer))
}

/// Refuses unknown fields before any change, as GitHub does.
fn answerable(shape: &Value, field: &Field) -> Result<(), Failure> {
    let unknown = |message| Failure { kind: UNKNOWN_FIELD, message };
    project(shape, &field.fields).map(drop).map_err(unknown)
}

fn project(value: &Value, fields: &[Field]) -> Result<Value, String> {
    if fields.is_empty() {
        return Ok(value.clone());
    }
    match value {
        Value::Array(list) => list.iter().map(|one| project(one, fields)).collect::<Result<_, _>>().map(Value::Array),
        Value::Object(there) => {
            let mut shown = Map::new();
            for field in fields {
                let found = there.get(&field.name).ok_or_else(|| field.name.clone())?;
                let paged = page(found, &field.arguments);
                shown.insert(field.alias.clone(), project(&paged, &field.fields)?);
            }
            Ok(Value::Object(shown))
        }
        other => Ok(other.clone()),
    }
}

fn page(found: &Value, arguments: &Map<String, Value>) -> Value {
    let Some(Value::Array(nodes)) = found.get("nodes") else { return found.clone() };
    let number =
        |name: &str| arguments.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    let after = arguments.get("after").and_then(Value::as_str);
    let mut start = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0).min(nodes.len());
    let mut end = number("first").map_or(nodes.len(), |first| start.saturating_add(first.min(100))).min(nodes.len());
    if let (Some(last), None) = (number("last"), number("first")) {
        start = nodes.len().saturating_sub(last.min(100));
        end = nodes.len();
    }
    let shown = nodes.get(start..end).unwrap_or_default();
    let edges: Vec<Value> = shown
        .iter()
        .enumerate()
        .map(|(at, node)| json!({ "cursor": (start + at + 1).to_string(), "node": node }))
        .collect();
    json!({
        "__typename": "Connection",
        "nodes": shown,
        "edges": edges,
        "totalCount": nodes.len(),
        "pageInfo": {
            "hasNextPage": end < nodes.len(),
            "hasPreviousPage": start > 0,
            "endCursor": (end > start).then(|| end.to_string()),
            "startCursor": (end > start).then(|| (start + 1).to_string()),
        },
    })
}

fn actor_node(shared: &Shared, account: &crate::users::Account) -> Value {
    let shown = answers::account(shared, account);
    json!({
        "__typename": shown["type"], "login": shown["login"], "url": shown["html_url"], "databaseId": shown["id"],
        "id": shown["node_id"], "avatarUrl": shown["avatar_url"],
    })
}

fn comment_node(shared: &Shared, entry: &Entry, pull: &PullRecord, comment: &LineCommentRecord) -> Value {
    let shown = answers::line_comment(shared, entry, pull.number, comment);
    let review = pull.reviews.iter().find(|review| review.id == comment.review);
    json!({
        "__typename": "PullRequestReviewComment",
        "id": shown["node_id"],
        "databaseId": comment.id,
        // `databaseId` is too small for today's ids.
        "fullDatabaseId": comment.id.to_string(),
        "author": actor_node(shared, &comment.author),
        "body": comment.body,
        "path": comment.path,
        "line": comment.line,
        "originalLine": comment.original_line,
        "startLine": comment.start_line,
        "originalStartLine": comment.original_start_line,
        "outdated": comment.line.is_none(),
        "diffHunk": comment.diff_hunk,
        "url": shown["html_url"],
        "createdAt": clock::second_of(&comment.created_at),
        "updatedAt": clock::second_of(&comment.updated_at),
        "replyTo": comment.in_reply_to.map(|id| json!({ "id": format!("PRRC_{id}"), "databaseId": id, "fullDatabaseId": id.to_string() })),
        "pullRequestReview": review.map(|review| json!({ "id": format!("PRR_{}", review.id), "databaseId": review.id, "fullDatabaseId": review.id.to_string() })),
    })
}

fn thread_node(shared: &Shared, entry: &Entry, pull: &PullRecord, first: &LineCommentRecord) -> Value {
    let of_thread = pull.comments.iter().filter(|comment| comment.thread() == first.id);
    let comments: Vec<Value> = of_thread.map(|comment| comment_node(shared, entry, pull, comment)).collect();
    json!({
        "__typename": "PullRequestReviewThread",
        "id": format!("PRRT_{}", first.id),
        "isResolved": pull.resolved.contains_key(&first.id),
        "resolvedBy": pull.resolved.get(&first.id).map(|account| actor_node(shared, account)),
        "isOutdated": first.line.is_none(),
        "isCollapsed": pull.resolved.contains_key(&first.id),
        "path": first.path,
        "line": first.line,
        "originalLine": first.original_line,
        "startLine": first.start_line,
        "originalStartLine": first.original_start_line,
        "diffSide": first.side.name(),
        "subjectType": "LINE",
        "viewerCanReply": true,
        "viewerCanResolve": true,
        "comments": { "nodes": comments },
    })
}

fn pull_node(shared: &Shared, entry: &Entry, pull: &PullRecord) -> Value {
    let pending = |comment: &LineCommentRecord| {
        pull.reviews.iter().any(|review| review.id == comment.review && review.state == ReviewState::Pending)
    };
    let firsts = pull.comments.iter().filter(|comment| comment.in_reply_to.is_none() && !pending(comment));
    let threads: Vec<Value> = firsts.map(|first| thread_node(shared, entry, pull, first)).collect();
    json!({
        "__typename": "PullRequest",
        "id": format!("PR_{}", pull.id),
        "databaseId": pull.id,
        "fullDatabaseId": pull.id.to_string(),
        "number": pull.number,
        "title": pull.title,
        "url": format!("{}/{}/pull/{}", shared.url, entry.full_name(), pull.number),
        "isDraft": pull.draft,
        "headRefName": pull.head,
        "baseRefName": pull.base,
        "reviewThreads": { "nodes": threads },
    })
}

async fn repository(shared: &Shared, actor: &Actor, field: &Field) -> Result<Value, Failure> {
    let text = |name: &str| field.arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let (owner, name) = (text("owner"), text("name"));
    let hidden = || Failure {
        kind: "NOT_FOUND",
        message: format!("Could not resolve to a Repository with the name '{owner}/{name}'."),
    };
    // GitHub follows renames here by default.
    let entry = match shared.repositories.find(owner, name).await {
        Some(entry) => Some(entry),
        None => {
            let key = names::lookup_key(owner, name);
            let moved = shared.state.read(|state| state.moved.get(&key).copied()).await;
            shared.repositories.by_id(moved.unwrap_or(0)).await
        }
    };
    let entry = entry.ok_or_else(hidden)?;
    match actor.may(&entry, Need::PULLS_READ).await {
        Allowed::Yes => {}
        Allowed::No => return Err(Failure::forbidden(actor, "repository")),
        Allowed::Hidden => return Err(hidden()),
    }
    let mut answer = json!({
        "__typename": "Repository", "id": format!("R_{}", entry.id), "databaseId": entry.id,
        "name": entry.name(), "nameWithOwner": entry.full_name(),
    });
    if let Some(asked) = field.fields.iter().find(|field| field.name == "pullRequest") {
        let number = asked.arguments.get("number").and_then(Value::as_u64).unwrap_or(0);
        let record = entry.record.lock().await.pulls.iter().find(|pull| pull.number == number).cloned();
        let message = format!("Could not resolve to a PullRequest with the number of {number}.");
        let record = record.ok_or(Failure { kind: "NOT_FOUND", message })?;
        answer["pullRequest"] = pull_node(shared, &entry, &record);
    }
    Ok(answer)
}

async fn node(shared: &Shared, actor: &Actor, field: &Field) -> Result<Value, Failure> {
    let id = field.arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    if let Some(number) = id.strip_prefix("PR_").and_then(|number| number.parse::<u64>().ok()) {
        for entry in shared.repositories.all().await {
            let record = entry.record.lock().await.pulls.iter().find(|pull| pull.id == number).cloned();
            if let Some(record) = record
                && actor.may(&entry, Need::PULLS_READ).await == Allowed::Yes
            {
                return Ok(pull_node(shared, &entry, &record));
            }
        }
        return Err(Failure::not_found(id));
    }
    let (entry, record, first) = thread(shared, actor, id).await?;
    Ok(thread_node(shared, &entry, &record, &first))
}

async fn thread(
    shared: &Shared,
    actor: &Actor,
    id: &str,
) -> Result<(Arc<Entry>, PullRecord, LineCommentRecord), Failure> {
    let number: Option<u64> = id.strip_prefix("PRRT_").and_then(|number| number.parse().ok());
    for entry in shared.repositories.all().await {
        let pulls = entry.record.lock().await.pulls.clone();
        for pull in pulls {
            let first =
                pull.comments.iter().find(|comment| Some(comment.id) == number && comment.in_reply_to.is_none());
            if let Some(first) = first.cloned()
                && actor.may(&entry, Need::PULLS_READ).await == Allowed::Yes
            {
                return Ok((entry, pull, first));
            }
        }
    }
    Err(Failure::not_found(id))
}

fn input<'a>(field: &'a Field, name: &str) -> Option<&'a str> {
    field.arguments.get("input")?.get(name)?.as_str()
}

async fn reply(shared: &Arc<Shared>, actor: &Actor, field: &Field) -> Result<Value, Failure> {
    let id = input(field, "pullRequestReviewThreadId").unwrap_or_default();
    let body = input(field, "body").unwrap_or_default();
    let (entry, pull, first) = thread(shared, actor, id).await?;
    if actor.may(&entry, Need::PULLS_WRITE).await != Allowed::Yes {
        return Err(Failure::forbidden(actor, "AddPullRequestReviewThreadReply"));
    }
    if body.trim().is_empty() {
        return Err(Failure::unprocessable("Body can't be blank"));
    }
    let payload = |comment: Value| {
        json!({
            "__typename": "AddPullRequestReviewThreadReplyPayload",
            "clientMutationId": input(field, "clientMutationId"),
            "comment": comment,
        })
    };
    answerable(&payload(comment_node(shared, &entry, &pull, &first)), field)?;
    let replied = replies::in_thread(shared, &entry, actor, (pull.number, first.id), body.to_owned()).await;
    let (comment, pull) = replied.map_err(|objection| match objection {
        reviews::Objection::Unprocessable(words) => Failure::unprocessable(words),
        reviews::Objection::Forbidden(words) => Failure { kind: "FORBIDDEN", message: words.to_owned() },
        reviews::Objection::NotFound => Failure::not_found(id),
        reviews::Objection::Broken(error) => error.into(),
    })?;
    Ok(payload(comment_node(shared, &entry, &pull.record, &comment)))
}

/// GitHub requires permission to write contents as well.
async fn resolve(shared: &Arc<Shared>, actor: &Actor, field: &Field) -> Result<Value, Failure> {
    let id = input(field, "threadId").unwrap_or_default();
    let (entry, pull, first) = thread(shared, actor, id).await?;
    let needs = [Need { role: Role::Write, ..Need::PULLS_WRITE }, Need::CONTENTS_WRITE];
    let mut allowed = true;
    for need in needs {
        allowed &= actor.may(&entry, need).await == Allowed::Yes;
    }
    // A pull request's author may resolve its threads without the right to push.
    let is_author = pull.author_id == actor.account.id && matches!(actor.may, crate::access::May::ByRole);
    if !allowed && !is_author {
        return Err(Failure::forbidden(actor, "ResolveReviewThread"));
    }
    let payload = |thread: Value| {
        json!({
            "__typename": "ResolveReviewThreadPayload",
            "clientMutationId": input(field, "clientMutationId"),
            "thread": thread,
        })
    };
    answerable(&payload(thread_node(shared, &entry, &pull, &first)), field)?;
    let changed = pulls::touch(shared, &entry, pull.number, |pull| {
        pull.resolved.entry(first.id).or_insert_with(|| actor.account.clone());
        Ok::<_, Failure>(())
    });
    let Touched::Done((), pull) = changed.await? else { return Err(Failure::not_found(id)) };
    let first =
        pull.record.comments.iter().find(|comment| comment.id == first.id).ok_or_else(|| Failure::not_found(id))?;
    Ok(payload(thread_node(shared, &entry, &pull.record, first)))
}
