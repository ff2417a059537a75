//! Reads review threads and replies to them with GraphQL; the REST API has no threads.

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::{GitHub, client::RetryPolicy};
use crate::{Error, Listing, Thread, names::RepositoryName, page::MAX_PAGES};

const THREADS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) { \
    repository(owner: $owner, name: $name) { pullRequest(number: $number) { \
    reviewThreads(first: 100, after: $after) { pageInfo { hasNextPage endCursor } \
    nodes { id isResolved comments(first: 100) { nodes { fullDatabaseId } } } } } } }";

const REPLY: &str = "mutation($thread: ID!, $body: String!) { \
    addPullRequestReviewThreadReply(input: { pullRequestReviewThreadId: $thread, body: $body }) { \
    comment { fullDatabaseId } } }";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThreadNodes {
    page_info: PageInfo,
    nodes: Vec<Option<ThreadPart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThreadPart {
    id: String,
    is_resolved: bool,
    comments: CommentNodes,
}

#[derive(Deserialize)]
struct CommentNodes {
    nodes: Vec<Option<CommentPart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommentPart {
    #[serde(deserialize_with = "parse_database_id")]
    full_database_id: u64,
}

/// Parses a number in a string; the older `databaseId` has 32 bits and overflows.
fn parse_database_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let id = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    id.ok_or_else(|| de::Error::custom("an id is not a whole number"))
}

impl From<ThreadPart> for Thread {
    fn from(part: ThreadPart) -> Self {
        Self {
            id: part.id,
            resolved: part.is_resolved,
            comments: part.comments.nodes.into_iter().flatten().map(|comment| comment.full_database_id).collect(),
        }
    }
}

impl GitHub {
    /// Source: GraphQL `pullRequest.reviewThreads`.
    pub async fn threads(&self, full_name: &str, number: u64) -> Result<Listing<Thread>, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let subject = format!("the threads of pull request {number} of {full_name}");
        let missing =
            || Error::NotFound { resource: subject.clone(), message: "there is no such pull request".to_owned() };
        let mut all = Vec::new();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let variables = json!({ "owner": owner, "name": name, "number": number, "after": after });
            let answer: Value = self.client.graphql(THREADS, &variables, &subject, RetryPolicy::Retry).await?;
            let threads = answer.pointer("/repository/pullRequest/reviewThreads").ok_or_else(missing)?;
            let threads = ThreadNodes::deserialize(threads)
                .map_err(|_| self.client.unexpected_response("the threads have another form"))?;
            all.extend(threads.nodes.into_iter().flatten().map(Thread::from));
            after = threads.page_info.end_cursor.filter(|_| threads.page_info.has_next_page);
            if after.is_none() {
                return Ok(Listing { items: all, truncated: threads.page_info.has_next_page });
            }
        }
        Ok(Listing { items: all, truncated: true })
    }

    /// Source: GraphQL `addPullRequestReviewThreadReply`.
    pub async fn reply(&self, thread: &str, body: &str) -> Result<(), Error> {
        let variables = json!({ "thread": thread, "body": body });
        let answer: Value = self.client.graphql(REPLY, &variables, "the thread", RetryPolicy::Once).await?;
        match answer.pointer("/addPullRequestReviewThreadReply/comment") {
            Some(comment) if comment.is_object() => Ok(()),
            _ => Err(Error::Refused { reason: "the reply was not written; GitHub gave no reason".to_owned() }),
        }
    }
}
