//! Serves the page that posts a manifest, and receives GitHub's redirect, on 127.0.0.1. An HTTP library would be
//! larger.
//!
//! Page and state are random and used once, so that no other process can inject an App.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Browsers connect in advance and may send nothing.
const PATIENCE: Duration = Duration::from_secs(30);
const LARGEST_HEAD: usize = 16 * 1024;

pub(super) struct Page {
    pub(super) action: String,
    pub(super) manifest: String,
}

pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
    name: String,
    state: String,
}

impl Loopback {
    pub(super) async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let random = || format!("{:032x}", rand::random::<u128>());
        Ok(Self { listener, port, name: random(), state: random() })
    }

    pub(super) fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}/done", self.port)
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn serve(self, page: Page) -> Waiting {
        let address = format!("http://127.0.0.1:{}/{}", self.port, self.name);
        let (tell, callbacks) = mpsc::channel(1);
        let listener = self.listener;
        let desk = Arc::new(Desk { port: self.port, name: self.name, state: self.state, page: form(&page), tell });
        let server = tokio::spawn(async move {
            // One task per connection: an idle one blocks no other. All end with this task.
            let mut visits = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                visits.spawn(visit(desk.clone(), stream));
                while visits.try_join_next().is_some() {}
            }
        });
        Waiting { address, callbacks, server }
    }
}

pub(super) struct Waiting {
    address: String,
    callbacks: mpsc::Receiver<Callback>,
    server: JoinHandle<()>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Waiting {
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn callback(&mut self) -> Option<Callback> {
        let callback = self.callbacks.recv().await;
        self.callbacks.close();
        callback
    }
}

pub(super) struct Callback {
    pub(super) code: String,
    stream: TcpStream,
}

impl Callback {
    /// Best effort: the browser may be gone.
    pub(super) async fn answer(mut self, good: bool, words: &str) {
        let status = if good { "200 OK" } else { "502 Bad Gateway" };
        let _ = timeout(PATIENCE, respond(&mut self.stream, status, &said(words))).await;
    }
}

struct Desk {
    port: u16,
    name: String,
    state: String,
    page: String,
    tell: mpsc::Sender<Callback>,
}

enum Wish {
    Form,
    Code(String),
    Refused(&'static str, &'static str),
}

async fn visit(desk: Arc<Desk>, mut stream: TcpStream) {
    let Ok(Ok(head)) = timeout(PATIENCE, head(&mut stream)).await else { return };
    let (status, page) = match desk.wish(&head) {
        Wish::Form => ("200 OK", desk.page.clone()),
        Wish::Refused(status, words) => (status, said(words)),
        Wish::Code(code) => match desk.tell.try_send(Callback { code, stream }) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(callback) | mpsc::error::TrySendError::Closed(callback)) => {
                stream = callback.stream;
                ("410 Gone", said("This answer was used already."))
            }
        },
    };
    let _ = timeout(PATIENCE, respond(&mut stream, status, &page)).await;
}

impl Desk {
    fn wish(&self, head: &str) -> Wish {
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let host = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim())
        });
        // Against DNS rebinding: a page elsewhere may use another name for this machine.
        if host != Some(&format!("127.0.0.1:{}", self.port)) {
            return Wish::Refused("421 Misdirected Request", "There is nothing here under that name.");
        }
        if method != "GET" {
            return Wish::Refused("405 Method Not Allowed", "There is nothing here to change.");
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path.strip_prefix('/') {
            Some(name) if same(name, &self.name) => Wish::Form,
            Some("done") => self.code(query),
            _ => Wish::Refused("404 Not Found", "There is nothing here."),
        }
    }

    fn code(&self, query: &str) -> Wish {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        if !value("state").is_some_and(|state| same(state, &self.state)) {
            return Wish::Refused("400 Bad Request", "This answer belongs to another run of the command.");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match value("code").filter(|code| !code.is_empty() && code.len() <= 200 && code.bytes().all(plain)) {
            Some(code) => Wish::Code(code.to_owned()),
            None => Wish::Refused("400 Bad Request", "GitHub sent no code."),
        }
    }
}

