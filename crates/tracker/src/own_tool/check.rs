//! Checks a receiver of the contract before it is connected.

use super::{Message, Subject, WANTED, to_json, to_request};
use crate::{Desired, Error};
use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::standard_webhooks::{SigningSecret, signed_headers};
use pullyard_outbound::{Client, HeaderMap};
use std::time::Duration;

const LARGE: usize = 16 * 1024;
/// A ticket that no tool has, because a receiver may apply the messages.
const TICKET: &str = "PULLYARD-CHECK";
const SKEW: Duration = Duration::from_secs(600);

/// A requirement of the contract, and how the receiver failed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub fault: Option<String>,
}

struct Receiver<'a> {
    http: Client,
    url: &'a str,
    secret: SigningSecret,
    subject: Subject,
    now: Timestamp,
}

enum Expected {
    Accepted,
    Refused,
}

struct Delivery {
    name: &'static str,
    id: String,
    expected: Expected,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends messages that want no change, valid and forged ones.
/// The receiver may be in a private network, because this runs on its owner's machine.
/// Errors: `Unexpected` for a secret that cannot be used.
pub async fn check_receiver(url: &str, secret: &str, now: Timestamp) -> Result<Vec<Check>, Error> {
    let everywhere = "0.0.0.0/0,::/0".parse().map_err(|error| Error::Unexpected { reason: format!("{error}") })?;
    let http = Client::new(everywhere);
    let secret = secret.parse().map_err(|error| Error::Unexpected { reason: format!("{error}") })?;
    let (project, job) = ("check".to_owned(), None);
    let subject = Subject { project, ticket: TICKET.to_owned(), job, url: None };
    let receiver = Receiver { http, url, secret, subject, now };
    let mut checks = Vec::new();
    for delivery in receiver.deliveries()? {
        checks.push(Check { name: delivery.name, fault: receiver.send(delivery).await.err() });
    }
    Ok(checks)
}

impl Receiver<'_> {
    fn deliveries(&self) -> Result<Vec<Delivery>, Error> {
        use Expected::{Accepted, Refused};
        let own = std::slice::from_ref(&self.secret);
        let other = SigningSecret::generate();
        let id = |nth: u32| format!("msg_check_{}_{nth}", self.now.millis());
        let secs = |at: Timestamp| at.millis() / 1_000;
        let (now, body) = (secs(self.now), self.body(2)?);
        let deliver = |name, nth, expected, secrets: &[SigningSecret], at, body: &[u8]| {
            let headers = signed_headers(secrets, &id(nth), at, body);
            Delivery { name, id: id(nth), expected, headers, body: body.to_vec() }
        };
        let with_field = |value: &str| {
            String::from_utf8_lossy(&body).replacen('{', &format!("{{\"later\":{value},"), 1).into_bytes()
        };
        let (unknown, large) = (with_field("{\"field\":[1]}"), with_field(&format!("\"{}\"", "x".repeat(LARGE))));
        let mut changed = deliver("a changed body is refused", 3, Refused, own, now, &body);
        changed.body.push(b' ');
        let (past, future) = (secs(self.now.minus(SKEW)), secs(self.now.plus(SKEW)));
        let both = [other.clone(), self.secret.clone()];
        Ok(vec![
            deliver("a valid message is accepted", 1, Accepted, own, now, &body),
            deliver("another secret is refused", 2, Refused, std::slice::from_ref(&other), now, &body),
            changed,
            deliver("a message from 10 minutes ago is refused", 4, Refused, own, past, &body),
            deliver("a message from 10 minutes ahead is refused", 5, Refused, own, future, &body),
            deliver("one valid signature of two is accepted", 6, Accepted, &both, now, &body),
            deliver("a repeat is accepted", 1, Accepted, own, now, &body),
            deliver("an older version is accepted and ignored", 7, Accepted, own, now, &self.body(1)?),
            deliver("an unknown field is accepted", 8, Accepted, own, now, &unknown),
            deliver("16 KiB are accepted", 9, Accepted, own, now, &large),
        ])
    }

    fn body(&self, version: u32) -> Result<Vec<u8>, Error> {
        let desired = Desired { version, ..Desired::default() };
        to_json(&Message::new(WANTED, &self.subject, &desired, self.now))
    }

    /// The client limits the exchange to 15 s and follows no redirect.
    async fn send(&self, delivery: Delivery) -> Result<(), String> {
        let url = self.http.parse_url(self.url).map_err(|error| error.to_string())?;
        let Delivery { id, expected, headers, body, .. } = delivery;
        let response = self.http.send(to_request(&url, headers, body)).await.map_err(|error| error.to_string())?;
        let status = response.status;
        let redirect = "; answer directly, because redirects are not followed";
        let (is_right, wanted) = match expected {
            Expected::Accepted => (status.is_success(), "200"),
            Expected::Refused => (status.is_client_error(), "401"),
        };
        let hint = if status.is_redirection() { redirect } else { "" };
        if is_right { Ok(()) } else { Err(format!("{id}: expected {wanted}, received {}{hint}", status.as_u16())) }
    }
}
