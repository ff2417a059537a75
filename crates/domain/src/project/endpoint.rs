//! Endpoints: their settings, and how messages reach them.

use super::notice_event::NoticeEvent;
use crate::text::code::coded_enum;
use crate::text::id::{EndpointId, NoticeId, ProjectId};
use crate::text::setting_fault::{SettingFault, fault};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const MAX_ENDPOINTS: usize = 8;

const MAX_URL_BYTES: usize = 2_000;

/// Time in which a Slack endpoint receives `MAX_SINGLE` messages. The others follow in a digest.
const WINDOW: Duration = Duration::from_secs(15 * 60);
const MAX_SINGLE: u32 = 5;

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum EndpointKind {
        /// A signed message by the rules of Standard Webhooks.
        Webhook = "webhook", "Webhook";
        /// An incoming webhook of Slack, or of a chat that accepts the same.
        Slack = "slack", "Slack";
    }
}

/// An endpoint that receives a project's notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Its name in the project.
    pub id: EndpointId,
    pub kind: EndpointKind,
    /// The URL. None: `url_secret` contains it.
    #[serde(default)]
    pub url: Option<String>,
    /// The full name of the secret with the URL.
    #[serde(default)]
    pub url_secret: Option<String>,
    /// The full name of the secret that signs a webhook's messages.
    #[serde(default)]
    pub secret: Option<String>,
    /// Its events. None: all but `job.completed`.
    // Texts, because after a roll-back there may be events of a later release.
    #[serde(default)]
    #[schemars(with = "Option<BTreeSet<NoticeEvent>>")]
    pub events: Option<BTreeSet<String>>,
}

impl Endpoint {
    pub fn receives(&self, event: NoticeEvent) -> bool {
        self.events.as_ref().map_or(event.is_default(), |events| events.contains(event.as_str()))
    }

    /// Its events, for a list.
    pub fn events_label(&self) -> String {
        match &self.events {
            None => "all but job.completed".into(),
            Some(events) => events.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        }
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        [&self.url_secret, &self.secret].into_iter().filter_map(|secret| secret.as_deref())
    }

    pub(crate) fn validate_all(endpoints: &[Self]) -> Result<(), SettingFault> {
        if endpoints.len() > MAX_ENDPOINTS {
            return fault("/notifications", format!("use at most {MAX_ENDPOINTS} endpoints"));
        }
        let ids: BTreeSet<_> = endpoints.iter().map(|endpoint| &endpoint.id).collect();
        if ids.len() < endpoints.len() {
            return fault("/notifications", "give each endpoint an id of its own");
        }
        endpoints.iter().try_for_each(Self::validate)
    }

    /// Refuses unknown events that no endpoint of `before` has.
    pub(crate) fn validate_events(before: &[Self], after: &[Self]) -> Result<(), SettingFault> {
        let known: BTreeSet<&str> = before.iter().flat_map(Self::chosen_events).collect();
        let choices = NoticeEvent::CHOICES.map(NoticeEvent::as_str);
        match after
            .iter()
            .flat_map(Self::chosen_events)
            .find(|event| !choices.contains(event) && !known.contains(event))
        {
            None => Ok(()),
            Some(_) => fault("/notifications", format!("events: choose from {}", choices.join(", "))),
        }
    }

    fn chosen_events(&self) -> impl Iterator<Item = &str> {
        self.events.iter().flatten().map(String::as_str)
    }

    fn validate(&self) -> Result<(), SettingFault> {
        if self.events.as_ref().is_some_and(BTreeSet::is_empty) {
            return fault("/notifications", "events: choose one at least");
        }
        match (self.kind, &self.url, &self.url_secret, &self.secret) {
            (EndpointKind::Slack, None, Some(_), None) | (EndpointKind::Webhook, None, Some(_), Some(_)) => Ok(()),
            (EndpointKind::Webhook, Some(url), None, Some(_)) if url.len() <= MAX_URL_BYTES => Ok(()),
            (EndpointKind::Slack, ..) => {
                fault("/notifications", "a Slack URL is a password: set it as a secret, and name that as `url_secret`")
            }
            (EndpointKind::Webhook, ..) => {
                fault("/notifications", "a webhook has either `url`, at most 2000 bytes, or `url_secret`, and `secret`")
            }
        }
    }
}

/// How messages reach an endpoint. An item of its own, because each send changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    pub project: ProjectId,
    pub endpoint: EndpointId,
    pub sent_at: Option<Timestamp>,
    /// Sends without success since `sent_at`.
    pub failures: u32,
    pub failing_since: Option<Timestamp>,
    /// The last answer, or why there was none.
    pub answer: Option<String>,
    /// Why it receives nothing.
    pub disabled: Option<String>,
    /// The endpoint asked for no message before this time.
    pub rest_until: Option<Timestamp>,
    pub window: Option<Window>,
    pub rev: u64,
}

/// A time in which a Slack endpoint receives few messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from: Timestamp,
    /// Notices that were sent singly.
    pub single: u32,
    /// The other notices, by their event.
    pub held: BTreeMap<String, u32>,
}

impl EndpointState {
    pub fn new(project: ProjectId, endpoint: EndpointId) -> Self {
        let (sent_at, failing_since, rest_until, answer, disabled, window) = Default::default();
        Self { project, endpoint, sent_at, failures: 0, failing_since, answer, disabled, rest_until, window, rev: 0 }
    }

    /// Why it receives nothing, or its last answer after a failure.
    pub fn problem(&self) -> Option<&str> {
        self.disabled.as_deref().or(self.answer.as_deref().filter(|_| self.failures > 0))
    }

    /// A new state of an endpoint that works again, over the stored one. Its digest may still wait for the window.
    pub fn enable(self) -> Self {
        let Self { project, endpoint, sent_at, window, rev, .. } = self;
        Self { sent_at, window, rev, ..Self::new(project, endpoint) }
    }

    /// The present window. One with held notices lasts until the first try of its digest.
    pub(crate) fn window(&self, now: Timestamp) -> Window {
        let open = self.window.clone().filter(|window| !window.held.is_empty() || now < window.end());
        open.unwrap_or(Window { from: now, single: 0, held: BTreeMap::new() })
    }

    /// Whether the digest has the notices of the open window.
    pub(crate) fn is_window_of(&self, digest: &NoticeId) -> bool {
        let held = self.window.as_ref().filter(|window| !window.held.is_empty());
        held.is_some_and(|window| self.digest_id(window) == *digest)
    }

    fn digest_id(&self, window: &Window) -> NoticeId {
        NoticeId::for_endpoint(&self.project, &self.endpoint, "digest", window.from)
    }

    /// The digest of the present window, if the endpoint received enough single messages.
    pub fn digest(&self, kind: EndpointKind, now: Timestamp) -> Option<NoticeId> {
        let window = self.window(now);
        let is_full = kind == EndpointKind::Slack && window.single >= MAX_SINGLE;
        is_full.then(|| self.digest_id(&window))
    }
}

impl Window {
    pub(crate) fn end(&self) -> Timestamp {
        self.from.plus(WINDOW)
    }
}
