//! Webhooks on the forge's side: where they point, and what became of their deliveries.

use crate::{Time, webhook::Secret};

/// Whose hook it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HookScope {
    /// A repository's, by `owner/name`.
    Repository(String),
    /// An organisation's, or a workspace's: it gets the events of its repositories.
    Organisation(String),
    /// The only hook of the App that asks, see [`GitHub::as_app`](crate::GitHub::as_app). It has no id: any will
    /// do. It can't be made or deleted, and its events are settings of the App.
    App,
}

/// A hook as the forge has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Unique on its forge, and made of the hook's UUID on Bitbucket; 0 for an App's.
    pub id: u64,
    /// Where deliveries go; empty for an App's that has no address yet.
    pub url: String,
    /// What is delivered, by name; `*` for everything. Empty for an App's, where they are not told.
    pub events: Vec<String>,
    /// Whether anything is delivered.
    pub active: bool,
    /// Whether the bodies are JSON.
    pub json: bool,
    /// Whether there is a secret; which one is never told.
    pub has_secret: bool,
    /// Whether the address's certificate is checked.
    pub verifies_tls: bool,
    /// The code of the last answer, if the forge says so: only for a repository's.
    pub last_code: Option<u16>,
}

/// What a hook should be. All of it at once: GitHub takes a secret away that a change doesn't repeat. That the forge
/// takes a secret of this length is the caller's to see to.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// Where deliveries go.
    pub url: String,
    /// What signs them.
    pub secret: Secret,
    /// What is delivered, by name. Not used for an App's.
    pub events: Vec<String>,
    /// Whether anything is delivered. Not used for an App's.
    pub active: bool,
}

/// One try to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// This try; unique on its forge, may be larger than 2^53.
    pub id: u64,
    /// The delivery: the same for every try, and what the receiver sees in `X-GitHub-Delivery`.
    pub guid: String,
    /// When it was tried.
    pub delivered_at: Time,
    /// Whether somebody asked for it again.
    pub redelivery: bool,
    /// The forge's words for how it went; `OK` when it was taken.
    pub status: String,
    /// The receiver's code; 0 when there was no answer.
    pub status_code: u16,
    /// What happened.
    pub event: String,
    /// What happened in particular.
    pub action: Option<String>,
    /// The installation it is for.
    pub installation: Option<u64>,
    /// The repository it is about.
    pub repository: Option<u64>,
}

impl Delivery {
    /// Whether the receiver took it.
    pub fn arrived(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

/// One try to deliver an event, with what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryBody {
    /// The try.
    pub delivery: Delivery,
    /// What was sent, for [`webhook::parse`](crate::webhook::parse). Not the same bytes: no signature fits it, and
    /// none is needed, as it was asked for and not sent.
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
