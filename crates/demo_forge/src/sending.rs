//! Sends deliveries to hooks, once each, to loopback addresses only.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    Error,
    deliveries::{DeliveryFault, DeliveryHeaders, DeliveryRecord, NewDelivery},
    forge_state::Shared,
    state::{ApiKind, HookRecord, TargetKind},
};

const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Sends in a separate task, so that the caller does not wait for hooks.
pub(crate) fn send(shared: &Arc<Shared>, hook: HookRecord, parcel: NewDelivery) -> Result<(), Error> {
    let id = shared.ids.next()?;
    let fault = shared.extension.next_delivery_fault();
    if fault == Some(DeliveryFault::NotRecorded) {
        return Ok(());
    }
    shared.deliveries.pending.send_modify(|count| *count += 1);
    let shared = shared.clone();
    tokio::spawn(async move {
        let _done = PendingGuard(shared.clone());
        let mut shutdown = shared.shutdown.clone();
        let record = tokio::select! {
            record = post_delivery(&shared, id, &hook, parcel, fault) => record,
            _ = shutdown.changed() => return,
        };
        if let Err(error) = shared.deliveries.record(record) {
            tracing::warn!(error = %error, "delivery not recorded: failed to {error}");
        }
    });
    Ok(())
}

/// Decrements the count even if the task is cancelled or panics.
struct PendingGuard(Arc<Shared>);

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.0.deliveries.pending.send_modify(|count| *count -= 1);
    }
}

async fn post_delivery(
    shared: &Shared,
    id: u64,
    hook: &HookRecord,
    parcel: NewDelivery,
    fault: Option<DeliveryFault>,
) -> DeliveryRecord {
    let _slot = shared.deliveries.slots.acquire().await;
    let body = encode_body(hook, &parcel.payload);
    let sent_headers = delivery_headers(shared, hook, &parcel, &body);
    let mut record = DeliveryRecord {
        id,
        hook: hook.id,
        guid: parcel.guid,
        delivered_at: shared.clock.now(),
        redelivery: parcel.redelivery,
        duration_secs: 0.0,
        status: "failed to connect to host".to_owned(),
        status_code: 0,
        event: parcel.event,
        action: parcel.action,
        installation: parcel.installation,
        repository: parcel.repository,
        url: hook.url.clone(),
        sent_headers,
        payload: parcel.payload,
        received_headers: BTreeMap::new(),
        received: String::new(),
    };
    let client = shared.deliveries.client(hook.insecure_ssl == "1");
    let (Some(client), None | Some(DeliveryFault::ResponseLost), true) = (client, fault, is_loopback(&hook.url)) else {
        return record;
    };
    let mut request = client.post(&hook.url).body(body);
    for (name, value) in &record.sent_headers {
        request = request.header(name, value);
    }
    let started = Instant::now();
    match request.send().await {
        Ok(answer) if fault.is_none() => {
            let status = answer.status();
            record.status_code = status.as_u16();
            record.status = if status.is_success() {
                "OK".to_owned()
            } else {
                format!("Invalid HTTP Response: {}", status.as_u16())
            };
            let headers = answer.headers().iter();
            record.received_headers = headers
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                .collect();
            let received = answer.bytes().await.unwrap_or_default();
            record.received =
                String::from_utf8_lossy(received.get(..MAX_RESPONSE_BYTES).unwrap_or(&received)).into_owned();
        }
        Ok(_) => record.status = "timed out".to_owned(),
        Err(error) if error.is_timeout() => record.status = "timed out".to_owned(),
        Err(_) => {}
    }
    record.duration_secs = started.elapsed().as_secs_f64();
    record
}

fn encode_body(hook: &HookRecord, payload: &Value) -> String {
    let json = payload.to_string();
    if hook.content_type != "form" {
        return json;
    }
    let mut form = "payload=".to_owned();
    for byte in json.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => form.push(byte.into()),
            b' ' => form.push('+'),
            _ => form.push_str(&format!("%{byte:02X}")),
        }
    }
    form
}

fn delivery_headers(shared: &Shared, hook: &HookRecord, parcel: &NewDelivery, body: &str) -> BTreeMap<String, String> {
    let DeliveryHeaders { mut headers, signature } = match hook.face {
        ApiKind::GitHub => DeliveryHeaders { headers: github_headers(hook, parcel), signature: "X-Hub-Signature-256" },
        ApiKind::Bitbucket => shared.extension.delivery_headers(hook, parcel),
    };
    if let Some(secret) = &hook.secret
        && let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
    {
        mac.update(body.as_bytes());
        let hex = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        headers.insert(signature, format!("sha256={hex}"));
    }
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn github_headers(hook: &HookRecord, parcel: &NewDelivery) -> BTreeMap<&'static str, String> {
    let kind = match hook.content_type.as_str() {
        "form" => "application/x-www-form-urlencoded",
        _ => "application/json",
    };
    let target = match hook.kind {
        TargetKind::Repository => "repository",
        TargetKind::Organization => "organization",
        TargetKind::Integration => "integration",
    };
    BTreeMap::from([
        ("Accept", "*/*".to_owned()),
        ("Content-Type", kind.to_owned()),
        ("User-Agent", "GitHub-Hookshot/demo".to_owned()),
        ("X-GitHub-Delivery", parcel.guid.clone()),
        ("X-GitHub-Event", parcel.event.clone()),
        ("X-GitHub-Hook-ID", hook.id.to_string()),
        ("X-GitHub-Hook-Installation-Target-ID", hook.target.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type", target.to_owned()),
    ])
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
    matches!(url.scheme(), "http" | "https") && is_here
}
