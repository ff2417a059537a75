//! The forge's answers and webhooks on Bitbucket, where a verdict has no text and no id.

use super::pulls::Pull;
use super::{Forge, Review, URL};
use pullyard_domain::pull_request::PullRequestState;
use pullyard_forge::webhook::{Event, Language, parse};
use serde_json::{Value, json};

pub(super) const ASKED: &str = "pullrequest:changes_request_created";

const REPOSITORY: &str = "{1fef5fec-1660-40e2-ac86-735082b94b74}";

/// Our id of the repository.
pub(crate) const REPOSITORY_ID: u64 = 5_113_867_703_429_015;

/// The length of a shortened commit id. Units: characters.
const SHORT: usize = 12;

impl Forge {
    /// Answers a call about the repository, by the rest of its path, or about permissions.
    pub(super) fn answer_on_bitbucket(&self, method: &str, segments: &[&str]) -> Value {
        match (method, segments) {
            ("GET", ["repositories", "app"]) => {
                let may_write = |review: &Review| json!({ "permission": "write", "user": reviewer(review) });
                page(self.reviews.iter().map(may_write).collect())
            }
            ("GET", ["pullrequests"]) => {
                page(self.latest_first().map(|number| self.pull_on_bitbucket(number)).collect())
            }
            ("GET", ["pullrequests", pull]) => self.pull_on_bitbucket(super::answers::number(pull)),
            // Newest first.
            ("GET", ["pullrequests", pull, "activity"]) => {
                let told = |review: &Review| json!({ "changes_requested": request(review) });
                let mut all: Vec<Value> = self.reviews_of(super::answers::number(pull)).map(told).collect();
                all.reverse();
                page(all)
            }
            ("GET", ["pullrequests", pull, "comments"]) => {
                page(self.reviews_of(super::answers::number(pull)).map(comment).collect())
            }
            ("GET", ["commit", short]) => {
                let mut all = self.branches.values().flatten();
                let commit = all.find(|commit| commit.head.starts_with(*short)).unwrap();
                json!({ "hash": commit.head })
            }
            ("POST", ["commit", _, "statuses", "build"]) => json!({}),
            _ => panic!("{method} {segments:?} is not simulated on Bitbucket"),
        }
    }

    fn reviews_of(&self, pull: u64) -> impl Iterator<Item = &Review> {
        self.reviews.iter().filter(move |review| review.pull == pull)
    }

    fn pull_on_bitbucket(&self, number: u64) -> Value {
        let Pull { branch, changed, state, .. } = self.pull(number).unwrap();
        let short: String = self.head(branch).unwrap().head.chars().take(SHORT).collect();
        let asks = |review: &Review| {
            json!({
                "user": reviewer(review), "role": "PARTICIPANT", "approved": false, "state": "changes_requested",
                "participated_on": review.at.to_string(),
            })
        };
        json!({
            "type": "pullrequest",
            "id": number,
            "title": format!("Pull request {number}"),
            "state": match state {
                PullRequestState::Open => "OPEN",
                PullRequestState::Closed => "DECLINED",
                PullRequestState::Merged => "MERGED",
            },
            "draft": false,
            "author": { "uuid": uuid(1), "nickname": "pullyard-bot", "type": "user" },
            "updated_on": changed.to_string(),
            "source": { "branch": { "name": branch }, "commit": { "hash": short }, "repository": repository() },
            "destination": {
                "branch": { "name": "main" }, "commit": { "hash": "0".repeat(SHORT) }, "repository": repository(),
            },
            "reviewers": [],
            "participants": self.reviews_of(number).map(asks).collect::<Vec<_>>(),
            "links": { "html": { "href": format!("{URL}/acme/app/pull/{number}") } },
        })
    }

    /// The webhook body for the newest request for changes.
    pub(super) fn delivery_of_request(&self) -> String {
        let review = self.reviews.last().unwrap();
        let body = json!({
            "repository": repository(),
            "actor": reviewer(review),
            "pullrequest": self.pull_on_bitbucket(review.pull),
            "changes_request": request(review),
        });
        body.to_string()
    }

    /// The event and the body of the webhook for a merged or declined pull request.
    pub(super) fn delivery_of_end(&self, number: u64) -> (&'static str, String) {
        let event = match self.pull(number).unwrap().state {
            PullRequestState::Merged => "pullrequest:fulfilled",
            PullRequestState::Open | PullRequestState::Closed => "pullrequest:rejected",
        };
        let body = json!({
            "repository": repository(),
            "actor": { "uuid": uuid(2), "nickname": "cleo", "type": "user" },
            "pullrequest": self.pull_on_bitbucket(number),
        });
        (event, body.to_string())
    }
}

/// Our id of a request for changes, derived from its user and time.
pub(super) fn id_in(delivery: &str) -> u64 {
    match parse(Language::Bitbucket, ASKED, delivery.as_bytes()) {
        Ok(Event::Review(told)) => told.review.id,
        other => panic!("the webhook has no request for changes: {other:?}"),
    }
}

fn page(values: Vec<Value>) -> Value {
    json!({ "values": values })
}

fn uuid(number: u64) -> String {
    format!("{{00000000-0000-4000-8000-{number:012}}}")
}

fn repository() -> Value {
    json!({ "uuid": REPOSITORY, "full_name": "acme/app" })
}

/// One reviewer for each request, because a second request of a reviewer replaces the first.
fn reviewer(review: &Review) -> Value {
    json!({ "uuid": uuid(review.nth), "nickname": format!("reviewer-{}", review.nth), "type": "user" })
}

fn request(review: &Review) -> Value {
    json!({ "date": review.at.to_string(), "user": reviewer(review) })
}

fn comment(review: &Review) -> Value {
    json!({
        "id": review.nth,
        "created_on": review.at.to_string(),
        "updated_on": review.at.to_string(),
        "content": { "raw": "Do it otherwise." },
        "user": reviewer(review),
    })
}
