use super::*;
use crate::tls_server::TlsServer;
use axum::http::HeaderMap;
use axum::routing::any;
use futures::StreamExt;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Default)]
struct Ledger {
    refusal: Option<String>,
    limit: Option<u64>,
    /// Requests that may run at once, and their greatest output.
    slots: Option<usize>,
    max_output: Option<u64>,
    running: Mutex<usize>,
    waited: Mutex<bool>,
    demands: Mutex<Vec<Demand>>,
    usages: Mutex<Vec<Usage>>,
    ends: Mutex<Vec<RequestEnd>>,
}

impl Meter for Ledger {
    fn reserve(&self, _request: u64, demand: &Demand) -> Grant {
        if let Some(sentence) = &self.refusal {
            return Grant::Refuse(sentence.clone());
        }
        let mut running = self.running.lock().unwrap();
        if self.slots.is_some_and(|slots| *running >= slots) {
            *self.waited.lock().unwrap() = true;
            return Grant::Wait;
        }
        *running += 1;
        self.demands.lock().unwrap().push(demand.clone());
        Grant::Start { max_output: self.max_output.unwrap_or(u64::MAX).min(demand.max_output) }
    }

    fn record(&self, _request: u64, usage: &Usage) -> bool {
        self.usages.lock().unwrap().push(usage.clone());
        self.limit.is_none_or(|limit| usage.output <= limit)
    }

