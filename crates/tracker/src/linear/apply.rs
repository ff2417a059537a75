//! Shows a wanted state on a ticket.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Linear;
use super::graphql::Failure;
use crate::client::{Steps, check_key, is_url, list, status_id, text};
use crate::{Applied, Desired, Error, Link, Step, within};

const TICKET: &str = "query Ticket($id: String!, $url: String!, $comment: ID!, $badge: String!) {
    issue(id: $id) {
        id identifier trashed state { id } team { id } labels(first: 50) { nodes { id name } }
        attachments(first: 1, filter: { url: { eq: $url } }) { nodes { title } }
        comments(first: 1, filter: { id: { eq: $comment } }) { nodes { id } }
    }
    issueLabels(first: 50, filter: { name: { eqIgnoreCase: $badge } }) { nodes { id team { id } } }
}";

const STATES: &str = "query StatesOfTicket($id: String!) {
    issue(id: $id) { team { states(first: 100) { nodes { id name } } } }
}";

const CREATE_LABEL: &str = "mutation CreateLabel($input: IssueLabelCreateInput!) {
    issueLabelCreate(input: $input) { success issueLabel { id } }
}";

const LINK: &str = "mutation Link($input: AttachmentCreateInput!) { attachmentCreate(input: $input) { success } }";

const COMMENT: &str = "mutation Comment($input: CommentCreateInput!) { commentCreate(input: $input) { success } }";

const UPDATE: &str = "mutation Update($id: String!, $input: IssueUpdateInput!) {
    issueUpdate(id: $id, input: $input) { success issue { state { id } } }
}";

impl Linear {
    pub async fn apply(&self, key: &str, desired: &Desired) -> Result<Applied, Error> {
        within(self.limit, self.apply_steps(key, desired)).await
    }

    async fn apply_steps(&self, key: &str, desired: &Desired) -> Result<Applied, Error> {
        let mut steps = Steps::default();
        let comment_id = uuid(&desired.message);
        let url = desired.link.as_ref().map_or("", |link| &link.url);
        let badge = desired.badge.as_deref().unwrap_or_default();
        let variables = json!({ "id": key, "url": url, "comment": comment_id, "badge": badge });
        let find = async || {
            let ticket = self.find(TICKET, variables.clone()).await?;
            check_key(&text(&ticket, "/issue/identifier")?, key)?;
            Ok::<_, Error>(ticket)
        };
        let mut ticket = find().await?;
        let id = text(&ticket, "/issue/id")?;

        let links = list(&ticket, "/issue/attachments/nodes")?;
        let link = desired.link.as_ref().filter(|link| links.iter().all(|known| known["title"] != link.title));
        if let Some(Link { url, title, .. }) = link {
            // Linear updates the attachment with the same URL.
            let input = json!({ "issueId": id, "url": url, "title": title });
            steps.add("link", self.query(LINK, json!({ "input": input })).await)?;
        }
        let is_new = list(&ticket, "/issue/comments/nodes")?.is_empty();
        let comment = desired.comment.as_ref().filter(|_| is_new);
        if let Some(text) = comment {
            let input = json!({ "id": comment_id, "issueId": id, "body": to_markdown(text) });
            steps.add("comment", self.comment(input).await)?;
        }
        let shown = list(&ticket, "/issue/labels/nodes")?;
        let is_badge = |label: &Value| is_named(label, badge);
        let is_ours = |label: &&Value| desired.badges.iter().any(|badge| is_named(label, badge));
        let removed = shown.iter().filter(is_ours).filter(|label| !is_badge(label)).map(|label| label["id"].clone());
        let removed = removed.collect::<Vec<_>>();
        let added = match badge.is_empty() || shown.iter().any(is_badge) {
            true => None,
            false => steps.add("label", self.find_label(&ticket, badge).await)?,
        };
        // Read again as late as possible: the update would undo a person's move in the meantime.
        if link.is_some() || comment.is_some() || added.is_some() {
            ticket = find().await?;
        }
        let status = status_id(&ticket, "/issue/state/id")?;
        let step = desired.step.as_ref().filter(|step| step.to != status);
        let mut labels = json!({});
        if added.is_some() || !removed.is_empty() {
            labels = json!({ "addedLabelIds": Vec::from_iter(added), "removedLabelIds": removed });
        }
        let applied = match step {
            Some(step) if step.expected == status => self.change_state(&id, labels, step, &mut steps).await,
            _ => {
                steps.add("label", self.update(&id, &labels).await.map_err(Error::from))?;
                Ok(step.map_or(Applied::Shown, |_| Applied::Moved { status }))
            }
        };
        steps.end(applied)
    }

