//! Webhooks as the forge stores them, and their deliveries.

use crate::{Time, webhook::Secret};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HookScope {
    Repository(String),
    /// An organisation or a workspace; receives the events of its repositories.
    Organisation(String),
    /// The webhook of the App that calls, see [`GitHub::as_app`](crate::GitHub::as_app). It has no id, so any id works;
    /// it cannot be created or deleted, and its events are settings of the App.
    App,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Unique on its forge; a hash of the UUID on Bitbucket; 0 for an App's.
    pub id: u64,
    /// Empty for an App's without a URL.
    pub url: String,
    /// Event names; `*` for all. Empty for an App's, where GitHub does not return them.
    pub events: Vec<String>,
    pub active: bool,
    pub json: bool,
    pub has_secret: bool,
    pub verifies_tls: bool,
    /// Status of the last response; repositories' webhooks on GitHub only.
    pub last_code: Option<u16>,
}

/// All settings at once, because GitHub removes a secret that an edit omits. The caller checks the secret's length.
#[derive(Clone, Debug)]
pub struct HookSettings {
    pub url: String,
    pub secret: Secret,
    pub events: Vec<String>,
    pub active: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Id of this try; unique on its forge, may be larger than 2^53.
    pub id: u64,
    /// The same for every try; the receiver sees it in `X-GitHub-Delivery`.
    pub guid: String,
    pub delivered_at: Time,
    /// Whether this try was requested through `redeliver` or the page.
    pub redelivery: bool,
    /// The forge's word; `OK` when the receiver accepted it.
    pub status: String,
    /// 0 without a response.
    pub status_code: u16,
    pub event: String,
    pub action: Option<String>,
    pub installation: Option<u64>,
    pub repository: Option<u64>,
}

impl Delivery {
    pub fn arrived(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryBody {
    pub delivery: Delivery,
    /// For [`webhook::parse`](crate::webhook::parse). Not the signed bytes, so its signature does not verify; GitHub's
    /// API is trusted instead.
    pub payload: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_has_arrived_where_somebody_said_that_it_did() {
        let answered = |status_code| Delivery {
            id: 1,
            guid: "g".to_owned(),
            delivered_at: Time::from_millis(0),
            redelivery: false,
            status: "OK".to_owned(),
            status_code,
            event: "ping".to_owned(),
            action: None,
            installation: None,
            repository: None,
        };
        for (code, arrived) in
            [(0, false), (199, false), (200, true), (202, true), (299, true), (300, false), (502, false)]
        {
            assert_eq!(answered(code).arrived(), arrived, "{code}");
        }
    }
}
