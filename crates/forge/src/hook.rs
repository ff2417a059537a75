//! Webhooks stored by a forge, and their deliveries.

use serde::Deserialize;

use crate::{Error, webhook::Secret};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HookScope {
    Repository(String),
    Organisation(String),
    /// The webhook of the calling App, see [`GitHub::as_app`](crate::GitHub::as_app). It has no id, so any id works. It
    /// cannot be created or deleted, and its events are settings of the App.
    App,
}

impl HookScope {
    /// For errors.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Repository(name) | Self::Organisation(name) => format!("the hooks of {name}"),
            Self::App => "the hook of the App".to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Unique per forge; on Bitbucket a hash of the UUID; 0 for an App.
    pub id: u64,
    /// Empty if an App has no URL.
    pub url: String,
    /// Event names, or `*` for all. Empty for an App, because GitHub does not return them.
    pub events: Vec<String>,
    pub active: bool,
    pub json: bool,
    pub has_secret: bool,
    pub verifies_tls: bool,
}

/// All settings together, because GitHub removes a secret that an edit omits. The caller checks the secret's length.
#[derive(Clone, Debug)]
pub struct HookSettings {
    pub url: String,
    pub secret: Secret,
    pub events: Vec<String>,
    pub active: bool,
}

impl HookSettings {
    pub(crate) fn secret_text(&self) -> Result<&str, Error> {
        let settings_error = || Error::Settings { reason: "the webhook's secret is empty or not text".to_owned() };
        self.secret.as_str().ok_or_else(settings_error)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Delivery {
    #[serde(default)]
    pub status: String,
    /// 0 without a response.
    #[serde(default)]
    pub status_code: u16,
}

impl Delivery {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_arrived_only_with_a_2xx_status() {
        let delivery = |status_code| Delivery { status: "OK".to_owned(), status_code };
        for (code, arrived) in
            [(0, false), (199, false), (200, true), (202, true), (299, true), (300, false), (502, false)]
        {
            assert_eq!(delivery(code).is_success(), arrived, "{code}");
        }
    }
}
