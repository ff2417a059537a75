//! Reads the participants of a pull request and their current verdicts.

use serde::Deserialize;

use super::{
    Bitbucket,
    responses::{AccountResponse, PageLinkResponse},
};
use crate::{Error, http_client::RetryPolicy};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Approved,
    ChangesRequested,
}

#[derive(Deserialize)]
pub(crate) struct ParticipantsResponse {
    /// Reviewers, and every account that commented or gave a verdict.
    #[serde(default)]
    participants: Vec<ParticipantResponse>,
    #[serde(default)]
    reviewers: Vec<AccountResponse>,
    author: Option<AccountResponse>,
    #[serde(default)]
    pub(super) links: PageLinkResponse,
}

#[derive(Deserialize)]
struct ParticipantResponse {
    user: Option<AccountResponse>,
    #[serde(default)]
    role: String,
    #[serde(default)]
    approved: bool,
    state: Option<String>,
}

impl ParticipantResponse {
    fn has_account(&self, account: u64) -> bool {
        self.user.as_ref().and_then(AccountResponse::id) == Some(account)
    }

    fn verdict(&self) -> Option<Verdict> {
        match self.state.as_deref() {
            Some("changes_requested") => Some(Verdict::ChangesRequested),
            Some("approved") => Some(Verdict::Approved),
            _ if self.approved => Some(Verdict::Approved),
            _ => None,
        }
    }
}

impl ParticipantsResponse {
    pub(super) fn verdict_of(&self, account: u64) -> Option<Verdict> {
        self.participants
            .iter()
            .filter(|participant| participant.has_account(account))
            .find_map(ParticipantResponse::verdict)
    }

    pub(crate) fn lacks_change_request_of(&self, account: u64) -> bool {
        let mut of_account = self.participants.iter().filter(|participant| participant.has_account(account));
        of_account.next().is_some_and(|participant| participant.verdict() != Some(Verdict::ChangesRequested))
    }

    pub(super) fn change_requesters(&self) -> impl Iterator<Item = u64> {
        let requests_changes =
            |participant: &&ParticipantResponse| participant.verdict() == Some(Verdict::ChangesRequested);
        self.participants.iter().filter(requests_changes).filter_map(|participant| participant.user.as_ref()?.id())
    }

    pub(super) fn uuid_of(&self, account: u64) -> Option<&str> {
        let participants = self.participants.iter().filter_map(|participant| participant.user.as_ref());
        let mut all = participants.chain(&self.reviewers).chain(&self.author);
        all.find(|user| user.id() == Some(account)).and_then(|user| user.uuid.as_deref())
    }

    pub(super) fn is_reviewer(&self, account: u64) -> bool {
        let has_reviewer_role =
            |participant: &ParticipantResponse| participant.role == "REVIEWER" && participant.has_account(account);
        self.participants.iter().any(has_reviewer_role)
            || self.reviewers.iter().any(|reviewer| reviewer.id() == Some(account))
    }
}

impl Bitbucket {
    /// Reads a single pull request, because lists omit participants.
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}`.
    pub(super) async fn get_participants(
        &self,
        full_name: &str,
        number: u64,
        resource: &str,
        policy: RetryPolicy,
    ) -> Result<ParticipantsResponse, Error> {
        let address = self.url(full_name, &["pullrequests", &number.to_string()])?;
        self.client.get(address, resource, policy).await
    }
}
