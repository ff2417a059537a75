//! Reads the participants of a pull request and their current verdicts.

use serde::Deserialize;

use super::{
    Bitbucket,
    answers::{AccountAnswer, PageLinkAnswer},
};
use crate::{Error, call::Tries, names::RepositoryName};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Approves,
    AsksForChanges,
}

#[derive(Deserialize)]
pub(super) struct PeopleAnswer {
    /// Reviewers, and every account that commented or gave a verdict.
    #[serde(default)]
    participants: Vec<ParticipantAnswer>,
    #[serde(default)]
    reviewers: Vec<AccountAnswer>,
    author: Option<AccountAnswer>,
    #[serde(default)]
    pub(super) links: PageLinkAnswer,
}

#[derive(Deserialize)]
struct ParticipantAnswer {
    user: Option<AccountAnswer>,
    #[serde(default)]
    role: String,
    #[serde(default)]
    approved: bool,
    state: Option<String>,
}

impl ParticipantAnswer {
    fn is(&self, account: u64) -> bool {
        self.user.as_ref().and_then(AccountAnswer::id) == Some(account)
    }

    fn verdict(&self) -> Option<Verdict> {
        match self.state.as_deref() {
            Some("changes_requested") => Some(Verdict::AsksForChanges),
            Some("approved") => Some(Verdict::Approves),
            _ if self.approved => Some(Verdict::Approves),
            _ => None,
        }
    }
}

impl PeopleAnswer {
    pub(super) fn verdict_of(&self, account: u64) -> Option<Verdict> {
        self.participants.iter().filter(|participant| participant.is(account)).find_map(ParticipantAnswer::verdict)
    }

    pub(super) fn asking(&self) -> impl Iterator<Item = u64> {
        let asks = |participant: &&ParticipantAnswer| participant.verdict() == Some(Verdict::AsksForChanges);
        self.participants.iter().filter(asks).filter_map(|participant| participant.user.as_ref()?.id())
    }

    pub(super) fn uuid_of(&self, account: u64) -> Option<&str> {
        let participants = self.participants.iter().filter_map(|participant| participant.user.as_ref());
        let mut all = participants.chain(&self.reviewers).chain(&self.author);
        all.find(|known| known.id() == Some(account)).and_then(|known| known.uuid.as_deref())
    }

    pub(super) fn is_reviewer(&self, account: u64) -> bool {
        let has_the_role = |participant: &ParticipantAnswer| participant.role == "REVIEWER" && participant.is(account);
        self.participants.iter().any(has_the_role)
            || self.reviewers.iter().any(|reviewer| reviewer.id() == Some(account))
    }
}

impl Bitbucket {
    /// Reads a single pull request, because lists omit participants.
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}`.
    pub(super) async fn people(
        &self,
        full_name: &str,
        number: u64,
        what: &str,
        tries: Tries,
    ) -> Result<PeopleAnswer, Error> {
        let address = self.address(RepositoryName::parse(full_name)?, &["pullrequests", &number.to_string()]);
        self.client.get(address, what, tries).await
    }
}
