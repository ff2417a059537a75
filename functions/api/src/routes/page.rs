//! What every list that has nothing else to ask is asked.

use schemars::JsonSchema;
use serde::Deserialize;

/// How many of a kind a page shows, unless it is asked for fewer.
pub(crate) const PAGE: i32 = 50;

/// Where to go on reading.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct After {
    /// The cursor of an earlier page.
    pub(crate) after: Option<String>,
}
