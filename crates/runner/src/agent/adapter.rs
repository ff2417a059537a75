//! What the driver of an agent's command line does: what it starts, what its lines mean, how it is asked
//! to stop, how it goes on. When to start and to stop, and what an end means, is not a driver's business.

use super::sign::{Sign, Tokens};
use super::start::Start;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// The driver of one kind of agent, for all starts of one attempt.
pub(super) trait Adapter: Send {
    /// What it can be asked for by: `claude_code`, `codex`, `command`.
    fn capability(&self) -> &'static str;

    fn name(&self) -> &'static str;

    fn program(&self) -> PathBuf;

    /// The version that its program said it has.
    fn version(&self) -> Option<String>;

    /// It is about to go on in a session of an earlier attempt that used so much: that is not this attempt's.
    fn goes_on(&mut self, _tokens: Tokens) {}

    /// Makes its files ready and says how it is started.
    ///
    /// Writes: its own folder below the agent's home, nothing else.
    fn prepare(&mut self, start: &Start<'_>) -> io::Result<Launch>;

    /// Files of the base branch that it is told of; those in the tree it does not read by itself.
    fn instruction_files(&self) -> &'static [&'static str];

    /// It says itself how it ended, so that an exit code alone proves nothing.
    fn says_its_end(&self) -> bool;
}

pub(super) struct Launch {
    pub(super) args: Vec<OsString>,
    /// Beside what every agent gets.
    pub(super) env: Vec<(&'static str, OsString)>,
    pub(super) input: Vec<u8>,
    pub(super) input_ends: InputEnds,
    pub(super) reader: Box<dyn Reader>,
    /// Looks at what it writes elsewhere.
    pub(super) meter: Option<Box<dyn Meter>>,
}

pub(super) enum InputEnds {
    /// At once, after the prompt.
    AfterPrompt,
    /// When it said how it ended and has taken up all that it was told; until then it can be told more.
    AfterItsEnd(Box<dyn Voice>),
}

/// How an agent that listens while it works is spoken to. What its reader learns meanwhile, it may know as well.
pub(super) trait Voice: Send {
    /// Asks it to make no further request; nothing where it makes none.
    fn interrupt(&mut self) -> Option<Vec<u8>>;

    /// What people say, with a mark: its lines say the mark when the model is told. No bytes where it is not ready yet:
    /// then its reader writes them once it is.
    fn tell(&mut self, words: &str, mark: &str) -> Vec<u8>;
}

/// Reads the lines of one start. Never fails: what it does not know is passed on as `raw`.
pub(super) trait Reader: Send {
    fn read(&mut self, line: &[u8]) -> Vec<Sign>;
}

/// Looks at files that an agent writes while it works. Called again and again, on a thread that may wait.
pub(super) trait Meter: Send {
    fn look(&mut self) -> Vec<Sign>;

    /// The same once its agent has ended, with what only the end shows.
    fn finish(&mut self) -> Vec<Sign>;
}
