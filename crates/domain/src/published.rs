//! What a pull request says of the work in it, below its ticket: which agent worked and what isolated it, the agent's
//! last words and what the checks came to.
//!
//! The last two are text that nobody vouches for: it is fenced, so that no mention, link, image or closing word in it
//! counts.

use crate::checks::{CheckOutcome, CheckRun};
use crate::job::Work;
use crate::prompt::untrusted::{capped, fenced, one_line, visible};
use crate::text::Span;
use std::fmt::Write;

/// What the control plane says of the isolation of a self-hosted runner: only that runner knows it.
pub const ISOLATION_OF_RUNNER: &str = "the runner's own";
/// How much of the agent's last words is said. Units: characters.
const LONGEST_SUMMARY: usize = 4_000;
/// Units: characters.
const LONGEST_COMMAND: usize = 200;
/// How much of a version or of a model's name is said. Units: characters.
const LONGEST_NAME: usize = 80;
/// Units: characters.
const SHORT: usize = 10;

/// What is known of the checks of a pull request's commit.
#[derive(Clone, Copy, Debug)]
pub enum Checked<'a> {
    /// They were run now.
    Now(&'a [CheckRun]),
    /// An earlier attempt ran them, and some failed; it ended before it could say which.
    FailedBefore,
}

impl Checked<'_> {
    /// Some failed: it must not look as if it could be merged.
    pub fn failed(&self) -> bool {
        match self {
            Self::Now(runs) => !runs.iter().all(CheckRun::passed),
            Self::FailedBefore => true,
        }
    }
}

/// The beginning of the text with the runner's own word for its isolation, where nobody else knew it.
pub fn isolated(beginning: &str, word: &str) -> String {
    let unknown = format!(", isolation: {ISOLATION_OF_RUNNER}\n");
    // The last one: a ticket's key stands before it, and may be anything on one line.
    match beginning.rsplit_once(unknown.as_str()) {
        Some((before, after)) => format!("{before}, isolation: {word}\n{after}"),
        None => beginning.to_owned(),
    }
}

/// The beginning of the text with the agent that worked in place of the one that was asked for, which may be `auto`.
pub fn worked(beginning: &str, asked: &str, agent: &str) -> String {
    let unknown = format!("Agent: {asked}, isolation: ");
    // The last one, as of the isolation.
    let Some((before, after)) = beginning.rsplit_once(unknown.as_str()) else { return beginning.to_owned() };
    format!("{before}Agent: {agent}, isolation: {after}")
}

/// The agent that worked, with its version and model where they are known.
pub fn agent(work: &Work) -> String {
    let mut agent = work.agent.clone();
    if let Some(version) = &work.version {
        let _ = write!(agent, " {}", code(version));
    }
    if let Some(model) = &work.model {
        let _ = write!(agent, ", model: {}", code(model));
    }
    agent
}

/// As much of a commit's id as a forge makes a link of, and more than a repository has twice.
pub fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

/// A name that nobody vouches for: no mention or link in it counts.
fn code(name: &str) -> String {
    format!("`{}`", one_line(name, LONGEST_NAME).replace('`', "'"))
}

/// The whole text, in Markdown.
pub fn body(beginning: &str, summary: Option<&str>, checks: Checked<'_>) -> String {
    let mut said = beginning.to_owned();
    let summary = summary.map(visible).unwrap_or_default();
    if !summary.trim().is_empty() {
        let _ = write!(said, "\n## The agent's last words\n\n{}", fenced(&capped(summary.trim(), LONGEST_SUMMARY)));
    }
    let runs = match checks {
        Checked::Now([]) => return said,
        Checked::Now(runs) => runs,
        Checked::FailedBefore => &[],
    };
    said.push_str("\n## Checks\n\n");
    if checks.failed() {
        said.push_str("Checks failed, so this is a draft.\n");
        said.push_str(match checks {
            Checked::Now(_) => "\n",
            Checked::FailedBefore => "The job's log says which.\n",
        });
    }
    runs.iter().for_each(|run| said.push_str(&line(run)));
    if runs.iter().any(|run| run.round > 0) {
        said.push_str("\nThey ran again after the agent had worked on.\n");
    }
    said
}

