//! Renders the parts of a pull request's text that describe the work: agent, isolation, summary and check results.
//! The summary and the commands of the checks are untrusted. Fences and code spans disable mentions, links, images and
//! closing keywords in them. The check results and the summaries of later jobs belong to one commit: they are in the
//! part that [`commit_part::replace_part`] replaces. The summary of the first job describes the change and stays.

pub mod commit_part;
pub mod nested_repository;

use crate::checks::{CheckOutcome, CheckRun};
use crate::job::AgentReport;
use crate::prompt::untrusted::{fence, remove_hidden, to_code_span, truncate_with_count};
use crate::text::Span;
use std::fmt::Write;

/// Placeholder of the control plane, which does not know a self-hosted runner's isolation.
pub const UNKNOWN_ISOLATION: &str = "the runner's own";
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

pub fn insert_isolation(beginning: &str, word: &str) -> String {
    let unknown = format!(", isolation: {UNKNOWN_ISOLATION}\n");
    // The last match: the ticket's key before it may contain the same text.
    match beginning.rsplit_once(unknown.as_str()) {
        Some((before, after)) => format!("{before}, isolation: {word}\n{after}"),
        None => beginning.to_owned(),
    }
}

/// Replaces the requested agent, which may be `auto`, with the agent that worked.
pub fn insert_agent(beginning: &str, requested_agent: &str, agent: &str) -> String {
    let unknown = format!("Agent: {requested_agent}, isolation: ");
    // The last match, for the same reason as in `insert_isolation`.
    let Some((before, after)) = beginning.rsplit_once(unknown.as_str()) else { return beginning.to_owned() };
    format!("{before}Agent: {agent}, isolation: {after}")
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

/// The text of a new pull request, without the part that [`commit_part::render_part`] renders.
pub fn render_new_text(beginning: &str, summary: Option<&str>) -> String {
    let mut text = beginning.to_owned();
    if let Some(block) = fence_summary(summary) {
        let _ = write!(text, "\n## The agent's last words\n\n{block}");
    }
    text
}

pub fn render_checks(checks: CheckResults<'_>) -> String {
    render_check_section(checks, "Checks failed, so this is a draft.\n")
}

/// A commit that was added to an open pull request.
#[derive(Clone, Copy, Debug)]
pub struct NewestCommit<'a> {
    pub commit: &'a str,
    pub agent: Option<&'a str>,
    pub summary: Option<&'a str>,
    pub checks: CheckResults<'a>,
    /// Whether the commit was rebased after the checks ran. Ignored for `FailedEarlier`: the base of those is unknown.
    pub is_rebased: bool,
}

/// The part about the newest commit, in Markdown.
/// A `CheckResults::Completed` has no failed check here: a job with failed checks does not update an open pull request.
pub fn render_newest(newest: &NewestCommit<'_>) -> String {
    let by = newest.agent.map(|agent| format!(" (agent: {agent})")).unwrap_or_default();
    let mut text = format!("## The newest work\n\nCommit {}{by}.\n", short_commit(newest.commit));
    if let Some(block) = fence_summary(newest.summary) {
        let _ = write!(text, "\nThe agent's last words:\n\n{block}");
    }
    let checks = render_check_section(newest.checks, "Checks failed.\n");
    if !checks.is_empty() {
        let _ = write!(text, "\n{checks}");
        if newest.is_rebased && matches!(newest.checks, CheckResults::Completed(_)) {
            text.push_str("\nThey ran before the work was put on top of newer commits.\n");
        }
    }
    text
}

fn fence_summary(summary: Option<&str>) -> Option<String> {
    let summary = summary.map(remove_hidden)?;
    let text = summary.trim();
    (!text.is_empty()).then(|| fence(&truncate_with_count(text, MAX_SUMMARY_CHARS)))
}

