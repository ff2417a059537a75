//! Interface of agents: the command line, the meaning of lines, how to stop and to
//! resume. It does not decide when to start or stop, or what an end means.

use super::sign::{Sign, Tokens};
use super::start::Start;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// The driver of one kind of agent, for all starts of one attempt.
pub(super) trait Adapter: Send {
    /// Its capability: `claude_code`, `codex`, `command`.
    fn capability(&self) -> &'static str;

    fn name(&self) -> &'static str;

    fn program(&self) -> PathBuf;

    /// The version of its program.
    fn version(&self) -> Option<String>;

    /// It resumes a session of an earlier attempt with this usage, which is not this attempt's.
    fn goes_on(&mut self, _tokens: Tokens) {}

    /// Writes its configuration and returns the launch.
    ///
    /// Writes: its own folder below the agent's home.
    fn prepare(&mut self, start: &Start<'_>) -> io::Result<Launch>;

    /// Instruction files of the base branch. It does not read those in the tree by itself.
    fn instruction_files(&self) -> &'static [&'static str];

    /// Whether it reports its end, so that an exit code alone proves nothing.
    fn says_its_end(&self) -> bool;
}

pub(super) struct Launch {
    pub(super) args: Vec<OsString>,
    /// Additional environment.
    pub(super) env: Vec<(&'static str, OsString)>,
    pub(super) input: Vec<u8>,
    pub(super) input_ends: InputEnds,
    pub(super) reader: Box<dyn Reader>,
    /// Reads what it writes elsewhere.
    pub(super) meter: Option<Box<dyn Meter>>,
}

pub(super) enum InputEnds {
    /// At once, after the prompt.
    AfterPrompt,
    /// When it reported its end and took up all inputs. Until then it may get more.
    AfterItsEnd(Box<dyn Voice>),
}

/// How to send to an agent that reads while it works. Its reader may learn facts for this.
pub(super) trait Voice: Send {
    /// Asks it to send no further request; `None` if it sends none.
    fn interrupt(&mut self) -> Option<Vec<u8>>;

    /// Messages with a mark, which its lines repeat when the model gets them. `None` if it is not ready:
    /// its reader sends them later.
    fn tell(&mut self, words: &str, mark: &str) -> Vec<u8>;
}

/// Reads the lines of one start. Unknown lines become `raw`.
pub(super) trait Reader: Send {
    fn read(&mut self, line: &[u8]) -> Vec<Sign>;
}

/// Reads files of a working agent, repeatedly, on a blocking thread.
pub(super) trait Meter: Send {
    fn look(&mut self) -> Vec<Sign>;

    /// The same after its end.
    fn finish(&mut self) -> Vec<Sign>;
}
