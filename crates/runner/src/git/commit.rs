//! Creates one commit from the files that the agent wrote, or the commits that it planned.
//! Drops commits of the agent: the agent was instructed to create none, and its commits could have any author, message
//! and trailers. Their content is in the runner's commit. Ignored files are excluded, even if the agent committed them.

use crate::attempt::Attempt;
use crate::git::agent_state::AgentState;
use crate::git::nested::prepare_tree;
use crate::git::stage;
use crate::git::target::{JOB_TRAILER, Target};
use crate::git::warnings::find_warnings;
use crate::git::work::{Work, list_work};
use crate::git::workspace::Workspace;
use crate::git::{Git, GitCall};
use crate::output;
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::agent::AgentSpec;
use pullyard_domain::kinds::prompt::REPLIES_FILE;
use pullyard_domain::review::output::{INPUT_FOLDER, OUTPUT_FILE};
use pullyard_domain::review::published::title::defuse_title;
use pullyard_domain::review::published::work_notes::LeftOutReason;
use pullyard_domain::review::report::fix_output::{COMMITS_FILE, MAX_COMMITS};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::{Quoted, truncate};
use pullyard_protocol::attempt::Assignment;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::Path;

/// Limit of a subject that the agent planned.
const MAX_SUBJECT_CHARS: usize = 120;
const TICKET_TRAILER: &str = "Pullyard-Ticket";
const AGENT_TRAILER: &str = "Pullyard-Agent";
pub(crate) const CHECKS_TRAILER: &str = "Pullyard-Checks";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

pub(crate) struct CommitMessageParts<'a> {
    pub(crate) assignment: &'a Assignment,
    /// Instead of the title.
    pub(crate) subject: Option<&'a str>,
    /// The agent's fixed name. Text from the agent could contain keywords that close issues.
    pub(crate) agent: Option<&'a str>,
    pub(crate) checks: Option<Verdict>,
    /// The ticket's text may contain a secret.
    pub(crate) redactor: &'a Redactor,
}

/// Errors: `NoChanges` if the tree is unchanged.
pub(crate) async fn write_tree(
    git: &Git,
    workspace: &Workspace,
    target: &Target,
    assignment: &Assignment,
) -> Result<String, Stop> {
    let (repository, start) = (workspace.repository(), target.start_commit.as_str());
    workspace.reset_repository().await?;
    let state = AgentState::load(git, workspace).await;
    let Work { changes, mut exclusions } = list_work(git, workspace, (start, assignment.kind), &state).await?;
    for path in stage::stage_changes(git, workspace, &changes).await? {
        exclusions.add(LeftOutReason::Unreadable, path);
    }
    for path in stage::unstage_refused_settings(git, workspace, start, &changes).await? {
        exclusions.add(LeftOutReason::RefusedContent, path);
    }
    stage::stage_modes(git, workspace, start, &state).await?;
    let tree_id = git.run_for_line(GitCall::new(["write-tree"]).repository(&repository)).await?;
    exclusions.warnings = find_warnings(git, workspace, &state, (start, &tree_id)).await;
    // The caller reports exclusions even if nothing changed.
    workspace.set_exclusions(exclusions);
    workspace.snapshot_index().await?;
    let start_tree = format!("{}^{{tree}}", target.start_commit);
    let start_tree =
        git.run_for_line(GitCall::new(["rev-parse", "--verify", &start_tree]).repository(&repository)).await?;
    if tree_id == start_tree {
        return Err(Failure::NoChanges { left_out: Quoted(None) }.into());
    }
    Ok(tree_id)
}