/// Constant-time comparison.
fn same(one: &str, other: &str) -> bool {
    let differ = one.bytes().zip(other.bytes()).fold(0, |differ, (one, other)| differ | (one ^ other));
    one.len() == other.len() && differ == 0
}

async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut read = Vec::new();
    let mut part = [0; 1024];
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut part).await?;
        read.extend_from_slice(part.get(..count).unwrap_or_default());
        if count == 0 || read.len() > LARGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

async fn respond(stream: &mut TcpStream, status: &str, page: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\
         referrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

fn form(Page { action, manifest }: &Page) -> String {
    html(&format!(
        "<p>GitHub will show what the App may do, and ask you for its name.</p>\
         <form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"manifest\" value=\"{}\">\
         <button autofocus>Make the App at GitHub</button></form>",
        escaped(action),
        escaped(manifest)
    ))
}

fn said(words: &str) -> String {
    html(&format!("<p>{}</p>", escaped(words)))
}

fn html(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Pullyard</title>\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:34em;\
         margin:15vh auto;padding:0 1em}}button{{font:inherit;padding:.5em 1em}}</style><h1>Pullyard</h1>{body}</html>"
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Visitor {
        port: u16,
        state: String,
    }

    impl Visitor {
        fn of(loopback: &Loopback) -> Self {
            Self { port: loopback.port, state: loopback.state.clone() }
        }

        async fn ask(&self, host: &str, target: &str) -> String {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
            stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }

        async fn get(&self, target: &str) -> String {
            self.ask(&format!("127.0.0.1:{}", self.port), target).await
        }
    }

    fn page() -> Page {
        Page { action: "https://github.com/settings/apps/new?state=s".into(), manifest: r#"{"name":"<b>'s"}"#.into() }
    }

    #[tokio::test]
    async fn the_page_stands_only_where_the_terminal_says() {
        let loopback = Loopback::bind().await.unwrap();
        let visitor = Visitor::of(&loopback);
        let waiting = loopback.serve(page());
        let path = waiting.address().rsplit('/').next().unwrap().to_owned();
        let shown = visitor.get(&format!("/{path}")).await;
        assert!(shown.contains("value=\"{&quot;name&quot;:&quot;&lt;b&gt;&#39;s&quot;}\""), "{shown}");
        for elsewhere in ["/", "/x", "/done/x"] {
            assert!(visitor.get(elsewhere).await.starts_with("HTTP/1.1 404"), "{elsewhere}");
        }
        let rebound = visitor.ask(&format!("evil.example:{}", visitor.port), &format!("/{path}")).await;
        assert!(rebound.starts_with("HTTP/1.1 421"), "{rebound}");
    }

    #[tokio::test]
    async fn a_code_counts_once_and_only_with_the_state() {
        let loopback = Loopback::bind().await.unwrap();
        let visitor = Visitor::of(&loopback);
        let mut waiting = loopback.serve(page());
        for wrong in ["/done?code=c1", "/done?code=c1&state=", "/done?code=c1&state=00", "/done"] {
            assert!(visitor.get(wrong).await.starts_with("HTTP/1.1 400"), "{wrong}");
        }
        let state = visitor.state.clone();
        assert!(visitor.get(&format!("/done?state={state}&code=a/b")).await.starts_with("HTTP/1.1 400"));
        let right = format!("/done?code=c1&state={state}");
        // One that says nothing, as browsers do in advance.
        let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, visitor.port)).await.unwrap();
        let (browser, ()) = tokio::join!(visitor.get(&right), async {
            let callback = waiting.callback().await.unwrap();
            assert_eq!(callback.code, "c1");
            assert!(visitor.get(&right).await.starts_with("HTTP/1.1 410"), "it is used up");
            callback.answer(true, "Connected.").await;
        });
        assert!(browser.starts_with("HTTP/1.1 200") && browser.contains("Connected."), "{browser}");
    }
}
