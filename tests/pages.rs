//! Tests the pages with a browser's requests through the gateway.

mod access;
mod actions;
mod agent_reviews;
mod analyses;
mod artifacts;
mod assets;
mod charts;
mod frame;
mod job_pages;
mod job_tabs;
mod jobs;
mod markdown;
mod model_keys;
mod operations;
mod overview;
mod pulls;
mod repositories;
mod reviews;
mod runners;
mod runs;
mod search;
mod settings;
mod sign_in;
mod start;
mod tickets;
mod tokens;

use crate::prelude::*;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderValue};
use std::io::Read;

/// The header of the page script's requests.
const FRAGMENT: (&str, &str) = ("accept", "text/html; fragment");

/// A browser with one cookie and fetch metadata; it follows no redirect.
pub(crate) struct Browser {
    client: Client,
    url: String,
    cookie: Option<String>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(HeaderValue::to_str).transpose().unwrap().unwrap_or_default()
    }

    pub(crate) fn redirect(&self) -> (u16, &str) {
        (self.status, self.header("location"))
    }

    #[track_caller]
    pub(crate) fn assert_contains(&self, expected: &[&str]) {
        expected.iter().for_each(|text| assert!(self.contains(text), "{text}: {}", self.body));
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

impl Browser {
    fn new(story: &Story) -> Self {
        Self::at(story.local.api_url())
    }

    fn at(url: &str) -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .unwrap();
        Self { client, url: url.to_owned(), cookie: None }
    }

    pub(crate) async fn with(story: &Story, scopes: &[Scope], projects: Option<&[&str]>) -> Self {
        let mut browser = Self::new(story);
        browser.sign_in_with_token(&story.create_token(scopes, projects).await).await;
        assert!(browser.cookie.is_some());
        browser
    }

    pub(crate) async fn admin(story: &Story) -> Self {
        let mut browser = Self::new(story);
        browser.sign_in_with_token(story.local.admin_token()).await;
        browser
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        let mut call = self.client.request(method, format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            call = call.header("cookie", cookie);
        }
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        if !form.is_empty() {
            let encoded = form.iter().map(|(name, value)| format!("{name}={}", percent(value)));
            call = call
                .header("content-type", "application/x-www-form-urlencoded")
                .body(encoded.collect::<Vec<_>>().join("&"));
        }
        let answer = call.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[("sec-fetch-site", "same-origin")], &[]).await
    }

    async fn fragment(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[FRAGMENT], &[]).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.ask(Method::POST, path, &[("sec-fetch-site", "same-origin")], form).await
    }

    fn store_cookie(&mut self, answer: &Answer) {
        let Some(set) = answer.headers.get("set-cookie") else { return };
        let cookie = set.to_str().unwrap().split(';').next().unwrap();
        self.cookie = (!cookie.ends_with('=')).then(|| cookie.to_owned());
    }

    async fn sign_in_with_token(&mut self, token: &str) -> Answer {
        let answer = self.post("/sign-in", &[("token", token), ("to", "/jobs")]).await;
        self.store_cookie(&answer);
        answer
    }

    /// The bytes that a page transfers: its HTML, and its assets as a browser requests them.
    async fn weigh(&self, path: &str) -> usize {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        let gzip = ("accept-encoding", "gzip, br");
        let mut request = self.client.get(format!("{}{path}", self.url)).header(gzip.0, gzip.1);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{path}");
        let content = answer.bytes().await.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*content).read_to_string(&mut text).unwrap();
        assert!(text.ends_with(page.body.trim_end().rsplit('\n').next().unwrap()), "{path}: {text}");
        let mut bytes = content.len();
        for asset in page.body.split('"').filter(|part| part.starts_with("/assets/")) {
            let request = self.client.get(format!("{}{asset}", self.url)).header("accept-encoding", "gzip, br");
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{asset}");
            let is_gzip = answer.headers().get("content-encoding").is_some_and(|encoding| encoding == "gzip");
            assert!(is_gzip || asset.ends_with(".svg"), "{asset} is not compressed");
            let content = answer.bytes().await.unwrap();
            assert_eq!(content.starts_with(&[0x1f, 0x8b]), is_gzip, "{asset}");
            bytes += content.len();
        }
        bytes
    }

    async fn use_link(&mut self, link: &str) -> Answer {
        let answer = self.post("/sign-in", &[("code", code_of(link))]).await;
        self.store_cookie(&answer);
        answer
    }
}

impl Story {
    async fn with_browser() -> (Self, Browser) {
        let story = Self::start_with_waiting_tasks().await;
        let browser = Browser::admin(&story).await;
        (story, browser)
    }
}

fn code_of(link: &str) -> &str {
    link.split_once("/sign-in?code=").unwrap().1
}

pub(crate) fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
