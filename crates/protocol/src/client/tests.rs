use super::*;
use crate::dead_letter::MoveDeadLetters;
use crate::job::CreateJob;
use crate::pull_request::PullRequestQuery;
use crate::ticket::MoveTicket;
use pullyard_domain::job::JobKind;
use pullyard_domain::text::id::{ArtifactId, HookName, IntegrationId, JobId, ProjectId, RepositoryName, TicketKey};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Returns these responses in order, then repeats the last one.
struct ScriptedServer {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ScriptedServer {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&heads);
        tokio::spawn(async move {
            for number in 0_usize.. {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answers.get(number).or(answers.last()).unwrap();
                let mut stream = BufReader::new(stream);
                let head = read_request_head(&mut stream).await;
                received.lock().unwrap().push(head);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, heads }
    }

    fn api(&self) -> ApiClient {
        ApiClient::new(&self.url, "a-token").unwrap()
    }

    /// In lower case.
    fn request_heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn read_request_head(stream: &mut BufReader<TcpStream>) -> String {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        head.push('\n');
    }
    stream.read_exact(&mut vec![0_u8; length]).await.unwrap();
    head
}

fn response(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Some\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn problem_response(status: u16, code: &str) -> String {
    let body = json!({ "type": "about:blank", "title": "t", "status": status, "code": code, "detail": "No." });
    response(status, "", &body.to_string())
}

fn version_response() -> String {
    response(200, "", &json!({ "version": "1.2.3", "protocol": 1 }).to_string())
}

fn job_id() -> JobId {
    JobId::new(format!("job_{}", "a".repeat(26))).unwrap()
}

fn new_job() -> CreateJob {
    let project = ProjectId::new("acme").unwrap();
    let prompt = Some("Do it.".to_owned());
    CreateJob {
        project,
        kind: JobKind::default(),
        ticket: None,
        prompt,
        repository: None,
        base: None,
        agent: None,
        model: None,
        labels: Default::default(),
        priority: None,
    }
}

#[tokio::test]
async fn call_timeout_ends_a_call_that_is_not_answered() {
    // The kernel accepts connections; the server answers none.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", hanging.local_addr().unwrap());
    let api = ApiClient::new(&url, "a-token").unwrap().with_call_timeout(Duration::from_millis(50));
    let error = api.create_job(&new_job(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn call_with_an_idempotency_key_is_tried_four_times() {
    let away = || vec![problem_response(503, "busy")];
    let (keyed, bare) = (ScriptedServer::start(away()).await, ScriptedServer::start(away()).await);
    let (with_key, new) = (keyed.api(), new_job());
    let (repeated, once) =
        tokio::join!(with_key.create_job(&new, Some("own-key")), async { bare.api().create_job(&new, None).await });
    assert_eq!((repeated.unwrap_err().code(), once.unwrap_err().code()), (Some("busy"), Some("busy")));
    assert_eq!((keyed.request_heads().len(), bare.request_heads().len()), (4, 1));
    for head in keyed.request_heads() {
        assert!(head.contains("idempotency-key: own-key") && head.contains("authorization: bearer a-token"), "{head}");
        assert!(head.contains("pullyard-version: 5"), "{head}");
    }
}

#[tokio::test]
async fn calls_without_an_idempotency_key_are_sent_once() {
    let server = ScriptedServer::start(vec![problem_response(503, "busy")]).await;
    let (api, project) = (server.api(), ProjectId::new("acme").unwrap());
    let integration = IntegrationId::new("gh1").unwrap();
    let letters = MoveDeadLetters { messages: BTreeSet::new() };
    let repository = RepositoryName::new("acme/app").unwrap();
    let name = repository.clone();
    let pull =
        PullRequestQuery { project: project.clone(), repository, number: 7, integration: Some(integration.clone()) };
    let ticket = TicketKey::new("APP-1").unwrap();
    let failed = [
        api.redrive(&letters).await.is_err(),
        api.drop_dead_letters(&letters).await.is_err(),
        api.remove_runner("kite").await.is_err(),
        api.remove_hook(&HookName::new("acme").unwrap(), false).await.is_err(),
        api.remove_repository(&project, &name).await.is_err(),
        api.delete_project(&project).await.is_err(),
        api.remove_integration(&integration).await.is_err(),
        api.set_settings(&project, &json!({}), 1).await.is_err(),
        api.move_ticket(&project, &ticket, &MoveTicket::to("Done"), None).await.is_err(),
        api.delete_ticket(&project, &ticket).await.is_err(),
        api.send_input(&job_id(), "Yes.", None).await.is_err(),
        api.retry_job(&job_id(), None).await.is_err(),
        api.unlink_pull_request(&pull).await.is_err(),
    ];
    assert_eq!(failed, [true; 13]);
    assert_eq!(server.request_heads().len(), failed.len(), "{:?}", server.request_heads());
}

#[tokio::test]
async fn refusals_are_final_and_transient_errors_are_retried() {
    for status in [400, 401, 403, 404, 409, 412, 422] {
        let server = ScriptedServer::start(vec![problem_response(status, "no"), version_response()]).await;
        let refused = server.api().version().await.unwrap_err();
        assert_eq!((refused.code(), refused.is_precondition_failed()), (Some("no"), status == 412), "{status}");
        assert!(!refused.is_transient() && server.request_heads().len() == 1, "{status}");
    }
    for passing in [
        problem_response(429, "slow_down"),
        problem_response(500, "failed"),
        response(502, "", "<html>"),
        response(504, "", ""),
    ] {
        let server = ScriptedServer::start(vec![passing.clone(), version_response()]).await;
        assert_eq!(server.api().version().await.unwrap().version, "1.2.3", "{passing}");
        assert_eq!(server.request_heads().len(), 2, "{passing}");
    }
}

#[tokio::test]
async fn foreign_answer_is_a_gateway_or_unreadable_error() {
    let server = ScriptedServer::start(vec![response(404, "", "<html>"), response(200, "", "<html>")]).await;
    let api = server.api();
    assert_eq!(api.version().await.unwrap_err().code(), Some("gateway"));
    let unreadable = api.version().await.unwrap_err();
    assert!(matches!(unreadable, Error::Unreadable { .. }) && !unreadable.is_transient(), "{unreadable}");
    assert_eq!(server.request_heads().len(), 2);
}

#[tokio::test]
async fn token_is_never_sent_to_a_redirect_target() {
    let bucket = ScriptedServer::start(vec![response(200, "", "its bytes")]).await;
    let redirect = response(302, &format!("location: {}/bucket\r\n", bucket.url), "");
    let server = ScriptedServer::start(vec![redirect]).await;
    assert_eq!(server.api().version().await.unwrap_err().code(), Some("gateway"));
    assert!(bucket.request_heads().is_empty());
    let artifact = ArtifactId::new(format!("art_{}", "b".repeat(26))).unwrap();
    let mut download = server.api().download_artifact(&job_id(), &artifact).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = download.next_chunk().await.unwrap() {
        bytes.extend(piece);
    }
    assert_eq!(bytes, b"its bytes");
    assert!(server.request_heads()[1].contains("authorization: bearer a-token"));
    let heads = bucket.request_heads().join("");
    assert!(heads.starts_with("get /bucket") && !heads.contains("authorization"), "{heads}");
}

#[test]
fn only_local_hosts_are_loopback() {
    for local in ["http://127.0.0.1:7878", "http://localhost", "https://localhost/x", "http://[::1]:1"] {
        assert!(is_loopback(local), "{local}");
    }
    for remote in ["http://127.0.0.1.example", "https://localhost.example", "http://10.0.0.1:80", "http://[::2]"] {
        assert!(!is_loopback(remote), "{remote}");
    }
}
