//! Signatures and ages of webhook deliveries.

use crate::world::{KINDS, World};
use pullyard_domain::text::time::Timestamp;
use pullyard_fake_tracker::{BACKLOG, Kind, PERSON};
use pullyard_outbound::{HeaderMap, HeaderName};
use pullyard_tracker::{Delivery, DeliveryError, Jira, Linear, Secret};

const NOW: i64 = 1_795_176_241_000;
const HOUR: i64 = 3_600_000;

fn place(kind: Kind) -> &'static str {
    if kind == Kind::Jira { "Jira under System, WebHooks" } else { "Linear under Settings, API" }
}

fn wrong(kind: Kind) -> DeliveryError {
    DeliveryError::Signature { place: place(kind) }
}

type Headers = Vec<(&'static str, String)>;

fn parse(kind: Kind, headers: &Headers, body: &[u8], secrets: &[&str]) -> Result<Delivery, DeliveryError> {
    let pair = |(name, value): &(&'static str, String)| (HeaderName::from_static(name), value.parse().unwrap());
    let headers: HeaderMap = headers.iter().map(pair).collect();
    let secrets = secrets.iter().map(|secret| Secret::new(*secret)).collect::<Vec<_>>();
    let now = Timestamp::from_millis(NOW);
    match kind {
        Kind::Jira => Jira::parse_delivery(&secrets, &headers, body, now),
        Kind::Linear => Linear::parse_delivery(&secrets, &headers, body, now),
    }
}

/// With the time that the tool wrote into it.
fn of_ticket(key: &str, sent: i64) -> Delivery {
    Delivery { key: key.to_owned(), at: Some(Timestamp::from_millis(sent)) }
}

async fn delivery(kind: Kind, sent: i64) -> (World, Headers, Vec<u8>) {
    let world = World::new(kind).await;
    world.fake.state().move_ticket(world.key, BACKLOG, PERSON);
    let (headers, body) = world.fake.state().delivery(world.key, "old", sent);
    (world, headers, body)
}

#[tokio::test]
async fn delivery_names_its_ticket_under_any_valid_secret() {
    for kind in KINDS {
        let (world, headers, body) = delivery(kind, NOW).await;
        for (secrets, is_valid) in [
            (&["old"][..], true),
            (&["new", "old"], true),
            (&["old", "new"], true),
            (&["new"], false),
            (&[""], false),
            (&[], false),
        ] {
            let expected = if is_valid { Ok(of_ticket(world.key, NOW)) } else { Err(wrong(kind)) };
            assert_eq!(parse(kind, &headers, &body, secrets), expected, "{kind:?} {secrets:?}");
        }
    }
}

#[tokio::test]
async fn flipped_bit_is_refused() {
    for kind in KINDS {
        let (_, headers, body) = delivery(kind, NOW).await;
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert_eq!(parse(kind, &headers, &changed, &["old"]), Err(wrong(kind)));
        }
        let mut changed = headers.clone();
        let digit = if changed[0].1.ends_with('0') { "1" } else { "0" };
        changed[0].1.pop();
        changed[0].1.push_str(digit);
        assert_eq!(parse(kind, &changed, &body, &["old"]), Err(wrong(kind)));
    }
}

#[tokio::test]
async fn missing_or_malformed_signature_is_refused() {
    for kind in KINDS {
        let (_, headers, body) = delivery(kind, NOW).await;
        let unsigned = DeliveryError::Unsigned { place: place(kind) };
        assert_eq!(parse(kind, &headers[1..].to_vec(), &body, &["old"]), Err(unsigned));
        for text in ["sha1=00", "sha256=", "x", "00"] {
            let mut changed = headers.clone();
            changed[0].1 = text.to_owned();
            let parsed = parse(kind, &changed, &body, &["old"]);
            assert_eq!(parsed, Err(wrong(kind)), "{kind:?} {text}");
        }
    }
}

#[tokio::test]
async fn only_linear_limits_the_age_of_a_delivery() {
    for (sent, is_accepted) in [
        (NOW - 7 * HOUR - 60_000, true),
        (NOW - 8 * HOUR, true),
        (NOW - 8 * HOUR - 1, false),
        (NOW + 300_000, true),
        (NOW + 300_001, false),
    ] {
        for kind in KINDS {
            let (world, headers, body) = delivery(kind, sent).await;
            let is_accepted = is_accepted || kind == Kind::Jira;
            let expected = if is_accepted { Ok(of_ticket(world.key, sent)) } else { Err(DeliveryError::Age) };
            assert_eq!(parse(kind, &headers, &body, &["old"]), expected, "{kind:?} {sent}");
        }
    }
}

#[tokio::test]
async fn valid_delivery_of_something_else_is_not_a_ticket() {
    for (kind, body, expected) in [
        (Kind::Jira, r#"{"webhookEvent":"user_created"}"#, Some(DeliveryError::NotATicket)),
        (Kind::Linear, r#"{"type":"Comment","webhookTimestamp":1795176241000}"#, Some(DeliveryError::NotATicket)),
        (Kind::Linear, r#"{"type":"Issue","webhookTimestamp":1795176241000,"data":{}}"#, None),
        (Kind::Linear, r#"{"type":"Issue","data":{"identifier":"ENG-1"}}"#, None),
        (Kind::Jira, "{", None),
        (Kind::Linear, "{", None),
    ] {
        let world = World::new(kind).await;
        let headers = world.fake.state().sign("old", body.as_bytes());
        let error = parse(kind, &headers, body.as_bytes(), &["old"]).unwrap_err();
        match expected {
            Some(expected) => assert_eq!(error, expected),
            None => assert!(matches!(error, DeliveryError::Malformed { .. }), "{kind:?} {body}: {error:?}"),
        }
    }
}
