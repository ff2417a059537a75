//! Streams a request through the CGI program `git http-backend`; `smart_http` has checked permissions.

use std::{io, path::Path, process::Stdio, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_LENGTH},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, future::BoxFuture, stream};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, sink},
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{Error, git::Git, process_group::ProcessGroup};

const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const MAX_HEADER_BYTES: u64 = 64 * 1024;
const MAX_STDERR_BYTES: u64 = 8 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy)]
pub(crate) enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum RequestKind {
    Advertise,
    Call,
}

pub(crate) struct BackendRequest<'a> {
    pub(crate) service: Service,
    pub(crate) exchange: RequestKind,
    pub(crate) root: &'a Path,
    /// `/owner/name.git`, from validated names.
    pub(crate) repository: String,
    pub(crate) user: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) shutdown: watch::Receiver<()>,
    /// Runs after git ends, before the response ends.
    pub(crate) on_finish: OnFinish,
}

pub(crate) type OnFinish = BoxFuture<'static, ()>;

pub(crate) async fn serve(git: &Git, call: BackendRequest<'_>, body: Body) -> Result<Response, Error> {
    let mut command = git.http_backend();
    command
        .env("GIT_PROJECT_ROOT", call.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", call.user)
        .env("REMOTE_ADDR", "127.0.0.1");
    let service = call.service.name();
    match call.exchange {
        RequestKind::Advertise => command
            .env("REQUEST_METHOD", "GET")
            .env("PATH_INFO", format!("{}/info/refs", call.repository))
            .env("QUERY_STRING", format!("service={service}")),
        RequestKind::Call => command
            .env("REQUEST_METHOD", "POST")
            .env("PATH_INFO", format!("{}/{service}", call.repository))
            .env("QUERY_STRING", ""),
    };
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        // A large push is chunked and has no length; git then reads to the end.
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = call.headers.get(header).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    let started = git.start(command.stdin(Stdio::piped()));
    let git = started.map_err(|source| Error::GitMissing { program: "git-http-backend".to_owned(), source })?;
    let (head_sender, head) = oneshot::channel();
    let (chunk_sender, chunks) = mpsc::channel(1);
    // Spawned, so that the time limit applies even if the client stops reading.
    tokio::spawn(supervise(git, (body, call.on_finish), head_sender, chunk_sender, call.shutdown));
    let Ok(head) = head.await else {
        // The client disconnected, the time limit passed, or the forge is stopping.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let head = head?;
    let chunks = stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)));
    let mut response = Response::new(Body::from_stream(chunks));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

type HeadSender = oneshot::Sender<Result<Head, Error>>;
type ChunkSender = mpsc::Sender<io::Result<Bytes>>;

/// Stops git and its children when done, at the time limit, or at shutdown.
/// If the client disconnects, a completely received push continues, as on other forges.
async fn supervise(
    mut git: ProcessGroup,
    (body, afterwards): (Body, OnFinish),
    head: HeadSender,
    chunks: ChunkSender,
    mut shutdown: watch::Receiver<()>,
) {
    let Some(mut stderr) = git.child.stderr.take() else { return };
    let result = tokio::select! {
        result = timeout(TRANSFER_TIMEOUT, transfer(&mut git.child, &mut stderr, body, (head, &chunks))) => {
            result.unwrap_or_else(|_| {
                let limit_secs = TRANSFER_TIMEOUT.as_secs();
                tracing::warn!(limit_secs, "git http-backend was stopped after {limit_secs} s");
                Err(io::ErrorKind::TimedOut.into())
            })
        }
        () = chunks.closed() => {
            // `http-backend` may still wait for input; its child performs the push.
            let _ = git.child.start_kill();
            tokio::select! {
                // Every child has stderr open, so EOF means that all have ended.
                _ = timeout(TRANSFER_TIMEOUT, drain(&mut stderr)) => {}
                _ = shutdown.changed() => return,
            }
            drop(git);
            // Git may have finished the push in spite of the disconnect.
            afterwards.await;
            return;
        }
        _ = shutdown.changed() => return,
    };
    drop(git);
    afterwards.await;
    if let Err(error) = result {
        // A partial response must not appear complete.
        let _ = chunks.send(Err(error)).await;
    }
}

