use super::*;
use crate::dead_letter::MoveDeadLetters;
use crate::integration::MakeGitHubApp;
use crate::job::CreateJob;
use crate::pull::PullRequestQuery;
use pullyard_domain::id::{ArtifactId, HookName, IntegrationId, JobId, ProjectId, RepositoryName, TicketKey};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Returns these responses in order, then repeats the last one.
struct Scripted {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            for number in 0_usize.. {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answers.get(number).or(answers.last()).unwrap();
                let mut stream = BufReader::new(stream);
                let head = read(&mut stream).await;
                seen.lock().unwrap().push(head);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, heads }
    }

    fn api(&self) -> Operator {
        Operator::new(&self.url, "a-token").unwrap()
    }

    /// In lower case.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Returns the head after the whole request has been read.
async fn read(stream: &mut BufReader<TcpStream>) -> String {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(said) = line.strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
        head.push_str(&line);
        head.push('\n');
    }
    stream.read_exact(&mut vec![0_u8; length]).await.unwrap();
    head
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Some\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn problem(status: u16, code: &str) -> String {
    let body = json!({ "type": "about:blank", "title": "t", "status": status, "code": code, "detail": "No." });
    answer(status, "", &body.to_string())
}

fn version() -> String {
    answer(200, "", &json!({ "version": "1.2.3", "protocol": 1 }).to_string())
}

fn job() -> JobId {
    JobId::new(format!("job_{}", "a".repeat(26))).unwrap()
}

fn new_job() -> CreateJob {
    let project = ProjectId::new("acme").unwrap();
    let prompt = Some("Do it.".to_owned());
    CreateJob { project, ticket: None, prompt, repository: None, base: None, agent: None, model: None }
}

#[tokio::test]
async fn call_with_an_idempotency_key_is_tried_four_times() {
    let away = || vec![problem(503, "busy")];
    let (keyed, bare) = (Scripted::start(away()).await, Scripted::start(away()).await);
    let (with_key, new) = (keyed.api(), new_job());
    let (repeated, once) =
        tokio::join!(with_key.create_job(&new, Some("own-key")), async { bare.api().create_job(&new, None).await });
    assert_eq!((repeated.unwrap_err().code(), once.unwrap_err().code()), (Some("busy"), Some("busy")));
    assert_eq!((keyed.heads().len(), bare.heads().len()), (4, 1));
    for head in keyed.heads() {
        assert!(head.contains("idempotency-key: own-key") && head.contains("authorization: bearer a-token"), "{head}");
        assert!(head.contains("pullyard-version: 1"), "{head}");
    }
}

#[tokio::test]
async fn calls_without_an_idempotency_key_are_sent_once() {
    let server = Scripted::start(vec![problem(503, "busy")]).await;
    let (api, project) = (server.api(), ProjectId::new("acme").unwrap());
    let integration = IntegrationId::new("gh1").unwrap();
    let app = MakeGitHubApp { id: integration.clone(), api_url: "https://x".into(), code: "c".into() };
    let letters = MoveDeadLetters { messages: BTreeSet::new() };
    let repository = RepositoryName::new("acme/app").unwrap();
    let (named, which) = (repository.clone(), project.clone());
    let pull = PullRequestQuery { project: which, repository, number: 7, integration: Some(integration.clone()) };
    let ticket = TicketKey::new("APP-1").unwrap();
    let failed = [
        api.make_github_app(&app).await.is_err(),
        api.redrive(&letters).await.is_err(),
        api.drop_dead_letters(&letters).await.is_err(),
        api.remove_runner("kite").await.is_err(),
        api.remove_hook(&HookName::new("acme").unwrap(), false).await.is_err(),
        api.remove_repository(&project, &named).await.is_err(),
        api.remove_integration(&integration).await.is_err(),
        api.set_settings(&project, &json!({}), 1).await.is_err(),
        api.move_ticket(&project, &ticket, "Done", None).await.is_err(),
        api.answer_job(&job(), "Yes.", None).await.is_err(),
        api.retry_job(&job(), None).await.is_err(),
        api.unlink(&pull).await.is_err(),
    ];
    assert_eq!(failed, [true; 12]);
    assert_eq!(server.heads().len(), failed.len(), "{:?}", server.heads());
}

#[tokio::test]
async fn refusals_are_final_and_transient_errors_are_retried() {
    for status in [400, 401, 403, 404, 409, 412, 422] {
        let server = Scripted::start(vec![problem(status, "no"), version()]).await;
        let refused = server.api().version().await.unwrap_err();
        assert_eq!((refused.code(), refused.is_changed()), (Some("no"), status == 412), "{status}");
        assert!(!refused.is_transient() && server.heads().len() == 1, "{status}");
    }
    for passing in [problem(429, "slow_down"), problem(500, "failed"), answer(502, "", "<html>"), answer(504, "", "")] {
        let server = Scripted::start(vec![passing.clone(), version()]).await;
        assert_eq!(server.api().version().await.unwrap().version, "1.2.3", "{passing}");
        assert_eq!(server.heads().len(), 2, "{passing}");
    }
}

#[tokio::test]
async fn foreign_answer_is_a_gateway_or_unreadable_error() {
    let server = Scripted::start(vec![answer(404, "", "<html>"), answer(200, "", "<html>")]).await;
    let api = server.api();
    assert_eq!(api.version().await.unwrap_err().code(), Some("gateway"));
    let unreadable = api.version().await.unwrap_err();
    assert!(matches!(unreadable, Error::Unreadable { .. }) && !unreadable.is_transient(), "{unreadable}");
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn token_is_never_sent_to_a_redirect_target() {
    let elsewhere = Scripted::start(vec![answer(200, "", "its bytes")]).await;
    let sends_on = answer(302, &format!("location: {}/bucket\r\n", elsewhere.url), "");
    let server = Scripted::start(vec![sends_on]).await;
    assert_eq!(server.api().version().await.unwrap_err().code(), Some("gateway"));
    assert!(elsewhere.heads().is_empty());
    let artifact = ArtifactId::new(format!("art_{}", "b".repeat(26))).unwrap();
    let mut download = server.api().artifact(&job(), &artifact).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = download.chunk().await.unwrap() {
        bytes.extend(piece);
    }
    assert_eq!(bytes, b"its bytes");
    assert!(server.heads()[1].contains("authorization: bearer a-token"));
    let asked = elsewhere.heads().join("");
    assert!(asked.starts_with("get /bucket") && !asked.contains("authorization"), "{asked}");
}

#[test]
fn only_local_hosts_are_loopback() {
    for here in ["http://127.0.0.1:7878", "http://localhost", "https://localhost/x", "http://[::1]:1"] {
        assert!(is_loopback(here), "{here}");
    }
    for elsewhere in ["http://127.0.0.1.example", "https://localhost.example", "http://10.0.0.1:80", "http://[::2]"] {
        assert!(!is_loopback(elsewhere), "{elsewhere}");
    }
}
