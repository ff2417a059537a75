//! Names that most tests of the store use.

pub(crate) use crate::fleet::marked_offline;
pub(crate) use crate::hooks::hook;
pub(crate) use crate::reviews::{
    held_entry, linked_pull_request, pull_request_id, review, review_id, wait_request, waiting_review,
};
pub(crate) use crate::sample;
pub(crate) use crate::sample::at;
pub(crate) use crate::world::{
    EndingJob, Item, Items, first_registration, job_trigger, number_attribute, ticket_job_trigger,
};
pub(crate) use aws_sdk_dynamodb::types::AttributeValue;
pub(crate) use pullyard_domain::agent::breaker::KeyOwner;
pub(crate) use pullyard_domain::agent::runner::order::{Order, OrderState};
pub(crate) use pullyard_domain::agent::runner::{Drain, Presence, Runner, Slot};
pub(crate) use pullyard_domain::job::select::ClassRequirements;
pub(crate) use pullyard_domain::job::{AttemptEnd, Job, JobStatus};
pub(crate) use pullyard_domain::project::budget::Budget;
pub(crate) use pullyard_domain::project::hook::Webhook;
pub(crate) use pullyard_domain::project::{Compute, Project, Repository};
pub(crate) use pullyard_domain::review::delivery::Delivery;
pub(crate) use pullyard_domain::review::pull_request::PullRequest;
pub(crate) use pullyard_domain::review::{Review, ReviewState};
pub(crate) use pullyard_domain::text::decision::Reason;
pub(crate) use pullyard_domain::text::id::{
    ClaimId, ClassId, InstanceId, IntegrationId, JobId, ProjectId, RepositoryName,
};
pub(crate) use pullyard_domain::text::time::Timestamp;
pub(crate) use pullyard_domain::ticket::comment::Comment;
pub(crate) use pullyard_domain::ticket::event::TicketText;
pub(crate) use pullyard_domain::ticket::{Badge, Ticket};
pub(crate) use pullyard_store::{
    CommentCreation, Conclusion, EventBatch, JobCreation, JobWrite, RegistrationWrite, Request, ReviewTrigger,
    ReviewWait, RunWrite, RunnerCondition, Store, TicketCreation, WorkKey, Write,
};
pub(crate) use pullyard_testkit::Fault;
pub(crate) use std::collections::{BTreeMap, BTreeSet};
pub(crate) use std::pin::Pin;
pub(crate) use std::time::Duration;
