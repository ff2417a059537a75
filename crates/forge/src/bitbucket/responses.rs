//! Bitbucket's responses, reduced to the fields that we read.

use reqwest::Url;
use serde::Deserialize;

use super::uuid_to_id;
use crate::{Account, Actor, BaseRepository, PullRequest, PullRequestState, Time};

/// A deleted account may have only a name.
#[derive(Deserialize)]
pub(crate) struct AccountResponse {
    pub(crate) uuid: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
    #[serde(rename = "type", default)]
    kind: String,
}

impl AccountResponse {
    /// The display name. It is not unique and works in no URL, so calls use the UUID.
    fn login(&self) -> String {
        let names = [&self.nickname, &self.display_name, &self.uuid];
        let name = names.into_iter().flatten().find(|name| !name.trim().is_empty());
        name.cloned().unwrap_or_default()
    }

    pub(super) fn account(&self) -> Option<Account> {
        Some(Account { id: uuid_to_id(self.uuid.as_ref()?), login: self.login() })
    }

    pub(crate) fn id(&self) -> Option<u64> {
        Some(uuid_to_id(self.uuid.as_ref()?))
    }

    pub(crate) fn actor(&self) -> Option<Actor> {
        Some(Actor { id: uuid_to_id(self.uuid.as_ref()?), login: self.login(), is_bot: self.kind == "app_user" })
    }
}

#[derive(Deserialize)]
pub(super) struct LinkResponse {
    pub(super) href: String,
}

#[derive(Default, Deserialize)]
pub(super) struct PageLinkResponse {
    html: Option<LinkResponse>,
}

impl PageLinkResponse {
    pub(super) fn url(&self) -> String {
        self.html.as_ref().map(|html| html.href.clone()).unwrap_or_default()
    }
}

#[derive(Deserialize)]
pub(super) struct RepositoryResponse {
    pub(super) uuid: String,
    pub(super) full_name: String,
    pub(super) mainbranch: Option<NameResponse>,
    links: RepositoryLinksResponse,
}

#[derive(Deserialize)]
struct RepositoryLinksResponse {
    #[serde(default)]
    clone: Vec<CloneResponse>,
}

#[derive(Deserialize)]
struct CloneResponse {
    #[serde(default)]
    name: String,
    href: String,
}

#[derive(Deserialize)]
pub(super) struct NameResponse {
    pub(super) name: String,
}

impl RepositoryResponse {
    /// `None` if git over HTTPS is disabled.
    pub(super) fn clone_url(&self) -> Option<String> {
        strip_user_info(&self.links.clone.iter().find(|link| link.name == "https")?.href)
    }
}

/// Removes the caller's name, which Bitbucket adds to the URL.
fn strip_user_info(address: &str) -> Option<String> {
    let mut address: Url = address.parse().ok()?;
    address.set_username("").ok()?;
    address.set_password(None).ok()?;
    Some(address.into())
}

#[derive(Deserialize)]
pub(super) struct CommitResponse {
    pub(super) hash: String,
}

#[derive(Deserialize)]
pub(crate) struct PullRequestResponse {
    id: u64,
    title: String,
    state: StateResponse,
    #[serde(default)]
    draft: bool,
    author: Option<AccountResponse>,
    created_on: Option<Time>,
    updated_on: Time,
    source: RefResponse,
    destination: RefResponse,
    #[serde(default)]
    links: PageLinkResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum StateResponse {
    Open,
    Merged,
    Declined,
    Superseded,
}

#[derive(Deserialize)]
struct RefResponse {
    branch: NameResponse,
    /// Absent once the branch is deleted.
    commit: Option<CommitResponse>,
    repository: Option<RefRepositoryResponse>,
}

#[derive(Deserialize)]
struct RefRepositoryResponse {
    uuid: String,
    full_name: Option<String>,
}

impl PullRequestResponse {
    pub(super) fn is_same_repository(&self) -> bool {
        match (&self.source.repository, &self.destination.repository) {
            (Some(source), Some(destination)) => uuid_to_id(&source.uuid) == uuid_to_id(&destination.uuid),
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
}

impl From<PullRequestResponse> for PullRequest {
    fn from(answer: PullRequestResponse) -> Self {
        Self {
            number: answer.id,
            url: answer.links.url(),
            head_sha: answer.source.commit.map(|commit| commit.hash).unwrap_or_default(),
            head_branch: answer.source.branch.name,
            head_repository: answer.source.repository.map(|repository| uuid_to_id(&repository.uuid)),
            base_branch: answer.destination.branch.name,
            base_repository: answer
                .destination
                .repository
                .map(|repository| BaseRepository { id: uuid_to_id(&repository.uuid), full_name: repository.full_name }),
            state: match answer.state {
                StateResponse::Open => PullRequestState::Open,
                StateResponse::Merged => PullRequestState::Merged,
                StateResponse::Declined | StateResponse::Superseded => PullRequestState::Closed,
            },
            draft: answer.draft,
            author: answer.author.and_then(|author| author.actor()),
            title: answer.title,
            created_at: answer.created_on,
            updated_at: answer.updated_on,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clone_url_loses_the_user() {
        let check = |url: &str, expected: Option<&str>| assert_eq!(strip_user_info(url).as_deref(), expected, "{url}");
        check("https://ann@bitbucket.org/acme/app.git", Some("https://bitbucket.org/acme/app.git"));
        check("https://ann:pw@bitbucket.org/acme/app.git", Some("https://bitbucket.org/acme/app.git"));
        check("http://127.0.0.1:4100/acme/app.git", Some("http://127.0.0.1:4100/acme/app.git"));
        check("git@bitbucket.org:acme/app.git", None);
    }

    #[test]
    fn login_is_nickname_then_display_name_then_uuid() {
        let check = |json: &str, expected: Option<(&str, bool)>| {
            let answer: AccountResponse = serde_json::from_str(json).unwrap();
            let actor = answer.actor();
            let identity = actor.as_ref().map(|actor| (actor.login.as_str(), actor.is_bot));
            assert_eq!(identity, expected, "{json}");
            assert_eq!(answer.account().map(|account| account.id), actor.map(|actor| actor.id));
        };
        check(r#"{"uuid":"{1}","nickname":"ann","display_name":"Ann A.","type":"user"}"#, Some(("ann", false)));
        check(r#"{"uuid":"{1}","nickname":"","display_name":"Ann A."}"#, Some(("Ann A.", false)));
        check(r#"{"uuid":"{1}","display_name":"Pullyard","type":"app_user"}"#, Some(("Pullyard", true)));
        check(r#"{"uuid":"{1}"}"#, Some(("{1}", false)));
        check(r#"{"display_name":"Former user"}"#, None);
    }
}
