//! The use cases: load facts, decide in the domain, write once, send hints.
//! Business rules are in the domain; HTTP, Lambda and SDK types are in the functions. Every use case may be repeated,
//! and may crash after any line: [`sweep`] finds the remaining work in the table.

pub mod attempt {
    pub(crate) mod breaker;
    mod checkpoint;
    pub(crate) mod close_breaker;
    mod credentials;
    mod events;
    mod finish;
    mod inputs;
    mod set_phase;
    mod start;
    mod yield_job;

    pub use checkpoint::{Checkpoint, CheckpointLookup, MissingCheckpoint, find_checkpoint};
    pub use credentials::{Credentials, issue_credentials};
    pub use events::{BatchCounts, EventsAck, record_events};
    pub use finish::{Finish, finish_attempt};
    pub(crate) use finish::{link_late_pull_request, load_charged_label};
    pub use inputs::list_inputs;
    pub use set_phase::{PhaseAnswer, set_phase};
    pub use start::{Assignment, is_kind_known, start_attempt};
    pub use yield_job::{YieldOutcome, YieldReport, yield_job};
}
mod admin;
mod allowed_names;
mod analyses;
mod answer;
mod caches;
mod calls;
mod clock;
mod context;
mod corrupt;
mod counters;
mod disk;
mod error;
mod facts;
mod forge;
mod forge_tokens;
mod hints;
pub mod hooks;
mod host_rest;
mod jobs;
mod notify;
mod own_comment;
mod poll;
mod postpone;
mod requester;
pub mod review;
pub mod runner;
mod runs;
mod schedules;
mod search;
mod signed_tokens;
mod sweep;
mod templates;
mod tickets;
mod trackers;
pub mod webhook;

