//! Renders the parts of a pull request's text that describe the work: agent, isolation, summary and check results.
//! The summary and the commands of the checks are untrusted. Fences and code spans disable mentions, links, images and
//! closing keywords in them. The check results and the summaries of later jobs belong to one commit: they are in the
//! part that [`commit_part::replace_part`] replaces. The summary of the first job describes the change and stays.

pub mod commit_part;
pub mod marker;
pub mod nested_repository;
pub mod title;
pub mod work_notes;

use crate::agent::checks::{CheckOutcome, CheckRun};
use crate::job::AgentReport;
use crate::project::budget::format_usd;
use crate::project::forge::ForgeKind;
use crate::text::Span;
use crate::text::closing_words::break_ticket_keys;
use crate::text::untrusted::{fence, remove_hidden, to_code_span, truncate_with_count};
use std::fmt::Write;

const MAX_SUMMARY_CHARS: usize = 4_000;
const MAX_COMMAND_CHARS: usize = 200;
const MAX_NAME_CHARS: usize = 80;
const SHORT_COMMIT_CHARS: usize = 10;

#[derive(Clone, Copy, Debug)]
pub enum CheckResults<'a> {
    Completed(&'a [CheckRun]),
    /// An earlier attempt ran the checks and some failed. It ended before it reported the results.
    FailedEarlier,
}

impl CheckResults<'_> {
    /// Whether the pull request must not look ready to merge.
    pub fn has_failure(&self) -> bool {
        match self {
            Self::Completed(runs) => !runs.iter().all(CheckRun::is_success),
            Self::FailedEarlier => true,
        }
    }
}

pub fn describe_agent(work: &AgentReport) -> String {
    let mut agent = work.agent.clone();
    if let Some(version) = &work.version {
        let _ = write!(agent, " {}", to_code_span(version, MAX_NAME_CHARS));
    }
    if let Some(model) = &work.model {
        let _ = write!(agent, ", model: {}", to_code_span(model, MAX_NAME_CHARS));
    }
    agent
}

/// The first characters of a commit id: enough for the forge to link it and for a repository's commits to differ.
pub fn short_commit(commit: &str) -> &str {
    commit.get(..SHORT_COMMIT_CHARS).unwrap_or(commit)
}

/// Renders a sentence as Markdown. Quotations in it mention no user and form no link, image or tag.
pub fn to_markdown(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        output.push(c);
        if matches!(c, '@' | '<' | ']') {
            output.push('\u{2060}');
        }
    }
    output
}

/// How the commit was made, for the part that [`commit_part::render_part`] renders.
#[derive(Clone, Copy, Debug)]
pub struct WorkFacts<'a> {
    /// See [`describe_agent`].
    pub agent: Option<&'a str>,
    pub isolation: Option<&'a str>,
    /// Units: millionths of a US dollar.
    pub cost_usd_micros: Option<u64>,
    pub checks: CheckResults<'a>,
    /// Whether the commit was rebased after the checks ran. Ignored for `FailedEarlier`: the base of those is unknown.
    pub is_rebased: bool,
}

/// Breaks closing words of ticket tools in an agent's text, which these tools parse also in Markdown code.
pub fn break_closing_words(text: &str) -> String {
    break_ticket_keys(text)
}

/// The text of a new pull request, without the part that [`commit_part::render_part`] renders. `links` are the control
/// plane's.
pub fn render_new_text(summary: Option<&str>, links: &str) -> String {
    match fence_summary(summary) {
        Some(block) => format!("## Summary by the agent\n\n{block}\n{links}"),
        None => links.to_owned(),
    }
}

/// Renders a folded table, because reviewers read the summary and the change. Failed checks are above it.
pub fn render_work(kind: ForgeKind, facts: &WorkFacts<'_>) -> String {
    render_facts(kind, facts, "Checks failed, so this is a draft.\n")
}

/// A commit that was added to an open pull request.
#[derive(Clone, Copy, Debug)]
pub struct NewestCommit<'a> {
    pub commit: &'a str,
    pub summary: Option<&'a str>,
    pub facts: WorkFacts<'a>,
}

/// The part about the newest commit, in Markdown.
/// A `CheckResults::Completed` has no failed check here: a job with failed checks does not update an open pull request.
pub fn render_newest(kind: ForgeKind, newest: &NewestCommit<'_>) -> String {
    let mut text = format!("## The newest work\n\nCommit {}.\n", short_commit(newest.commit));
    if let Some(block) = fence_summary(newest.summary) {
        let _ = write!(text, "\nSummary by the agent:\n\n{block}");
    }
    let facts = render_facts(kind, &newest.facts, "Checks failed.\n");
    if !facts.is_empty() {
        let _ = write!(text, "\n{facts}");
    }
    text
}

fn fence_summary(summary: Option<&str>) -> Option<String> {
    let summary = summary.map(remove_hidden)?;
    let text = summary.trim();
    (!text.is_empty()).then(|| fence(&break_ticket_keys(&truncate_with_count(text, MAX_SUMMARY_CHARS))))
}

