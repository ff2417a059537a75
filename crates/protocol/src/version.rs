//! Types of `GET /v1/version` and the health routes, and the runners' version header.

use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use serde::{Deserialize, Serialize};

/// Request header with the runner's protocol version.
pub const HEADER: &str = "pullyard-version";

/// Current protocol version. Version 2 has jobs that report an output, version 3 reviews by agents, version 4 jobs that
/// resolve or analyse.
pub const PROTOCOL: u32 = 5;

/// Oldest version that the server serves. A job that an older runner does not know is refused at its start.
pub const OLDEST_PROTOCOL: u32 = 1;

/// Version and clock of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Version {
    /// Release.
    pub version: String,
    /// Git commit of the server; `unknown` if it was built without git. Empty from an older server.
    #[serde(default)]
    pub commit: String,
    /// Protocol version, see [`PROTOCOL`].
    pub protocol: u32,
    /// The server's clock.
    #[serde(default, with = "OptionalWireTime", skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

/// Answer to `GET /readyz` if the deployment is ready; otherwise it is the problem `not_ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Readiness {
    /// `ok`.
    pub status: String,
    /// `ok`: the table can be read.
    pub table: String,
    /// `ok`: the sweeper ran recently.
    pub sweeper: String,
}

/// Answer to `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}
