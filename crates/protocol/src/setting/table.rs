//! The table of all settings of a project.

use super::Kind::{Choice, Column, Flag, Lines, Number, Repository, Seconds, Text, Usd};
use super::Section::{Agent, Budgets, Checks, Columns, Commits, Compute, Flow, Hold, Limits, Reviews, Secrets};
use super::{Kind, Section, Setting};
use pullyard_domain::agent::{AGENTS, AUTO};

const fn setting(
    section: Section,
    path: &'static str,
    kind: Kind,
    (label, meaning): (&'static str, &'static str),
) -> Setting {
    Setting { path, section, label, meaning, kind }
}

/// The choices of a project: as `agent::choices`, with labels.
const AGENT_CHOICES: [(&str, &str); AGENTS.len()] = {
    let mut choices = [(AUTO, "First available"); AGENTS.len()];
    // `AGENTS` ends with the command, which only a repository has.
    let mut at = 0;
    while at + 1 < AGENTS.len() {
        choices[at] = (AGENTS[at].code, AGENTS[at].name);
        at += 1;
    }
    choices
};

/// All settings, by section.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting(Columns, "statuses.columns", Lines, ("Columns", "The columns of the board in their order. Each status with a meaning is a column. A column with tickets cannot be removed.")),
    setting(Columns, "statuses.closed", Lines, ("Closed columns", "Tickets in these columns are closed: reviews of their pull requests start no job.")),
    setting(Columns, "statuses.allow_others", Flag, ("Accept other statuses", "For a ticket tool with its own statuses. When off, Pullyard refuses a status that is no column. The board shows other statuses after the columns.")),

    setting(Flow, "statuses.trigger", Column, ("Column that starts jobs", "A ticket that enters this column gets one job. Tickets that are already in it get none.")),
    setting(Flow, "auto_create", Flag, ("Start jobs by moving tickets", "When off, Pullyard records each move as a decision and users start jobs by hand.")),
    setting(Flow, "statuses.completion", Column, ("Column after success", "Pullyard moves the ticket here when its job has completed.")),
    setting(Flow, "statuses.todo", Column, ("Column after failure", "Pullyard moves the ticket here when its job has failed or was cancelled.")),
    setting(Flow, "statuses.merged", Column, ("Column after the merge", "Pullyard moves the ticket here when its pull request was merged, unless a user moved it before. Without a value, Done if that is a column.")),
    setting(Flow, "statuses.unmerged", Column, ("Column after a close", "Pullyard moves the ticket here when its pull request was closed without a merge, unless a user moved it before. Without a value, the column after failure.")),
    setting(Flow, "default_repository", Repository, ("Default repository", "The repository of tickets that name none, as owner/name.")),
    setting(Flow, "tool_account", Text, ("Pullyard’s account in the ticket tool", "Pullyard ignores the events of this account, because they repeat its own changes.")),

    setting(Agent, "agent", Choice(&AGENT_CHOICES), ("Agent", "A repository or a job can override it. Without a value, the first agent that is installed and has a key works on the job.")),
    setting(Agent, "model", Text, ("Model", "The agent’s own name for the model. Without a value, the agent uses its default.")),
    setting(Agent, "resume", Choice(&[("prefer", "Start a new session"), ("require", "Fail the job")]), ("After a lost session", "Applies when the agent cannot continue its session. A new session receives the questions and answers so far.")),

    setting(Limits, "limits.wall_secs", Seconds, ("Time limit", "Time from the claim to the end. At the limit, the agent stops and the job fails.")),
    setting(Limits, "limits.stall_secs", Seconds, ("Inactivity limit", "The job fails after this time without a sign of life from the agent.")),
    setting(Limits, "limits.cost_usd_micros", Usd, ("Cost limit", "Cost of one attempt: counted by the sandbox’s proxy, or without a sandbox as the agent reports it. Without a value, half of what the job reserved of its ticket’s limit; a job without a ticket has no limit.")),
    setting(Limits, "limits.ticket_usd_micros", Usd, ("Limit of a ticket", "Money that all jobs of a ticket may use, with the reviews of its pull request; at least the reservation of a job. At the limit, no further job starts until a raise. Without a value, there is no limit.")),
    setting(Limits, "limits.ticket_jobs", Number("jobs"), ("Jobs of a ticket", "Jobs that a ticket may have, with the reviews of its pull request. At the limit, no further job starts until a raise. Without a value, there is no limit.")),
    setting(Limits, "analysis.cost_usd_micros", Usd, ("Cost of an analysis", "An analysis of pull requests and issues starts no agent that would exceed it. Its other items keep their summaries.")),
    setting(Limits, "limits.turns", Number("turns"), ("Turn limit", "Requests to the model in one attempt. Without a value, there is no limit.")),
    setting(Limits, "limits.input_secs", Seconds, ("Answer limit", "Time that a job may wait for an answer or stay paused.")),
    setting(Limits, "limits.unclaimed_secs", Seconds, ("Wait limit", "A job fails after this time in the queue, if no runner has claimed it and no task has started. Also applies to jobs that wait already.")),
    setting(Limits, "limits.running_jobs", Number("jobs"), ("Running jobs", "Jobs of the project that run at once; further ones wait in order. A repository can have a lower limit. Without a value, there is no limit.")),
    setting(Limits, "limits.requeues", Number("times"), ("Requeues", "How often a job is queued again after faults of the platform, such as a lost runner.")),

    setting(Checks, "setup.commands", Lines, ("Setup commands", "Run in the repository before the agent starts; the first failure ends the job. A repository can have its own. One command per line.")),
    setting(Checks, "setup.limit_secs", Seconds, ("Time limit of a setup command", "A setup command that takes longer fails the job.")),
    setting(Checks, "checks.commands", Lines, ("Check commands", "Run in the repository after the agent’s work; all must exit with code 0. A repository can have its own. One command per line.")),
    setting(Checks, "checks.limit_secs", Seconds, ("Time limit of a check", "A check that takes longer counts as failed.")),
    setting(Checks, "checks.repair", Flag, ("Repair failed checks", "When on, the agent receives the output of a failed check once, then all checks run again.")),
    setting(Checks, "checks.read_only", Flag, ("Checks must not change files", "When on, a check that changes a file fails the job. Folders that git ignores stay writable.")),
    setting(Checks, "checks.failed", Choice(&[("fail", "Fail the job"), ("draft", "Open a draft pull request")]), ("When checks fail", "A draft names the failed check. If the pull request is already open, the job fails.")),
    setting(Checks, "checks.output_kib", Number("KiB"), ("Stored output of a check", "Pullyard stores this much from the beginning and the end of the output.")),
    setting(Checks, "command_policy", Choice(&[("allowlist", "Common tools, without a shell"), ("unrestricted", "Any shell command")]), ("Allowed commands", "Applies to setup and check commands. The list has common test and package-manager commands.")),
    setting(Checks, "egress", Lines, ("Allowed hosts", "Sandboxed agents and commands reach these hosts and their model only. A domain, *.DOMAIN, forge (to read public repositories) or a registry (npm, pypi, cargo, go, maven) per line; * allows every public host.")),

    setting(Budgets, "budget.usd_micros_per_day", Usd, ("Daily budget", "Money that jobs spend and reserve per day. At the limit, new jobs wait for the next day. Without a value, there is no limit.")),
    setting(Budgets, "budget.jobs_per_day", Number("jobs"), ("Jobs per day", "At the limit, new jobs wait for the next day. Without a value, there is no limit.")),
    setting(Budgets, "budget.usd_micros_per_job", Usd, ("Reservation of a job", "Each job reserves this amount until its cost is known at its end.")),

    setting(Compute, "compute", Choice(&[("fargate", "One task per attempt"), ("runners", "Own runners"), ("runners_then_fargate", "Own runners, then tasks")]), ("Run jobs on", "A task runs on Fargate, or in pullyard up as a process of this machine. Own runners claim jobs and add no AWS cost. With both, a task runs a job that no runner has claimed in time, if the project has a key of its model. To keep jobs on your machines, require a label.")),
    setting(Compute, "overflow_after_secs", Seconds, ("Overflow after", "Time in the queue after which a task runs a job, if jobs run on own runners, then tasks. A job that requires labels goes on waiting for a runner.")),
    setting(Compute, "labels", Lines, ("Labels of runners", "Jobs on self-hosted runners run only on those with all these labels; tasks on Fargate ignore them. Existing jobs keep their labels. A repository, a ticket and a job can require further ones; at most 10 in all. One label per line.")),
    setting(Compute, "task_size", Choice(&[("small", "Small"), ("medium", "Medium"), ("large", "Large")]), ("Task size", "Processors and memory of a Fargate task; the deployment defines each size.")),
    setting(Compute, "task_capacity", Choice(&[("fargate", "Fargate"), ("fargate_spot", "Fargate Spot")]), ("Task capacity", "Fargate Spot is cheaper, but AWS may stop a task with two minutes’ notice.")),
    setting(Compute, "offline", Choice(&[("fail", "Fail the job"), ("requeue", "Queue the job again")]), ("When a runner is lost", "Applies while the agent works. The limit of requeues applies to a job that is queued again.")),

    setting(Reviews, "revise_on_review", Flag, ("Revise pull requests", "When on, a review that requests changes starts a job that revises the pull request.")),
    setting(Reviews, "coalesce", Flag, ("Combine reviews", "When on, reviews wait while a job runs and for an hour after a revision began. One job then covers all of them.")),
    setting(Reviews, "review.when", Choice(&[("asked", "When a user asks"), ("opened", "Once, when it was opened"), ("pushed", "After each push")]), ("Review pull requests", "An agent reviews pull requests of people who may push, and Pullyard’s own: two minutes after the last commit, at most every ten minutes and ten times a day. Drafts and forks get no such review.")),

    setting(Commits, "commits.name", Text, ("Author name", "Author and committer of commits. Without a value, Pullyard.")),
    setting(Commits, "commits.email", Text, ("Author email", "For a verified signature, the forge requires an address of the key’s account.")),
    setting(Commits, "commits.signing_secret", Text, ("Signing key", "Full name of the secret with an SSH key without a passphrase. Without a value, commits are not signed.")),

    setting(Secrets, "model_secrets.anthropic_api_key", Text, ("Anthropic API key", "Full name of the secret with a key of Anthropic’s API, for Claude Code. Without a value, a runner uses its own environment.")),
    setting(Secrets, "model_secrets.claude_token", Text, ("Claude subscription", "Full name of the secret with the token that “claude setup-token” prints.")),
    setting(Secrets, "model_secrets.openai_api_key", Text, ("OpenAI API key", "Full name of the secret with a key of OpenAI’s API, for Codex. Without a value, a runner uses its own environment.")),
    setting(Secrets, "model_secrets.codex_auth", Text, ("Codex subscription", "Full name of the secret with the complete auth.json of a Codex that is signed in.")),

    setting(Hold, "held_by", Text, ("Held by", "The user who put the project on hold. A held project starts no jobs.")),
    setting(Hold, "held_reason", Text, ("Reason", "The reason that this user entered.")),
];
