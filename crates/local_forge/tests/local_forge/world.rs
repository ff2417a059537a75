//! A forge with one repository, one pull request and four accounts, and an HTTP client for each account.

use pullyard_local_forge::{AccountKind, LineComment, LocalForge, NoExtension, Options, Role, User};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const REPOSITORY: &str = "acme/app";
/// The author of the pull request, an administrator.
pub(crate) const BOT: &str = "pullyard-bot";
/// A writer.
pub(crate) const ANN: &str = "ann";
/// A reader.
pub(crate) const RON: &str = "ron";
/// An account without a role.
pub(crate) const EVE: &str = "eve";

const IDS: [(&str, u64); 4] = [(BOT, 9_007_199_254_740_995), (ANN, 11), (RON, 12), (EVE, 13)];

pub(crate) struct World {
    pub(crate) forge: LocalForge,
    pub(crate) dir: TempDir,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Response {
    pub(crate) fn errors(&self) -> String {
        format!("{}: {}", self.body["message"].as_str().unwrap_or_default(), self.body["errors"])
    }
}

fn token(login: &str) -> String {
    format!("token-of-{login}")
}

fn user(login: &str) -> User {
    let id = IDS.iter().find(|(name, _)| *name == login).unwrap().1;
    User { login: login.to_owned(), id, token: token(login) }
}

pub(crate) fn lines(changed: &[(usize, &str)]) -> String {
    let line = |at: usize| {
        changed.iter().find(|(number, _)| *number == at).map_or(format!("line {at}"), |(_, text)| (*text).to_owned())
    };
    (1..=30).map(|at| line(at) + "\n").collect()
}

fn http_client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    client.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

impl World {
    /// `change.txt` has thirty lines; pull request 1 changes the tenth on branch `job`.
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let forge = start(&dir).await;
        forge.create_repository(REPOSITORY, "main", &[("change.txt", &lines(&[]), false)]).await.unwrap();
        for (login, role) in [(ANN, Role::Write), (RON, Role::Read), (EVE, Role::None)] {
            forge.add_user(user(login), AccountKind::User).await.unwrap();
            forge.set_role(REPOSITORY, login, role).await.unwrap();
        }
        let world = Self { forge, dir };
        world.push(&[(10, "changed")]).await;
        let new = json!({ "title": "Change it", "head": "job", "base": "main", "body": "Why." });
        assert_eq!(world.post(BOT, "pulls", new).await.status, 201);
        world
    }

    pub(crate) async fn push(&self, changed: &[(usize, &str)]) -> String {
        self.forge.commit(REPOSITORY, "job", BOT, &[("change.txt", &lines(changed), false)]).await.unwrap()
    }

    pub(crate) async fn call(&self, login: &str, method: Method, path: &str, body: Option<Value>) -> Response {
        self.call_with_key(login, method, path, body, "").await
    }

    async fn call_with_key(&self, login: &str, method: Method, path: &str, body: Option<Value>, key: &str) -> Response {
        let url = match path.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.forge.api_url()),
            None => format!("{}/repos/{REPOSITORY}/{path}", self.forge.api_url()),
        };
        let client = http_client();
        let mut request = client.request(method, &url).bearer_auth(token(login)).header("idempotency-key", key);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Response { status, body }
    }

    /// The status and the address of a redirect.
    pub(crate) async fn follow_once(&self, path: &str) -> (u16, String) {
        let answer = http_client().get(format!("{}/{path}", self.forge.url())).send().await.unwrap();
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        (answer.status().as_u16(), to.unwrap_or_default())
    }

    pub(crate) async fn get(&self, login: &str, path: &str) -> Response {
        self.call(login, Method::GET, path, None).await
    }

    pub(crate) async fn get_diff(&self, login: &str, number: u64) -> Response {
        let url = format!("{}/repos/{REPOSITORY}/pulls/{number}", self.forge.api_url());
        let request = http_client().get(url).bearer_auth(token(login));
        let answer = request.header("accept", "application/vnd.github.diff").send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        Response { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub(crate) async fn post(&self, login: &str, path: &str, body: Value) -> Response {
        self.call(login, Method::POST, path, Some(body)).await
    }

    pub(crate) async fn post_with_key(&self, login: &str, path: &str, body: Value, key: &str) -> Response {
        self.call_with_key(login, Method::POST, path, Some(body), key).await
    }

    pub(crate) async fn put(&self, login: &str, path: &str, body: Value) -> Response {
        self.call(login, Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, login: &str, path: &str, body: Value) -> Response {
        self.call(login, Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, login: &str, path: &str) -> Response {
        self.call(login, Method::DELETE, path, None).await
    }

    pub(crate) async fn request_changes(&self, login: &str, summary: &str) -> u64 {
        let comment = LineComment { path: "change.txt", line: 10, body: "Why so?" };
        self.forge.request_changes(REPOSITORY, 1, login, summary, &[comment]).await.unwrap()
    }
}

async fn start(dir: &TempDir) -> LocalForge {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    LocalForge::start(Options {
        dir: dir.path().join("forge"),
        listener,
        users: vec![user(BOT)],
        pages: Some("http://pages.test/pulls/local".to_owned()),
        extension: Arc::new(NoExtension),
    })
    .await
    .unwrap()
}
