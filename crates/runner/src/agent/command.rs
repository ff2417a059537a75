//! The `command` agent: any program that reads its prompt from standard input. What its lines mean is in
//! `line`.

use super::adapter::{Adapter, InputEnds, Launch, Reader};
use super::line::{self, Stream};
use super::sign::Sign;
use super::start::Start;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Whatever the repository's settings name.
pub(super) struct CommandAgent {
    program: PathBuf,
    args: Vec<String>,
}

impl CommandAgent {
    pub(super) fn new(program: PathBuf, args: &[String]) -> Self {
        Self { program, args: args.to_vec() }
    }
}

impl Adapter for CommandAgent {
    fn capability(&self) -> &'static str {
        "command"
    }

    fn name(&self) -> &'static str {
        "The agent"
    }

    fn program(&self) -> PathBuf {
        self.program.clone()
    }

    fn version(&self) -> Option<String> {
        None
    }

    fn prepare(&mut self, start: &Start<'_>) -> io::Result<Launch> {
        Ok(Launch {
            args: self.args.iter().map(OsString::from).collect(),
            env: Vec::new(),
            input: start.prompt.as_bytes().to_vec(),
            input_ends: InputEnds::AfterPrompt,
            reader: Box::new(Lines),
            meter: None,
        })
    }

    fn instruction_files(&self) -> &'static [&'static str] {
        &[]
    }

    fn says_its_end(&self) -> bool {
        false
    }
}

/// Each line by itself.
struct Lines;

impl Reader for Lines {
    fn read(&mut self, line: &[u8]) -> Vec<Sign> {
        line::read(Stream::Out, line).map(Sign::Said).into_iter().collect()
    }
}