/// Sends request and response concurrently, because git may respond before it has read everything.
/// The response ends after the child, so that everything is on disk by then.
async fn transfer(
    child: &mut Child,
    stderr: &mut ChildStderr,
    body: Body,
    (head, chunks): (HeadSender, &ChunkSender),
) -> io::Result<()> {
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut head = Some(head);
    let exchange = async { tokio::join!(send_response(stdout, &mut head, chunks), read_stderr(stderr)) };
    let ask = async {
        match copy_request(body, stdin).await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    let (answered, complaints) = tokio::select! {
        talked = exchange => talked,
        // If input ends early, `http-backend` of git 2.47 waits for the declared length forever, in a busy loop.
        error = ask => return Err(error),
    };
    if let (Err(error), Some(head)) = (&answered, head) {
        let reason = if complaints.is_empty() { error.to_string() } else { complaints.clone() };
        let _ = head.send(Err(Error::GitFailed { command: "http-backend".to_owned(), reason }));
    }
    answered?;
    let status = child.wait().await?;
    if !status.success() {
        // A refused request is normal; the response has the reason.
        tracing::debug!(reason = complaints, "git http-backend ended with {status}");
    }
    Ok(())
}

async fn send_response(stdout: ChildStdout, head: &mut Option<HeadSender>, chunks: &ChunkSender) -> io::Result<()> {
    let mut stdout = BufReader::with_capacity(CHUNK_BYTES, stdout);
    let read = read_head(&mut stdout).await?;
    if let Some(head) = head.take() {
        let _ = head.send(Ok(read));
    }
    loop {
        let chunk = Bytes::copy_from_slice(stdout.fill_buf().await?);
        if chunk.is_empty() {
            return Ok(());
        }
        stdout.consume(chunk.len());
        if chunks.send(Ok(chunk)).await.is_err() {
            return Ok(());
        }
    }
}

async fn copy_request(body: Body, mut stdin: ChildStdin) -> io::Result<()> {
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(io::Error::other)?;
        if stdin.write_all(&chunk).await.is_err() {
            // Git stopped reading early; its response has the reason.
            return Ok(());
        }
    }
    Ok(())
}

async fn read_stderr(stderr: &mut ChildStderr) -> String {
    let mut read = Vec::new();
    let _ = (&mut *stderr).take(MAX_STDERR_BYTES).read_to_end(&mut read).await;
    drain(stderr).await;
    String::from_utf8_lossy(&read).trim().to_owned()
}

async fn drain(stderr: &mut ChildStderr) {
    let _ = copy(stderr, &mut sink()).await;
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

async fn read_head(stdout: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Head> {
    let malformed = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message.to_owned());
    let mut limited = stdout.take(MAX_HEADER_BYTES);
    let mut head = Head { status: StatusCode::OK, headers: HeaderMap::new() };
    let mut line = String::new();
    loop {
        line.clear();
        if limited.read_line(&mut line).await? == 0 {
            return Err(malformed("git ended within the headers"));
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(head);
        }
        let (name, value) = text.split_once(':').ok_or_else(|| malformed("a header has no colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            head.status = value
                .split(' ')
                .next()
                .and_then(|code| code.parse().ok())
                .ok_or_else(|| malformed("the status is not a number"))?;
            continue;
        }
        let name = name.parse::<HeaderName>().map_err(|_| malformed("a header's name is invalid"))?;
        let value = HeaderValue::from_str(value).map_err(|_| malformed("a header's value is invalid"))?;
        // hyper sets the length itself.
        if name != CONTENT_LENGTH {
            head.headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cgi_head_is_parsed() {
        let mut output = &b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nbody"[..];
        let head = read_head(&mut output).await.unwrap();
        assert_eq!(head.status, StatusCode::NOT_FOUND);
        assert_eq!(head.headers["content-type"], "text/plain");
        assert_eq!(output, b"body");
    }

    #[tokio::test]
    async fn truncated_or_malformed_cgi_head_is_an_error() {
        for mut output in [&b""[..], b"Status: 200", b"no colon\n\n", b"Status: x\n\n"] {
            assert!(read_head(&mut output).await.is_err());
        }
    }
}
