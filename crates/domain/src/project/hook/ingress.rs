//! The ways by which events in a repository reach Pullyard: webhooks, polls or both.

use serde::{Deserialize, Serialize};

/// How Pullyard learns of events in a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ingress {
    /// The forge calls a webhook. A poll every five minutes finds missed events.
    #[default]
    Webhook,
    /// A poll every minute. For installations without a public URL.
    Poll,
    /// Both; the first to deliver an event counts.
    Both,
}
