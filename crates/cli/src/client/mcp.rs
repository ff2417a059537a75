//! `pullyard mcp`: serves runs to a coding agent by the Model Context Protocol, one JSON-RPC message per line.
//! Source: <https://modelcontextprotocol.io/specification>.

mod message;
mod tools;

use crate::client::prelude::*;
use std::io::{self, BufRead};
use std::rc::Rc;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

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
        let session = Rc::new(Session::open(global)?);
        let (sender, mut lines) = mpsc::channel(MAX_WAITING);
        // Not awaited: a terminal's stdin may never end.
        std::thread::spawn(move || {
            for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        let serve = async {
            let mut answers = JoinSet::new();
            while let Some(line) = lines.recv().await {
                while answers.len() >= MAX_CALLS {
                    answers.join_next().await;
                }
                let session = Rc::clone(&session);
                answers.spawn_local(async move {
                    let answer = message::answer(&session, &line).await;
                    answer.map_or(Ok(()), |answer| session.screen.print_line(&answer.to_string()))
                });
                while answers.try_join_next().is_some() {}
            }
            answers.join_all().await.into_iter().collect()
        };
        LocalSet::new().run_until(serve).await
    }
}