pub(crate) async fn create_commit(
    git: &Git,
    workspace: &Workspace,
    tree: &str,
    parent: &str,
    parts: &CommitMessageParts<'_>,
) -> Result<String, Stop> {
    let (message, repository) = (format_message(parts), workspace.repository());
    let call = GitCall::new(["commit-tree", tree, "-p", parent, "-F", "-"]);
    let call = call.input(message.as_bytes()).repository(&repository).published_commit();
    git.run_for_line(call).await.map_err(|error| git.commit_failure(&error).into())
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitPlan {
    commits: Vec<PlannedCommit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlannedCommit {
    /// Its first line becomes the subject.
    message: String,
    /// Files or folders.
    paths: Vec<String>,
}

/// Empty without a right plan.
pub(crate) async fn load_plan(attempt: &Attempt<'_>, git: &Git, workspace: &Workspace) -> Vec<PlannedCommit> {
    let CommitPlan { mut commits } = output::load_own(attempt, (git, workspace), COMMITS_FILE).await;
    commits.truncate(MAX_COMMITS);
    for commit in &mut commits {
        let subject = attempt.redactor.redact_text(commit.message.lines().next().unwrap_or_default());
        commit.message = defuse_title(&truncate(&subject, MAX_SUBJECT_CHARS));
    }
    commits
}

/// Returns the last commit, whose tree is `tree`. A change belongs to the first commit that names it, the rest to the
/// last. A commit without a change is skipped.
pub(crate) async fn create_commits(
    git: &Git,
    workspace: &Workspace,
    (tree, target): (&str, &Target),
    parts: &CommitMessageParts<'_>,
    plan: &[PlannedCommit],
) -> Result<String, Stop> {
    let (repository, index) = (workspace.repository(), workspace.root().join("planned-index"));
    let run = async |args: &[&str], input: &str| {
        let call = GitCall::new(args).repository(&repository).index(&index).input(input.as_bytes());
        git.run_for_line(call).await
    };
    let mut parent = target.start_commit.clone();
    let Some((mut last, earlier)) = plan.split_last() else {
        return create_commit(git, workspace, tree, &parent, parts).await;
    };
    let list = GitCall::new(["diff-tree", "-r", "-z", "--no-renames", &parent, tree]).repository(&repository);
    // JSON can't name a path that is not UTF-8.
    let Ok(list) = String::from_utf8(git.run(list).await?) else {
        return create_commit(git, workspace, tree, &parent, parts).await;
    };
    let fields: Vec<&str> = list.split('\0').collect();
    // Each change is `:100644 100755 OLD NEW M` and a path.
    let mut changes: Vec<&[&str]> = fields.chunks_exact(2).collect();
    run(&["read-tree", &parent], "").await?;
    for commit in earlier {
        let is_named =
            |path: &str| commit.paths.iter().any(|named| Path::new(path).starts_with(named.trim_start_matches("./")));
        let (own, rest): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.last().is_some_and(|path| is_named(path)));
        if rest.is_empty() {
            last = commit;
            break;
        }
        changes = rest;
        if own.is_empty() {
            continue;
        }
        // The form `100755 NEW`, a tab and a path; mode 0 removes the file.
        let entries = own.iter().flat_map(|change| change.split_first()).filter_map(|(change, path)| {
            let mut words = change.split(' ').skip(1);
            Some(format!("{} {}\t{}\0", words.next()?, words.nth(1)?, path.concat()))
        });
        run(&["update-index", "-z", "--index-info"], &entries.collect::<String>()).await?;
        let tree = run(&["write-tree"], "").await?;
        // The checks ran on the last tree only.
        let parts = CommitMessageParts { subject: Some(&commit.message), checks: None, ..*parts };
        parent = create_commit(git, workspace, &tree, &parent, &parts).await?;
    }
    create_commit(git, workspace, tree, &parent, &CommitMessageParts { subject: Some(&last.message), ..*parts }).await
}

pub(crate) async fn has_failed_checks(git: &Git, repository: &Path, commit: &str) -> bool {
    let format = format!("--format=%(trailers:key={CHECKS_TRAILER},valueonly)");
    let output =
        git.run_for_line(GitCall::new(["log", "-1", &format, "--end-of-options", commit]).repository(repository)).await;
    // On an error, assume failed checks: a reviewer can easily mark a draft as ready.
    output.map_or(true, |output| output.lines().any(|word| word.trim() == Verdict::Failed.as_str()))
}

/// The agent of a commit of this job. Every user can write trailers, so only names of a fixed list count.
pub(crate) async fn load_commit_agent(git: &Git, repository: &Path, commit: &str, job: &JobId) -> Option<&'static str> {
    let [jobs, agents] =
        [JOB_TRAILER, AGENT_TRAILER].map(|key| format!("%(trailers:key={key},valueonly,separator=%x20)"));
    let format = format!("--format={jobs}%n{agents}");
    let output =
        git.run_for_line(GitCall::new(["log", "-1", &format, "--end-of-options", commit]).repository(repository)).await;
    parse_agent(&output.ok()?, job)
}

