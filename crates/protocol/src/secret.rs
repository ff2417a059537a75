//! Secrets that users set: `/v1/secrets…`; no answer contains a value.

use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::project::secret::{SecretKind, SecretUser};
use pullyard_domain::text::id::{ProjectId, SecretName};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeSet;

/// Body of `PUT /v1/secrets/{name}`, which creates or replaces the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSecret {
    /// 1 to 65536 bytes.
    #[serde(deserialize_with = "deserialize_string")]
    #[schemars(length(min = 1, max = 65_536))]
    pub value: String,
    /// Purpose; absent: credentials for forges.
    #[serde(default)]
    pub kind: SecretKind,
}

debug_only!(SetSecret {});

/// Requires a string. The error omits the value, because a value without quotes is a secret too.
fn deserialize_string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(de::Error::custom("it is not a string")),
    }
}

/// A secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Secret {
    /// Short name, unique among the secrets of one kind.
    pub name: SecretName,
    /// Purpose.
    pub kind: SecretKind,
    /// Full name in Secrets Manager, for `token_secret` of an integration or `model_secrets` of a project.
    pub secret: String,
    /// When the value was last set.
    #[serde(with = "OptionalWireTime")]
    pub set_at: Option<Timestamp>,
}

/// Query of `DELETE /v1/secrets/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct DeleteSecretQuery {
    /// Purpose; absent: credentials for forges.
    #[serde(default)]
    pub kind: SecretKind,
}

/// Answer to a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeletedSecret {
    /// Short name.
    pub name: SecretName,
    /// Full name in Secrets Manager.
    pub secret: String,
}

/// A secret and the objects that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListedSecret {
    /// The secret itself.
    #[serde(flatten)]
    pub secret: Secret,
    /// Each of them blocks the deletion.
    #[serde(default)]
    pub used_by: Vec<SecretUser>,
    /// The projects that may use it; null: it has no list.
    #[serde(default)]
    pub projects: Option<BTreeSet<ProjectId>>,
}

/// Body of `PUT /v1/secrets/{name}/projects`, which replaces the list of the projects that may use a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSecretProjects {
    /// Purpose; absent: credentials for forges.
    #[serde(default)]
    pub kind: SecretKind,
    /// The projects; null removes the list. Then only tokens for all projects may name the secret.
    #[serde(deserialize_with = "Option::deserialize")]
    pub projects: Option<BTreeSet<ProjectId>>,
}

/// Answer to a change of a secret's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretProjects {
    /// Short name.
    pub name: SecretName,
    /// Full name in Secrets Manager. The secret need not exist yet.
    pub secret: String,
    /// The projects that may use it; null: it has no list.
    pub projects: Option<BTreeSet<ProjectId>>,
}

/// Answer to `GET /v1/secrets?after=CURSOR`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretPage {
    /// At most 100; a page may be empty without being the last.
    pub secrets: Vec<ListedSecret>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Body of `POST /v1/secrets/{name}/rotate`. The previous value stays valid for `overlap_secs`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSecret {
    /// 1 to 65536 bytes.
    #[serde(deserialize_with = "deserialize_string")]
    #[schemars(length(min = 1, max = 65_536))]
    pub value: String,
    /// How long signatures with the previous value are accepted: a day if absent, at most seven days.
    #[serde(default = "default_overlap_secs")]
    pub overlap_secs: u64,
}

fn default_overlap_secs() -> u64 {
    86_400
}

debug_only!(RotateSecret { overlap_secs });

/// Answer to a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RotatedSecret {
    /// Short name.
    pub name: SecretName,
    /// Full name in Secrets Manager.
    pub secret: String,
    /// Until when the previous value is accepted; null if it is refused already.
    #[serde(with = "OptionalWireTime")]
    pub old_until: Option<Timestamp>,
}

/// Body of `POST /v1/secrets/{name}/test`, which sends one request to the model's provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestSecret {
    /// The project whose `model_secrets` name the secret.
    pub project: ProjectId,
}

/// Answer to the test of a model key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretTest {
    /// Whether the provider accepts the key.
    pub works: bool,
    /// The provider's answer.
    pub result: ModelKeyTest,
    /// Result as a sentence.
    pub sentence: String,
    /// Advice.
    pub help: String,
}
