//! The forge's answers, and the bodies of its webhooks.

use super::pulls::PullRequest;
use super::{Forge, Review, URL};
use crate::cloud::{Answer, Call};
use crate::prelude::*;
use pullyard_domain::review::pull_request::PullRequestState;

const REVIEWER: (u64, &str) = (7, "ben");

impl Forge {
    pub(crate) fn answer(&self, call: &Call) -> Answer {
        let (method, address) = call.operation.split_once(' ').unwrap_or_default();
        let path = address.strip_prefix(URL).unwrap_or_default().split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').skip(3).collect();
        let answer = match (method, segments.as_slice()) {
            ("GET", ["collaborators", _, "permission"]) => {
                json!({ "permission": "write", "role_name": "write", "user": { "id": REVIEWER.0 } })
            }
            ("GET", []) => json!({
                "id": 99, "full_name": "acme/app", "default_branch": "main",
                "clone_url": format!("{URL}/acme/app.git"),
            }),
            ("GET", ["pulls"]) => self.latest_first().map(|number| self.pull_request(number)).collect(),
            ("GET", ["pulls", pull]) => self.pull_request(number(pull)),
            ("GET", ["pulls", pull, "reviews"]) => {
                let pull = number(pull);
                self.reviews
                    .iter()
                    .filter(|review| review.pull == pull)
                    .map(|review| self.review_json(review))
                    .collect()
            }
            ("GET", ["pulls", _, "reviews", id]) => {
                let id = number(id);
                self.reviews.iter().find(|review| review.id == id).map(|review| self.review_json(review)).unwrap()
            }
            ("GET", ["pulls", _, "reviews", _, "comments"] | ["issues", _, "comments"]) => json!([]),
            ("POST", ["statuses", _]) => json!({}),
            _ => panic!("{method} {path} is not simulated"),
        };
        (200, answer.to_string())
    }

    fn pull_request(&self, number: u64) -> Value {
        let PullRequest { branch, updated_at: changed, state, .. } = self.pull(number).unwrap();
        let merged_at = (*state == PullRequestState::Merged).then(|| changed.to_string());
        let ours = json!({ "id": 99 });
        json!({
            "number": number,
            "html_url": format!("{URL}/acme/app/pull/{number}"),
            "title": format!("Pull request {number}"),
            "state": if *state == PullRequestState::Open { "open" } else { "closed" },
            "draft": false,
            "user": { "id": 1, "login": "pullyard-bot", "type": "User" },
            "updated_at": changed.to_string(),
            "merged": merged_at.is_some(),
            "merged_at": merged_at,
            "head": { "ref": branch, "sha": self.head(branch).unwrap().head, "repo": ours },
            "base": { "ref": "main", "sha": "0".repeat(40), "repo": ours },
        })
    }

    fn review_json(&self, review: &Review) -> Value {
        let Review { id, pull, at } = review;
        json!({
            "id": id,
            "state": "CHANGES_REQUESTED",
            "body": "Do it otherwise.",
            "commit_id": null,
            "submitted_at": at.to_string(),
            "html_url": format!("{URL}/acme/app/pull/{pull}#pullrequestreview-{id}"),
            "user": reviewer(),
            "author_association": "MEMBER",
        })
    }

    pub(super) fn review_webhook_body(&self) -> String {
        let review = self.reviews.last().unwrap();
        let mut review_json = self.review_json(review);
        // Webhooks use lower case.
        review_json["state"] = json!("changes_requested");
        let body = json!({
            "action": "submitted",
            "review": review_json,
            "pull_request": self.pull_request(review.pull),
            "repository": { "id": 99, "full_name": "acme/app" },
            "sender": reviewer(),
        });
        body.to_string()
    }

    pub(super) fn pull_request_webhook_body(&self, number: u64, action: &str) -> String {
        let body = json!({
            "action": action,
            "number": number,
            "pull_request": self.pull_request(number),
            "repository": { "id": 99, "full_name": "acme/app" },
            "sender": reviewer(),
        });
        body.to_string()
    }
}

fn reviewer() -> Value {
    json!({ "id": REVIEWER.0, "login": REVIEWER.1, "type": "User" })
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}
