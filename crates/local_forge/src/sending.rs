//! Sends deliveries to hooks, once each, over plain HTTP to loopback addresses only.

use std::{collections::BTreeMap, sync::Arc};

use hmac::{Hmac, KeyInit as _, Mac as _};
use pullyard_loopback::is_loopback;
use sha2::Sha256;

use crate::{
    Error,
    deliveries::{DeliveryFault, DeliveryHeaders, DeliveryRecord, NewDelivery},
    forge_state::Shared,
    state::{ApiKind, HookRecord},
};

/// Sends in a separate task, so that the caller does not wait for hooks.
pub(crate) fn send(shared: &Arc<Shared>, hook: HookRecord, delivery: NewDelivery) -> Result<(), Error> {
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
        let (status, status_code) = tokio::select! {
            outcome = post_delivery(&shared, &hook, &delivery, fault) => outcome,
            _ = shutdown.changed() => return,
        };
        let event = delivery.event.to_owned();
        shared.deliveries.record(hook.id, DeliveryRecord { id, status, status_code, event });
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

/// The status of the response, in words and as a number; 0 without a response.
async fn post_delivery(
    shared: &Shared,
    hook: &HookRecord,
    delivery: &NewDelivery,
    fault: Option<DeliveryFault>,
) -> (String, u16) {
    let unreachable = || ("failed to connect to host".to_owned(), 0);
    let timed_out = || ("timed out".to_owned(), 0);
    let _slot = shared.deliveries.slots.acquire().await;
    let client =
        shared.deliveries.client().filter(|_| is_local_http(&hook.url) && fault != Some(DeliveryFault::NotSent));
    let Some(client) = client else { return unreachable() };
    let body = delivery.payload.to_string();
    let mut request = client.post(&hook.url);
    for (name, value) in delivery_headers(shared, hook, delivery, &body) {
        request = request.header(name, value);
    }
    match request.body(body).send().await {
        Ok(_) if fault.is_some() => timed_out(),
        Ok(answer) if answer.status().is_success() => ("OK".to_owned(), answer.status().as_u16()),
        Ok(answer) => {
            let code = answer.status().as_u16();
            (format!("Invalid HTTP Response: {code}"), code)
        }
        Err(error) if error.is_timeout() => timed_out(),
        Err(_) => unreachable(),
    }
}

fn delivery_headers(
    shared: &Shared,
    hook: &HookRecord,
    delivery: &NewDelivery,
    body: &str,
) -> BTreeMap<&'static str, String> {
    let DeliveryHeaders { mut headers, signature } = match hook.face {
        ApiKind::GitHub => {
            DeliveryHeaders { headers: github_headers(hook, delivery), signature: "X-Hub-Signature-256" }
        }
        ApiKind::Bitbucket => shared.extension.delivery_headers(hook, delivery),
    };
    if let Some(secret) = &hook.secret
        && let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
    {
        mac.update(body.as_bytes());
        let hex = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        headers.insert(signature, format!("sha256={hex}"));
    }
    headers
}

fn github_headers(hook: &HookRecord, delivery: &NewDelivery) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("Content-Type", "application/json".to_owned()),
        ("User-Agent", "GitHub-Hookshot/demo".to_owned()),
        ("X-GitHub-Delivery", delivery.guid.clone()),
        ("X-GitHub-Event", delivery.event.to_owned()),
        ("X-GitHub-Hook-ID", hook.id.to_string()),
    ])
}

fn is_local_http(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    url.scheme() == "http" && is_loopback(url.host_str().unwrap_or_default())
}
