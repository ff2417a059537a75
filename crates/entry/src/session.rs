//! Authenticates browsers by a session cookie that represents an API token.

use crate::auth::record_token_use;
use crate::{Context, Problem};
use axum::http::{HeaderMap, header};
use pullyard_control::{Error, SessionCookie, load_valid_token};
use pullyard_domain::project::access::{Object, check_access, has_scope};
use pullyard_domain::project::spending::RaiseRight;
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::ticket::comment::Editor;
use pullyard_store::Scope;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Visitor {
    pub id: String,
    pub name: String,
    scopes: BTreeSet<Scope>,
    projects: Option<BTreeSet<ProjectId>>,
}

impl Visitor {
    /// `None` if the cookie or its token is missing, forged, expired or revoked. Writes: the token's last use.
    pub async fn from_headers(ctx: &Context, headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(cookie) = find_cookie(headers, &cookie_name(requested_url(ctx, headers))) else { return Ok(None) };
        let now = ctx.clock.now();
        let session = match ctx.load_signing_key().await?.verify_session(cookie, now) {
            Ok(session) => session,
            Err(Error::InvalidToken) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(token) = load_valid_token(ctx, &session.token).await? else { return Ok(None) };
        record_token_use(ctx, &token, now);
        Ok(Some(Self { id: token.id().to_string(), name: token.name, scopes: token.scopes, projects: token.projects }))
    }

    pub fn may_read(&self) -> bool {
        self.may(Scope::Read)
    }

    pub fn may_run_jobs(&self) -> bool {
        self.may(Scope::Jobs)
    }

    pub fn may_administer(&self) -> bool {
        self.may(Scope::Admin)
    }

    pub fn raise_right(&self) -> RaiseRight {
        if self.may_administer() { RaiseRight::Admin } else { RaiseRight::Jobs }
    }

    pub fn editor(&self) -> Editor {
        if self.may_administer() { Editor::Admin } else { Editor::Token(self.id.clone()) }
    }

    pub fn may_access_all_projects(&self) -> bool {
        self.may_access_object(Object::Deployment)
    }

    pub fn may_operate(&self) -> bool {
        self.may_administer() && self.may_access_all_projects()
    }

    fn may(&self, scope: Scope) -> bool {
        has_scope(&self.scopes, scope)
    }

    pub fn may_access(&self, project: &ProjectId) -> bool {
        self.may_access_object(Object::Project(project))
    }

    pub fn may_access_object(&self, object: Object<'_>) -> bool {
        check_access(self.projects.as_ref(), object).is_ok()
    }

    pub fn projects(&self) -> Option<&BTreeSet<ProjectId>> {
        self.projects.as_ref()
    }
}

/// The address by which a browser reached this server; its cookies belong to it.
pub fn requested_url<'a>(ctx: &'a Context, headers: &HeaderMap) -> &'a str {
    let name = |host: &str| host.split(':').next().map(str::to_lowercase);
    let host = headers.get(header::HOST).and_then(|host| name(host.to_str().ok()?));
    let is_requested = |url: &&str| host.is_some() && url.split_once("://").and_then(|(_, host)| name(host)) == host;
    ctx.public_url.as_deref().filter(is_requested).unwrap_or(&ctx.api_url)
}

pub fn sign_in_cookie(url: &str, signed: &SessionCookie) -> String {
    format_cookie(url, &signed.cookie, signed.expires_in.as_secs())
}

pub fn sign_out_cookie(url: &str) -> String {
    format_cookie(url, "", 0)
}

fn format_cookie(url: &str, value: &str, secs: u64) -> String {
    let secure = if url.starts_with("https://") { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite=Strict{secure}", cookie_name(url))
}

/// `__Host-` restricts the cookie to this host. Without TLS, browsers share cookies between ports: add the port.
fn cookie_name(url: &str) -> String {
    if url.starts_with("https://") {
        return "__Host-pullyard".into();
    }
    let port = url.trim_end_matches('/').rsplit_once(':').map(|(_, port)| port);
    let port = port.filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    format!("pullyard_{}", port.unwrap_or("80"))
}

/// `None` unless exactly one cookie has the name.
fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lists = headers.get_all(header::COOKIE).into_iter().filter_map(|list| list.to_str().ok());
    let mut values = lists
        .flat_map(|list| list.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn cookie_is_secure_when_the_address_is_https() {
        let signed = SessionCookie { cookie: "pys_x".into(), expires_in: Duration::from_secs(60) };
        assert_eq!(
            sign_in_cookie("https://pullyard.example", &signed),
            "__Host-pullyard=pys_x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(
            sign_out_cookie("http://127.0.0.1:7878/"),
            "pullyard_7878=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        );
    }

    #[test]
    fn cookie_is_found_only_when_its_name_is_unique() {
        let check = |lists: &[&str], expected| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(header::COOKIE, list.parse().unwrap());
            }
            assert_eq!(find_cookie(&headers, "a"), expected, "{lists:?}");
        };
        check(&["b=1; a=2"], Some("2"));
        check(&["b=1", "a=2"], Some("2"));
        check(&["a=1; a=2"], None);
        check(&["aa=1; ba=2"], None);
        check(&[], None);
    }
}
