//! The query of lists without filters.

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) const PAGE_SIZE: i32 = 50;

/// The position from which a list continues.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "After")]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct CursorQuery {
    /// The cursor of an earlier page.
    pub(crate) after: Option<String>,
}
