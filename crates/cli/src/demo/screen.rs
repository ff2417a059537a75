//! Prints the demo's steps as lines, or as one JSON document.

use crate::client::CliError;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::Instant;

#[derive(Serialize)]
struct Step {
    at_ms: u128,
    ticket: Option<String>,
    label: String,
    detail: String,
}

/// The JSON document of a demo.
pub(super) struct Record(Value);

/// How a user reaches a demo that stays.
pub(super) struct Access {
    /// A link that signs a browser in once.
    pub(super) board: String,
    /// The saved context's name.
    pub(super) context: Result<String, CliError>,
}

impl Record {
    pub(super) fn is_ok(&self) -> bool {
        self.0["ok"] == true
    }

    pub(super) fn to_text(&self) -> String {
        format!("{:#}\n", self.0)
    }

    /// For the printed document only: the link would not work later.
    pub(super) fn add_access(&mut self, access: &Access) {
        self.0["board"] = access.board.as_str().into();
        self.0["context"] = access.context.as_ref().ok().map(String::as_str).into();
    }
}

pub(super) struct DemoScreen {
    since: Instant,
    silent: bool,
    /// A model was called, as the agent's events prove.
    pub(super) ai_called: bool,
    colour: bool,
    ticket: Option<String>,
    steps: Vec<Step>,
    tickets: Vec<Value>,
}

impl DemoScreen {
    pub(super) fn new(silent: bool) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { since: Instant::now(), silent, ai_called: false, colour, ticket: None, steps: vec![], tickets: vec![] }
    }

    fn line(&self, text: &str) {
        if !self.silent {
            let mut out = std::io::stdout().lock();
            // Best effort: the reader may be gone, and the record is still written.
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(super) fn title(&self, text: &str) {
        self.line(text);
        self.line("");
    }

    pub(super) fn ticket(&mut self, key: &str, title: &str) {
        self.ticket = Some(key.to_owned());
        self.line("");
        self.line(&self.paint("1", &format!("{key}  {title}")));
    }

    pub(super) fn step(&mut self, label: &str, detail: &str) {
        let at = self.since.elapsed();
        let verb = self.paint(if label == "Failed" { "31" } else { "32" }, &format!("{label:>11}"));
        self.line(&format!("{:6.1} s {verb}  {detail}", at.as_secs_f64()));
        self.steps.push(Step {
            at_ms: at.as_millis(),
            ticket: self.ticket.clone(),
            label: label.to_owned(),
            detail: detail.to_owned(),
        });
    }

    pub(super) fn block(&self, text: &str) {
        for line in text.lines() {
            let painted = match line.chars().next() {
                Some('+') => self.paint("32", line),
                Some('-') => self.paint("31", line),
                _ => line.to_owned(),
            };
            self.line(&format!("{:22}{painted}", ""));
        }
    }

    pub(super) fn finish_ticket(&mut self, about: Value) {
        self.tickets.push(about);
        self.ticket = None;
    }

    pub(super) fn record_revision(&mut self, key: &str, job: &str, head: &str) {
        for ticket in self.tickets.iter_mut().filter(|ticket| ticket["key"] == key) {
            ticket["job"] = job.into();
            ticket["head"] = head.into();
        }
    }

    pub(super) fn record_review(&mut self, key: &str, job: &str, posted: &str) {
        for ticket in self.tickets.iter_mut().filter(|ticket| ticket["key"] == key) {
            ticket["review"] = json!({ "job": job, "posted": posted });
        }
    }

    pub(super) fn record(&self, ok: bool, api: &str, forge: &str) -> Record {
        Record(json!({
            "ok": ok,
            "ai_called": self.ai_called,
            "took_ms": self.since.elapsed().as_millis(),
            "api": api,
            "forge": forge,
            "tickets": self.tickets,
            "steps": self.steps,
        }))
    }

    pub(super) fn end(&self, record: &Record) {
        if self.silent {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(record.to_text().as_bytes()).and_then(|()| out.flush());
            return;
        }
        self.line("");
        let seconds = self.since.elapsed().as_secs_f64();
        let called = if self.ai_called { "An AI was called." } else { "No call of an AI was seen." };
        if record.is_ok() {
            let totals = if self.tickets.len() == 2 {
                "2 tickets, 3 jobs, 2 pull requests, 1 revised"
            } else {
                "3 tickets, 6 jobs, 3 pull requests, 1 revised, 1 reviewed"
            };
            self.line(&format!(
                "Done in {seconds:.1} s: {totals}, all seen through the public API and by git. {called}"
            ));
        } else {
            self.line(&format!("The demo failed after {seconds:.1} s. {called}"));
        }
    }

    pub(super) fn print_running(&self, api: &str, access: &Access) {
        self.line("");
        self.line(&format!("Still running until Ctrl-C: pages {api}, API {api}/v1"));
        self.line(&format!("{:>11}  {}   (signs your browser in once)", "Board", access.board));
        match &access.context {
            Ok(name) => {
                let commands =
                    ["open", "jobs", "why DEMO-3"].map(|command| format!("pullyard --context {name} {command}"));
                self.line(&format!("{:>11}  {}", "Commands", commands.join("; ")));
            }
            Err(fault) => self.line(&format!("{:>11}  no context was saved: {}", "Commands", fault.message())),
        }
    }
}
