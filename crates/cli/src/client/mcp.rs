//! `pullyard mcp`: serves runs to a coding agent by the Model Context Protocol, one JSON-RPC message per line.
//! Source: <https://modelcontextprotocol.io/specification>.

mod message;
mod rpc_error;
mod tools;

use crate::client::prelude::*;
use message::{Message, Request};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::rc::Rc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinError, JoinSet, LocalSet};

/// A longer line is refused; plans are smaller. Units: bytes.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Calls of tools at once. Further calls wait; other requests are answered at once.
const MAX_CALLS: usize = 16;
/// With the waiting ones. A further call is refused.
const MAX_OPEN_CALLS: usize = 128;
/// More unread messages wait in the pipe.
const MAX_WAITING: usize = 64;

/// Serve runs to a coding agent by the Model Context Protocol, on stdin and stdout.
///
/// The agent can check and start plans, follow runs, and answer, cancel and resume them with the context's token. It
/// cannot approve a step. Agents start this command; docs/clients.md shows how to add it to one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard mcp
  pullyard mcp --context work --project acme")]
pub(crate) struct Mcp {}

impl Mcp {
    /// Ends with stdin, after the answers to all requests.
    pub(super) async fn run(self, global: &super::Global) -> Result<(), CliError> {
        let session = Rc::new(Session::open(global)?);
        let (sender, mut lines) = mpsc::channel(MAX_WAITING);
        // Not awaited: a terminal's stdin may never end.
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            while let Ok(Some(line)) = read_line(&mut input) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        let serve = async {
            let mut calls = Calls::new(session);
            loop {
                tokio::select! {
                    line = lines.recv() => match line {
                        Some(line) => calls.handle(line)?,
                        None => break,
                    },
                    Some(ended) = calls.running.join_next() => calls.record_end(ended)?,
                }
            }
            while let Some(ended) = calls.running.join_next().await {
                calls.record_end(ended)?;
            }
            Ok(())
        };
        LocalSet::new().run_until(serve).await
    }
}

/// The open calls of tools.
struct Calls {
    session: Rc<Session>,
    places: Rc<Semaphore>,
    running: JoinSet<Result<(), CliError>>,
    /// By the id of the request as JSON.
    handles: BTreeMap<String, AbortHandle>,
}

impl Calls {
    fn new(session: Rc<Session>) -> Self {
        let places = Rc::new(Semaphore::new(MAX_CALLS));
        Self { session, places, running: JoinSet::new(), handles: BTreeMap::new() }
    }

    /// Errors: stdout is closed.
    fn handle(&mut self, line: Line) -> Result<(), CliError> {
        let message = match line {
            Line::Message(line) => message::parse(&line),
            Line::TooLong => Message::Answer(message::refuse_long_line()),
        };
        match message {
            Message::Nothing => Ok(()),
            Message::Answer(answer) => self.print(&answer),
            Message::Cancel(id) => {
                // The protocol allows an unknown id: the call may have ended.
                if let Some(call) = self.handles.get(&id.to_string()) {
                    call.abort();
                }
                Ok(())
            }
            Message::Call(request) if self.running.len() >= MAX_OPEN_CALLS => {
                self.print(&request.refuse(&format!("{MAX_OPEN_CALLS} calls are open; wait for their answers")))
            }
            Message::Call(request) => {
                self.start(request);
                Ok(())
            }
        }
    }

    fn start(&mut self, request: Request) {
        let (session, places, id) = (Rc::clone(&self.session), Rc::clone(&self.places), request.id.to_string());
        let call = self.running.spawn_local(async move {
            let _place = places.acquire().await;
            let answer = request.answer(&session).await;
            session.screen.print_line(&answer.to_string())
        });
        self.handles.insert(id, call);
    }

    /// A cancelled call gets no answer.
    fn record_end(&mut self, ended: Result<Result<(), CliError>, JoinError>) -> Result<(), CliError> {
        self.handles.retain(|_, call| !call.is_finished());
        match ended {
            Ok(printed) => printed,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Ok(()),
        }
    }

    fn print(&self, answer: &Value) -> Result<(), CliError> {
        self.session.screen.print_line(&answer.to_string())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Message(Vec<u8>),
    TooLong,
}

/// Reads a line, without its line break. `None` at the end. Skips the rest of a line above the limit.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if (&mut *input).take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let is_whole = line.pop_if(|last| *last == b'\n').is_some();
    if line.len() <= MAX_LINE_BYTES {
        return Ok(Some(Line::Message(line)));
    }
    let mut skipped = is_whole;
    while !skipped {
        let part = input.fill_buf()?;
        let end = part.iter().position(|byte| *byte == b'\n');
        skipped = end.is_some() || part.is_empty();
        let length = end.map_or(part.len(), |end| end + 1);
        input.consume(length);
    }
    Ok(Some(Line::TooLong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn line_above_the_limit_is_skipped_and_the_next_is_read() {
        let longest = vec![b'a'; MAX_LINE_BYTES];
        for (text, expected) in [
            (vec![], vec![]),
            (b"a\n\nb".to_vec(), vec![Line::Message(b"a".into()), Line::Message(vec![]), Line::Message(b"b".into())]),
            ([&*longest, b"\nb\n"].concat(), vec![Line::Message(longest.clone()), Line::Message(b"b".into())]),
            ([&*longest, b"a\nb\n"].concat(), vec![Line::TooLong, Line::Message(b"b".into())]),
            ([&*longest, &*longest, b"\nb"].concat(), vec![Line::TooLong, Line::Message(b"b".into())]),
            ([&*longest, b"a"].concat(), vec![Line::TooLong]),
        ] {
            let mut input = BufReader::new(&*text);
            let lines: Vec<Line> = std::iter::from_fn(|| read_line(&mut input).unwrap()).collect();
            assert!(lines == expected, "{} bytes", text.len());
        }
    }
}
