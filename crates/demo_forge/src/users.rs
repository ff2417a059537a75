//! Who may use the forge, and how a request proves it: Basic for git, Bearer or `token` for REST.
//! It does not decide what a user may do: every user may do everything here.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// An account of the forge.
#[derive(Clone)]
pub struct User {
    /// The account's name.
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

/// What the `Authorization` header of a request amounts to.
pub(crate) enum Credentials<'a> {
    /// There is none.
    Missing,
    /// There is one, and it is nobody's.
    Wrong,
    /// It is this user's.
    Of(&'a User),
}

#[derive(Debug)]
pub(crate) struct Users(Vec<User>);

impl Users {
    pub(crate) fn new(users: Vec<User>) -> Self {
        Self(users)
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<&User> {
        self.0.iter().find(|user| user.id == id)
    }

    /// As git sends it: any user name, the password is the token.
    pub(crate) fn by_basic(&self, headers: &HeaderMap) -> Credentials<'_> {
        self.identify(headers, |scheme, value| {
            if !scheme.eq_ignore_ascii_case("basic") {
                return None;
            }
            let decoded = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
            decoded.split_once(':').map(|(_, password)| password.to_owned())
        })
    }

    /// As REST clients send it: `Bearer TOKEN` or `token TOKEN`.
    pub(crate) fn by_bearer(&self, headers: &HeaderMap) -> Credentials<'_> {
        self.identify(headers, |scheme, value| {
            let fits = ["bearer", "token"].iter().any(|word| scheme.eq_ignore_ascii_case(word));
            fits.then(|| value.to_owned())
        })
    }

    fn identify(&self, headers: &HeaderMap, token: impl FnOnce(&str, &str) -> Option<String>) -> Credentials<'_> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Credentials::Missing;
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|header| header.split_once(' '))
            .and_then(|(scheme, value)| token(scheme, value.trim()));
        // An empty token never matches, even for a user who was given one by mistake.
        // Tokens of a demo on this machine need no comparison in constant time.
        let user =
            token.filter(|token| !token.is_empty()).and_then(|token| self.0.iter().find(|user| user.token == token));
        user.map_or(Credentials::Wrong, Credentials::Of)
    }
}
