//! The decision about a delivery: a verdict and a reason with its facts.

use crate::text::code::{coded_enum, vocabulary};
use crate::text::id::{IntegrationId, JobId, ProjectId, RepositoryName, RunId, ScheduleName, TemplateName, TicketKey};
use crate::text::time::Timestamp;
use crate::text::{Cause, OrWait, Span};
use serde::{Deserialize, Serialize};

coded_enum! {
    /// The outcome of a delivery.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Verdict {
        /// A job was created.
        Accepted = "accepted";
        /// It will be part of a later job.
        Held = "held";
        /// It requested a job and was rejected.
        Refused = "refused";
        /// It requests no job.
        Ignored = "ignored";
        Duplicate = "duplicate";
        /// It could not be parsed or authenticated.
        Invalid = "invalid";
    }
}

vocabulary! {
    pub enum Reason: Verdict {
        Accepted { job: JobId } [Accepted] "accepted", "Created job {job}.", "Nothing to do.";
        RunStarted { run: RunId } [Accepted] "run_started", "Started run {run}.", "Nothing to do.";
        HeldForJob { job: JobId } [Held] "held_for_job", "Job {job} is running; this review will be part of the next revision.", "Nothing to do.";
        HeldUntil { #[serde(default, skip_serializing)] #[schemars(skip)] ago: Option<Span>, time: Timestamp } [Held] "held_until", "A pull request is revised at most once an hour; this review will be part of the next revision at {time}.", "Nothing to do.";
        HeldWithOthers { pr: String } [Held] "held_with_others", "Earlier reviews of {pr} wait; this one will be part of the same revision.", "Nothing to do.";
        Repeat { first: String } [Duplicate] "repeat", "This delivery was already handled: {first}.", "Nothing to do.";
        UnknownProject { project: ProjectId } [Refused] "unknown_project", "There is no project {project}.", "Check the project name in the ticket tool's call.";
        StaleEvent { ticket: TicketKey, time: Timestamp } [Refused] "stale_event", "A newer change of {ticket} is already known ({time}).", "Nothing to do.";
        Echo {} [Ignored] "echo", "Pullyard made this change, or it is a push to one of its branches.", "Nothing to do.";
        UnknownStatus { status: String, project: ProjectId, columns: String, nearest: String } [Refused] "unknown_status", "{status} is not a column of {project}: {columns}.", "Use a column, such as {nearest}. To accept all: `pullyard settings set statuses.allow_others=true`.";
        NotTriggerStatus { status: String, trigger: String } [Ignored] "not_trigger_status", "{status} does not start jobs; {trigger} does.", "Move the ticket to {trigger} to start a job.";
        StatusUnchanged { ticket: TicketKey, status: String } [Refused] "status_unchanged", "{ticket} was already in {status}; only entering it starts a job.", "Move it out and in again, or `pullyard jobs create --ticket {ticket}`.";
        AutoCreateOff { project: ProjectId } [Refused] "auto_create_off", "Creating jobs by status is switched off for {project}.", "`pullyard settings set auto_create=true`, or `pullyard jobs create`.";
        JobActive { ticket: TicketKey, job: JobId } [Refused] "job_active", "{ticket} already has an active job, {job}.", "Wait for it, or cancel it: `pullyard jobs cancel {job}`.";
        ProjectHeld { project: ProjectId, who: String } [Refused] "project_held", "{who} put {project} on hold.", "`pullyard release`.";
        BudgetExhausted { project: ProjectId, used: String, limit: String, time: Timestamp } [Refused] "budget_exhausted", "{project} has used {used} of {limit} for today.", "Wait until {time}, or raise it: `pullyard budgets set`.";
        TicketLimit { ticket: String, used: String, limit: String, raise: Cause, #[serde(default, skip_serializing_if = "OrWait::is_empty")] or_wait: OrWait } [Refused] "ticket_limit", "{ticket} has used {used} of {limit}.", "Raise the limit: `pullyard {raise}`{or_wait}.";
        LimitRaised { who: String, ticket: String, limit: String, time: Timestamp } [Accepted] "limit_raised", "{who} raised the limit of {ticket} to {limit} until {time}.", "Start the refused job again: `pullyard jobs create`, or `/pullyard revise` or `/pullyard review` on its pull request.";
        RaiseRefused { ticket: String, fault: Cause } [Refused] "raise_refused", "The limit of {ticket} was not raised: {fault}.", "Write `/pullyard raise 20` (dollars) or `/pullyard raise 5 jobs`. An admin may raise by more: `pullyard tickets raise` or `pulls raise`.";
        NoLimitToRaise { ticket: String, fault: Cause } [Refused] "no_limit_to_raise", "The limit of {ticket} was not raised: {fault}.", "There is no limit to raise: no such limit stops a job.";
        TicketWithoutRepository { ticket: TicketKey } [Refused] "ticket_without_repository", "{ticket} has no repository.", "Set it on the ticket or for the project: `pullyard settings set default_repository=OWNER/NAME`.";
        RepositoryNotIntegrated { repo: RepositoryName, project: ProjectId } [Refused] "repository_not_integrated", "{repo} is not connected to {project}.", "`pullyard repos add {repo}`.";
        UnusableLabels { ticket: TicketKey, fault: Cause } [Refused] "unusable_labels", "No job of {ticket} may start: {fault}.", "Change the ticket's labels, `pullyard repos set REPO --labels LIST`, or `pullyard settings set 'labels=[]'`.";
        RetriggerDisabled { project: ProjectId } [Refused] "retrigger_disabled", "Revising on review is switched off for {project}.", "`pullyard settings set revise_on_review=true`.";
        NoLinkedTicket { pr: String } [Refused] "no_linked_ticket", "{pr} is not linked to an active ticket.", "`pullyard link {pr} TICKET`.";
        TicketInactive { ticket: TicketKey } [Refused] "ticket_inactive", "{ticket} is closed in the ticket tool.", "Reopen it.";
        PreviousJobNotCompleted { ticket: TicketKey, outcome: String } [Refused] "previous_job_not_completed", "The last job of {ticket} did not complete ({outcome}); there is nothing to revise.", "`pullyard jobs retry`.";
        DuplicateReview { job: JobId } [Duplicate] "duplicate_review", "This review already started job {job}.", "Nothing to do.";
        RateLimited { pr: String, #[serde(default, skip_serializing)] #[schemars(skip)] ago: Option<Span>, time: Timestamp } [Refused] "rate_limited", "{pr} is revised at most once an hour; the next revision may start at {time}.", "Wait, or start it now: `pullyard revise {pr}`.";
        OwnReview {} [Ignored] "own_review", "The review was written by Pullyard's own account.", "Nothing to do.";
        AuthorNotPermitted { author: String, repo: RepositoryName } [Refused] "author_not_permitted", "{author} has no write access to {repo}, according to the forge.", "Grant write access; on Bitbucket, add them as a reviewer or use an administrator's token. Then repeat the request.";
        PermissionUnknown { forge: IntegrationId, author: String } [Refused] "permission_unknown", "{forge} could not confirm that {author} may start jobs.", "When {forge} responds again, replay the delivery with `pullyard deliveries replay`.";
        UnknownCommand { pr: String } [Refused] "unknown_command", "A comment on {pr} is almost a command, so it starts nothing.", "Write `/pullyard revise`, `/pullyard review`, `/pullyard resolve` or `/pullyard raise 20` at the start of a new comment.";
        EditedReview {} [Ignored] "edited_review", "The review was edited, not submitted.", "Submit a new review.";
        ReviewRunning { pr: String, job: JobId } [Refused] "review_running", "Job {job} reviews {pr}.", "Wait for its end, or cancel it: `pullyard jobs cancel {job}`.";
        ForkNotSupported { pr: String } [Refused] "fork_not_supported", "{pr} comes from a fork, and agents review only branches of the repository.", "Push its commits to a branch of the repository, open a pull request from it, and review that one.";
        AnalysisRunning { job: JobId } [Duplicate] "analysis_running", "Job {job} analyses this repository.", "Wait for its end, or cancel it: `pullyard jobs cancel {job}`.";
        AlreadyReviewed { pr: String, commit: String, job: JobId } [Refused] "already_reviewed", "{pr} was reviewed at its head {commit} by job {job}.", "Review everything again: `pullyard review {pr} --full`.";
        PullRequestClosed { pr: String, state: String } [Refused] "pull_request_closed", "{pr} is {state}.", "If it was closed and the forge allows it, reopen it; otherwise create a new job: `pullyard jobs create`.";
        TemplateRefused { template: TemplateName, fault: Cause } [Refused] "template_refused", "The template {template} starts no run: {fault}.", "Correct the template (the type text takes every value) or the values of its start, or delete its schedule or hook: `pullyard templates`.";
        ScheduleBusy { schedule: ScheduleName, run: RunId } [Refused] "schedule_busy", "The run that {schedule} started last, {run}, is open.", "Wait for its end, or cancel it: `pullyard runs cancel {run}`.";
        ScheduleMissed { schedule: ScheduleName, time: Timestamp } [Refused] "missed", "{schedule} missed its times until {time}, because the server was down.", "`pullyard schedules run {schedule}` starts it now.";
        EventIgnored { event: String } [Ignored] "event_ignored", "Pullyard does not act on {event}.", "Nothing to do.";
        Noted { event: String } [Ignored] "noted", "Recorded {event}; no job is needed.", "Nothing to do.";
        Ping {} [Ignored] "ping", "The hook works.", "Nothing to do.";
        Queued { pr: String } [Held] "queued", "Many deliveries for {pr} arrived at once; this one is queued.", "Nothing to do.";
        Contended { subject: String, left: Span } [Refused] "contended", "Too many changes to {subject} at once; the request was not processed.", "Send it again in {left}.";
        SignatureMissing {} [Invalid] "signature_missing", "The delivery has no well-formed signature.", "Set the secret of the hook in the forge.";
        SignatureWrong { n: u64, integration: IntegrationId } [Invalid] "signature_wrong", "The signature matches none of the {n} accepted secrets.", "Set the same secret in the webhook of {integration} and with `pullyard secrets set`; `pullyard hooks list --json` names it.";
        BodyTooLarge { size: String, limit: String } [Invalid] "body_too_large", "The body is {size}; the limit is {limit}.", "Send a smaller body.";
        BodyUnreadable { pointer: String, fault: String } [Invalid] "body_unreadable", "`{pointer}`: {fault}.", "Correct the field; see the API description.";
    }
}

impl Reason {
    /// Whether the project may start no job for now. Afterwards the ticket or review is decided again.
    pub fn is_project_block(&self) -> bool {
        matches!(self, Self::ProjectHeld { .. } | Self::BudgetExhausted { .. })
    }

    pub fn verdict(&self) -> Verdict {
        self.class()
    }

    /// Whether the decision is permanent: a redelivery gets it again.
    /// Other refusals are decided again, so that a user can fix the cause and redeliver.
    pub fn is_final(&self) -> bool {
        matches!(self.verdict(), Verdict::Accepted | Verdict::Held | Verdict::Duplicate)
    }

    pub fn created_job(&self) -> Option<&JobId> {
        match self {
            Self::Accepted { job } => Some(job),
            _ => None,
        }
    }
}
