//! Webhook deliveries as the tools sign them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::state::{PERSON, STATUSES, person, to_time, uuid};
use crate::{Kind, State, append};

impl State {
    /// Headers and body of the delivery about a ticket's newest change.
    pub fn delivery(&self, key: &str, secret: &str, sent_millis: i64) -> (Vec<(&'static str, String)>, Vec<u8>) {
        let (name, body) = match self.kind {
            Kind::Jira => ("jira", self.jira_delivery(key, sent_millis)),
            Kind::Linear => ("linear", self.linear_delivery(key, sent_millis)),
        };
        append(
            &json!({ "tool": format!("{:?}", self.kind), "method": "HOOK", "path": name, "body": body, "status": 200 }),
        );
        let body = body.to_string().into_bytes();
        (self.sign(secret, &body), body)
    }

    /// The headers of a delivery.
    pub fn sign(&self, secret: &str, body: &[u8]) -> Vec<(&'static str, String)> {
        let mut code = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("keys of any length");
        code.update(body);
        let digits = data_encoding::HEXLOWER.encode(&code.finalize().into_bytes());
        match self.kind {
            Kind::Jira => vec![
                ("x-hub-signature", format!("sha256={digits}")),
                ("x-atlassian-webhook-identifier", "a6f0c9d2".to_owned()),
            ],
            Kind::Linear => vec![
                ("linear-signature", digits),
                ("linear-delivery", uuid(77)),
                ("linear-event", "Issue".to_owned()),
                ("linear-timestamp", "0".to_owned()),
            ],
        }
    }

    fn jira_delivery(&self, key: &str, sent: i64) -> Value {
        let ticket = self.ticket(key);
        let newest = ticket.history.last();
        let item = newest.and_then(|entry| entry.moved).map(|(from, to)| {
            json!({ "field": "status", "fieldtype": "jira", "fieldId": "status", "from": self.status_id(from),
                "fromString": STATUSES[from].0, "to": self.status_id(to), "toString": STATUSES[to].0 })
        });
        json!({
            "timestamp": sent, "webhookEvent": "jira:issue_updated", "issue_event_type_name": "issue_generic",
            "user": person(PERSON, "accountId", "displayName"),
            "issue": { "id": "10002", "key": key, "fields": { "summary": ticket.title, "labels": ticket.labels,
                "status": { "id": self.status_id(ticket.status), "name": STATUSES[ticket.status].0 } } },
            "changelog": { "id": newest.map(|entry| entry.id.to_string()), "items": item.into_iter().collect::<Vec<_>>() },
        })
    }

    fn linear_delivery(&self, key: &str, sent: i64) -> Value {
        let ticket = self.ticket(key);
        let (state, time) = (self.status_id(ticket.status), |at| to_time(at, "Z"));
        let url = format!("{}/x/issue/{key}", self.url);
        let team = json!({ "id": uuid(1), "key": "ENG", "name": "Engineering" });
        let data = json!({
            "id": uuid(500), "createdAt": time(ticket.created), "updatedAt": time(ticket.updated), "number": 1.0,
            "title": ticket.title, "priority": 0.0, "priorityLabel": "No priority", "prioritySortOrder": 0.0,
            "sortOrder": 0.0, "labelIds": [], "labels": [], "teamId": uuid(1), "team": team, "stateId": state,
            "previousIdentifiers": [], "reactionData": [], "releases": [], "subscriberIds": [], "url": url,
            "identifier": key,
            "state": { "id": state, "name": STATUSES[ticket.status].0, "color": "#000000", "type": STATUSES[ticket.status].2 },
        });
        let actor =
            json!({ "id": PERSON.0, "type": "user", "name": PERSON.1, "email": "ada@acme.example", "url": self.url });
        let from = ticket.history.last().and_then(|entry| entry.moved).map(|(from, _)| self.status_id(from));
        json!({
            "action": "update", "type": "Issue", "actor": actor, "createdAt": time(ticket.updated), "data": data,
            "updatedFrom": { "stateId": from }, "url": url, "organizationId": uuid(2), "webhookId": uuid(3),
            "webhookTimestamp": sent,
        })
    }
}
