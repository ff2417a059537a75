//! Users and authentication: Basic for git, `Bearer` or `token` for REST.

use std::sync::{PoisonError, RwLock};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub login: String,
    pub id: u64,
    pub token: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("login", &self.login).field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountKind {
    User,
    Bot,
    Organization,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: u64,
    pub login: String,
    pub kind: AccountKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberScope {
    /// Administrator of every repository.
    Everywhere,
    ByRole,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    #[serde(flatten)]
    pub user: User,
    pub kind: AccountKind,
    pub reach: MemberScope,
}

impl Member {
    pub fn account(&self) -> Account {
        Account { id: self.user.id, login: self.user.login.clone(), kind: self.kind }
    }
}

pub enum Credentials {
    Missing,
    /// Unknown to the forge; may be an App's token.
    UnknownToken(String),
    Member(Box<Member>),
}

#[derive(Debug)]
pub struct Users(RwLock<Vec<Member>>);

impl Users {
    /// The host's users replace stored users with the same id, because tokens may have changed.
    pub fn new(configured: Vec<User>, stored: Vec<Member>) -> Self {
        let configured =
            configured.into_iter().map(|user| Member { user, kind: AccountKind::User, reach: MemberScope::Everywhere });
        let mut members: Vec<Member> = configured.collect();
        for member in stored {
            if members.iter().all(|existing| existing.user.id != member.user.id) {
                members.push(member);
            }
        }
        Self(RwLock::new(members))
    }

    fn with_members<T>(&self, search: impl FnOnce(&[Member]) -> T) -> T {
        search(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn put(&self, member: Member) {
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|existing| existing.user.id != member.user.id);
        members.push(member);
    }

    pub fn by_id(&self, id: u64) -> Option<Member> {
        self.with_members(|members| members.iter().find(|member| member.user.id == id).cloned())
    }

    pub fn by_login(&self, login: &str) -> Option<Member> {
        self.with_members(|members| {
            members.iter().find(|member| member.user.login.eq_ignore_ascii_case(login)).cloned()
        })
    }

    pub fn list(&self) -> Vec<Member> {
        self.with_members(<[Member]>::to_vec)
    }

    /// Accepts any user name, with the token as password.
    pub fn authenticate_basic(&self, headers: &HeaderMap) -> Credentials {
        self.authenticate(headers, basic_password)
    }

    pub fn authenticate_bearer(&self, headers: &HeaderMap) -> Credentials {
        self.authenticate(headers, |scheme, value| {
            let is_token = ["bearer", "token"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
            is_token.then(|| value.to_owned())
        })
    }

    pub fn authenticate(&self, headers: &HeaderMap, token: impl FnOnce(&str, &str) -> Option<String>) -> Credentials {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Credentials::Missing;
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|header| header.split_once(' '))
            .and_then(|(scheme, value)| token(scheme, value.trim()))
            .unwrap_or_default();
        // An empty token never matches. Constant time is unnecessary for a local demo.
        let member = self.with_members(|members| {
            members.iter().find(|member| !token.is_empty() && member.user.token == token).cloned()
        });
        member.map_or(Credentials::UnknownToken(token), |member| Credentials::Member(Box::new(member)))
    }
}

pub fn basic_password(scheme: &str, value: &str) -> Option<String> {
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}
