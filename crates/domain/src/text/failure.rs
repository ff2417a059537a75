//! Failures of a job: a code each, and a class that shows where to fix the cause.

use crate::text::code::{coded_enum, vocabulary};
use crate::text::id::{IntegrationId, RepositoryName};
use crate::text::{Cause, Quoted, Rounds, Span, Until};
use serde::{Deserialize, Serialize};

coded_enum! {
    /// Where the cause of a failure must be fixed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    #[schemars(rename = "Class")]
    pub enum FailureClass {
        /// A limit in the settings.
        Limit = "limit", "a limit of the project";
        /// Pullyard or its machines.
        Infra = "infra", "Pullyard or its machines";
        /// The repository, its forge or its rules.
        Repo = "repo", "the repository or its forge";
        Runner = "runner", "the runner";
        /// The model's key or its account.
        Key = "key", "the model's key or account";
        Provider = "provider", "the model's provider";
        Agent = "agent", "the agent";
        Checks = "checks", "the checks";
    }
}

impl FailureClass {
    /// The label, unless the sentence of the failure already names the class.
    pub fn label_beside(self, sentence: &str) -> Option<&'static str> {
        let word = match self {
            Self::Limit => "limit",
            Self::Infra => "runner",
            Self::Repo => "repository",
            Self::Runner => "runner",
            Self::Key => "key",
            Self::Provider => "provider",
            Self::Agent => "agent",
            Self::Checks => "check",
        };
        (!sentence.to_lowercase().contains(word)).then(|| self.label())
    }
}

