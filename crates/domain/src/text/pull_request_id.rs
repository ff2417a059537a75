//! The id of a pull request.

use crate::text::id::{IntegrationId, InvalidId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The forge's ids of a pull request, which survive renames. Two hosts may use equal ids, hence the integration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PullRequestId {
    pub integration: IntegrationId,
    /// The forge's id of the repository; may exceed 2^53.
    pub repository: u64,
    pub number: u64,
}

/// `gh1/99/231`. The name of an integration contains no slash.
impl fmt::Display for PullRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.integration, self.repository, self.number)
    }
}

impl FromStr for PullRequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = InvalidId("a pull request's id is integration/repository/number");
        let [integration, repository, number] = text.split('/').collect::<Vec<_>>()[..] else { return Err(bad) };
        let parse_part = |part: &str| part.parse::<u64>().map_err(|_| bad.clone());
        Ok(Self {
            integration: IntegrationId::new(integration)?,
            repository: parse_part(repository)?,
            number: parse_part(number)?,
        })
    }
}
