//! Reads issues as tickets, and changes their labels and their state.

use reqwest::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{GitHub, client::RetryPolicy, comments::CommentResponse, pages};
use crate::{Actor, Comment, Error, Listing, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub url: String,
    pub labels: Vec<String>,
    pub is_open: bool,
    pub created_at: Time,
    pub author: Option<Actor>,
}

/// A change of an issue's labels or state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueChange {
    pub id: u64,
    pub kind: IssueChangeKind,
    pub at: Time,
    pub actor: Option<Actor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueChangeKind {
    Labeled { label: String },
    Unlabeled { label: String },
    Closed,
    Reopened,
}

/// A new or edited comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedComment {
    /// The number of its issue; `None` for a comment on a pull request.
    pub issue: Option<u64>,
    pub updated_at: Time,
    pub comment: Comment,
}

#[derive(Deserialize)]
struct ChangedCommentResponse {
    #[serde(flatten)]
    comment: CommentResponse,
    updated_at: Time,
    html_url: String,
}

impl From<ChangedCommentResponse> for ChangedComment {
    fn from(answer: ChangedCommentResponse) -> Self {
        // `https://github.com/OWNER/NAME/issues/12#issuecomment-345`, or `pull` in place of `issues`.
        let path = answer.html_url.split('#').next().unwrap_or_default();
        let mut parts = path.rsplit('/');
        let (number, kind) = (parts.next().and_then(|number| number.parse().ok()), parts.next());
        let issue = number.filter(|_| kind == Some("issues"));
        Self { issue, updated_at: answer.updated_at, comment: answer.comment.into() }
    }
}

#[derive(Deserialize)]
struct LabelResponse {
    name: String,
}

#[derive(Deserialize)]
struct IssueResponse {
    number: u64,
    title: String,
    body: Option<String>,
    html_url: String,
    labels: Vec<LabelResponse>,
    state: String,
    created_at: Time,
    user: Option<Actor>,
    pull_request: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct EventResponse {
    id: u64,
    event: String,
    created_at: Time,
    actor: Option<Actor>,
    label: Option<LabelResponse>,
}

impl EventResponse {
    fn into_change(self) -> Option<IssueChange> {
        let kind = match (self.event.as_str(), self.label) {
            ("labeled", Some(LabelResponse { name })) => IssueChangeKind::Labeled { label: name },
            ("unlabeled", Some(LabelResponse { name })) => IssueChangeKind::Unlabeled { label: name },
            ("closed", _) => IssueChangeKind::Closed,
            ("reopened", _) => IssueChangeKind::Reopened,
            _ => return None,
        };
        Some(IssueChange { id: self.id, kind, at: self.created_at, actor: self.actor })
    }
}

impl GitHub {
    /// Errors: `NotFound` also for a pull request.
    /// Source: `GET /repos/{owner}/{repo}/issues/{issue_number}`.
    pub async fn issue(&self, full_name: &str, number: u64) -> Result<Issue, Error> {
        let subject = format!("issue {number} of {full_name}");
        let address = self.url(full_name, &["issues", &number.to_string()])?;
        let answer: IssueResponse = self.client.get(address, &subject, RetryPolicy::Retry).await?;
        if answer.pull_request.is_some() {
            return Err(Error::NotFound { resource: subject, message: "it is a pull request".into() });
        }
        Ok(Issue {
            number: answer.number,
            title: answer.title,
            body: answer.body.unwrap_or_default(),
            url: answer.html_url,
            labels: answer.labels.into_iter().map(|label| label.name).collect(),
            is_open: answer.state == "open",
            created_at: answer.created_at,
            author: answer.user,
        })
    }

    /// The changes of labels and state, oldest first.
    /// Source: `GET /repos/{owner}/{repo}/issues/{issue_number}/events`.
    pub async fn issue_changes(&self, full_name: &str, number: u64) -> Result<Listing<IssueChange>, Error> {
        let address = self.url(full_name, &["issues", &number.to_string(), "events"])?;
        let subject = format!("the events of issue {number} of {full_name}");
        let events: Listing<EventResponse> = self.client.list(address, &subject).await?;
        Ok(events.filter_map(EventResponse::into_change))
    }

    /// The numbers of issues that changed since then, newest first, at most 100.
    /// Source: `GET /repos/{owner}/{repo}/issues`.
    pub async fn changed_issues(&self, full_name: &str, since: &str) -> Result<Vec<u64>, Error> {
        #[derive(Deserialize)]
        struct Entry {
            number: u64,
            pull_request: Option<IgnoredAny>,
        }
        let mut address = self.url(full_name, &["issues"])?;
        let filter = [("state", "all"), ("sort", "updated"), ("since", since), ("per_page", "100")];
        address.query_pairs_mut().extend_pairs(filter);
        let entries: Vec<Entry> = self.client.get(address, full_name, RetryPolicy::Retry).await?;
        Ok(entries.into_iter().filter(|entry| entry.pull_request.is_none()).map(|entry| entry.number).collect())
    }

    /// Comments that changed since then, the oldest change first, at most 100. `truncated`: there are more.
    /// Source: `GET /repos/{owner}/{repo}/issues/comments`.
    pub async fn changed_comments(&self, full_name: &str, since: &str) -> Result<Listing<ChangedComment>, Error> {
        let mut address = self.url(full_name, &["issues", "comments"])?;
        let filter = [("sort", "updated"), ("direction", "asc"), ("since", since), ("per_page", pages::PER_PAGE)];
        address.query_pairs_mut().extend_pairs(filter);
        let subject = format!("the comments of {full_name}");
        let (items, truncated): (Vec<ChangedCommentResponse>, _) = self.client.get_page(&address, &subject).await?;
        Ok(Listing { items: items.into_iter().map(ChangedComment::from).collect(), truncated })
    }

    /// Creates a label that the repository lacks. Idempotent.
    /// Source: `POST /repos/{owner}/{repo}/issues/{issue_number}/labels`.
    pub async fn add_label(&self, full_name: &str, number: u64, label: &str) -> Result<(), Error> {
        let address = self.url(full_name, &["issues", &number.to_string(), "labels"])?;
        let subject = format!("issue {number} of {full_name}");
        let body = json!({ "labels": [label] });
        self.client.send::<IgnoredAny>(Method::POST, address, &subject, &body, RetryPolicy::Retry).await.map(drop)
    }

    /// Idempotent: a missing label is no error.
    /// Source: `DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}`.
    pub async fn remove_label(&self, full_name: &str, number: u64, label: &str) -> Result<(), Error> {
        let address = self.url(full_name, &["issues", &number.to_string(), "labels", label])?;
        self.client.delete(address, &format!("issue {number} of {full_name}")).await
    }

    /// Idempotent.
    /// Source: `PATCH /repos/{owner}/{repo}/issues/{issue_number}`.
    pub async fn set_issue_open(&self, full_name: &str, number: u64, is_open: bool) -> Result<(), Error> {
        let address = self.url(full_name, &["issues", &number.to_string()])?;
        let subject = format!("issue {number} of {full_name}");
        let body = json!({ "state": if is_open { "open" } else { "closed" } });
        self.client.send::<IgnoredAny>(Method::PATCH, address, &subject, &body, RetryPolicy::Retry).await.map(drop)
    }
}
