use super::*;
use axum::Router;
use axum::body::Body;
use axum::http::header::LOCATION;
use axum::routing::{get, post};
use futures::stream::{self, StreamExt, once};
use std::convert::Infallible;
use std::future::{pending, ready};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Answers each look-up with the next list, and repeats the last one.
#[derive(Clone, Debug)]
pub(super) struct Dns(Arc<Mutex<Vec<Vec<SocketAddr>>>>);

impl Dns {
    fn new(answers: &[&[SocketAddr]]) -> Self {
        Self(Arc::new(Mutex::new(answers.iter().rev().map(|answer| answer.to_vec()).collect())))
    }

    pub(super) fn answer(&self) -> Vec<SocketAddr> {
        let mut answers = self.0.lock().unwrap();
        if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() }
    }
}

fn client(allowed: &str, limit: Duration, dns: Option<Dns>) -> Client {
    let allowed = allowed.parse().unwrap();
    Client(Arc::new(Inner {
        allowed,
        limit,
        exchanges: Mutex::default(),
        dns,
        https: OnceLock::new(),
        http: OnceLock::new(),
    }))
}

fn request(url: Url) -> Request {
    Request {
        method: Method::POST,
        url,
        headers: HeaderMap::new(),
        body: b"{}".to_vec(),
        max_response_bytes: MAX_ANSWER,
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[test]
fn addresses_that_lead_inside_are_refused_in_every_spelling() {
    let client = Client::new(AllowedRanges::default());
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "10.0.0.1",
        "10.1",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.0.1",
        "192.168.1",
        "100.64.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.254.170.2",
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.9",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fc00::1]",
        "[fe80::1]",
        "[ff02::1]",
        "[2001:db8::1]",
    ] {
        assert_eq!(client.parse_url(&format!("https://{host}/x")), Err(Error::AddressNotAllowed), "{host}");
    }
}

#[test]
fn addresses_need_https_a_usual_port_and_no_password() {
    let client = Client::new(AllowedRanges::loopback());
    let check = |text: &str, expected: &str| {
        let result = client.parse_url(text).map(String::from).unwrap_or_else(|error| error.to_string());
        assert!(result.contains(expected), "{text}: {result}");
    };
    check("https://hooks.example/a?b=c", "https://hooks.example/a?b=c");
    check(" https://hooks.example:8443/a\n", "https://hooks.example:8443/a");
    check("https://8.8.8.8/a", "https://8.8.8.8/a");
    check("http://127.0.0.1:9/a", "http://127.0.0.1:9/a");
    check("http://localhost:9/a", "http://localhost:9/a");
    check("http://[::1]:9/a", "http://[::1]:9/a");
    check("http://hooks.example/a", "must begin with https://");
    check("ftp://hooks.example/a", "must begin with https://");
    check("http://8.8.8.8/a", "must begin with https://");
    check("https://hooks.example:22/a", "port must be 443 or 8443");
    check("https://user:secret@hooks.example/a", "a user or a password");
    check("https://user@hooks.example/a", "a user or a password");
    check("hooks.example/a", "not a URL");
    check("https://10.0.0.1/a", "OutboundAllow");
}

#[test]
fn malformed_ranges_are_named() {
    assert_eq!("10.0.0.0/33".parse::<AllowedRanges>(), Err(crate::RangeError("10.0.0.0/33".to_owned())));
    assert_eq!("".parse::<AllowedRanges>(), Ok(AllowedRanges::default()));
    let ranges = "10.0.0.0/8, fd00::/8".parse::<AllowedRanges>().unwrap();
    assert!(ranges.contain("10.9.9.9".parse().unwrap()) && ranges.contain("fd12::1".parse().unwrap()));
    assert!(!ranges.contain("11.0.0.1".parse().unwrap()));
}

#[tokio::test]
async fn nothing_connects_to_a_private_address_of_a_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inside = listener.local_addr().unwrap();
    let connections = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            *counter.lock().unwrap() += 1;
        }
    });
    // The name resolves to a closed port of an allowed address at first, and to the listener afterwards.
    let allowed = SocketAddr::from(([127, 9, 9, 9], inside.port()));
    let dns = Dns::new(&[&[allowed], &[inside], &[inside, allowed]]);
    let client = client("127.9.9.9/32", LIMIT, Some(dns));
    let url = client.parse_url("https://rebinding.example/").unwrap();
    let send = || client.send(request(url.clone()));
    assert_eq!(send().await.unwrap_err().code(), "unreachable");
    assert_eq!(send().await.unwrap_err(), Error::AddressNotAllowed);
    assert_eq!(send().await.unwrap_err().code(), "unreachable", "only the allowed one of two addresses is tried");
    // A URL that was built without `parse_url` is checked, too.
    let literal = format!("http://{inside}/").parse().unwrap();
    assert_eq!(client.send(request(literal)).await.unwrap_err(), Error::AddressNotAllowed);
    assert_eq!(*connections.lock().unwrap(), 0);
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let hits = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&hits);
    let target = get(move || async move { *counter.lock().unwrap() += 1 });
    let redirect = post(|| async { (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "/inside")]) });
    let address = serve(Router::new().route("/", redirect).route("/inside", target)).await;
    let client = Client::new(AllowedRanges::loopback());
    let answer = client.send(request(client.parse_url(&format!("http://{address}/")).unwrap())).await.unwrap();
    assert_eq!((answer.status.as_u16(), *hits.lock().unwrap()), (308, 0));
}

