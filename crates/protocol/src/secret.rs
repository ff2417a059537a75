//! Secrets that people set: `/v1/secrets…`; no answer contains a value.

use pullyard_domain::id::SecretName;
use pullyard_domain::secret::SecretKind;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Deserializer, Serialize, de};

/// `PUT /v1/secrets/{name}`: sets it, whether or not it was set before.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSecret {
    /// 1 to 65536 bytes.
    #[serde(deserialize_with = "unquoted")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 65_536)))]
    pub value: String,
    /// What it is for; to speak to forges when left out.
    #[serde(default)]
    pub kind: SecretKind,
}

impl std::fmt::Debug for SetSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetSecret").finish_non_exhaustive()
    }
}

/// Requires a string. The error omits the value, because a secret without quotes is a secret too.
fn unquoted<'de, D: Deserializer<'de>>(reader: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(reader)? {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(de::Error::custom("it is not a text")),
    }
}

/// A secret, without its value.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The name it was given; those of one kind only are different.
    pub name: SecretName,
    /// What it is for.
    pub kind: SecretKind,
    /// Its whole name in Secrets Manager: what `token_secret` of an integration names, or `model_secrets` of a project.
    pub secret: String,
    /// When it was last set.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub set_at: Option<Timestamp>,
}

/// `GET /v1/secrets?after=CURSOR`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPage {
    /// At most 100; a page may be empty and not the last.
    pub secrets: Vec<Secret>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

/// `POST /v1/secrets/{name}/rotate`: another value; the one it had counts beside it for a while.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateSecret {
    /// 1 to 65536 bytes.
    #[serde(deserialize_with = "unquoted")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 65_536)))]
    pub value: String,
    /// How long the old value counts for what others sign with it; a day when left out, seven at most.
    #[serde(default = "a_day")]
    pub overlap_secs: u64,
}

fn a_day() -> u64 {
    86_400
}

impl std::fmt::Debug for RotateSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RotateSecret").field("overlap_secs", &self.overlap_secs).finish_non_exhaustive()
    }
}

/// What a rotation did.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatedSecret {
    /// The name it was given.
    pub name: SecretName,
    /// Its whole name in Secrets Manager.
    pub secret: String,
    /// Until when the value before counts; none if it does not.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub old_until: Option<Timestamp>,
}