    fn finish(&self, _request: u64, usage: &Usage, end: RequestEnd) {
        *self.running.lock().unwrap() -= 1;
        self.usages.lock().unwrap().push(usage.clone());
        self.ends.lock().unwrap().push(end);
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Starts a provider that answers with these parts. Returns its URL and the headers of the last request.
async fn provider(parts: Vec<&'static str>) -> (String, Arc<Mutex<HeaderMap>>) {
    let (url, sent_headers, _) = provider_with_bodies(parts).await;
    (url, sent_headers)
}

async fn provider_with_bodies(parts: Vec<&'static str>) -> (String, Arc<Mutex<HeaderMap>>, Arc<Mutex<Vec<String>>>) {
    let (sent_headers, bodies) = (Arc::new(Mutex::new(HeaderMap::new())), Arc::<Mutex<Vec<String>>>::default());
    let (listener, url) = listen().await;
    let (last_headers, sent_bodies) = (Arc::clone(&sent_headers), Arc::clone(&bodies));
    let answer = move |headers: HeaderMap, body: String| async move {
        *last_headers.lock().unwrap() = headers;
        sent_bodies.lock().unwrap().push(body);
        let parts = futures::stream::iter(parts).then(|part| async move {
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(part)
        });
        ([("content-type", "text/event-stream"), ("x-request-id", "r1")], Body::from_stream(parts))
    };
    let router = Router::new().route("/gateway/{*path}", any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("{url}/gateway"), sent_headers, bodies)
}

async fn proxy(provider: Provider, base_url: &str, key: Key, ledger: Ledger) -> (String, Arc<Ledger>) {
    let ledger = Arc::new(ledger);
    (start(create(provider, base_url, key, b"", &ledger)).await, ledger)
}

fn create(provider: Provider, base_url: &str, key: Key, authorities: &[u8], ledger: &Arc<Ledger>) -> ModelProxy {
    let upstream = Upstream { provider, base_url: base_url.into(), key };
    ModelProxy::new(upstream, authorities, Arc::clone(ledger) as Arc<dyn Meter>).unwrap()
}

async fn start(proxy: ModelProxy) -> String {
    let (listener, url) = listen().await;
    tokio::spawn(proxy.serve(listener));
    url
}

/// Sends bytes to a proxy, and reads until it closes the connection.
async fn send_bytes(url: &str, request: &str) -> String {
    let mut agent = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let mut answer = Vec::new();
    let (mut reader, mut writer) = agent.split();
    // The proxy may close the connection before it has read everything.
    let _ = tokio::join!(writer.write_all(request.as_bytes()), reader.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

fn post(url: &str) -> reqwest::RequestBuilder {
    let client = reqwest::Client::new().post(url).header("x-api-key", "placeholder").body("{}");
    client.header("authorization", "Bearer placeholder").header("accept-encoding", "gzip").header("x-app", "cli")
}

const START: &str = "data: {\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
const END: &str = "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":90}}\n\n";

#[tokio::test]
async fn provider_gets_the_real_key_and_the_agent_its_answer() {
    for (key, header, value, absent) in [
        (Key::ApiKey("sk-real".into()), "x-api-key", "sk-real", "authorization"),
        (Key::Bearer("real".into()), "authorization", "Bearer real", "x-api-key"),
        (Key::ChatGpt { token: "t".into(), account: "mine".into() }, "chatgpt-account-id", "mine", "x-api-key"),
    ] {
        let (base, sent_headers) = provider(vec![START, END]).await;
        let (url, ledger) = proxy(Provider::Anthropic, &base, key, Ledger::default()).await;
        let answer = post(&format!("{url}/v1/messages?beta=true")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["x-request-id"], "r1");
        assert_eq!(answer.text().await.unwrap(), format!("{START}{END}"));
        let headers = sent_headers.lock().unwrap().clone();
        assert_eq!(headers[header], value);
        assert_eq!(headers["x-app"], "cli");
        assert!(!headers.contains_key(absent) && !headers.contains_key("accept-encoding"), "{headers:?}");
        let used = Usage { model: Some("m".into()), input: 5, output: 90, ..Usage::default() };
        assert_eq!(ledger.usages.lock().unwrap().last(), Some(&used));
    }
}

#[tokio::test]
async fn other_paths_are_refused_without_a_request() {
    let (base, sent_headers) = provider(vec![START]).await;
    let (url, _) = proxy(Provider::Anthropic, &base, Key::ApiKey("sk-real".into()), Ledger::default()).await;
    for path in ["/v1/files", "/v1/messages/batches", "/v1/messages/", "/v1/messages/../files", "/v1/responses", "/"] {
        assert_eq!(post(&format!("{url}{path}")).send().await.unwrap().status(), StatusCode::FORBIDDEN, "{path}");
    }
    assert!(sent_headers.lock().unwrap().is_empty());
    let head = reqwest::Client::new().head(&url).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn request_that_makes_the_provider_call_out_is_refused() {
    let (base, sent_headers) = provider(vec![START]).await;
    let (url, _) = proxy(Provider::Anthropic, &base, Key::ApiKey("sk-real".into()), Ledger::default()).await;
    let body = "{\"tools\":[{\"type\":\"web_fetch_20250910\",\"name\":\"web_fetch\"}]}";
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let answer = post(&format!("{url}{path}")).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    assert!(sent_headers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn used_up_limit_refuses_the_next_request() {
    let (base, sent_headers) = provider(vec![START]).await;
    let ledger = Ledger { refusal: Some("The job used all of its $1.00.".into()), ..Ledger::default() };
    let (url, _) = proxy(Provider::OpenAi, &base, Key::Bearer("real".into()), ledger).await;
    let answer = post(&format!("{url}/v1/responses")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.text().await.unwrap().contains("The job used all of its $1.00."));
    assert!(sent_headers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn answer_is_cut_when_it_passes_the_limit() {
    let text = "data: {\"delta\":{\"text\":\"eight characters, and eight more\"}}\n\n";
    let (base, _) = provider(vec![START, text, text, END]).await;
    for (limit, is_cut) in [(7, true), (16, false)] {
        let ledger = Ledger { limit: Some(limit), ..Ledger::default() };
        let (url, ledger) = proxy(Provider::Anthropic, &base, Key::ApiKey("sk-real".into()), ledger).await;
        let answer = post(&format!("{url}/v1/messages")).send().await.unwrap();
        assert_eq!(answer.text().await.is_err(), is_cut, "{limit}: a complete answer is not cut");
        let used = ledger.usages.lock().unwrap().last().map(|usage| (usage.input, usage.output));
        assert_eq!(used, Some((5, if is_cut { 8 } else { 90 })));
    }
}

#[tokio::test]
async fn request_whose_agent_hangs_up_is_counted() {
    let (listener, base) = listen().await;
    let (url, ledger) = proxy(Provider::OpenAi, &base, Key::Bearer("real".into()), Ledger::default()).await;
    let address = url.strip_prefix("http://").unwrap();
    let mut agent = TcpStream::connect(address).await.unwrap();
    let body = format!("{{{}}}", " ".repeat(398));
    let head = "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400\r\n\r\n";
    agent.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let (_silent, _) = listener.accept().await.unwrap();
    drop(agent);
    while ledger.usages.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(ledger.usages.lock().unwrap()[0].input, 100);
    assert_eq!(*ledger.ends.lock().unwrap(), [RequestEnd::Cut]);
}

#[tokio::test]
async fn request_waits_until_another_has_ended() {
    let ledger = Arc::new(Ledger { slots: Some(1), ..Ledger::default() });
    let (listener, base) = listen().await;
    let seen = Arc::clone(&ledger);
    // The first request is answered when the second waits for it.
    let answer = move || async move {
        while !*seen.waited.lock().unwrap() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*seen.running.lock().unwrap(), 1);
        END
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let url = start(create(Provider::Anthropic, &base, Key::ApiKey("sk".into()), b"", &ledger)).await;
    let url = format!("{url}/v1/messages");
    let answers = futures::future::join_all([1, 2, 3].map(|_| post(&url).send())).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().status().is_success()));
    assert_eq!(*ledger.ends.lock().unwrap(), [RequestEnd::Complete; 3]);
}

#[tokio::test]
async fn waiting_request_leaves_its_place_when_its_agent_hangs_up() {
    let (base, _) = provider(vec![START, END]).await;
    let ledger = Ledger { slots: Some(0), ..Ledger::default() };
    let (url, ledger) = proxy(Provider::Anthropic, &base, Key::ApiKey("sk".into()), ledger).await;
    let mut agent = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    agent.write_all(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    while !std::mem::take(&mut *ledger.waited.lock().unwrap()) {
        tokio::task::yield_now().await;
    }
    drop(agent);
    let next = tokio::spawn(post(&format!("{url}/v1/messages")).send());
    while !*ledger.waited.lock().unwrap() {
        tokio::task::yield_now().await;
    }
    next.abort();
    assert!(ledger.demands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn end_of_a_request_tells_whether_it_is_billed() {
    let status = |status: u16| {
        let error = "{\"type\":\"error\",\"usage\":{\"output_tokens\":1}}";
        Router::new().fallback(move || async move { (StatusCode::from_u16(status).unwrap(), error) })
    };
    let text = |text: &'static str| Router::new().fallback(move || async move { text });
    for (router, expected) in [
        (text(END), RequestEnd::Complete),
        (text(START), RequestEnd::Cut),
        (text("no usage"), RequestEnd::Cut),
        (text("{\n  \"usage\": {\n    \"output_tokens\": 1\n  }\n}"), RequestEnd::Complete),
        (status(429), RequestEnd::NotBilled),
        (status(500), RequestEnd::NotBilled),
    ] {
        let (listener, base) = listen().await;
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (url, ledger) = proxy(Provider::Anthropic, &base, Key::ApiKey("sk".into()), Ledger::default()).await;
        post(&format!("{url}/v1/messages")).send().await.unwrap().text().await.unwrap();
        while *ledger.running.lock().unwrap() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*ledger.ends.lock().unwrap(), [expected]);
    }
}

#[tokio::test]
async fn provider_gets_the_granted_output_and_the_standard_price() {
    let (base, _, bodies) = provider_with_bodies(vec![START, END]).await;
    let ledger = Ledger { max_output: Some(7), ..Ledger::default() };
    let (url, ledger) = proxy(Provider::Anthropic, &base, Key::ApiKey("sk".into()), ledger).await;
    let body = "{\"model\":\"m\",\"max_tokens\":900,\"service_tier\":\"priority\"}";
    post(&format!("{url}/v1/messages")).body(body).send().await.unwrap().text().await.unwrap();
    assert_eq!(*bodies.lock().unwrap(), ["{\"model\":\"m\",\"max_tokens\":7}"]);
    assert_eq!(ledger.demands.lock().unwrap()[0].max_output, 900);
}

#[tokio::test]
async fn smuggled_request_is_part_of_no_other() {
    let (base, sent_headers) = provider(vec![START, END]).await;
    let (url, _) = proxy(Provider::Anthropic, &base, Key::ApiKey("sk-real".into()), Ledger::default()).await;
    let smuggled = "GET /v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let both = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let two = "Content-Length: 4\r\nContent-Length: 40\r\n\r\n";
    for fields in [both, two, "Transfer-Encoding: x\r\n\r\n", "A: b\r\n Content-Length: 4\r\n\r\n"] {
        let answer =
            send_bytes(&url, &format!("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n{fields}{smuggled}")).await;
        let statuses = answer.matches("HTTP/1.1 ").count();
        assert!(statuses <= 1 && !answer.contains("HTTP/1.1 403"), "{fields}: {answer}");
        let headers = std::mem::take(&mut *sent_headers.lock().unwrap());
        assert!(!headers.contains_key("transfer-encoding"), "{headers:?}");
    }
}

#[tokio::test]
async fn request_head_without_an_end_is_refused_in_time_and_size() {
    let ledger = Arc::default();
    let mut proxy = create(Provider::Anthropic, "http://127.0.0.1:9", Key::ApiKey("sk".into()), b"", &ledger);
    proxy.head_timeout = Duration::from_millis(1);
    assert_eq!(send_bytes(&start(proxy).await, "POST /v1/mess").await, "");
    let proxy = create(Provider::Anthropic, "http://127.0.0.1:9", Key::ApiKey("sk".into()), b"", &ledger);
    let answer = send_bytes(&start(proxy).await, &format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(1 << 20))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn redirect_of_the_provider_is_not_followed() {
    let (base, sent_headers) = provider(vec![START]).await;
    let moved = || async move { axum::response::Redirect::temporary(&base) };
    let (listener, old) = listen().await;
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(moved)).await });
    let (url, _) = proxy(Provider::Anthropic, &old, Key::ApiKey("sk-real".into()), Ledger::default()).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.post(format!("{url}/v1/messages")).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert!(sent_headers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn operators_certificates_are_trusted_for_the_provider() {
    let names = vec!["localhost".to_owned()];
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
    let server = TlsServer::start(names, answer).await;
    let base = format!("https://localhost:{}", server.address.port());
    for (authorities, status) in [(server.certificate.as_bytes(), StatusCode::OK), (b"", StatusCode::BAD_GATEWAY)] {
        let ledger = Arc::default();
        let url = start(create(Provider::Anthropic, &base, Key::ApiKey("sk".into()), authorities, &ledger)).await;
        let answer = post(&format!("{url}/v1/messages")).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn unreachable_provider_is_a_bad_gateway_without_its_address() {
    let (url, ledger) =
        proxy(Provider::Anthropic, "http://127.0.0.1:9", Key::ApiKey("sk".into()), Ledger::default()).await;
    let answer = post(&format!("{url}/v1/messages")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(*ledger.ends.lock().unwrap(), [RequestEnd::NotBilled]);
    assert!(!answer.text().await.unwrap().contains("127.0.0.1"));
}
