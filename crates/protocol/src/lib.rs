//! Wire types of the API, one module per subject, and the HTTP client.
//! Requests with unknown fields are refused. Clients ignore unknown fields of answers, because answers may grow. Times
//! are RFC 3339; names of durations contain the unit.

#![warn(missing_docs)]

/// Implements `Debug` with these fields only, so that credentials in the others never reach a log.
macro_rules! debug_only {
    ($Name:ident { $($field:ident),* }) => {
        impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($Name))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    };
}

pub mod analysis;
pub mod artifact;
pub mod attempt;
pub mod breaker;
#[cfg(feature = "client")]
#[expect(missing_docs, reason = "most methods only name their route")]
pub mod client;
pub mod dead_letter;
pub mod decision;
pub mod delivery;
pub mod event;
pub mod hook;
pub mod integration;
pub mod job;
pub mod json;
pub mod limits;
pub mod notification;
pub mod problem;
pub mod project;
pub mod pull_request;
pub mod run;
pub mod runner;
pub mod runner_admin;
pub mod schedule;
pub mod secret;
#[expect(missing_docs, reason = "no wire type")]
pub mod setting;
pub mod sign_in;
pub mod template;
pub mod ticket;
pub mod token;
pub mod tracker;
pub mod version;

pub use problem::Problem;

/// A body without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    #[track_caller]
    fn check<T: DeserializeOwned + std::fmt::Debug>(body: Value) {
        let read: T = serde_json::from_value(body).unwrap();
        let text = format!("{read:?}");
        assert!(text.contains('{') && !text.contains("planted"), "{text}");
    }

    #[test]
    fn debug_output_contains_no_credentials() {
        let job = format!("job_{}", "a".repeat(26));
        check::<crate::secret::SetSecret>(json!({ "value": "planted" }));
        check::<crate::secret::RotateSecret>(json!({ "value": "planted" }));
        check::<crate::token::CreatedToken>(json!({
            "token": "planted", "id": "0123456789abcdef", "name": "ci", "kind": "api", "prefix": "pyt_0123",
            "scopes": [], "projects": null, "runner": null, "created": null, "created_by": null, "last_used": null,
            "expires_at": null, "state": "active",
        }));
        check::<crate::sign_in::SignInLink>(json!({ "url": "https://x/sign-in?code=planted", "expires_in_secs": 600 }));
        check::<crate::runner::ClaimAnswer>(
            json!({ "job": { "job": job, "attempt": 1, "bootstrap": "planted" }, "poll_ms": 1 }),
        );
        check::<crate::artifact::ArtifactUpload>(json!({
            "id": format!("art_{}", "a".repeat(26)), "put_url": "https://x/planted", "headers": { "x": "planted" },
        }));
        check::<crate::attempt::Assignment>(json!({
            "job": job, "attempt": 1, "lease": "planted", "kind": "implement", "ticket": null,
            "repository": { "forge": "github", "api_url": "http://x", "name": "acme/app", "clone_url": "x" },
            "base": "main", "branch": "b", "continues": null, "prompt": "Do it.",
            "agent": { "capability": "command", "command": [] },
            "pull_request": { "title": "t", "body": "b" },
            "limits": { "wall_secs": 600, "stall_secs": 300 }, "heartbeat_secs": 1,
        }));
        check::<crate::attempt::Checkpoint>(json!({
            "job": job, "attempt": 1, "size_bytes": 1, "sha256": "a".repeat(64), "get_url": "https://x/planted",
        }));
        let model = json!({ "key": "claude_token", "value": "planted" });
        check::<crate::attempt::ModelCredential>(model.clone());
        check::<crate::attempt::Credentials>(
            json!({ "forge_token": "planted", "model": [model], "signing_key": "planted" }),
        );
    }
}
