//! Names that most tests of the use cases use.

pub(crate) use crate::world::assert_applied;
pub(crate) use pullyard_control::Requester;
pub(crate) use pullyard_control::runner::RunnerToken;
pub(crate) use pullyard_domain::agent::runner::Runner;
pub(crate) use pullyard_domain::job::{Fence, Job, JobStatus};
pub(crate) use pullyard_domain::project::{Compute, Settings};
pub(crate) use pullyard_domain::review::pull_request::{PullRequest, PullRequestId};
pub(crate) use pullyard_domain::text::id::{ClaimId, EventId, FinishId, InstanceId, JobId, ProjectId, TicketKey};
pub(crate) use pullyard_domain::text::time::Timestamp;
pub(crate) use pullyard_domain::ticket::Ticket;
pub(crate) use pullyard_domain::ticket::event::TicketText;
pub(crate) use pullyard_testkit::{Fault, Wire};
pub(crate) use std::collections::BTreeSet;
pub(crate) use std::time::Duration;
