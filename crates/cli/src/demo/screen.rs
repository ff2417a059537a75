//! Prints the demo's steps as lines, or as one JSON document.

use serde::Serialize;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

#[derive(Serialize)]
struct Step {
    at_ms: u128,
    ticket: Option<String>,
    label: String,
    detail: String,
}

pub(super) struct DemoScreen {
    since: Instant,
    silent: bool,
    is_ai: bool,
    colour: bool,
    ticket: Option<String>,
    steps: Vec<Step>,
    tickets: Vec<serde_json::Value>,
}

impl DemoScreen {
    pub(super) fn new(silent: bool, is_ai: bool) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { since: Instant::now(), silent, is_ai, colour, ticket: None, steps: Vec::new(), tickets: Vec::new() }
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

    pub(super) fn finish_ticket(&mut self, about: serde_json::Value) {
        self.tickets.push(about);
        self.ticket = None;
    }

    pub(super) fn record_revision(&mut self, key: &str, job: &str, head: &str) {
        for ticket in self.tickets.iter_mut().filter(|ticket| ticket["key"] == key) {
            ticket["job"] = job.into();
            ticket["head"] = head.into();
        }
    }

    pub(super) fn record(&self, ok: bool, api: &str, forge: &str) -> String {
        let record = json!({
            "ok": ok,
            "ai_called": self.is_ai,
            "took_ms": self.since.elapsed().as_millis(),
            "api": api,
            "forge": forge,
            "tickets": self.tickets,
            "steps": self.steps,
        });
        format!("{record:#}\n")
    }

    pub(super) fn end(&self, record: &str, ok: bool) {
        if self.silent {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(record.as_bytes()).and_then(|()| out.flush());
            return;
        }
        self.line("");
        let seconds = self.since.elapsed().as_secs_f64();
        let called = if self.is_ai { "An AI was called." } else { "No AI was called." };
        if ok {
            let totals =
                if self.is_ai { "2 tickets, 3 jobs, 2 pull requests" } else { "3 tickets, 5 jobs, 3 pull requests" };
            self.line(&format!(
                "Done in {seconds:.1} s: {totals}, 1 revised, all seen through the public API and by git. {called}"
            ));
        } else {
            self.line(&format!("The demo failed after {seconds:.1} s. {called}"));
        }
    }

    pub(super) fn print_running(&self, api: &str, forge: &str, folder: &Path) {
        self.line("");
        self.line(&format!("Still running until Ctrl-C: pull requests {forge}/acme/shop, API {api}/v1"));
        let keys = folder.join("keys.json");
        self.line(&format!("The admin token is in {}. To look around, in another terminal:", keys.display()));
        self.line(&format!(
            "  export PULLYARD_URL={api} PULLYARD_TOKEN=\"$(grep -o 'pat_[0-9a-f]*' '{}')\"",
            keys.display()
        ));
        self.line("  pullyard jobs; pullyard why DEMO-3; pullyard deliveries");
    }
}
