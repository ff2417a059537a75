//! Interface to each kind of agent: how to start it, read it, stop it and resume it.

use super::sign::{Sign, Tokens};
use super::start::Start;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// The driver of one kind of agent, for all starts of one attempt.
pub(super) trait Adapter: Send {
    /// `claude_code`, `codex` or `command`.
    fn capability(&self) -> &'static str;

    fn name(&self) -> &'static str;

    fn program(&self) -> PathBuf;

    fn version(&self) -> Option<String>;

    /// Called before a session is resumed, with the tokens that it used before. They do not count again.
    fn goes_on(&mut self, _tokens: Tokens) {}

    /// Writes the agent's configuration and returns how to launch it.
    ///
    /// Writes: its own folder below the agent's home.
    fn prepare(&mut self, start: &Start<'_>) -> io::Result<Launch>;

    /// Files whose content on the base branch the agent gets as instructions. It ignores its worktree's copies.
    fn instruction_files(&self) -> &'static [&'static str];

    /// Whether the agent reports its end. If so, an exit code alone is no proof.
    fn says_its_end(&self) -> bool;
}

pub(super) struct Launch {
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(&'static str, OsString)>,
    pub(super) input: Vec<u8>,
    pub(super) input_ends: InputEnds,
    pub(super) reader: Box<dyn Reader>,
    /// Reads the files that the agent writes besides its output.
    pub(super) meter: Option<Box<dyn Meter>>,
}

pub(super) enum InputEnds {
    AfterPrompt,
    /// After the agent reported its end and took up all inputs. Until then it accepts further inputs.
    AfterItsEnd(Box<dyn Voice>),
}

/// Encodes input for an agent that reads while it works.
pub(super) trait Voice: Send {
    /// A request to send no further model request; `None` if the agent has no such request.
    fn interrupt(&mut self) -> Option<Vec<u8>>;

    /// Encodes messages with a mark. The agent's lines repeat the mark when the model gets the messages.
    fn tell(&mut self, words: &str, mark: &str) -> Vec<u8>;
}

/// Parses the lines of one start. Unknown lines become `raw` events.
pub(super) trait Reader: Send {
    fn read(&mut self, line: &[u8]) -> Vec<Sign>;
}

/// Reads files of a working agent, repeatedly, on a blocking thread.
pub(super) trait Meter: Send {
    fn look(&mut self) -> Vec<Sign>;

    /// The last look, after the agent's end.
    fn finish(&mut self) -> Vec<Sign>;
}
