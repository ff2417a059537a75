//! Serves the page that posts a manifest, and receives GitHub's redirect, on 127.0.0.1.
//!
//! Page and state are random and used once, so that no other process can inject an App.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::any;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the last answer may take to reach the browser, which may be gone.
const LAST_ANSWER: Duration = Duration::from_secs(30);

pub(super) struct Page {
    pub(super) action: String,
    pub(super) manifest: String,
}

pub(super) struct Loopback {
    listener: TcpListener,
    host: String,
    name: String,
    state: String,
}

impl Loopback {
    pub(super) async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let host = listener.local_addr()?.to_string();
        let random = || format!("{:032x}", rand::random::<u128>());
        Ok(Self { listener, host, name: random(), state: random() })
    }

    pub(super) fn redirect(&self) -> String {
        format!("http://{}/done", self.host)
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn serve(self, page: Page) -> LoopbackServer {
        let Self { listener, host, name, state } = self;
        let (address, end) = (format!("http://{host}/{name}"), Arc::new(Notify::new()));
        let (sender, callbacks) = mpsc::channel(1);
        let handler = Arc::new(RequestHandler { host, name, state, page: form_page(&page), callbacks: sender });
        let app = Router::new().route("/{name}", any(show)).route("/done", any(handle_callback)).fallback(missing);
        let ended = Arc::clone(&end);
        let server = axum::serve(listener, app.with_state(handler));
        let server = server.with_graceful_shutdown(async move { ended.notified().await });
        LoopbackServer { address, callbacks, end, server: tokio::spawn(server.into_future()) }
    }
}

pub(super) struct LoopbackServer {
    address: String,
    callbacks: mpsc::Receiver<Callback>,
    end: Arc<Notify>,
    server: JoinHandle<io::Result<()>>,
}

impl Drop for LoopbackServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl LoopbackServer {
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn callback(&mut self) -> Option<Callback> {
        let callback = self.callbacks.recv().await;
        self.callbacks.close();
        callback
    }

    pub(super) async fn answer(mut self, callback: Callback, status: StatusCode, message: &str) {
        let _ = callback.answer.send(respond(status, sentence_page(message)));
        self.end.notify_one();
        let _ = timeout(LAST_ANSWER, &mut self.server).await;
    }
}

pub(super) struct Callback {
    pub(super) code: String,
    answer: oneshot::Sender<Response>,
}

struct RequestHandler {
    host: String,
    name: String,
    state: String,
    page: String,
    callbacks: mpsc::Sender<Callback>,
}

impl RequestHandler {
    /// Verifies the host, because another site's page may reach this address under another name (DNS rebinding).
    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        if headers.get(header::HOST).is_none_or(|host| host.as_bytes() != self.host.as_bytes()) {
            return Err(Refusal(StatusCode::MISDIRECTED_REQUEST, "The host name does not match this server."));
        }
        if method != Method::GET {
            return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "This page accepts only GET requests."));
        }
        Ok(())
    }
}

async fn show(
    State(handler): State<Arc<RequestHandler>>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    handler.check(&method, &headers)?;
    if name != handler.name {
        return Err(missing().await);
    }
    Ok(respond(StatusCode::OK, handler.page.clone()))
}

async fn handle_callback(
    State(handler): State<Arc<RequestHandler>>,
    Query(query): Query<Vec<(String, String)>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    handler.check(&method, &headers)?;
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if value("state") != Some(&handler.state) {
        return Err(Refusal(StatusCode::BAD_REQUEST, "This response is from another run. Use the newest page."));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let code = value("code").filter(|code| !code.is_empty() && code.len() <= 200 && code.bytes().all(plain));
    let code = code.ok_or(Refusal(StatusCode::BAD_REQUEST, "GitHub sent no code."))?.clone();
    let used = Refusal(StatusCode::GONE, "This answer was already used.");
    let (answer, answered) = oneshot::channel();
    handler.callbacks.try_send(Callback { code, answer }).map_err(|_| used)?;
    answered.await.map_err(|_| used)
}

async fn missing() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "There is no such page.")
}

#[derive(Clone, Copy)]
struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        respond(self.0, sentence_page(self.1))
    }
}

fn respond(status: StatusCode, page: String) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(page)).into_response()
}

fn form_page(Page { action, manifest }: &Page) -> String {
    html_page(&format!(
        "<p>GitHub will show the App's permissions and let you choose its name.</p>\
         <form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"manifest\" value=\"{}\">\
         <button autofocus>Create the App at GitHub</button></form>",
        escape_html(action),
        escape_html(manifest)
    ))
}

fn sentence_page(text: &str) -> String {
    html_page(&format!("<p>{}</p>", escape_html(text)))
}

fn html_page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Pullyard</title>\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:34em;\
         margin:15vh auto;padding:0 1em}}button{{font:inherit;padding:.5em 1em}}</style><h1>Pullyard</h1>{body}</html>"
    )
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Visitor {
        base: String,
        state: String,
    }

    impl Visitor {
        fn new(loopback: &Loopback) -> Self {
            Self { base: format!("http://{}", loopback.host), state: loopback.state.clone() }
        }

        async fn request(&self, host: Option<&str>, target: &str) -> (u16, String) {
            let mut request = reqwest::Client::new().get(format!("{}{target}", self.base));
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }

        async fn get(&self, target: &str) -> (u16, String) {
            self.request(None, target).await
        }
    }

    fn page() -> Page {
        Page { action: "https://github.com/settings/apps/new?state=s".into(), manifest: r#"{"name":"<b>'s"}"#.into() }
    }

    #[tokio::test]
    async fn page_has_a_secret_address() {
        let loopback = Loopback::bind().await.unwrap();
        let visitor = Visitor::new(&loopback);
        let waiting = loopback.serve(page());
        let path = waiting.address().strip_prefix(&visitor.base).unwrap().to_owned();
        let (status, body) = visitor.get(&path).await;
        assert_eq!(status, 200);
        assert!(body.contains("value=\"{&quot;name&quot;:&quot;&lt;b&gt;&#39;s&quot;}\""), "{body}");
        for elsewhere in ["/", "/x", "/done/x"] {
            assert_eq!(visitor.get(elsewhere).await.0, 404, "{elsewhere}");
        }
        assert_eq!(visitor.request(Some("evil.example"), &path).await.0, 421);
    }

    #[tokio::test]
    async fn code_is_accepted_once_and_only_with_the_state() {
        let loopback = Loopback::bind().await.unwrap();
        let visitor = Visitor::new(&loopback);
        let mut waiting = loopback.serve(page());
        for wrong in ["/done?code=c1", "/done?code=c1&state=", "/done?code=c1&state=00", "/done"] {
            assert_eq!(visitor.get(wrong).await.0, 400, "{wrong}");
        }
        let state = visitor.state.clone();
        assert_eq!(visitor.get(&format!("/done?state={state}&code=a/b")).await.0, 400);
        let right = format!("/done?code=c1&state={state}");
        // Browsers connect in advance and send nothing; such a connection delays no other.
        let _silent = tokio::net::TcpStream::connect(visitor.base.strip_prefix("http://").unwrap()).await.unwrap();
        let (browser, ()) = tokio::join!(visitor.get(&right), async {
            let callback = waiting.callback().await.unwrap();
            assert_eq!(callback.code, "c1");
            assert_eq!(visitor.get(&right).await.0, 410);
            waiting.answer(callback, StatusCode::OK, "Connected.").await;
        });
        assert!(browser.0 == 200 && browser.1.contains("Connected."), "{browser:?}");
    }
}
