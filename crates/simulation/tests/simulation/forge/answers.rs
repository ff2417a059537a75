//! What the forge answers about pull requests and their reviews, and what its deliveries say of them.

use super::{Forge, Review, URL};
use crate::cloud::{Answer, Call};
use serde_json::{Value, json};

/// Who reviews.
const REVIEWER: (u64, &str) = (7, "ben");

impl Forge {
    /// Does what a call asks, whose operation is its method and its address.
    pub(crate) fn answer(&self, call: &Call) -> Answer {
        let (method, address) = call.operation.split_once(' ').unwrap_or_default();
        let path = address.strip_prefix(URL).unwrap_or_default().split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').skip(3).collect();
        let answer = match (method, segments.as_slice()) {
            ("GET", ["collaborators", _, "permission"]) => {
                json!({ "permission": "write", "role_name": "write", "user": { "id": REVIEWER.0 } })
            }
            // All of them are open, and have changed at some time.
            ("GET", ["pulls"]) => (1..=self.pulls.len() as u64).map(|pull| self.pull_request(pull)).collect(),
            ("GET", ["pulls", pull]) => self.pull_request(number(pull)),
            ("GET", ["pulls", pull, "reviews"]) => {
                let pull = number(pull);
                self.reviews.iter().filter(|review| review.pull == pull).map(|review| self.shown(review)).collect()
            }
            ("GET", ["pulls", _, "reviews", id]) => {
                let id = number(id);
                self.reviews.iter().find(|review| review.id == id).map(|review| self.shown(review)).unwrap()
            }
            ("GET", ["pulls", _, "reviews", _, "comments"]) => json!([]),
            ("POST", ["statuses", _]) => json!({}),
            _ => panic!("{method} {path} is not simulated"),
        };
        (200, answer.to_string())
    }

    fn pull_request(&self, number: u64) -> Value {
        let branch = self.branch_of(number).unwrap();
        let ours = json!({ "id": 99 });
        json!({
            "number": number,
            "html_url": format!("{URL}/acme/app/pull/{number}"),
            "title": format!("Pull request {number}"),
            "state": "open",
            "draft": false,
            "user": { "id": 1, "login": "pullyard-bot", "type": "User" },
            "updated_at": self.changed.get(branch).unwrap().to_string(),
            "merged_at": null,
            "head": { "ref": branch, "sha": self.head(branch).unwrap().head, "repo": ours },
            "base": { "ref": "main", "sha": "0".repeat(40), "repo": ours },
        })
    }

    fn shown(&self, review: &Review) -> Value {
        let Review { id, pull, at, .. } = review;
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

    /// What a delivery says of a review.
    pub(super) fn delivery(&self, review: &Review) -> String {
        let mut shown = self.shown(review);
        // As deliveries write it.
        shown["state"] = json!("changes_requested");
        let body = json!({
            "action": "submitted",
            "review": shown,
            "pull_request": self.pull_request(review.pull),
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
