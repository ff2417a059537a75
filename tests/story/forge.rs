//! Access to the embedded forge: our token, Bitbucket's API, and linked tickets.

use super::Story;
use crate::prelude::*;

impl Story {
    pub(crate) fn forge_token(&self) -> String {
        let keys: Value = serde_json::from_slice(&std::fs::read(self.folder().join("keys.json")).unwrap()).unwrap();
        keys["forge_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn call_bitbucket(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.local.forge().bitbucket_api_url());
        let mut call = self.http.request(method, url).bearer_auth(token);
        if !body.is_null() {
            call = call.json(&body);
        }
        let answer = call.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) async fn link_pull_request(
        &self,
        id: PullRequestId,
        ticket: &str,
        repository: &str,
        (branch, head): (&str, &str),
    ) {
        let ticket: CreateTicket =
            serde_json::from_value(json!({ "project": self.project, "key": ticket, "title": "t" })).unwrap();
        self.api.create_ticket(&ticket, None).await.unwrap();
        let mut linked = PullRequest::new(id, self.project.clone(), ticket.key.clone(), None);
        (linked.branch, linked.head) = (branch.into(), head.into());
        linked.repository_name = Some(RepositoryName::new(repository).unwrap());
        assert_eq!(self.store().await.update_pull_request(&linked).await.unwrap(), Write::Applied);
    }
}
