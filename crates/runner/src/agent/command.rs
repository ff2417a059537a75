//! The `command` agent: any program that reads its prompt from standard input.
//! `command_line_event` parses its output, `reported_usage` reads the usage that it reports.

use super::adapter::{Adapter, Launch, LineParser, StartInput};
use super::agent_event::AgentEvent;
use super::command_line_event::{self, Stream};
use super::reported_usage::ReportedUsageCounter;
use pullyard_protocol::event::EventKind;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

pub(super) struct CommandAgent {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
}

impl Adapter for CommandAgent {
    fn prepare(&mut self, start: &StartInput<'_>) -> io::Result<Launch> {
        Ok(Launch {
            program: self.program.clone(),
            args: self.args.iter().map(OsString::from).collect(),
            env: Vec::new(),
            input: start.prompt.as_bytes().to_vec(),
            input_encoder: None,
            reader: Box::new(CommandLineParser::default()),
            side_events: None,
        })
    }
}

#[derive(Default)]
struct CommandLineParser {
    usage: ReportedUsageCounter,
}

impl LineParser for CommandLineParser {
    fn parse_line(&mut self, line: &[u8]) -> Vec<AgentEvent> {
        let Some(draft) = command_line_event::parse_line(Stream::Out, line) else { return Vec::new() };
        let sum = self.usage.add_event(&draft).map(AgentEvent::ReportedUsage);
        // `usage_reporter` reports the usage, with the usage of earlier starts.
        let event = if draft.kind == EventKind::Usage { AgentEvent::Activity } else { AgentEvent::Event(draft) };
        [Some(event), sum].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::agent_event::{ReportedUsage, Tokens};

    #[test]
    fn usage_line_is_a_sum_and_no_event() {
        let mut reader = CommandLineParser::default();
        let events =
            reader.parse_line(br#"{"kind":"usage","turns":1,"output_tokens":7,"cost_usd_micros":30,"odd":true}"#);
        let [AgentEvent::Activity, AgentEvent::ReportedUsage(sum)] = &events[..] else { panic!("{events:?}") };
        let tokens = Tokens { output: 7, ..Tokens::default() };
        assert_eq!(*sum, ReportedUsage { turns: 1, tokens, cost: Some(30), may_continue: true });
    }

    #[test]
    fn lines_without_valid_usage_change_no_sum() {
        let mut reader = CommandLineParser::default();
        for line in [r#"{"usage":1}"#, "words"] {
            let events = reader.parse_line(line.as_bytes());
            assert!(matches!(events[..], [AgentEvent::Event(_)]), "{line}: {events:?}");
        }
        for line in [r#"{"kind":"usage","turns":-1}"#, r#"{"kind":"usage"}"#] {
            assert_eq!(reader.parse_line(line.as_bytes()), [AgentEvent::Activity], "{line}");
        }
        assert!(reader.parse_line(b"").is_empty());
    }
}
