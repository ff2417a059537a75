//! `GET /v1/version` and the runners' version header.

use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

/// Request header with the runner's protocol version.
pub const HEADER: &str = "pullyard-version";

/// Present protocol version. Increased when older runners can no longer be served.
pub const PROTOCOL: u32 = 1;

/// What is running.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The release.
    pub version: String,
    /// The git commit of the server's program; `unknown` if it was built without git. Empty: an older server.
    #[serde(default)]
    pub commit: String,
    /// See [`PROTOCOL`].
    pub protocol: u32,
    /// The server's clock.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub time: Option<Timestamp>,
}

/// `GET /readyz`, when all is well; a problem `not_ready` else.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// `ok`.
    pub status: String,
    /// `ok`: the table can be read.
    pub table: String,
    /// `ok`: the sweeper went round lately.
    pub sweeper: String,
}

/// `GET /healthz`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_parsed_when_an_older_server_sends_no_commit() {
        let version: Version = serde_json::from_str(r#"{"version":"0.1.0","protocol":1}"#).unwrap();
        assert_eq!(version, Version { version: "0.1.0".into(), commit: String::new(), protocol: 1, time: None });
    }
}
