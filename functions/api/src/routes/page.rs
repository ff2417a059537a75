//! Parses the query parameters of lists.

use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;
use pullyard_entry::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) const PAGE_SIZE: i32 = 50;

/// The position from which a list continues.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct CursorQuery {
    /// The cursor of an earlier page.
    pub(crate) after: Option<String>,
}

/// A page of a project's tickets or pull requests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct ProjectPageQuery {
    /// The project.
    pub(crate) project: ProjectId,
    /// The cursor of an earlier page.
    pub(crate) after: Option<String>,
}

pub(crate) fn parse_time(name: &str, value: Option<&String>) -> Result<Option<Timestamp>, Problem> {
    let time = value.map(|value| Timestamp::parse(value)).transpose();
    time.map_err(|_| Problem::bad_parameter(name, "write it as 2026-11-20T12:04:01Z"))
}

/// The values of a parameter, which commas separate.
pub(crate) fn split_list(list: Option<&String>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|text| text.split(','))
}

pub(crate) fn check_limit(limit: Option<usize>) -> Result<usize, Problem> {
    let max = PAGE_SIZE as usize;
    match limit.unwrap_or(max) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(Problem::bad_parameter("limit", &format!("use 1 to {max}"))),
    }
}