#[tokio::test]
async fn silent_and_endless_answers_end() {
    let silent = post(|| async { pending::<()>().await });
    let large = post(|| async { "x".repeat(MAX_READ + 1) });
    // Headers and a first byte, then silence.
    let open = post(|| async { Body::from_stream(once(ready(Ok::<_, Infallible>("z"))).chain(stream::pending())) });
    let full = post(|body: String| async move { ([(RETRY_AFTER, "17")], body) });
    let router =
        Router::new().route("/silent", silent).route("/large", large).route("/open", open).route("/full", full);
    let address = serve(router).await;
    let url = |path: &str| format!("http://{address}/{path}").parse::<Url>().unwrap();
    let limit = Duration::from_millis(200);
    let hasty = client("127.0.0.0/8", limit, None);
    assert_eq!(hasty.send(request(url("silent"))).await.unwrap_err(), Error::Timeout { limit });
    let client = Client::new(AllowedRanges::loopback());
    let read = |path| Request { max_response_bytes: MAX_READ, ..request(url(path)) };
    assert_eq!(client.send(read("large")).await.unwrap_err(), Error::TooLarge { limit: MAX_READ });
    assert_eq!(hasty.send(read("open")).await.unwrap_err(), Error::Timeout { limit });
    // A late body is a timeout of the host, also where only the status matters.
    assert!(hasty.send(request(url("open"))).await.is_ok());
    assert_eq!(hasty.exchanges(&address.to_string()), Exchanges { answers: 0, timeouts: 3 });
    // Only the status is wanted.
    let cut = client.send(request(url("large"))).await.unwrap();
    assert!(cut.status.is_success() && cut.body.len() <= MAX_ANSWER);
    assert_eq!(hasty.send(request(url("open"))).await.unwrap().body, b"z");
    let body = vec![b'y'; MAX_ANSWER];
    let answer = client.send(Request { body: body.clone(), ..request(url("full")) }).await.unwrap();
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(17)));
    assert_eq!(answer.body, body);
}

#[tokio::test]
async fn slow_answer_within_the_limit_is_no_timeout() {
    const { assert!(LIMIT.as_secs() > 14, "docs/notifications.md promises 15 s") };
    let (arrived, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (reached, released) = (Arc::clone(&arrived), Arc::clone(&answer));
    let slow = post(move || async move {
        reached.notify_one();
        released.notified().await;
        "ok"
    });
    let address = serve(Router::new().route("/", slow)).await;
    let client = Client::new(AllowedRanges::loopback());
    let count = || client.exchanges(&address.to_string());
    let send = client.send(request(client.parse_url(&format!("http://{address}/")).unwrap()));
    let release = async {
        arrived.notified().await;
        assert_eq!(count(), Exchanges::default(), "a call that waits is neither");
        answer.notify_one();
    };
    let (response, ()) = tokio::join!(send, release);
    assert_eq!(response.unwrap().body, b"ok");
    assert_eq!(count(), Exchanges { answers: 1, timeouts: 0 });
}
