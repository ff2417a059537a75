//! Interface to each kind of agent: how to start it, read it, stop it and resume it.

use super::agent_event::{AgentEvent, Tokens};
use super::host_profile::HostHome;
use pullyard_agent_proxy::model::Upstream;
use pullyard_domain::job::AgentWrites;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

pub(super) trait Adapter: Send {
    /// Called before a session is resumed, with the tokens that it used before. They do not count again.
    fn set_resumed_tokens(&mut self, _tokens: Tokens) {}

    /// The provider for the proxy of a sandboxed agent. `None` for an agent without a model of its own, or without a key.
    /// Errors: a sentence about an unusable sign-in.
    fn model_upstream(&self) -> Result<Option<Upstream>, String> {
        Ok(None)
    }

    /// Writes: the agent's configuration, in its own folder below the agent's home.
    fn prepare(&mut self, start: &StartInput<'_>) -> io::Result<Launch>;
}

/// The input for one start of an agent.
pub(super) struct StartInput<'a> {
    pub(super) prompt: &'a str,
    pub(super) instructions: &'a str,
    pub(super) session: Option<&'a str>,
    pub(super) writes: AgentWrites,
    pub(super) model: Option<&'a str>,
    pub(super) remaining_turns: Option<u32>,
    /// The rest of the budget. Units: millionths of a US dollar.
    pub(super) remaining_cost: Option<u64>,
    pub(super) home: &'a Path,
    /// The home of the runner's user, whose configuration the agent gets.
    pub(super) host_home: Option<HostHome<'a>>,
    pub(super) tree: &'a Path,
    /// The port of the model's proxy. The agent then gets a placeholder instead of its key.
    pub(super) model_port: Option<u16>,
}

pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(&'static str, OsString)>,
    pub(super) input: Vec<u8>,
    /// For an agent that takes further inputs until it has reported its end. The input of others ends with the prompt.
    pub(super) input_encoder: Option<InputEncoder>,
    pub(super) reader: Box<dyn LineParser>,
    /// Reads the files that the agent writes besides its output.
    pub(super) side_events: Option<SideEvents>,
}

/// Reads the events in the agent's files.
pub(super) type SideEvents = Box<dyn FnMut(ReadFiles) -> Vec<AgentEvent> + Send>;

#[derive(Clone, Copy, Debug)]
pub(super) enum ReadFiles {
    /// The new lines.
    New,
    /// The new lines and the end of the start. Used once, at the end.
    Last,
}

pub(super) struct InputEncoder {
    /// Requests that the agent sends no further model request.
    pub(super) interrupt: &'static str,
    /// Encodes messages with a mark. The agent's lines repeat the mark when the model gets the messages.
    pub(super) encode_messages: fn(&str, &str) -> Vec<u8>,
}

/// Parses the lines of one start. Unknown lines become `raw` events.
pub(super) trait LineParser: Send {
    fn parse_line(&mut self, line: &[u8]) -> Vec<AgentEvent>;
}
