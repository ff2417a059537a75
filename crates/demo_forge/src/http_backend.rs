//! One request through `git http-backend`, which is a CGI program: the request becomes environment
//! variables and stdin, stdout becomes the response, both streamed.
//! Whether the caller may do this is decided before, in `smart_http`.

use std::{io, path::Path, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_LENGTH},
    response::Response,
};
use futures::{StreamExt as _, stream};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{Error, git::Git};

/// How long one fetch or push may take.
const TRANSFER_LIMIT: Duration = Duration::from_secs(10 * 60);
const MAX_HEADER_BYTES: u64 = 64 * 1024;
const MAX_STDERR_BYTES: u64 = 8 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy)]
pub(crate) enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Exchange {
    /// The list of branches that starts every conversation.
    Advertise,
    /// The fetch or the push itself.
    Call,
}

pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    pub(crate) exchange: Exchange,
    pub(crate) root: &'a Path,
    /// `/owner/name.git`, built from checked names.
    pub(crate) repository: String,
    pub(crate) user: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

pub(crate) async fn serve(git: &Git, call: Call<'_>, body: Body) -> Result<Response, Error> {
    let deadline = Instant::now() + TRANSFER_LIMIT;
    let mut command = git.http_backend();
    command
        .stdin(std::process::Stdio::piped())
        .env("GIT_PROJECT_ROOT", call.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", call.user)
        .env("REMOTE_ADDR", "127.0.0.1");
    let service = call.service.name();
    match call.exchange {
        Exchange::Advertise => command
            .env("REQUEST_METHOD", "GET")
            .env("PATH_INFO", format!("{}/info/refs", call.repository))
            .env("QUERY_STRING", format!("service={service}")),
        Exchange::Call => command
            .env("REQUEST_METHOD", "POST")
            .env("PATH_INFO", format!("{}/{service}", call.repository))
            .env("QUERY_STRING", ""),
    };
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        // A big push comes in chunks and has no length: git then reads to the end.
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = call
            .headers
            .get(header)
            .and_then(|value| value.to_str().ok())
        {
            command.env(variable, value);
        }
    }
    let mut child = command.spawn().map_err(|source| Error::GitMissing {
        program: "git-http-backend".to_owned(),
        source,
    })?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("a pipe is missing"));
    };
    let mut transfer = Transfer {
        child,
        stdout: BufReader::with_capacity(CHUNK_BYTES, stdout),
        deadline,
        // Git may answer before it has read everything, so both directions run at once.
        _request: AbortOnDrop(tokio::spawn(pump(body, stdin))),
        stderr: tokio::spawn(complaints(stderr)),
    };
    let head = match timeout_at(deadline, read_head(&mut transfer.stdout)).await {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => return Err(failed(&transfer.last_words(&error.to_string()).await)),
        Err(_) => {
            return Err(Error::GitTimedOut {
                command: "http-backend".to_owned(),
                limit: TRANSFER_LIMIT,
            });
        }
    };
    let mut response = Response::new(Body::from_stream(transfer.into_stream()));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

fn failed(reason: &str) -> Error {
    Error::GitFailed {
        command: "http-backend".to_owned(),
        reason: reason.to_owned(),
    }
}

/// A child at work. Dropping it, as happens when the caller hangs up, kills the child, and the
/// closed pipes end what that had started.
struct Transfer {
    child: Child,
    stdout: BufReader<ChildStdout>,
    deadline: Instant,
    _request: AbortOnDrop,
    stderr: JoinHandle<String>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Transfer {
    fn into_stream(self) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::unfold(Some(self), async |transfer| {
            let mut transfer = transfer?;
            match timeout_at(transfer.deadline, transfer.next_chunk()).await {
                Ok(Ok(Some(chunk))) => Some((Ok(chunk), Some(transfer))),
                Ok(Ok(None)) => None,
                Ok(Err(error)) => Some((Err(error), None)),
                Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
            }
        })
    }

    /// The next part of the answer. The last one is followed by the child's end, so that a caller
    /// who has the whole answer finds everything on disk.
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let chunk = Bytes::copy_from_slice(self.stdout.fill_buf().await?);
        if !chunk.is_empty() {
            self.stdout.consume(chunk.len());
            return Ok(Some(chunk));
        }
        let status = self.child.wait().await?;
        if !status.success() {
            let words = self.last_words("no reason given").await;
            // Refusing a bad request is git's ordinary work, and the caller was told.
            tracing::debug!(reason = %words, "git http-backend ended with {status}");
        }
        Ok(None)
    }

    async fn last_words(&mut self, otherwise: &str) -> String {
        match timeout_at(self.deadline, &mut self.stderr).await {
            Ok(Ok(words)) if !words.trim().is_empty() => words.trim().to_owned(),
            _ => otherwise.to_owned(),
        }
    }
}

async fn pump(body: Body, mut stdin: ChildStdin) {
    let mut chunks = body.into_data_stream();
    // Either side may hang up; the closed pipe tells git, and the answer tells the caller.
    while let Some(Ok(chunk)) = chunks.next().await {
        if stdin.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

async fn complaints(stderr: ChildStderr) -> String {
    let mut read = Vec::new();
    let _ = stderr.take(MAX_STDERR_BYTES).read_to_end(&mut read).await;
    String::from_utf8_lossy(&read).into_owned()
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

/// Reads what a CGI program writes before the empty line.
async fn read_head(stdout: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Head> {
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut limited = stdout.take(MAX_HEADER_BYTES);
    let mut head = Head {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
    };
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
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| malformed("a header has no colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            head.status = value
                .split(' ')
                .next()
                .and_then(|code| code.parse().ok())
                .ok_or_else(|| malformed("the status is not a number"))?;
            continue;
        }
        let name = name
            .parse::<HeaderName>()
            .map_err(|_| malformed("a header's name is odd"))?;
        let value =
            HeaderValue::from_str(value).map_err(|_| malformed("a header's value is odd"))?;
        // Hyper frames the body itself.
        if name != CONTENT_LENGTH {
            head.headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cgi_heads_are_understood() {
        let mut output = &b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nbody"[..];
        let head = read_head(&mut output).await.unwrap();
        assert_eq!(head.status, StatusCode::NOT_FOUND);
        assert_eq!(head.headers["content-type"], "text/plain");
        assert_eq!(output, b"body");
    }

    #[tokio::test]
    async fn a_cut_or_odd_cgi_head_is_an_error() {
        for mut output in [&b""[..], b"Status: 200", b"no colon\n\n", b"Status: x\n\n"] {
            assert!(read_head(&mut output).await.is_err());
        }
    }
}