fn line(run: &CheckRun) -> String {
    let command = one_line(&run.command, LONGEST_COMMAND).replace('`', "'");
    let took = Span(run.took_ms.div_ceil(1_000));
    match run.outcome {
        CheckOutcome::Passed => format!("- `{command}` passed in {took}\n"),
        CheckOutcome::Failed => format!("- `{command}` **failed** with {} in {took}\n", run.end()),
        CheckOutcome::TimedOut => format!("- `{command}` **was stopped** after {took}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, round: u32, outcome: CheckOutcome, exit_code: Option<i32>) -> CheckRun {
        let (signal, truncated, artifact) = (None, false, None);
        CheckRun { command: command.into(), round, outcome, exit_code, signal, took_ms: 12_300, truncated, artifact }
    }

    #[test]
    fn a_pull_request_says_what_the_agent_said_and_what_was_checked() {
        let runs =
            [run("npm test", 1, CheckOutcome::Passed, Some(0)), run("npm run `x`", 1, CheckOutcome::Passed, Some(0))];
        let said = body("Ticket: APP-1\n", Some(" I added it.\n"), Checked::Now(&runs));
        assert_eq!(
            said,
            "Ticket: APP-1\n\n## The agent's last words\n\n```text\nI added it.\n```\n\n## Checks\n\n\
             - `npm test` passed in 13 s\n- `npm run 'x'` passed in 13 s\n\nThey ran again after the agent had worked on.\n"
        );
    }

    #[test]
    fn failed_checks_make_it_a_draft_that_says_so() {
        let runs =
            [run("npm test", 0, CheckOutcome::Failed, Some(1)), run("npm run lint", 0, CheckOutcome::TimedOut, None)];
        let said = body("", None, Checked::Now(&runs));
        assert_eq!(
            said,
            "\n## Checks\n\nChecks failed, so this is a draft.\n\n- `npm test` **failed** with exit code 1 in 13 s\n\
             - `npm run lint` **was stopped** after 13 s\n"
        );
        assert!(Checked::Now(&runs).failed() && Checked::FailedBefore.failed() && !Checked::Now(&[]).failed());
        let said = body("", None, Checked::FailedBefore);
        assert!(said.ends_with("so this is a draft.\nThe job's log says which.\n"), "{said}");
    }

    #[test]
    fn a_runners_own_isolation_is_said_in_its_word_and_what_is_known_stays() {
        let said =
            |ticket: &str, isolation: &str| format!("Ticket: {ticket}\nAgent: x, isolation: {isolation}\n\nMade.\n");
        let unknown = said("APP-1", ISOLATION_OF_RUNNER);
        assert_eq!(isolated(&unknown, "none"), said("APP-1", "none"));
        assert_eq!(isolated(&said("APP-1", "external"), "none"), said("APP-1", "external"));
        let odd = format!("X, isolation: {ISOLATION_OF_RUNNER}");
        assert_eq!(isolated(&said(&odd, ISOLATION_OF_RUNNER), "none"), said(&odd, "none"));
    }

    #[test]
    fn the_agent_that_worked_stands_where_it_was_to_be_chosen() {
        let said = |ticket: &str, agent: &str| {
            format!("Ticket: {ticket}\nAgent: {agent}, isolation: {ISOLATION_OF_RUNNER}\n\nMade.\n")
        };
        let work = crate::story::work("claude_code");
        assert_eq!(worked(&said("APP-1", "auto"), "auto", &agent(&work)), said("APP-1", "claude_code"));
        let known = Work { version: Some("2.1.197".into()), model: Some("claude-opus-4-8[1m]".into()), ..work.clone() };
        let expected = "claude_code `2.1.197`, model: `claude-opus-4-8[1m]`";
        assert_eq!(agent(&known), expected);
        assert_eq!(worked(&said("APP-1", "auto"), "auto", expected), said("APP-1", expected));
        // In whatever order both are said.
        let auto = said("APP-1", "auto");
        let last = isolated(&worked(&auto, "auto", expected), "none");
        assert_eq!(last, worked(&isolated(&auto, "none"), "auto", expected));
        let odd = "X Agent: auto, isolation: y";
        assert_eq!(worked(&said(odd, "auto"), "auto", "claude_code"), said(odd, "claude_code"));
        // What was asked for is not where it is looked for.
        assert_eq!(worked(&said("APP-1", "codex"), "auto", "claude_code"), said("APP-1", "codex"));
        // A model is what the agent's output says it is.
        let hostile = Work { model: Some("x`\n@all `[y](https://z.test)".into()), ..work };
        let expected = "claude_code, model: `x' @all '[y](https://z.test)`";
        assert_eq!(worked(&said("APP-1", "auto"), "auto", &agent(&hostile)), said("APP-1", expected));
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(body("Ticket: APP-1\n", Some(" \n"), Checked::Now(&[])), "Ticket: APP-1\n");
    }

    #[test]
    fn the_agents_words_can_not_leave_their_fence_nor_hide_a_mark() {
        let said = body("", Some("Fixes #1\n````\n@all <!-- pullyard:status -->\n"), Checked::Now(&[]));
        assert!(said.contains("`````text\nFixes #1\n````\n@all (hidden text left out)\n`````\n"), "{said}");
        assert!(!crate::marker::Marker::is_on(&said));
        let long = body("", Some(&"x".repeat(9_000)), Checked::Now(&[]));
        assert!(long.contains("(5000 more characters left out)"));
    }
}