    /// Returns the ticket's state after the update.
    async fn update(&self, id: &str, input: &Value) -> Result<Option<String>, Failure> {
        if *input == json!({}) {
            return Ok(None);
        }
        let updated = self.try_query(UPDATE, json!({ "id": id, "input": input })).await?;
        Ok(status_id(&updated, "/issueUpdate/issue/state/id").ok())
    }

    /// Labels and state change together, or one without the other, if Linear rejects it.
    async fn change_state(&self, id: &str, labels: Value, step: &Step, steps: &mut Steps) -> Result<Applied, Error> {
        let (mut input, to) = (labels.clone(), &step.to);
        input["stateId"] = to.as_str().into();
        let failure = match self.update(id, &input).await {
            Err(failure @ Failure::Input { .. }) => failure,
            answer => return self.check_state(id, answer?, step).await,
        };
        if self.find_state(id, to).await?.is_none() {
            steps.add("label", self.update(id, &labels).await.map_err(Error::from))?;
            return Err(Error::UnknownStatus { id: to.clone() });
        }
        if labels == json!({}) {
            return Err(failure.into());
        }
        steps.add("label", Err::<(), _>(failure.into()))?;
        let shown = self.update(id, &json!({ "stateId": to })).await?;
        self.check_state(id, shown, step).await
    }

    /// `shown`: the state in Linear's answer, which a rule of the workspace may have kept.
    async fn check_state(&self, id: &str, shown: Option<String>, step: &Step) -> Result<Applied, Error> {
        match shown {
            Some(shown) if shown == step.expected => {
                let status = self.find_state(id, &step.to).await?.unwrap_or_else(|| step.to.clone());
                Err(Error::MoveUndone { status })
            }
            Some(status) if status != step.to => Ok(Applied::Moved { status }),
            _ => Ok(Applied::Shown),
        }
    }

    /// The name of a state of the ticket's team.
    async fn find_state(&self, id: &str, state: &str) -> Result<Option<String>, Error> {
        let known = self.query(STATES, json!({ "id": id })).await?;
        let found = list(&known, "/issue/team/states/nodes")?.iter().find(|known| known["id"] == state);
        Ok(found.map(|found| text(found, "/name").unwrap_or_else(|_| state.to_owned())))
    }

    /// Creates a missing label in the ticket's team. A label without a team belongs to the workspace.
    async fn find_label(&self, ticket: &Value, name: &str) -> Result<String, Error> {
        let team = &ticket["issue"]["team"]["id"];
        let mut labels = list(ticket, "/issueLabels/nodes")?.iter();
        if let Some(label) = labels.find(|label| label["team"].is_null() || label["team"]["id"] == *team) {
            return text(label, "/id");
        }
        let created = self.query(CREATE_LABEL, json!({ "input": { "teamId": team, "name": name } })).await?;
        text(&created, "/issueLabelCreate/issueLabel/id")
    }

    /// Linear rejects an existing id, also the id of a comment that a user has deleted.
    async fn comment(&self, input: Value) -> Result<(), Error> {
        match self.try_query(COMMENT, json!({ "input": input })).await {
            Err(Failure::Input { message, reason }) if is_repeat(&message) || is_repeat(&reason) => Ok(()),
            answer => Ok(answer.map(drop)?),
        }
    }
}

fn is_repeat(message: &str) -> bool {
    message.contains("conflict on insert") || message.contains("already exists")
}

/// Linear's names of labels are unique without regard to case.
fn is_named(label: &Value, name: &str) -> bool {
    label["name"].as_str().is_some_and(|known| known.to_lowercase() == name.to_lowercase())
}

/// A version 4 UUID from a message id, because Linear accepts no other ids.
fn uuid(message: &str) -> String {
    let mut bytes = Sha256::digest(message.as_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes[..16]);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Escapes plain text, except URLs, which Linear detects by itself.
fn to_markdown(text: &str) -> String {
    let escape =
        |letter: char| if r"\`*_[]<>~#|".contains(letter) { format!("\\{letter}") } else { letter.to_string() };
    let word = |word: &str| if is_url(word) { word.to_owned() } else { word.chars().map(escape).collect() };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n\n")
}