vocabulary! {
    pub enum Failure: FailureClass {
        TimeLimit { limit: Span } [Limit] "time_limit", "The job reached its time limit of {limit}.", "Split the ticket, or raise `limits.wall_secs` with `pullyard settings set`; then `pullyard jobs retry`.";
        Stalled { limit: Span, event: String } [Limit] "stalled", "The agent was inactive for {limit}; the last event was \"{event}\".", "Read the last event with `pullyard jobs logs`; then `pullyard jobs retry`.";
        CostLimit { spent: String, limit: String } [Limit] "cost_limit", "The job spent {spent}; the limit is {limit}.", "Raise `limits.cost_usd` with `pullyard settings set`; then `pullyard jobs retry`.";
        TicketLimit { ticket: String, spent: String, limit: String, raise: Cause } [Limit] "ticket_limit", "The job spent {spent} of {limit}, which was the rest of the limit of {ticket}.", "Raise the limit: `pullyard {raise} --usd 20`; then `pullyard jobs retry`.";
        TurnLimit { limit: u64 } [Limit] "turn_limit", "The agent used all {limit} turns.", "Raise `limits.turns` with `pullyard settings set`; then `pullyard jobs retry`.";
        RunnerOffline { runner: String, ago: Span } [Infra] "runner_offline", "Runner {runner} was silent for {ago} during the job.", "Check the machine and `pullyard runners`; then `pullyard jobs retry`.";
        AttemptSilent { ago: Span } [Infra] "attempt_silent", "The attempt was silent for {ago} and was stopped.", "Check the memory and the network of its machine, and the log of its task or runner; then `pullyard jobs retry`.";
        RunnerRemoved { runner: String, reason: String } [Infra] "runner_removed", "Runner {runner} is no longer allowed: {reason}.", "`pullyard jobs retry`; another runner takes it.";
        TaskNeverStarted { limit: Span, reason: String } [Infra] "task_never_started", "The job did not start within {limit}: {reason}.", "Run `pullyard doctor`; then `pullyard jobs retry`.";
        TaskStopped { reason: String } [Infra] "task_stopped", "The job's task was stopped: {reason}.", "`pullyard jobs retry`.";
        SpotInterrupted {} [Infra] "spot_interrupted", "AWS reclaimed the job's Spot capacity.", "`pullyard jobs retry`; a project that can't wait sets `task_capacity=fargate`.";
        RunnerCrashed { exit: String } [Infra] "runner_crashed", "The runner failed with {exit}.", "Read the runner's log (of `pullyard up`: `ecs/tasks/*/stderr.log` in its data folder); then `pullyard jobs retry`.";
        SourceNotFound { repo: RepositoryName } [Repo] "source_not_found", "{repo} does not exist, or the token has no access to it.", "Check the name, and the token with `pullyard repos test {repo}`.";
        SourceDenied { forge: String, repo: RepositoryName, #[serde(default, skip_serializing_if = "Quoted::is_none")] reason: Quoted } [Repo] "source_denied", "{forge} refused the credentials for {repo}{reason}.", "Test its token: `pullyard repos test {repo}`, or `pullyard-runner check` for a token of the runner.";
        SourceUnreachable { repo: RepositoryName, reason: Cause } [Infra] "source_unreachable", "{repo} could not be fetched: {reason}.", "Check the forge and the network; then `pullyard jobs retry`.";
        BaseBranchMissing { repo: RepositoryName, branch: String } [Repo] "base_branch_missing", "{repo} has no branch `{branch}`.", "At a hosted forge, wait 5 min after a rename; in a local folder, create it again with `git branch`. Then `pullyard jobs retry`.";
        SetupFailed { command: String, exit: String } [Repo] "setup_failed", "Setup `{command}` failed with {exit}.", "Read its output with `pullyard jobs artifacts`; correct the command; then `pullyard jobs retry`.";
        CommandNotAllowed { command: String } [Repo] "command_not_allowed", "`{command}` is not on the list of allowed commands.", "Use an allowed one, or `pullyard settings set command_policy=unrestricted`; then `pullyard jobs retry`.";
        IsolationMissing { runner: String } [Runner] "isolation_missing", "{runner} has no isolation, which this job needs because it writes.", "Start the runner with `--isolation auto`, which runs agents in a sandbox.";
        SandboxFailed { reason: String } [Runner] "sandbox_failed", "The sandbox did not start: {reason}.", "Run `pullyard-runner check` on the runner's machine; then `pullyard jobs retry`.";
        WorkspaceFailed { reason: String } [Runner] "workspace_failed", "The work folder could not be used: {reason}.", "Fix the cause: the runner's disk, permissions or programs, or files left in the folder; then `pullyard jobs retry`.";
        DiskLimit { reason: String } [Runner] "disk_limit", "The job would fill the runner's disk: {reason}.", "Free the disk, raise `PULLYARD_DISK_LIMIT` on the runner, or state in the ticket what must not be written; then `pullyard jobs retry`.";
        AgentMissing { agent: String, runner: String } [Runner] "agent_missing", "{agent} is not installed on {runner} or can't be started.", "Install it and run `pullyard-runner check`; then `pullyard jobs retry`.";
        AgentScriptMissing { agent: String, #[serde(default, skip_serializing_if = "Quoted::is_none")] reason: Quoted } [Repo] "agent_script_missing", "The repository has no executable file `{agent}`{reason}.", "Run `chmod +x` and commit it, or correct the command with `pullyard repos add`; then `pullyard jobs retry`.";
        AgentAuth { runner: String } [Key] "agent_auth", "The agent has no key for its model, or the provider refused it.", "Set it with `pullyard secrets set` and `pullyard settings set model_secrets.KEY=NAME`, or on a runner's machine; then `pullyard jobs retry`.";
        ModelSecretMissing { reason: String } [Key] "model_secret_missing", "The key for the agent's model is not available: {reason}.", "Set it (`pullyard secrets set`), list the project (`pullyard secrets allow`) or remove it from `model_secrets`; then `pullyard jobs retry`.";
        AgentBilling {} [Key] "agent_billing", "The model account has no credit left.", "Top it up; then `pullyard jobs retry`.";
        AgentQuota { time: Until } [Key] "agent_quota", "The model account's limit is used up until {time}.", "After that time: `pullyard jobs retry`.";
        AgentOverloaded { n: u64 } [Provider] "agent_overloaded", "The provider was still overloaded after {n} retries.", "Wait, then `pullyard jobs retry`.";
        AgentUnreachable { reason: String } [Provider] "agent_unreachable", "The provider could not be reached: {reason}.", "Check the network; then `pullyard jobs retry`.";
        ProviderStalled { limit: Span, event: String } [Provider] "provider_stalled", "The agent waited {limit} for the model's provider: \"{event}\".", "Check the provider and the network; then `pullyard jobs retry`.";
        ModelUnavailable { model: String } [Key] "model_unavailable", "The model `{model}` does not exist or is not allowed for this key.", "Choose another model.";
        ContextTooLong {} [Agent] "context_too_long", "The work no longer fits the model's context.", "Split the ticket.";
        PermissionDenied { tool: String } [Agent] "permission_denied", "The agent was not allowed to use `{tool}` and could not finish.", "Allow the tool, or change the role.";
        PathsTooLong { path: String } [Agent] "paths_too_long", "The agent left a path that is too long for git: `{path}`.", "State in the ticket that folders must not be nested so deeply; then `pullyard jobs retry`.";
        NoChanges { #[serde(default, skip_serializing_if = "Quoted::is_none")] left_out: Quoted } [Agent] "no_changes", "The agent finished without changing a file{left_out}.", "Read its last message with `pullyard jobs logs`; make the ticket, or the review, more specific.";
        OutputLost {} [Infra] "output_lost", "An earlier attempt pushed the change, and its output was lost.", "`pullyard runs resume` runs the step again.";
        InputMissing { step: String, branch: String } [Repo] "input_missing", "The commit of the step {step} is not on the branch `{branch}` any more.", "Push it again, then `pullyard runs resume`; or start another run.";
        OutputTaken { path: String } [Repo] "output_taken", "The repository has a file `{path}`, which the agent has to write.", "Delete it on the run's branch, or on its base if it has none; then `pullyard runs resume`. Or start a run without this output.";
        OutputInvalid { fault: Cause } [Agent] "output_invalid", "The agent's `.pullyard/output.json` is wrong: {fault}.", "Read `pullyard jobs logs`; then `pullyard jobs retry`.";
        SecretInChange { path: String } [Agent] "secret_in_change", "The change would publish a secret of this job in `{path}`; nothing was pushed.", "Read `pullyard jobs logs`; state in the ticket that keys don't belong in files, then `pullyard jobs retry`.";
        ProtectedContent { path: String, by: String } [Repo] "protected_content", "`{path}` is protected by {by}, and the work would store its plain content in git; nothing was pushed.", "State in the ticket that such files must not change, or change them yourself; then `pullyard jobs retry`.";
        AgentRefused {} [Agent] "agent_refused", "The agent declined the work.", "Read its last message with `pullyard jobs logs`.";
        AgentFailed { agent: String, exit: String, last_words: String } [Agent] "agent_failed", "{agent} stopped with {exit}: \"{last_words}\".", "Read `pullyard jobs logs`; then `pullyard jobs retry`.";
        TreeChanged { paths: String } [Checks] "tree_changed", "A step that must not change files changed {paths}; nothing was pushed.", "Write to ignored folders or to `TMPDIR` there, or set `checks.read_only=false` with `pullyard settings set`; then `pullyard jobs retry`.";
        ChecksFailed { command: String, exit: String, rounds: Rounds } [Checks] "checks_failed", "Check `{command}` failed with {exit}, {rounds}.", "Read its output with `pullyard jobs checks`; then `pullyard jobs retry`.";
        ChecksTimedOut { command: String, limit: Span } [Checks] "checks_timed_out", "Check `{command}` took longer than {limit}.", "Raise `checks.limit_secs` with `pullyard settings set`; then `pullyard jobs retry`.";
        PushRejected { forge: String, reason: Cause } [Repo] "push_rejected", "{forge} rejected the push: {reason}.", "Correct the cause; then `pullyard jobs retry` publishes the same work, or edit the ticket first, and the agent continues.";
        ForgeUnavailable { forge: String, limit: Span, reason: Cause } [Infra] "forge_unavailable", "{forge} did not accept the finished work for {limit}: {reason}.", "When the forge works again, `pullyard jobs retry` publishes the work without an agent.";
        PublishingFailed { reason: String } [Runner] "publishing_failed", "The finished work could not be published: {reason}.", "Fix the cause: the runner's disk, memory or programs; then `pullyard jobs retry` publishes the work without an agent.";
        BranchTaken { branch: String } [Repo] "branch_taken", "`{branch}` already exists with someone else's work.", "Rename or delete that branch; then `pullyard jobs retry`.";
        BranchProtected { branch: String, #[serde(default, skip_serializing_if = "Quoted::is_none")] reason: Quoted } [Repo] "branch_protected", "`{branch}` is protected against this account{reason}.", "Change the rule or the branch prefix; if it requires signed commits, set `commits.signing_secret`; then `pullyard jobs retry`.";
        PermissionMissing { forge: String, repo: RepositoryName, what: String } [Repo] "permission_missing", "{forge} does not permit this account to {what} in {repo}.", "`pullyard repos test` shows what to grant; then `pullyard jobs retry`.";
        SigningFailed { reason: String } [Repo] "signing_failed", "The commit could not be signed: {reason}.", "Test the key of `commits.signing_secret`; runners need ssh-keygen (OpenSSH 8.2); then `pullyard jobs retry`.";
        BranchDeleted { branch: String } [Repo] "branch_deleted", "The branch `{branch}` was deleted during the job.", "`pullyard jobs retry` creates a new one.";
        PullRequestClosed { pr: String, state: String } [Repo] "pull_request_closed", "{pr} was {state} before the work started.", "If it was closed, reopen it and request the change again. If it was merged, create a new job: `pullyard jobs create`.";
        ReviewRefused { forge: String, reason: Cause } [Repo] "review_refused", "{forge} refused the review: {reason}.", "`pullyard repos test` shows what to grant; then `pullyard jobs retry`.";
        ReviewNotPosted { forge: String, limit: Span, reason: Cause } [Infra] "review_not_posted", "{forge} did not accept the review for {limit}: {reason}.", "When the forge works again, `pullyard jobs retry` reviews again.";
        PullRequestRefused { forge: String, reason: Cause } [Repo] "pull_request_refused", "{forge} refused the pull request: {reason}.", "Open it by hand from the branch, or use `pullyard jobs retry`, which opens it without an agent.";
        DraftRefused { forge: String, reason: Cause } [Repo] "draft_refused", "Checks failed, and {forge} refused a draft pull request: {reason}.", "Drafts in private repositories need a paid plan; else set `checks.failed=fail`. Open it by hand from the branch, or `pullyard jobs retry`.";
        Conflict { base: String, n: u64 } [Repo] "conflict", "The work conflicts with `{base}` in {n} files.", "`pullyard jobs retry` starts from the new head.";
        LeaseLost { n: u64, m: u64 } [Infra] "lease_lost", "Attempt {n} was replaced by attempt {m}; its work was discarded.", "Nothing to do.";
        ContextUnavailable { forge: IntegrationId, n: u64 } [Repo] "context_unavailable", "The review could not be read from {forge} in {n} tries.", "`pullyard jobs retry` reads it again.";
        NeverClaimed { limit: Span, why: Cause } [Infra] "never_claimed", "The job was not started within {limit}: {why}.", "Remove the obstacle (see `pullyard doctor`) or raise `limits.unclaimed_secs`; then `pullyard jobs retry`.";
        SessionLost {} [Agent] "session_lost", "The earlier session could not be restored, and the job requires it.", "`pullyard jobs retry` starts a new one.";
        SessionUnreachable { reason: String } [Infra] "session_unreachable", "The earlier session could not be fetched: {reason}.", "Check the runner's network and disk; then `pullyard jobs retry` continues it. `pullyard settings set resume=prefer` starts a new one.";
        HeadMoved {} [Repo] "head_moved", "The branch moved again while the work was updated to its head.", "`pullyard jobs retry` starts from the new head.";
        InputTimeout { limit: Span } [Limit] "input_timeout", "The agent's question was not answered within {limit}.", "`pullyard jobs retry`, then `pullyard jobs answer`.";
        WorkflowPermission {} [Repo] "workflow_permission", "The change touches workflow files, which the token may not write.", "Grant `workflows: write` (classic: `workflow`) and `pullyard repos add --workflows`, or exclude them in the ticket; `pullyard jobs retry`.";
        Unknown { last_words: String } [Infra] "unknown", "The job failed for an unknown reason: \"{last_words}\".", "Read `pullyard jobs logs`; report it with the job's id.";
    }
}
