//! The id of a pull request.

use crate::id::{BadId, IntegrationId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A pull request by its forge's own ids, which survive renames. Host and number alone would not do:
/// two hosts share repository ids, so the integration is part of the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PullRequestId {
    /// The connected forge.
    pub integration: IntegrationId,
    /// The forge's id of the repository; may pass 2^53.
    pub repository: u64,
    /// Its number.
    pub number: u64,
}

/// `gh1/99/231`: an integration's name has no slash.
impl fmt::Display for PullRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.integration, self.repository, self.number)
    }
}

impl FromStr for PullRequestId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = BadId("a pull request's id is integration/repository/number");
        let mut parts = text.split('/');
        let (Some(integration), Some(repository), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad);
        };
        let whole = |part: &str| part.parse::<u64>().map_err(|_| bad.clone());
        Ok(Self {
            integration: IntegrationId::new(integration)?,
            repository: whole(repository)?,
            number: whole(number)?,
        })
    }
}