fn parse_agent(output: &str, job: &JobId) -> Option<&'static str> {
    let (jobs, agents) = output.split_once('\n')?;
    let is_of_job = jobs.split_whitespace().any(|value| value.split('/').next() == Some(job.as_str()));
    // A trailer with two values is ignored.
    AgentSpec::find(agents.trim()).filter(|_| is_of_job).map(|agent| agent.code)
}

/// Resets the files to a tree, except ignored files: changes by later commands are not part of the work.
pub(crate) async fn restore_tree(git: &Git, workspace: &Workspace, tree: &str) -> Result<(), Stop> {
    let (files, repository) = (workspace.tree(), workspace.repository());
    // `reset_repository` also ensures that no file elsewhere is removed.
    workspace.reset_repository().await?;
    prepare_tree(workspace).await?;
    let files_of_agent = [REPLIES_FILE, OUTPUT_FILE, COMMITS_FILE, INPUT_FOLDER];
    let files_of_agent = files_of_agent.map(|file| OsString::from(format!("--exclude=/{file}")));
    let clean = ["clean", "-ffd", "--quiet"].map(OsString::from).into_iter().chain(files_of_agent);
    let clean = clean.chain(workspace.clean_exceptions()).collect();
    for args in [["read-tree", "--reset", "-u", tree].map(OsString::from).to_vec(), clean] {
        git.run(GitCall::new(args).repository(&repository).tree(&files)).await?;
    }
    workspace.snapshot_index().await?;
    Ok(())
}