pub use admin::check_agent::check_agent;
pub use admin::check_model_key::{ModelUrls, check_model_key, check_model_key_of_project, check_stored_model_key};
pub use admin::columns::{RenamedColumn, rename_column};
pub use admin::connect_app::{ExistingApp, connect_github_app, create_github_app};
pub use admin::connect_with_value::{connect_forge_with_token, connect_github_app_with_key, replace_credential};
pub use admin::dead_letters::{
    DeadLetterPage, DeadLetterView, LetterAction, MoveResult, get_dead_letter, list_dead_letters, move_dead_letters,
};
pub use admin::default_repository::make_only_repository_default;
pub use admin::delete_project::{ProjectDeletion, delete_project};
pub use admin::hold::{hold_project, load_budget, release_project};
pub use admin::projects::{
    IfConnected, RepositorySettings, add_repository, connect_forge, create_project, rename_project, set_settings,
};
pub use admin::readiness::{Snapshot, SweeperGauges, check_readiness, load_snapshot};
pub use admin::record_unreadable::record_unreadable;
pub use admin::remove_integration::remove_integration;
pub use admin::remove_repository::{RemovedRepository, remove_repository};
pub use admin::rotate_secret::{previous_valid_until, rotate_secret};
pub use admin::secrets::{
    UserSecret, delete_secret, generate_secret_value, list_secret_users, list_secrets, set_secret,
};
pub use admin::sign_in::{
    SessionCookie, SignInLink, create_sign_in_link, load_valid_token, sign_in, sign_in_with_token,
};
pub use admin::test_integration::{IntegrationTestResult, test_integration};
pub use admin::test_repository::{
    Feature, FeatureNeed, FeatureRow, FeatureStatus, LOCAL_FORGE, RepositoryTestResult, test_repository,
};
pub use admin::test_summary::TestSummary;
pub use admin::tokens::{CreatedToken, create_token, list_tokens, revoke_token};
pub use allowed_names::{list_secret_projects, set_integration_projects, set_secret_projects};
pub use analyses::{list_analyses, load_analysis, load_report};
pub use answer::Answer;
pub use attempt::close_breaker::{close_breaker, list_open_breakers};
pub use calls::{handle_call, handle_effect};
pub use clock::{Clock, PauseFuture};
pub use context::{Context, ContextParts};
pub use corrupt::load_readable_projects;
pub use counters::{Counter, Counters};
pub use disk::Disk;
pub use error::{Error, SecretFault};
pub use forge_tokens::ForgeTokens;
pub use jobs::answer_job::answer_job;
pub use jobs::artifacts::{
    ArtifactUpload, artifact_url, list_artifacts, mark_artifact_stored, read_artifact, reserve_artifact,
};
pub use jobs::cancel_job::cancel_job;
pub use jobs::create_job::{JobRequest, create_job};
pub use jobs::dispatch::{dispatch, start_waiting};
pub use jobs::event_pages::{JobEvents, list_events, list_events_before, list_events_from};
pub use jobs::overview::{Overview, PullRequestCount, load_overview};
pub use jobs::pause_job::{continue_job, pause_job};
pub use jobs::record_task_stop::record_task_stop;
pub use jobs::retry_job::retry_job;
pub use jobs::search_events::{EventSearch, search_events};
pub use jobs::search_jobs::{FoundJob, FoundJobs, search_jobs};
pub use jobs::start_analysis::{StartAnalysis, start_analysis};
pub use jobs::views::{
    JobView, RevisedPullRequest, job_view, list_attempts, load_context, load_output, load_pull_request_state,
    load_pull_request_states, load_runner_labels,
};
pub use notify::endpoints::{delete_endpoint, enable_endpoint, list_endpoints, put_endpoint, test_endpoint};
pub use notify::notices::{list_notices, redeliver_notice};
pub use notify::send_notice;
pub use poll::{poll_repository, set_ingress};
pub use pullyard_forge::features::WorkflowPolicy;
pub use pullyard_forge::{
    Actor as ForgeActor, Lines, NewLineComment, NewReview, NewState, PullRequest as ForgePullRequest,
    PullRequestState as ForgePullRequestState, Review as ForgeReview, ReviewComment, ReviewState as ForgeReviewState,
    Time as ForgeTime, Verdict as ReviewVerdict,
};
pub use pullyard_forge::{AppManifest, Connections, GitHubSite, is_account_name};
pub use pullyard_store::{Error as StoreError, Token as StoredToken};
pub use requester::Requester;
pub use review::list_deliveries::{DeliveryList, list_deliveries};
pub use review::local_forge::{
    ActionOutcome, LocalAction, LocalPullRequest, act_on_local_pull_request, is_local_forge, load_local_pull_request,
};
pub use review::replay::replay_delivery;
pub use runs::advance::advance_run;
pub use runs::order::{RunOrder, order_run};
pub use runs::pull_request::{create_step_pull_request, merge_run_pull_request};
pub use runs::submit::{RunKey, RunSubmission, SubmitFault, Submitted, check_plan, submit_run};
pub use runs::{RunView, list_runs, load_plan, load_run, show_run};
pub use schedules::{command_schedule, delete_schedule, load_schedule, put_schedule, run_due_schedules};
pub use search::{SearchResults, TicketHit, search_project};
pub use signed_tokens::{AppRequest, Bootstrap, Session, SignInCode, SigningKey};
pub use sweep::{Report, SweepResult, sweep};
pub use templates::{delete_template, list_templates, load_template, put_template, refuse_submission, submit};
pub use tickets::board_view::{BoardView, Card, list_jobs_of_ticket, load_board};
pub use tickets::comments::{
    AddedComment, CommentChange, CommentPage, NewComment, add_comment, delete_comment, edit_comment, list_comments,
    list_comments_of,
};
pub use tickets::create_ticket::{NewTicket, create_ticket, load_created_key};
pub use tickets::delete_ticket::delete_ticket;
pub use tickets::edit_ticket::{TextChanges, TicketEdit, edit_ticket, text_version};
pub use tickets::move_board_ticket::{TicketMove, move_board_ticket};
pub use tickets::move_ticket::move_ticket;
pub use tickets::order::load_column;
pub use tickets::raise_limit::{LimitRaise, RaisedSubject, SpendingView, load_ticket_spending, raise_limit};
pub use tickets::settle_ticket::settle_ticket;
pub use tickets::suggest_key::suggest_ticket_key;
pub use tickets::views::{TicketView, ticket_view, ticket_views};
pub use trackers::add::{AddedTracker, NewTracker, add_tracker};
pub use trackers::choose::{ChosenTool, hook_url, is_new_tool, list_tool, unuse_tracker, use_tracker};
pub use trackers::deliveries::{ToolDelivery, receive_tool_delivery};
pub use trackers::look::look_at_ticket;
pub use trackers::signed_events::{EventSignature, is_tool_of, verify_event};
pub use trackers::{DeletedTracker, TrackerView, delete_tracker, list_trackers, list_unsynced_tickets};
pub use trackers::{load_tracker, show_tracker, sync_ticket, test_tracker};
