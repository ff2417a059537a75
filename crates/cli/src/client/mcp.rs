//! `pullyard mcp`: serves runs to a coding agent by the Model Context Protocol, one JSON-RPC message per line.
//! Source: <https://modelcontextprotocol.io/specification>.

mod message;
mod tools;

use crate::client::prelude::*;
use futures::{StreamExt, TryStreamExt, stream};
use std::io::{self, BufRead};
use tokio::sync::mpsc;

/// Calls at once; an agent with more waits.
const MAX_CALLS: usize = 16;
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
        let session = &Session::open(global)?;
        let (sender, mut lines) = mpsc::channel(MAX_WAITING);
        // Not awaited: a terminal's stdin may never end.
        std::thread::spawn(move || {
            for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        let lines = stream::poll_fn(move |context| lines.poll_recv(context)).map(Ok::<Vec<u8>, CliError>);
        let answer = |line: Vec<u8>| async move {
            let answer = message::answer(session, &line).await;
            answer.map_or(Ok(()), |answer| session.screen.print_line(&answer.to_string()))
        };
        lines.try_for_each_concurrent(MAX_CALLS, answer).await
    }
}