fn format_message(parts: &CommitMessageParts<'_>) -> String {
    let CommitMessageParts { assignment, subject, agent, checks, redactor } = *parts;
    let prefix = if subject.is_some() { "" } else { assignment.kind.spec().title_prefix };
    let title = redactor.redact_text(subject.unwrap_or(&assignment.pull_request.title));
    // Join all lines: text after an empty line could look like a trailer of the runner.
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    // Joined lines may form a whole secret, so redact again.
    let title = redactor.redact_text(&title).into_owned();
    let title = if title.is_empty() { "Work of a Pullyard job".into() } else { title };
    let mut message = format!("{prefix}{title}\n\n{JOB_TRAILER}: {}/{}\n", assignment.job, assignment.attempt);
    if let Some(ticket) = &assignment.ticket {
        message.push_str(&format!("{TICKET_TRAILER}: {}\n", redactor.redact_text(ticket.key.as_str())));
    }
    if let Some(agent) = agent {
        message.push_str(&format!("{AGENT_TRAILER}: {agent}\n"));
    }
    if let Some(checks) = checks {
        message.push_str(&format!("{CHECKS_TRAILER}: {}\n", checks.as_str()));
    }
    message
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiffSize {
    pub(crate) files: u32,
    pub(crate) insertions: u32,
    pub(crate) deletions: u32,
}

/// Counts the changes from `parent` to the job's commit, without earlier commits of the pull request. An error is only
/// logged, because the job is already pushed.
pub(crate) async fn measure_commit(git: &Git, repository: &Path, (parent, commit): (&str, &str)) -> DiffSize {
    let options = ["diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--end-of-options"];
    let args = options.into_iter().chain([parent, commit, "--"]);
    match git.run(GitCall::new(args).repository(repository)).await {
        Ok(output) => parse_numstat(&output),
        Err(error) => {
            tracing::warn!(error = %error, "cannot measure the change: {error}");
            DiffSize::default()
        }
    }
}

fn parse_numstat(numstat: &[u8]) -> DiffSize {
    let mut size = DiffSize::default();
    for line in numstat.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.split('\t');
        let mut number = || fields.next().and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
        size.files += 1;
        size.insertions = size.insertions.saturating_add(number());
        size.deletions = size.deletions.saturating_add(number());
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_size_counts_binary_files_and_unusual_names() {
        let counts = parse_numstat(b"3\t1\ta b.txt\0-\t-\timage.png\x0010\t0\td\ne\0");
        assert_eq!(counts, DiffSize { files: 3, insertions: 13, deletions: 1 });
        assert_eq!(parse_numstat(b""), DiffSize::default());
    }

    #[test]
    fn commit_message_is_redacted() {
        let job = format!("job_{}", "a".repeat(26));
        let ticket = serde_json::json!({ "key": "planted-4711", "title": "t", "url": null });
        let assignment: Assignment = serde_json::from_value(serde_json::json!({
            "job": job, "attempt": 1, "lease": "pyl_x", "kind": "implement", "ticket": ticket,
            "repository": { "forge": "github", "api_url": "http://x", "name": "acme/app", "clone_url": "x" },
            "base": "main", "branch": "b", "continues": null, "prompt": "Do it.",
            "agent": { "capability": "command", "command": [] },
            "pull_request": { "title": "Use correct  horse\tbattery", "body": "b" },
            "limits": { "wall_secs": 600, "stall_secs": 300 }, "heartbeat_secs": 1,
        }))
        .unwrap();
        let redactor = Redactor::new(["correct horse battery", "planted-4711"].map(String::from));
        let parts = CommitMessageParts {
            assignment: &assignment,
            subject: None,
            agent: None,
            checks: None,
            redactor: &redactor,
        };
        let message = format_message(&parts);
        let base_message = format!("Use [redacted]\n\nPullyard-Job: {job}/1\nPullyard-Ticket: [redacted]\n");
        assert_eq!(message, base_message);
        let planned = format_message(&CommitMessageParts { subject: Some("One\n\nPullyard-Job: x/1"), ..parts });
        assert_eq!(planned, format!("One Pullyard-Job: x/1\n\nPullyard-Job: {job}/1\nPullyard-Ticket: [redacted]\n"));
        let message =
            format_message(&CommitMessageParts { agent: Some("codex"), checks: Some(Verdict::Passed), ..parts });
        assert_eq!(message, format!("{base_message}Pullyard-Agent: codex\nPullyard-Checks: passed\n"));
    }

    #[test]
    fn agent_trailer_counts_only_in_a_commit_of_the_job() {
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let parse = |jobs: &str, agents: &str| parse_agent(&format!("{jobs}\n{agents}"), &job);
        for agent in ["claude_code", "codex", "command"] {
            assert_eq!(parse(&format!("{job}/1"), agent), Some(agent));
            assert_eq!(parse(&format!("job_{}/1 {job}/2", "b".repeat(26)), agent), Some(agent));
            assert_eq!(parse(&format!("job_{}/1", "b".repeat(26)), agent), None);
            assert_eq!(parse("", agent), None);
        }
        for agents in ["", "auto", "Codex", "codex claude_code", "codex codex", "@all", "codex\ncommand"] {
            assert_eq!(parse(&format!("{job}/1"), agents), None, "{agents}");
        }
        assert_eq!(parse_agent(&format!("{job}/1"), &job), None);
    }
}
