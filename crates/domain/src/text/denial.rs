//! The reasons for rejecting a user's request about a job, pull request, repository or integration.

use crate::text::Cause;
use crate::text::code::vocabulary;
use crate::text::id::{
    EndpointId, HookName, IntegrationId, JobId, ProjectId, RepositoryName, RunId, SecretName, TicketKey,
};
use crate::text::wait::Resolution;

vocabulary! {
    /// Why a job cannot be cancelled, retried, paused or continued, a pull request cannot be linked, a ticket cannot be
    /// edited, ordered, commented on or deleted, a run cannot be started, cancelled, resumed, answered or merged, or a project, a
    /// repository, an integration or a secret cannot be deleted.
    pub enum Denial: Resolution {
        AlreadyEnded { job: JobId, end: String } [Person] "too_late", "Job {job} has already {end}.", "Nothing to do.";
        NotOver { job: JobId, status: String } [Itself] "not_over", "Job {job} is {status}; only a failed or cancelled job can be retried.", "Wait until it ends, or cancel it first.";
        NotFailed { job: JobId, end: String } [Person] "not_failed", "Job {job} {end}; only a failed or cancelled job can be retried.", "Create a new job: `pullyard jobs create`.";
        NotPausable { job: JobId, status: String } [Person] "not_pausable", "Job {job} is {status}; only a ready or running job can be paused.", "Wait for its end, or cancel it.";
        AwaitsAnswer { job: JobId } [Person] "asks", "Job {job} waits for an answer.", "Answer it: `pullyard jobs answer`.";
        Cancelling { job: JobId } [Person] "is_cancelled", "Job {job} is being cancelled.", "Wait until it ends; then retry it, or resume its run.";
        TooManyInputs { job: JobId, n: u64 } [Person] "too_many_inputs", "Job {job} has the maximum of {n} inputs.", "Let it finish, or cancel it and write a better ticket.";
        CommandWorks { job: JobId } [Person] "command_works", "The agent of job {job} is a command and works; it reads messages only when it starts.", "Pause the job, and send the message then: `pullyard jobs pause {job}`.";
        LinkedElsewhere { pr: String, to: String } [Person] "linked_elsewhere", "{pr} is already linked to {to}.", "Unlink it first: `pullyard unlink {pr}`.";
        JobInRepository { job: JobId, repo: RepositoryName } [Itself] "job_in_repository", "Job {job} is for {repo} and has not ended.", "Wait until it ends, or cancel it: `pullyard jobs cancel {job}`.";
        PullRequestOpen { pr: String, ticket: TicketKey } [Person] "pull_request_open", "{pr} is open and linked to {ticket}.", "Merge or close it, or unlink it: `pullyard unlink {pr}`.";
        JobOfTicket { job: JobId, ticket: TicketKey } [Itself] "job_of_ticket", "Job {job} is for {ticket} and has not ended.", "Wait until it ends, or cancel it: `pullyard jobs cancel {job}`.";
        TicketEdited { ticket: TicketKey } [Person] "ticket_edited", "{ticket} was edited after you opened it.", "Compare your text with the current one, then save again.";
        TooManyComments { ticket: TicketKey, n: u64 } [Person] "too_many_comments", "{ticket} has had {n} comments, the most that a ticket can get.", "Edit one of them, or write into the description.";
        CommentOfOther { n: u64, author: String } [Person] "comment_of_other", "Comment {n} is by {author}; only its author or an admin can change it.", "Write a comment of your own.";
        NotInColumn { ticket: TicketKey, status: String } [Person] "not_in_column", "{ticket} is not in {status}.", "Load the board again, then choose a place.";
        NoPlaceLeft { ticket: TicketKey } [Person] "no_place_left", "No place is left before {ticket}, because its neighbour is too close.", "Move {ticket} to the top of the column and back, then try again.";
        HookOfRepository { hook: String, repo: RepositoryName } [Person] "hook_of_repository", "The hook {hook} serves only {repo}.", "Delete it first: `pullyard hooks delete {hook}`.";
        RepositoryOfIntegration { repo: RepositoryName, project: ProjectId, forge: IntegrationId } [Person] "repository_of_integration", "{repo} of {project} is connected through {forge}.", "Delete it first: `pullyard repos delete {repo} --project {project}`.";
        HookOfIntegration { hook: String, forge: IntegrationId } [Person] "hook_of_integration", "The hook {hook} belongs to {forge}.", "Delete it first: `pullyard hooks delete {hook}`.";
        JobAtIntegration { job: JobId, forge: IntegrationId } [Itself] "job_at_integration", "Job {job} works at {forge} and has not ended.", "Wait until it ends, or cancel it: `pullyard jobs cancel {job}`.";
        RepositoriesOfProject { repos: String, project: ProjectId } [Person] "repositories_of_project", "Connected to {project}: {repos}.", "Delete each first: `pullyard repos delete OWNER/NAME --project {project}`.";
        HookOfProject { hook: String, project: ProjectId } [Person] "hook_of_project", "The hook {hook} receives events for {project}.", "Delete it first: `pullyard hooks delete {hook}`.";
        SecretOfIntegration { secret: SecretName, forge: IntegrationId } [Person] "secret_of_integration", "The secret {secret} authenticates the integration {forge}.", "Delete it first: `pullyard integrations delete {forge}`.";
        SecretOfHook { secret: SecretName, hook: HookName } [Person] "secret_of_hook", "The hook {hook} signs with the secret {secret}.", "Delete it first: `pullyard hooks delete {hook}`.";
        SecretOfSetting { secret: SecretName, setting: String, project: ProjectId } [Person] "secret_of_setting", "The setting {setting} of {project} names the secret {secret}.", "Empty it first: `pullyard settings set {setting}=null --project {project}`.";
        SecretOfEndpoint { secret: SecretName, endpoint: EndpointId, project: ProjectId } [Person] "secret_of_endpoint", "The endpoint {endpoint} of {project} uses the secret {secret}.", "Delete it first: `pullyard notifications delete {endpoint} --project {project}`.";
        SecretOfTracker { secret: SecretName, tracker: IntegrationId } [Person] "secret_of_tracker", "The ticket tool {tracker} uses the secret {secret}.", "Delete it first: `pullyard trackers delete {tracker}`.";
        TrackerOfProject { tracker: IntegrationId, project: ProjectId } [Person] "tracker_of_project", "The project {project} uses the ticket tool {tracker}.", "Choose another first: `pullyard trackers use --none --project {project}`.";
        SecretOfLocalForge { secret: SecretName } [Person] "secret_of_local_forge", "The secret {secret} is made by Pullyard.", "Keep it: repositories of this machine need it.";
        SecretJustSet { secret: SecretName, at: String } [Itself] "secret_just_set", "The secret {secret} was set less than five minutes ago, and a connection may be about to use it.", "Delete it after {at}.";
        JobOfProject { job: JobId, project: ProjectId } [Itself] "job_of_project", "Job {job} of {project} has not ended.", "Wait until it ends, or cancel it: `pullyard jobs cancel {job}`.";
        JobOfRun { job: JobId, run: RunId } [Person] "job_of_run", "Job {job} belongs to run {run}.", "Resume its run: `pullyard runs resume {run}`.";
        RunEnded { run: RunId } [Person] "run_ended", "Run {run} has ended or is ending.", "Show it: `pullyard runs show {run}`.";
        RunNotOver { run: RunId } [Itself] "run_not_over", "Run {run} has not ended.", "Wait until it ends, or cancel it: `pullyard runs cancel {run}`.";
        RunCompleted { run: RunId } [Person] "run_completed", "Run {run} has completed.", "Start another run: `pullyard run`.";
        RunExpired { run: RunId } [Person] "run_expired", "Run {run} started more than 90 days ago, and the results of its steps are deleted.", "Start another run: `pullyard run`.";
        RunUnlimited { run: RunId } [Person] "run_unlimited", "The plan of run {run} has no cost limit.", "Resume it without a cost limit: `pullyard runs resume {run}`.";
        RunCostTooLow { run: RunId, spent: String, needed: String } [Person] "run_cost_too_low", "Run {run} has spent {spent}, and its next step needs {needed}.", "Raise its limit: `pullyard runs resume {run} --cost-usd N`.";
        GroupFull { n: u64, group: String } [Person] "group_full", "{n} runs wait for the group {group}.", "Cancel some of them: `pullyard runs cancel`.";
        NoPullRequest { run: RunId } [Person] "no_pull_request", "Run {run} has opened no pull request.", "Show its steps: `pullyard runs show {run}`.";
        PullRequestClosed { pr: String } [Person] "pull_request_closed", "{pr} is closed.", "Reopen it at the forge.";
        HeadMoved { pr: String, run: RunId } [Person] "head_moved", "{pr} has another head than run {run} pushed.", "Review its new commits, then merge it at the forge.";
        NotMerged { pr: String, reason: Cause } [Person] "not_merged", "The forge does not merge {pr}: {reason}.", "Do what the forge requires, then repeat the command.";
        NoOwnBranch { step: String, run: RunId } [Person] "no_own_branch", "{step} of run {run} has no branch of its own.", "A step that writes without `branch: own` is part of the run's pull request: `pullyard runs show {run}`.";
        StepNotDone { step: String, run: RunId, state: String } [Person] "step_not_done", "{step} of run {run} is not done; its state is {state}.", "Show the reason: `pullyard why {run}/{step}`.";
        NothingPushed { step: String, run: RunId } [Person] "nothing_pushed", "{step} of run {run} has pushed no commit.", "Show its job: `pullyard runs show {run}`.";
        BranchGone { branch: String, repo: RepositoryName } [Person] "branch_gone", "{repo} has no branch {branch} any more.", "Restore it at the forge, or start another run: `pullyard run`.";
        NotOpenedByForge { step: String, reason: Cause } [Person] "not_opened_by_forge", "The forge opens no pull request for {step}: {reason}.", "Do what the forge requires, then repeat the command; without new commits, the base has the change already.";
        NotOpened { step: String, run: RunId } [Person] "not_opened", "{step} of run {run} has no pull request.", "Open it: `pullyard runs pr create {run} --step {step}`.";
        NoQuestion { step: String, run: RunId } [Person] "no_question", "{step} of run {run} waits for no answer.", "Show the run: `pullyard runs show {run}`.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denial_has_a_short_sentence_and_help() {
        for denial in Denial::samples() {
            let sentence = denial.sentence();
            assert!(sentence.ends_with('.') && sentence.chars().count() <= 140, "{sentence}");
            assert!(denial.help().ends_with('.'), "{}", denial.help());
        }
    }
}
