//! Who may use the forge, and how a request proves it: Basic for git, Bearer or `token` for REST.
//! What somebody may do to a repository is in `access`.

use std::sync::{PoisonError, RwLock};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub login: String,
    /// The account's id; may be larger than 2^53.
    pub id: u64,
    /// The one token that proves to be this account.
    pub token: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("login", &self.login).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What GitHub writes as an account's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountKind {
    User,
    /// An App's own account, or a machine's.
    Bot,
    /// An owner of repositories who is nobody.
    Organization,
}

impl AccountKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Bot => "Bot",
            Self::Organization => "Organization",
        }
    }
}

/// What is told of an account, and kept with what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: u64,
    pub login: String,
    pub kind: AccountKind,
}

/// How far an account reaches when no repository says anything about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// It may do everything everywhere: whoever the host started the forge with.
    Everywhere,
    /// It may do what its role in a repository says.
    ByRole,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    #[serde(flatten)]
    pub user: User,
    pub kind: AccountKind,
    pub reach: Reach,
}

impl Member {
    pub fn account(&self) -> Account {
        Account { id: self.user.id, login: self.user.login.clone(), kind: self.kind }
    }
}

/// What the `Authorization` header of a request amounts to.
pub enum Credentials {
    Missing,
    /// There is one, of nobody who is known here; an App's token may be.
    Other(String),
    Of(Box<Member>),
}

#[derive(Debug)]
pub struct Users(RwLock<Vec<Member>>);

impl Users {
    /// Those the host names win over those remembered: their tokens may have changed.
    pub fn new(named: Vec<User>, remembered: Vec<Member>) -> Self {
        let named = named.into_iter().map(|user| Member { user, kind: AccountKind::User, reach: Reach::Everywhere });
        let mut members: Vec<Member> = named.collect();
        for member in remembered {
            if members.iter().all(|known| known.user.id != member.user.id) {
                members.push(member);
            }
        }
        Self(RwLock::new(members))
    }

    fn search<T>(&self, search: impl FnOnce(&[Member]) -> T) -> T {
        search(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn put(&self, member: Member) {
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|known| known.user.id != member.user.id);
        members.push(member);
    }

    pub fn by_id(&self, id: u64) -> Option<Member> {
        self.search(|members| members.iter().find(|member| member.user.id == id).cloned())
    }

    pub fn by_login(&self, login: &str) -> Option<Member> {
        self.search(|members| members.iter().find(|member| member.user.login.eq_ignore_ascii_case(login)).cloned())
    }

    /// Everybody, in the order they came.
    pub fn all(&self) -> Vec<Member> {
        self.search(<[Member]>::to_vec)
    }

    /// As git sends it: any user name, the password is the token.
    pub fn by_basic(&self, headers: &HeaderMap) -> Credentials {
        self.identify(headers, password)
    }

    /// As REST clients send it: `Bearer TOKEN` or `token TOKEN`.
    pub fn by_bearer(&self, headers: &HeaderMap) -> Credentials {
        self.identify(headers, |scheme, value| {
            let fits = ["bearer", "token"].iter().any(|word| scheme.eq_ignore_ascii_case(word));
            fits.then(|| value.to_owned())
        })
    }

    /// The caller whose token is in the header, as `token` reads it from scheme and value.
    pub fn identify(&self, headers: &HeaderMap, token: impl FnOnce(&str, &str) -> Option<String>) -> Credentials {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Credentials::Missing;
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|header| header.split_once(' '))
            .and_then(|(scheme, value)| token(scheme, value.trim()))
            .unwrap_or_default();
        // An empty token never matches, even for a user who was given one by mistake.
        // Tokens of a demo on this machine need no comparison in constant time.
        let member = self
            .search(|members| members.iter().find(|member| !token.is_empty() && member.user.token == token).cloned());
        member.map_or(Credentials::Other(token), |member| Credentials::Of(Box::new(member)))
    }
}

/// The password of Basic; the name before it is not looked at.
pub fn password(scheme: &str, value: &str) -> Option<String> {
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}
