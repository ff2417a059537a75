//! Bitbucket's responses, reduced to the fields that we read.

use reqwest::Url;
use serde::Deserialize;

use super::id_of;
use crate::{Account, Actor, BaseRepository, Branch, PullRequest, PullRequestState, Repository, Time};

/// A deleted account may have only a name.
#[derive(Deserialize)]
pub(super) struct AccountAnswer {
    pub(super) uuid: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
    #[serde(rename = "type", default)]
    kind: String,
}

impl AccountAnswer {
    /// The display name. It is not unique and works in no URL, so calls use the UUID.
    fn login(&self) -> String {
        let names = [&self.nickname, &self.display_name, &self.uuid];
        let name = names.into_iter().flatten().find(|name| !name.trim().is_empty());
        name.cloned().unwrap_or_default()
    }

    pub(super) fn account(&self) -> Option<Account> {
        Some(Account { id: id_of(self.uuid.as_ref()?), login: self.login() })
    }

    pub(super) fn id(&self) -> Option<u64> {
        Some(id_of(self.uuid.as_ref()?))
    }

    pub(super) fn actor(&self) -> Option<Actor> {
        Some(Actor { id: id_of(self.uuid.as_ref()?), login: self.login(), is_bot: self.kind == "app_user" })
    }
}

#[derive(Deserialize)]
pub(super) struct LinkAnswer {
    pub(super) href: String,
}

#[derive(Default, Deserialize)]
pub(super) struct PageLinkAnswer {
    html: Option<LinkAnswer>,
}

impl PageLinkAnswer {
    pub(super) fn url(&self) -> String {
        self.html.as_ref().map(|html| html.href.clone()).unwrap_or_default()
    }
}

#[derive(Deserialize)]
pub(super) struct RepositoryAnswer {
    uuid: String,
    full_name: String,
    mainbranch: Option<NameAnswer>,
    is_private: bool,
    links: RepositoryLinksAnswer,
}

#[derive(Deserialize)]
struct RepositoryLinksAnswer {
    html: LinkAnswer,
    #[serde(default)]
    clone: Vec<CloneAnswer>,
}

#[derive(Deserialize)]
struct CloneAnswer {
    #[serde(default)]
    name: String,
    href: String,
}

#[derive(Deserialize)]
struct NameAnswer {
    name: String,
}

pub(super) enum Lacks {
    MainBranch,
    /// Git over HTTPS is disabled.
    CloneAddress,
}

impl RepositoryAnswer {
    pub(super) fn repository(self) -> Result<Repository, Lacks> {
        let clone = self.links.clone.iter().find(|link| link.name == "https").ok_or(Lacks::CloneAddress)?;
        Ok(Repository {
            id: id_of(&self.uuid),
            clone_url: without_user(&clone.href).ok_or(Lacks::CloneAddress)?,
            full_name: self.full_name,
            default_branch: self.mainbranch.ok_or(Lacks::MainBranch)?.name,
            html_url: self.links.html.href,
            private: self.is_private,
        })
    }
}

/// Removes the caller's name, which Bitbucket adds to the URL.
fn without_user(address: &str) -> Option<String> {
    let mut address: Url = address.parse().ok()?;
    address.set_username("").ok()?;
    address.set_password(None).ok()?;
    Some(address.into())
}

#[derive(Deserialize)]
pub(super) struct BranchAnswer {
    name: String,
    target: CommitAnswer,
}

#[derive(Deserialize)]
pub(super) struct CommitAnswer {
    pub(super) hash: String,
}

impl From<BranchAnswer> for Branch {
    fn from(BranchAnswer { name, target }: BranchAnswer) -> Self {
        Self { name, sha: target.hash }
    }
}

#[derive(Deserialize)]
pub(super) struct PullRequestAnswer {
    id: u64,
    title: String,
    state: StateAnswer,
    #[serde(default)]
    draft: bool,
    author: Option<AccountAnswer>,
    updated_on: Time,
    source: EndAnswer,
    destination: EndAnswer,
    #[serde(default)]
    links: PageLinkAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum StateAnswer {
    Open,
    Merged,
    Declined,
    Superseded,
}

#[derive(Deserialize)]
struct EndAnswer {
    branch: NameAnswer,
    /// Absent once the branch is deleted.
    commit: Option<CommitAnswer>,
    repository: Option<EndRepositoryAnswer>,
}

#[derive(Deserialize)]
struct EndRepositoryAnswer {
    uuid: String,
    full_name: Option<String>,
}

impl PullRequestAnswer {
    /// Whether the head branch is in the base repository; true if the base repository is unknown.
    pub(super) fn is_from_here(&self) -> bool {
        match (&self.source.repository, &self.destination.repository) {
            (Some(source), Some(destination)) => id_of(&source.uuid) == id_of(&destination.uuid),
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
}

impl From<PullRequestAnswer> for PullRequest {
    fn from(answer: PullRequestAnswer) -> Self {
        Self {
            number: answer.id,
            url: answer.links.url(),
            head_sha: answer.source.commit.map(|commit| commit.hash).unwrap_or_default(),
            head_branch: answer.source.branch.name,
            head_repository: answer.source.repository.map(|repository| id_of(&repository.uuid)),
            base_branch: answer.destination.branch.name,
            base_repository: answer
                .destination
                .repository
                .map(|repository| BaseRepository { id: id_of(&repository.uuid), full_name: repository.full_name }),
            state: match answer.state {
                StateAnswer::Open => PullRequestState::Open,
                StateAnswer::Merged => PullRequestState::Merged,
                StateAnswer::Declined | StateAnswer::Superseded => PullRequestState::Closed,
            },
            draft: answer.draft,
            title: answer.title,
            author: answer.author.and_then(|author| author.actor()),
            updated_at: answer.updated_on,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clone_url_loses_the_user() {
        let check = |told: &str, expected: Option<&str>| assert_eq!(without_user(told).as_deref(), expected, "{told}");
        check("https://ann@bitbucket.org/acme/app.git", Some("https://bitbucket.org/acme/app.git"));
        check("https://ann:pw@bitbucket.org/acme/app.git", Some("https://bitbucket.org/acme/app.git"));
        check("http://127.0.0.1:4100/acme/app.git", Some("http://127.0.0.1:4100/acme/app.git"));
        check("git@bitbucket.org:acme/app.git", None);
    }

    #[test]
    fn login_is_nickname_then_display_name_then_uuid() {
        let check = |said: &str, expected: Option<(&str, bool)>| {
            let answer: AccountAnswer = serde_json::from_str(said).unwrap();
            let actor = answer.actor();
            let told = actor.as_ref().map(|actor| (actor.login.as_str(), actor.is_bot));
            assert_eq!(told, expected, "{said}");
            assert_eq!(answer.account().map(|account| account.id), actor.map(|actor| actor.id));
        };
        check(r#"{"uuid":"{1}","nickname":"ann","display_name":"Ann A.","type":"user"}"#, Some(("ann", false)));
        check(r#"{"uuid":"{1}","nickname":"","display_name":"Ann A."}"#, Some(("Ann A.", false)));
        check(r#"{"uuid":"{1}","display_name":"Pullyard","type":"app_user"}"#, Some(("Pullyard", true)));
        check(r#"{"uuid":"{1}"}"#, Some(("{1}", false)));
        check(r#"{"display_name":"Former user"}"#, None);
    }
}