fn render_check_section(checks: CheckResults<'_>, failed: &str) -> String {
    let runs = match checks {
        CheckResults::Completed([]) => return String::new(),
        CheckResults::Completed(runs) => runs,
        CheckResults::FailedEarlier => &[],
    };
    let mut text = String::from("## Checks\n\n");
    if checks.has_failure() {
        text.push_str(failed);
        text.push_str(match checks {
            CheckResults::Completed(_) => "\n",
            CheckResults::FailedEarlier => "See the job's log.\n",
        });
    }
    runs.iter().for_each(|run| text.push_str(&render_check_line(run)));
    if runs.iter().any(|run| run.round > 0) {
        text.push_str("\nThey ran again after further work of the agent.\n");
    }
    text
}

fn render_check_line(run: &CheckRun) -> String {
    let command = to_code_span(&run.command, MAX_COMMAND_CHARS);
    let took = Span(run.took_ms.div_ceil(1_000));
    match run.outcome {
        CheckOutcome::Passed => format!("- {command} passed in {took}\n"),
        CheckOutcome::Failed => format!("- {command} **failed** with {} in {took}\n", run.end_phrase()),
        CheckOutcome::TimedOut => format!("- {command} **was stopped** after {took}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::ForgeKind;

    fn check_run(command: &str, round: u32, outcome: CheckOutcome, exit_code: Option<i32>) -> CheckRun {
        let (signal, truncated, artifact) = (None, false, None);
        CheckRun { command: command.into(), round, outcome, exit_code, signal, took_ms: 12_300, truncated, artifact }
    }

    #[test]
    fn pull_request_has_the_summary_and_the_checks() {
        let runs = [
            check_run("npm test", 1, CheckOutcome::Passed, Some(0)),
            check_run("npm run `x`", 1, CheckOutcome::Passed, Some(0)),
        ];
        let text = render_new_text("Ticket: APP-1\n", Some(" I added it.\n"));
        assert_eq!(text, "Ticket: APP-1\n\n## The agent's last words\n\n```text\nI added it.\n```\n");
        assert_eq!(
            render_checks(CheckResults::Completed(&runs)),
            "## Checks\n\n- `npm test` passed in 13 s\n- `npm run 'x'` passed in 13 s\n\n\
             They ran again after further work of the agent.\n"
        );
    }

    #[test]
    fn failed_checks_make_a_draft_that_explains_itself() {
        let runs = [
            check_run("npm test", 0, CheckOutcome::Failed, Some(1)),
            check_run("npm run lint", 0, CheckOutcome::TimedOut, None),
        ];
        assert_eq!(
            render_checks(CheckResults::Completed(&runs)),
            "## Checks\n\nChecks failed, so this is a draft.\n\n- `npm test` **failed** with exit code 1 in 13 s\n\
             - `npm run lint` **was stopped** after 13 s\n"
        );
        assert!(
            CheckResults::Completed(&runs).has_failure()
                && CheckResults::FailedEarlier.has_failure()
                && !CheckResults::Completed(&[]).has_failure()
        );
        let text = render_checks(CheckResults::FailedEarlier);
        assert!(text.ends_with("so this is a draft.\nSee the job's log.\n"), "{text}");
    }

    #[test]
    fn runner_isolation_replaces_only_the_placeholder() {
        let body =
            |ticket: &str, isolation: &str| format!("Ticket: {ticket}\nAgent: x, isolation: {isolation}\n\nMade.\n");
        let unknown = body("APP-1", UNKNOWN_ISOLATION);
        assert_eq!(insert_isolation(&unknown, "none"), body("APP-1", "none"));
        assert_eq!(insert_isolation(&body("APP-1", "external"), "none"), body("APP-1", "external"));
        let odd = format!("X, isolation: {UNKNOWN_ISOLATION}");
        assert_eq!(insert_isolation(&body(&odd, UNKNOWN_ISOLATION), "none"), body(&odd, "none"));
    }

    #[test]
    fn actual_agent_replaces_the_chosen_placeholder() {
        let body = |ticket: &str, agent: &str| {
            format!("Ticket: {ticket}\nAgent: {agent}, isolation: {UNKNOWN_ISOLATION}\n\nMade.\n")
        };
        let work = crate::fixtures::work("claude_code");
        assert_eq!(insert_agent(&body("APP-1", "auto"), "auto", &describe_agent(&work)), body("APP-1", "claude_code"));
        let known =
            AgentReport { version: Some("2.1.197".into()), model: Some("claude-opus-4-8[1m]".into()), ..work.clone() };
        let expected = "claude_code `2.1.197`, model: `claude-opus-4-8[1m]`";
        assert_eq!(describe_agent(&known), expected);
        assert_eq!(insert_agent(&body("APP-1", "auto"), "auto", expected), body("APP-1", expected));
        // Both replacements commute.
        let auto = body("APP-1", "auto");
        let last = insert_isolation(&insert_agent(&auto, "auto", expected), "none");
        assert_eq!(last, insert_agent(&insert_isolation(&auto, "none"), "auto", expected));
        let odd = "X Agent: auto, isolation: y";
        assert_eq!(insert_agent(&body(odd, "auto"), "auto", "claude_code"), body(odd, "claude_code"));
        // A job with another chosen agent has no placeholder.
        assert_eq!(insert_agent(&body("APP-1", "codex"), "auto", "claude_code"), body("APP-1", "codex"));
        // The model name comes from the agent's output and is untrusted.
        let hostile = AgentReport { model: Some("x`\n@all `[y](https://z.test)".into()), ..work };
        let expected = "claude_code, model: `x' @all '[y](https://z.test)`";
        assert_eq!(insert_agent(&body("APP-1", "auto"), "auto", &describe_agent(&hostile)), body("APP-1", expected));
    }

    #[test]
    fn newest_part_has_commit_agent_and_checks() {
        let passed = [check_run("npm test", 0, CheckOutcome::Passed, Some(0))];
        let newest_of = |checks, on_top| {
            let (commit, agent) = ("0123456789abcdef", Some("codex `0.1`"));
            render_newest(&NewestCommit { commit, agent, summary: Some("Red now.\n"), checks, is_rebased: on_top })
        };
        let expected = "## The newest work\n\nCommit 0123456789 (agent: codex `0.1`).\n\nThe agent's last words:\n\n\
                    ```text\nRed now.\n```\n\n## Checks\n\n- `npm test` passed in 13 s\n";
        assert_eq!(newest_of(CheckResults::Completed(&passed), false), expected);
        let on_top = "\nThey ran before the work was put on top of newer commits.\n";
        assert_eq!(newest_of(CheckResults::Completed(&passed), true), format!("{expected}{on_top}"));
        let failed = newest_of(CheckResults::FailedEarlier, false);
        assert!(failed.ends_with("## Checks\n\nChecks failed.\nSee the job's log.\n"), "{failed}");
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
        let (agent, checks) = (Some(agent.as_str()), CheckResults::Completed(&runs));
        let part =
            render_newest(&NewestCommit { commit: "one", agent, summary: Some(hostile), checks, is_rebased: false });
        for kind in [ForgeKind::GitHub, ForgeKind::Bitbucket] {
            let opened = render_new_text("Ticket: APP-1\n", Some(hostile));
            let text = format!("{opened}\n{}", commit_part::render_part(kind, "one", &part));
            let next = commit_part::replace_part(&text, "two", "Next.").unwrap();
            assert_eq!(next, format!("{opened}\n{}", commit_part::render_part(kind, "two", "Next.")));
        }
    }

    #[test]
    fn empty_facts_are_omitted() {
        assert_eq!(render_new_text("Ticket: APP-1\n", Some(" \n")), "Ticket: APP-1\n");
        assert_eq!(render_checks(CheckResults::Completed(&[])), "");
        let (commit, checks) = ("0123456789abcdef", CheckResults::Completed(&[]));
        let part = render_newest(&NewestCommit { commit, agent: None, summary: Some(" "), checks, is_rebased: true });
        assert_eq!(part, "## The newest work\n\nCommit 0123456789.\n");
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
    fn agent_summary_cannot_leave_its_fence_or_hide_a_mark() {
        let text = render_new_text("", Some("Fixes #1\n````\n@all <!-- pullyard:status -->\n"));
        assert!(text.contains("`````text\nFixes #1\n````\n@all (hidden text left out)\n`````\n"), "{text}");
        assert!(!crate::marker::Marker::is_present(&text));
        let long = render_new_text("", Some(&"x".repeat(9_000)));
        assert!(long.contains("(5000 more characters left out)"));
    }
}
