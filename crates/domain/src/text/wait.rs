//! Why a job waits, in one sentence.

use crate::text::code::vocabulary;
use crate::text::id::{IntegrationId, ProjectId, RepositoryName};
use crate::text::time::Timestamp;
use crate::text::{Advice, Cause, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Itself,
    Person,
}

vocabulary! {
    pub enum Wait: Resolution {
        NoOnlineRunner { project: ProjectId, ago: Span } [Person] "no_online_runner", "No runner of {project} is online; the last heartbeat was {ago} ago.", "Start it again with `pullyard runner start`, or `pullyard settings set compute=fargate`.";
        NoRunner { project: ProjectId } [Person] "no_runner", "No runner is registered for {project}.", "Create a token with `pullyard tokens create --kind runner`, then use it with `pullyard runner start`; see docs/runner.md.";
        NoCapability { capability: String, n: u64 } [Person] "no_capability", "No online runner has {capability}; {n} are online.", "`pullyard-runner check` names what a runner lacks. If each project has a key: `pullyard runner start --capabilities {capability}`.";
        NoLabel { labels: Cause, origin: String, all: Advice } [Person] "no_label", "No online runner with the job's agent has {labels} (from {origin}).", "Start a runner with all labels of the job: `pullyard runner start --labels {all}`.";
        LabelsApart { name: String, labels: Cause, all: Advice } [Person] "labels_apart", "No single runner has all labels of the job: {name} lacks {labels}.", "Start a runner with all of them: `pullyard runner start --labels {all}`.";
        SlotsBusy { total: u64, n: u64, m: u64 } [Itself] "slots_busy", "All {total} slots of {n} matching runners are busy; {m} jobs are ahead.", "Wait, add a runner, or start one with more `--slots`.";
        OverflowSoon { reason: Cause, time: Timestamp, help: Advice } [Itself] "overflow_soon", "{reason}. After {time} a task runs it.", "{help}.";
        OverflowImpossible { reason: Cause, cause: Cause, help: Advice } [Person] "overflow_impossible", "{reason}. No task can run the job: {cause}.", "{help}.";
        RunnersPaused { n: u64, name: String } [Person] "runners_paused", "All {n} matching runners are paused or draining.", "`pullyard runners resume {name}`.";
        RunnerUpdates { name: String } [Itself] "runner_updates", "No matching runner claims jobs while {name} updates its program.", "Wait, or see its progress: `pullyard runners show {name}`.";
        FargateCapacity { time: Timestamp, next: Timestamp } [Itself] "fargate_capacity", "AWS has had no Fargate capacity since {time}; next try at {next}.", "No attempt is used up.";
        MachineFull {} [Itself] "machine_full", "This machine has no place or too little disk space for another job; jobs start by creation and priority.", "Wait, or free the disk. For more jobs at once: `pullyard up --jobs N`.";
        FargateThrottled { next: Timestamp } [Itself] "fargate_throttled", "AWS is throttling task starts; next try at {next}.", "Nothing to do.";
        SpotInterrupted { next: Timestamp } [Itself] "spot_interrupted", "AWS reclaimed the Spot capacity before the work started; next try at {next}.", "No attempt is used up.";
        StartFailed { reason: String, next: Timestamp } [Person] "start_failed", "The job did not start ({reason}); next try at {next}.", "Find the cause with `pullyard doctor`.";
        TaskStarting { time: Timestamp, ago: Span } [Itself] "task_starting", "The job is starting.", "Nothing to do.";
        ContextFetch { forge: IntegrationId, n: u64, time: Timestamp } [Itself] "context_fetch", "The review's comments are being read from {forge}; try {n} is at {time}.", "Nothing to do.";
        ForgeRateLimited { forge: IntegrationId, time: Timestamp } [Itself] "forge_rate_limited", "{forge} limits our requests until {time}.", "Nothing to do.";
        ForgeAway { forge: IntegrationId, ago: Span, reason: Cause } [Itself] "forge_away", "The job has waited for {forge} for {ago}: {reason}.", "The attempt tries again for an hour.";
        NoReviewText { time: Timestamp } [Person] "no_words", "The reviews have no text yet; the job waits for it until {time}.", "Describe the change in a comment on the pull request.";
        NeedsInput { ago: Span } [Person] "needs_input", "The agent asked a question {ago} ago.", "Answer it: `pullyard jobs answer`.";
        Paused { who: String, ago: Span } [Person] "paused", "{who} paused the job {ago} ago.", "Continue it with `pullyard jobs continue`, or cancel it.";
        ProjectHeld { project: ProjectId, who: String } [Person] "project_held", "{who} put {project} on hold.", "`pullyard release`.";
        ProviderUnavailable { provider: String, time: Timestamp } [Itself] "provider_unavailable", "{provider} keeps failing; new jobs for it wait until {time}.", "Nothing to do.";
        LimitReached { time: Timestamp } [Itself] "limit_reached", "The model account's limit is used up until {time}.", "With another key or a raised limit: `pullyard breakers close`.";
        BudgetWait { project: ProjectId, time: Timestamp } [Itself] "budget_wait", "{project}'s budget is used up until {time}.", "Wait, or raise it: `pullyard budgets set`.";
        ProjectLimit { n: u64, max: u64, project: ProjectId, job: String, ahead: String } [Itself] "project_limit", "{n} of {max} places of {project} are taken, the longest by {job}; {ahead} jobs of the repository are ahead.", "Wait, or raise the limit: `pullyard settings set limits.running_jobs=N`.";
        RepositoryLimit { n: u64, max: u64, repo: RepositoryName, job: String, ahead: String } [Itself] "repository_limit", "{n} of {max} places of {repo} are taken, the longest by {job}; {ahead} jobs of the repository are ahead.", "Wait, or raise the limit: `pullyard repos set {repo} --running-jobs N`.";
        PlaceFree { ahead: String } [Itself] "place_free", "Places are free and are assigned within two minutes; {ahead} jobs of the repository are ahead.", "Nothing to do.";
        StartingNow { ago: Span } [Itself] "starting_now", "The job may start at any moment; it has been ready for {ago}.", "Nothing to do.";
    }
}
