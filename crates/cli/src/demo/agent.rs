//! The demo's repository: a few text files, and the script that acts as the agent.

use pullyard_domain::agent::{self, Agent};
use std::time::Duration;

pub(super) const SCRIPTED_AGENT: &str = agent::COMMAND;

#[derive(Clone, Debug)]
pub(super) struct AgentChoice {
    pub(super) agent: String,
    pub(super) model: Option<String>,
}

impl AgentChoice {
    pub(super) fn is_ai(&self) -> bool {
        self.agent != SCRIPTED_AGENT
    }

    pub(super) fn agent(&self) -> Agent {
        let command = if self.is_ai() { Vec::new() } else { vec!["./agent.sh".into()] };
        Agent { capability: self.agent.clone(), command, model: self.model.clone() }
    }

    pub(super) fn billing_notice(&self) -> &'static str {
        if self.is_ai() {
            "The agent calls an AI, and your provider bills you for it."
        } else {
            "No AI is called: the agent is a script."
        }
    }

    pub(super) fn isolation_notice(&self) -> &'static str {
        if self.is_ai() {
            "none: the agent has all rights of this user"
        } else {
            "none: the demo's own script needs no sandbox"
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(if self.is_ai() { 900 } else { 120 })
    }
}

pub(super) const REPOSITORY: &str = "acme/shop";

pub(super) const FILES: [(&str, &str, bool); 4] = [
    ("README.md", "# Shop\n\nA small shop that greets its customers.\n", false),
    ("greeting.txt", "Hello, and welcome to the shop.\n", false),
    ("farewell.txt", "Goodbye, see you soon.\n", false),
    ("agent.sh", SCRIPT, true),
];

/// Applies the last `In FILE replace OLD with NEW` line of the prompt, and prints events. Fails if the line, the file
/// or the text is missing. Uses only POSIX `sh` and `awk`.
const SCRIPT: &str = r#"#!/bin/sh
# The agent of Pullyard's demo: a script, no AI. It reads the prompt from its standard input and
# understands one kind of line, of which the last counts: what a reviewer says comes after the ticket.
#   In `FILE` replace `OLD` with `NEW`
# To review a pull request, it always finds the same.
set -eu
escaped() { printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g'; }
event() { printf '{"kind":"%s","%s":"%s"}\n' "$1" "$2" "$(escaped "$3")"; }
fail() { event text text "$1"; echo "$1" >&2; exit 3; }

prompt=$(cat)
if [ -f .pullyard/input/diff.patch ]; then
  event text text "Reading the change."
  sleep 1
  cat > .pullyard/output.json << 'END'
{"v":1,"summary":"The README names the shop. One remark.","findings":[{"path":"README.md","line":3,"severity":"low",
 "category":"docs","title":"The town is missing","body":"Customers look for the town first.",
 "suggestion":"The Acme shop in Lyon that greets its customers."}]}
END
  event result text "Done: one finding."
  exit 0
fi
event text text "Reading the ticket $PULLYARD_TICKET."
sleep 1
line=$(printf '%s\n' "$prompt" | grep '^In `[^`]*` replace `[^`]*` with `[^`]*`' | tail -n 1) || true
[ -n "$line" ] || fail "The ticket has no instruction that this agent understands."
file=$(printf '%s' "$line" | cut -d '`' -f 2)
old=$(printf '%s' "$line" | cut -d '`' -f 4)
new=$(printf '%s' "$line" | cut -d '`' -f 6)
case $file in ''|/*|*..*) fail "I only edit files of this repository." ;; esac
event tool_call name "read $file"
sleep 1
[ -f "$file" ] || fail "There is no file $file."
grep -F -q -e "$old" "$file" || fail "$file does not say $old."
event text text "Replacing $old with $new."
OLD=$old NEW=$new awk '{
  old = ENVIRON["OLD"]; new = ENVIRON["NEW"]; out = ""
  while (i = index($0, old)) { out = out substr($0, 1, i - 1) new; $0 = substr($0, i + length(old)) }
  print out $0
}' "$file" > "$file.new"
mv "$file.new" "$file"
event file_edit path "$file"
sleep 1
event result text "Done: $file now says $new."
"#;
