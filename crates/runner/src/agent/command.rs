//! The `command` agent: any program that reads its prompt from standard input.
//!
//! `line` parses its output, `own_count` adds up the usage that it reports.

use super::adapter::{Adapter, InputEnds, Launch, Reader};
use super::line::{self, Stream};
use super::own_count::OwnCount;
use super::sign::Sign;
use super::start::Start;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

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
            reader: Box::new(Lines::default()),
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

/// Parses each line by itself, and adds up its `usage` lines.
#[derive(Default)]
struct Lines {
    count: OwnCount,
}

impl Reader for Lines {
    fn read(&mut self, line: &[u8]) -> Vec<Sign> {
        let Some(said) = line::read(Stream::Out, line) else { return Vec::new() };
        let sum = self.count.note(&said);
        [Some(Sign::Said(said)), sum.map(Sign::Sum)].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::sign::{Sum, Tokens};
    use pullyard_protocol::event::EventKind;
    use serde_json::json;

    #[test]
    fn usage_line_is_an_event_and_a_sum() {
        let mut reader = Lines::default();
        let signs = reader.read(br#"{"kind":"usage","turns":1,"output_tokens":7,"cost_usd_micros":30,"odd":true}"#);
        let [Sign::Said(said), Sign::Sum(sum)] = &signs[..] else { panic!("{signs:?}") };
        let data = json!({"turns": 1, "output_tokens": 7, "cost_usd_micros": 30, "odd": true});
        assert_eq!((said.kind, &said.data), (EventKind::Usage, &Some(data)));
        let tokens = Tokens { output: 7, ..Tokens::default() };
        assert_eq!(*sum, Sum { turns: 1, tokens, cost: Some(30), goes_on: true, is_told: false });
    }

    #[test]
    fn lines_without_valid_usage_are_events_only() {
        let mut reader = Lines::default();
        for line in [r#"{"kind":"usage","turns":-1}"#, r#"{"kind":"usage"}"#, r#"{"usage":1}"#, "words"] {
            let signs = reader.read(line.as_bytes());
            assert!(matches!(signs[..], [Sign::Said(_)]), "{line}: {signs:?}");
        }
        assert!(reader.read(b"").is_empty());
    }
}
