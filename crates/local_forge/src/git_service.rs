//! Runs the git command of one request to the smart HTTP protocol; `smart_http` has checked permissions.
//! Source: gitprotocol-http(5); `git http-backend` starts the same commands.

use std::{
    io::{self, Read as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use flate2::read::GzDecoder;
use futures::{StreamExt as _, future::BoxFuture, stream};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, sink},
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{Error, git::Git, process_group::ProcessGroup};

const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const MAX_STDERR_BYTES: u64 = 8 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;
/// Git compresses only what fits into its `http.postBuffer`, by default 1 MiB. Before and after decompression.
const MAX_GZIP_BYTES: usize = 64 * 1024 * 1024;

type Refusal = (StatusCode, &'static str);

const TOO_LARGE: Refusal =
    (StatusCode::PAYLOAD_TOO_LARGE, "The compressed request exceeds 64 MiB. Lower git's http.postBuffer.\n");
const NOT_GZIP: Refusal = (StatusCode::BAD_REQUEST, "The request is not valid gzip.\n");

#[derive(Clone, Copy)]
pub(crate) enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    fn command(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum RequestKind {
    Advertise,
    Call,
}

pub(crate) struct ServiceRequest<'a> {
    pub(crate) service: Service,
    pub(crate) kind: RequestKind,
    pub(crate) repository: PathBuf,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) shutdown: watch::Receiver<()>,
    /// Runs after git ends, before the response ends.
    pub(crate) on_finish: OnFinish,
}

pub(crate) type OnFinish = BoxFuture<'static, ()>;

pub(crate) async fn serve(git: &Git, request: ServiceRequest<'_>, body: Body) -> Result<Response, Error> {
    let ServiceRequest { service, kind, repository, headers, shutdown, on_finish } = request;
    let name = service.command();
    let protocol = headers.get("git-protocol").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut command = git.command();
    command.args([name, "--stateless-rpc"]).current_dir(repository).env("GIT_PROTOCOL", protocol);
    let (content_type, prefix) = match kind {
        RequestKind::Advertise => {
            command.arg("--advertise-refs");
            (format!("application/x-git-{name}-advertisement"), announce_service(name, protocol))
        }
        RequestKind::Call => (format!("application/x-git-{name}-result"), String::new()),
    };
    let body = match decompress(headers, body).await {
        Ok(body) => body,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let started = git.start(command.arg(".").stdin(Stdio::piped()));
    let git = started.map_err(|source| Error::GitMissing { source })?;
    let (chunk_sender, chunks) = mpsc::channel(1);
    // Spawned, so that the time limit applies even if the client stops reading.
    tokio::spawn(supervise(git, (body, on_finish), chunk_sender, shutdown));
    let chunks = stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)));
    let output = stream::iter((!prefix.is_empty()).then(|| Ok(Bytes::from(prefix)))).chain(chunks);
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache".to_owned())];
    Ok((headers, Body::from_stream(output)).into_response())
}

/// Protocol version 2 begins with the capabilities instead.
fn announce_service(name: &str, protocol: &str) -> String {
    if protocol.split(':').any(|part| part == "version=2") {
        return String::new();
    }
    let line = format!("# service=git-{name}\n");
    format!("{:04x}{line}0000", line.len() + 4)
}

async fn decompress(headers: &HeaderMap, body: Body) -> Result<Body, Refusal> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    if !matches!(encoding, Some("gzip" | "x-gzip")) {
        return Ok(body);
    }
    let compressed = to_bytes(body, MAX_GZIP_BYTES).await.map_err(|_| TOO_LARGE)?;
    Ok(Body::from(gunzip(&compressed, MAX_GZIP_BYTES)?))
}

fn gunzip(compressed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let mut request = Vec::new();
    let mut decoder = GzDecoder::new(compressed).take(max_bytes as u64 + 1);
    decoder.read_to_end(&mut request).map_err(|_| NOT_GZIP)?;
    if request.len() > max_bytes { Err(TOO_LARGE) } else { Ok(request) }
}

type ChunkSender = mpsc::Sender<io::Result<Bytes>>;

/// Stops git and its children when done, at the time limit, or at shutdown.
/// If the client disconnects, a completely received push continues, as on other forges.
async fn supervise(
    mut git: ProcessGroup,
    (body, on_finish): (Body, OnFinish),
    chunks: ChunkSender,
    mut shutdown: watch::Receiver<()>,
) {
    let Some(mut stderr) = git.child.stderr.take() else { return };
    let result = tokio::select! {
        result = timeout(TRANSFER_TIMEOUT, transfer(&mut git.child, &mut stderr, body, &chunks)) => {
            result.unwrap_or_else(|_| {
                let limit_secs = TRANSFER_TIMEOUT.as_secs();
                tracing::warn!(limit_secs, "git was stopped after {limit_secs} s");
                Err(io::ErrorKind::TimedOut.into())
            })
        }
        () = chunks.closed() => {
            tokio::select! {
                // Stdin is closed. Every child has stderr open, so EOF means that all have ended.
                _ = timeout(TRANSFER_TIMEOUT, drain(&mut stderr)) => {}
                _ = shutdown.changed() => return,
            }
            drop(git);
            // Git may have finished the push in spite of the disconnect.
            on_finish.await;
            return;
        }
        _ = shutdown.changed() => return,
    };
    drop(git);
    on_finish.await;
    if let Err(error) = result {
        // A partial response must not appear complete.
        let _ = chunks.send(Err(error)).await;
    }
}

/// Sends request and response concurrently, because git may respond before it has read everything.
/// The response ends after git, so that everything is on disk by then.
async fn transfer(child: &mut Child, stderr: &mut ChildStderr, body: Body, chunks: &ChunkSender) -> io::Result<()> {
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let exchange = async { tokio::join!(send_response(stdout, chunks), read_stderr(stderr)) };
    let send_request = async {
        match copy_request(body, stdin).await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    let (sent, reason) = tokio::select! {
        result = exchange => result,
        // The request is incomplete.
        error = send_request => return Err(error),
    };
    sent?;
    let status = child.wait().await?;
    if !status.success() {
        // A refused request is normal; the response has the reason.
        tracing::debug!(reason, "git ended with {status}");
    }
    Ok(())
}

async fn send_response(stdout: ChildStdout, chunks: &ChunkSender) -> io::Result<()> {
    let mut stdout = BufReader::with_capacity(CHUNK_BYTES, stdout);
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
    let mut bytes = Vec::new();
    let _ = (&mut *stderr).take(MAX_STDERR_BYTES).read_to_end(&mut bytes).await;
    drain(stderr).await;
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

async fn drain(stderr: &mut ChildStderr) {
    let _ = copy(stderr, &mut sink()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    #[test]
    fn gzip_body_is_refused_when_too_large_or_invalid() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"0123456789").unwrap();
        let compressed = encoder.finish().unwrap();
        assert_eq!(gunzip(&compressed, 10), Ok(b"0123456789".to_vec()));
        assert_eq!(gunzip(&compressed, 9), Err(TOO_LARGE));
        for invalid in [&b"0000"[..], &b"not compressed"[..], &compressed[..compressed.len() - 8]] {
            assert_eq!(gunzip(invalid, 10), Err(NOT_GZIP), "{invalid:?}");
        }
    }

    #[test]
    fn service_is_announced_before_version_2() {
        let line = "001e# service=git-upload-pack\n0000";
        assert_eq!(announce_service("upload-pack", ""), line);
        assert_eq!(announce_service("upload-pack", "version=1"), line);
        assert_eq!(announce_service("upload-pack", "a:version=2"), "");
    }
}