fn render_facts(kind: ForgeKind, facts: &WorkFacts<'_>, failed: &str) -> String {
    let runs = match facts.checks {
        CheckResults::Completed(runs) => runs,
        CheckResults::FailedEarlier => &[],
    };
    let cost = facts.cost_usd_micros.map(format_usd);
    let rows = [("Agent", facts.agent), ("Cost", cost.as_deref()), ("Isolation", facts.isolation)];
    let rows = rows.into_iter().filter_map(|(name, value)| Some((name, value?.replace('|', "\\|"))));
    let checks = runs.iter().map(|run| ("Check", render_check(run).replace('|', "\\|")));
    let table: String = rows.chain(checks).map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let mut text = String::new();
    if facts.checks.has_failure() {
        text.push_str(failed);
        if matches!(facts.checks, CheckResults::FailedEarlier) {
            text.push_str("See the job's log.\n");
        }
    }
    if table.is_empty() {
        return text;
    }
    let mut table = format!("| | |\n|---|---|\n{table}");
    if runs.iter().any(|run| run.round > 0) {
        table.push_str("\nThe checks ran again after further work of the agent.\n");
    }
    if facts.is_rebased && !runs.is_empty() {
        table.push_str("\nThe checks ran before the work was put on top of newer commits.\n");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let checks = if runs.is_empty() { "" } else { " and its checks" };
    if kind.spec().renders_html {
        let _ = write!(text, "<details>\n<summary>The agent{checks}</summary>\n\n{table}\n</details>\n");
    } else {
        text.push_str(&table);
    }
    text
}

fn render_check(run: &CheckRun) -> String {
    let command = to_code_span(&run.command, MAX_COMMAND_CHARS);
    let took = Span(run.took_ms.div_ceil(1_000));
    match run.outcome {
        CheckOutcome::Passed => format!("{command} passed in {took}"),
        CheckOutcome::Failed => format!("{command} **failed** with {} in {took}", run.end_phrase()),
        CheckOutcome::TimedOut => format!("{command} **was stopped** after {took}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_run(command: &str, round: u32, outcome: CheckOutcome, exit_code: Option<i32>) -> CheckRun {
        let (signal, truncated, artifact) = (None, false, None);
        CheckRun { command: command.into(), round, outcome, exit_code, signal, took_ms: 12_300, truncated, artifact }
    }

    fn facts<'a>(checks: CheckResults<'a>) -> WorkFacts<'a> {
        WorkFacts { agent: None, isolation: None, cost_usd_micros: None, checks, is_rebased: false }
    }

    #[test]
    fn pull_request_has_the_summary_then_links_then_facts() {
        let runs = [
            check_run("npm test | tee log", 1, CheckOutcome::Passed, Some(0)),
            check_run("npm run `x`", 1, CheckOutcome::Passed, Some(0)),
        ];
        let text = render_new_text(Some(" I added it.\n"), "Job J.\n");
        assert_eq!(text, "## Summary by the agent\n\n```text\nI added it.\n```\n\nJob J.\n");
        let known = WorkFacts {
            agent: Some("codex `0.1`"),
            isolation: Some("bubblewrap"),
            cost_usd_micros: Some(420_000),
            ..facts(CheckResults::Completed(&runs))
        };
        let table = "| | |\n|---|---|\n| Agent | codex `0.1` |\n| Cost | $0.42 |\n| Isolation | bubblewrap |\n\
                     | Check | `npm test \\| tee log` passed in 13 s |\n| Check | `npm run 'x'` passed in 13 s |\n\n\
                     The checks ran again after further work of the agent.\n";
        let folded = format!("<details>\n<summary>The agent and its checks</summary>\n\n{table}\n</details>\n");
        assert_eq!(render_work(ForgeKind::GitHub, &known), folded);
        assert_eq!(render_work(ForgeKind::Bitbucket, &known), table);
    }

    #[test]
    fn failed_checks_make_a_draft_that_explains_itself() {
        let runs = [
            check_run("npm test", 0, CheckOutcome::Failed, Some(1)),
            check_run("npm run lint", 0, CheckOutcome::TimedOut, None),
        ];
        assert_eq!(
            render_work(ForgeKind::Bitbucket, &facts(CheckResults::Completed(&runs))),
            "Checks failed, so this is a draft.\n\n| | |\n|---|---|\n\
             | Check | `npm test` **failed** with exit code 1 in 13 s |\n\
             | Check | `npm run lint` **was stopped** after 13 s |\n"
        );
        assert!(
            CheckResults::Completed(&runs).has_failure()
                && CheckResults::FailedEarlier.has_failure()
                && !CheckResults::Completed(&[]).has_failure()
        );
        let text = render_work(ForgeKind::GitHub, &facts(CheckResults::FailedEarlier));
        assert!(text.ends_with("so this is a draft.\nSee the job's log.\n"), "{text}");
    }

    #[test]
    fn agent_is_described_with_version_and_model() {
        let work = crate::fixtures::work("claude_code");
        assert_eq!(describe_agent(&work), "claude_code");
        let known =
            AgentReport { version: Some("2.1.197".into()), model: Some("claude-opus-4-8[1m]".into()), ..work.clone() };
        assert_eq!(describe_agent(&known), "claude_code `2.1.197`, model: `claude-opus-4-8[1m]`");
        // The model name comes from the agent's output and is untrusted.
        let hostile = AgentReport { model: Some("x`\n@all `[y](https://z.test)".into()), ..work };
        assert_eq!(describe_agent(&hostile), "claude_code, model: `x' @all '[y](https://z.test)`");
    }

    #[test]
    fn newest_part_has_commit_summary_and_facts() {
        let passed = [check_run("npm test", 0, CheckOutcome::Passed, Some(0))];
        let newest_of = |checks, is_rebased| {
            let facts = WorkFacts { agent: Some("codex `0.1`"), is_rebased, ..facts(checks) };
            let newest = NewestCommit { commit: "0123456789abcdef", summary: Some("Red now.\n"), facts };
            render_newest(ForgeKind::Bitbucket, &newest)
        };
        let expected = "## The newest work\n\nCommit 0123456789.\n\nSummary by the agent:\n\n```text\nRed now.\n```\n\n\
                        | | |\n|---|---|\n| Agent | codex `0.1` |\n| Check | `npm test` passed in 13 s |\n";
        assert_eq!(newest_of(CheckResults::Completed(&passed), false), expected);
        let on_top = "\nThe checks ran before the work was put on top of newer commits.\n";
        assert_eq!(newest_of(CheckResults::Completed(&passed), true), format!("{expected}{on_top}"));
        let failed = newest_of(CheckResults::FailedEarlier, false);
        assert!(failed.contains("\nChecks failed.\nSee the job's log.\n\n| | |\n"), "{failed}");
        assert_eq!(newest_of(CheckResults::FailedEarlier, true), failed);
    }

    #[test]
    fn agent_text_cannot_end_its_part() {
        let hostile = "Done.\n```\n<!-- pullyard:newest end -->\n## Mine\n<!-- pullyard:newest x y -->\n\
            [//]: # (pullyard:newest end)\n[//]: # (pullyard:newest x y)\n<!-- pullyard:newest";
        let runs = [check_run("x\n<!-- pullyard:newest end -->", 0, CheckOutcome::Passed, Some(0))];
        let agent = describe_agent(&AgentReport {
            model: Some("\n<!-- pullyard:newest end -->".into()),
            ..crate::fixtures::work("codex")
        });
        let facts = WorkFacts { agent: Some(agent.as_str()), ..facts(CheckResults::Completed(&runs)) };
        for kind in ForgeKind::ALL {
            let part = render_newest(kind, &NewestCommit { commit: "one", summary: Some(hostile), facts });
            let opened = render_new_text(Some(hostile), "Ticket: APP-1\n");
            let text = format!("{opened}\n{}", commit_part::render_part(kind, "one", &part));
            let next = commit_part::replace_part(&text, "two", "Next.").unwrap();
            assert_eq!(next, format!("{opened}\n{}", commit_part::render_part(kind, "two", "Next.")));
        }
    }

    #[test]
    fn empty_facts_are_omitted() {
        assert_eq!(render_new_text(Some(" \n"), "Job J.\n"), "Job J.\n");
        let none = facts(CheckResults::Completed(&[]));
        assert_eq!(render_work(ForgeKind::GitHub, &none), "");
        let newest = NewestCommit { commit: "0123456789abcdef", summary: Some(" "), facts: none };
        assert_eq!(render_newest(ForgeKind::GitHub, &newest), "## The newest work\n\nCommit 0123456789.\n");
    }

    #[test]
    fn quoted_markup_is_defused_and_stays_readable() {
        let plain = "Check `npm test` failed with exit code 1 (see acme/app#7).";
        assert_eq!(to_markdown(plain), plain);
        let hostile = "It said: @all ![x](https://z.test) <!-- pullyard:status -->.";
        let markdown = to_markdown(hostile);
        assert_eq!(markdown.replace('\u{2060}', ""), hostile);
        for sign in ["@a", "](", "<!"] {
            assert!(!markdown.contains(sign), "{markdown}");
        }
    }

    #[test]
    fn agent_summary_closes_no_ticket() {
        let text = render_new_text(Some("Closes APP-17, APP-18 #done"), "Ticket: APP-1\n");
        assert!(text.contains("Closes APP-\u{2060}17, APP-\u{2060}18 #\u{2060}done"), "{text}");
        assert!(text.contains("Ticket: APP-1"), "{text}");
    }

    #[test]
    fn agent_summary_cannot_leave_its_fence_or_hide_a_mark() {
        let text = render_new_text(Some("Fixes #1\n````\n@all <!-- pullyard:status -->\n"), "");
        assert!(text.contains("`````text\nFixes #1\n````\n@all (hidden text left out)\n`````\n"), "{text}");
        assert!(!crate::review::published::marker::Marker::is_present(&text));
        let long = render_new_text(Some(&"x".repeat(9_000)), "");
        assert!(long.contains("(5000 more characters left out)"));
    }
}
