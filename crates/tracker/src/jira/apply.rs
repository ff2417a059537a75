//! Shows a wanted state on a ticket.

use pullyard_outbound::Method;
use serde_json::{Value, json};

use super::{Jira, PAGE, adf};
use crate::client::{Steps, check_key, list, optional_list, status_id, text, unexpected};
use crate::{Applied, Desired, Error, Link, Step, within};

/// Entity property of a comment, with the id of its message.
const PROPERTY: &str = "pullyard";

impl Jira {
    /// The status comes last, because its transition may be impossible.
    pub async fn apply(&self, key: &str, desired: &Desired) -> Result<Applied, Error> {
        within(self.limit, self.apply_steps(key, desired)).await
    }

    async fn apply_steps(&self, key: &str, desired: &Desired) -> Result<Applied, Error> {
        let (shown, mut steps) = (self.read_fields(key).await?, Steps::default());
        if let Some(link) = &desired.link {
            steps.add("link", self.link(key, link).await)?;
        }
        steps.add("label", self.set_badge(key, optional_list(&shown, "/labels"), desired).await)?;
        if let Some(comment) = &desired.comment {
            steps.add("comment", self.comment(key, &desired.message, comment).await)?;
        }
        steps.end(match &desired.step {
            Some(step) => self.step(key, status_id(&shown, "/status/id")?, step).await,
            None => Ok(Applied::Shown),
        })
    }

    async fn read_fields(&self, key: &str) -> Result<Value, Error> {
        let mut issue = self.get(&["issue", key], &[("fields", "status,labels")]).await?;
        check_key(&text(&issue, "/key")?, key)?;
        Ok(issue["fields"].take())
    }

    async fn write(&self, method: Method, path: &[&str], body: &Value) -> Result<(), Error> {
        let path = [&["rest", "api", "3", "issue"], path].concat();
        self.call(method, &path, &[], &body.to_string()).await.map(drop)
    }

    /// Jira updates the link with the same `globalId`. Each write changes the time of the ticket's last change.
    /// Source: `GET /rest/api/3/issue/{issueIdOrKey}/remotelink`
    /// Source: `POST /rest/api/3/issue/{issueIdOrKey}/remotelink`
    async fn link(&self, key: &str, Link { url, title, .. }: &Link) -> Result<(), Error> {
        let links = self.get(&["issue", key, "remotelink"], &[]).await?;
        if list(&links, "")?.iter().any(|link| link["globalId"] == **url && link["object"]["title"] == **title) {
            return Ok(());
        }
        let body = json!({ "globalId": url, "object": { "url": url, "title": title } });
        self.write(Method::POST, &[key, "remotelink"], &body).await
    }

    /// Source: `PUT /rest/api/3/issue/{issueIdOrKey}`
    async fn set_badge(&self, key: &str, labels: &[Value], desired: &Desired) -> Result<(), Error> {
        let is_shown = |badge: &&String| labels.iter().any(|label| label == *badge);
        let added = desired.badge.iter().filter(|badge| !is_shown(badge)).map(|badge| json!({ "add": badge }));
        let others = desired.badges.iter().filter(|badge| Some(*badge) != desired.badge.as_ref());
        let removed = others.filter(is_shown).map(|badge| json!({ "remove": badge }));
        let changes = added.chain(removed).collect::<Vec<_>>();
        if changes.is_empty() {
            return Ok(());
        }
        self.write(Method::PUT, &[key], &json!({ "update": { "labels": changes } })).await
    }

    /// Only the list by ids is described to return properties, which identify our comments.
    /// Source: `GET /rest/api/3/issue/{issueIdOrKey}/comment`
    /// Source: `POST /rest/api/3/comment/list`
    /// Source: `POST /rest/api/3/issue/{issueIdOrKey}/comment`
    async fn comment(&self, key: &str, message: &str, text: &str) -> Result<(), Error> {
        let size = PAGE.to_string();
        let newest = self.get(&["issue", key, "comment"], &[("orderBy", "-created"), ("maxResults", &size)]).await?;
        let ids = list(&newest, "/comments")?.iter().map(|comment| comment["id"].as_str()?.parse::<u64>().ok());
        let ids = ids.collect::<Option<Vec<_>>>().ok_or_else(|| unexpected("a comment has no id"))?;
        let (path, body) = (["rest", "api", "3", "comment", "list"], json!({ "ids": ids }).to_string());
        let found = match ids.is_empty() {
            true => json!({ "values": [] }),
            false => self.call(Method::POST, &path, &[("expand", "properties")], &body).await?,
        };
        let mut properties = list(&found, "/values")?.iter().flat_map(|one| optional_list(one, "/properties"));
        if properties.any(|property| property["key"] == PROPERTY && property["value"]["message"] == message) {
            return Ok(());
        }
        let properties = json!([{ "key": PROPERTY, "value": { "message": message } }]);
        let body = json!({ "body": adf::from_text(text), "properties": properties });
        self.write(Method::POST, &[key, "comment"], &body).await
    }

    /// Tries each transition to the status: a screen may require a value that the ticket has, so only Jira knows. Jira may
    /// accept a transition that a rule of the workflow then leaves undone, so the status is read afterwards.
    /// Source: `GET /rest/api/3/issue/{issueIdOrKey}/transitions`
    /// Source: `POST /rest/api/3/issue/{issueIdOrKey}/transitions`
    async fn step(&self, key: &str, mut status: String, step: &Step) -> Result<Applied, Error> {
        let mut found = Value::Null;
        if status == step.expected {
            found = self.get(&["issue", key, "transitions"], &[]).await?;
            // Read again as late as possible: the transition would undo a person's move in the meantime.
            status = status_id(&self.read_fields(key).await?, "/status/id")?;
        }
        if status == step.to {
            return Ok(Applied::Shown);
        }
        if status != step.expected {
            return Ok(Applied::Moved { status });
        }
        let (mut refusal, mut is_undone) = (None, false);
        for transition in list(&found, "/transitions")?.iter().filter(|transition| transition["to"]["id"] == step.to) {
            let body = json!({ "transition": { "id": transition["id"] } });
            match self.write(Method::POST, &[key, "transitions"], &body).await {
                Err(error @ Error::TransitionRefused { .. }) => refusal = refusal.or(Some(error)),
                Err(error) => return Err(error),
                Ok(()) => match status_id(&self.read_fields(key).await?, "/status/id")? {
                    shown if shown == step.to => return Ok(Applied::Shown),
                    shown if shown == step.expected => is_undone = true,
                    status => return Ok(Applied::Moved { status }),
                },
            }
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let status = self.status_name(&step.to).await?;
        Err(if is_undone { Error::MoveUndone { status } } else { Error::StatusUnreachable { status } })
    }

    /// Source: `GET /rest/api/3/status/{idOrName}`
    async fn status_name(&self, status: &str) -> Result<String, Error> {
        match self.get(&["status", status], &[]).await {
            Ok(found) => Ok(text(&found, "/name").unwrap_or_else(|_| status.to_owned())),
            Err(Error::NotFound) => Err(Error::UnknownStatus { id: status.to_owned() }),
            Err(error) => Err(error),
        }
    }
}
