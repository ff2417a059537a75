//! Reads the `work` index, which suggests items that are due and jobs that may be claimed; the item itself decides.

use crate::item::{Attributes, number_attribute, string_attribute};
use crate::key::Key;
use crate::schema::WORK;
use crate::transaction::{number_value, string_value};
use crate::{Error, Store, key};
use pullyard_domain::job::select::Candidate;
use pullyard_domain::project::schedule::ScheduleId;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::text::id::{ClassId, IntegrationId, JobId, NoticeId, ProjectId, RunId, TicketKey};
use pullyard_domain::text::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkKey {
    Job(JobId),
    Ticket(ProjectId, TicketKey),
    PullRequest(PullRequestId),
    Poll(ProjectId, IntegrationId, u64),
    Schedule(ScheduleId),
    Notice(NoticeId),
    Run(RunId),
}

/// A page of due items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePage {
    /// The items with their due times, longest due first. Rows that cannot be parsed are missing.
    pub rows: Vec<(WorkKey, Timestamp)>,
    /// Further rows may follow.
    pub is_full: bool,
}

/// A page of jobs of a class that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyPage {
    /// By `Job::order`. Rows that cannot be parsed are missing.
    pub rows: Vec<Candidate>,
    /// Further rows may follow.
    pub is_full: bool,
}

impl WorkKey {
    pub(crate) fn item(&self) -> Key {
        match self {
            Self::Job(job) => key::job(job),
            Self::Ticket(project, ticket) => key::ticket(project, ticket),
            Self::PullRequest(id) => key::pull_request(id),
            Self::Poll(project, integration, repository) => key::poll(project, integration, *repository),
            Self::Schedule(id) => key::schedule(id),
            Self::Notice(id) => key::notice(id),
            Self::Run(id) => key::run(id),
        }
    }

    fn parse(pk: &str, sk: &str) -> Option<Self> {
        let (kind, id) = pk.split_once('#')?;
        Some(match kind {
            "JOB" => Self::Job(id.parse().ok()?),
            "NOTICE" => Self::Notice(id.parse().ok()?),
            "RUN" => Self::Run(id.parse().ok()?),
            "PR" => Self::PullRequest(id.replace('#', "/").parse().ok()?),
            "POLL" => {
                let [project, integration, repository] = id.split('#').collect::<Vec<_>>()[..] else { return None };
                Self::Poll(project.parse().ok()?, integration.parse().ok()?, repository.parse().ok()?)
            }
            "SCHEDULE" => {
                let name = sk.strip_prefix(key::SCHEDULES)?.parse().ok()?;
                Self::Schedule(ScheduleId { project: id.parse().ok()?, name })
            }
            "TICKET" => {
                let (project, ticket) = id.split_once('#')?;
                Self::Ticket(project.parse().ok()?, TicketKey::new(key::percent_decode(ticket)?).ok()?)
            }
            _ => return None,
        })
    }
}

pub(super) struct WorkPage {
    pub(super) rows: Vec<(WorkKey, i64)>,
    is_full: bool,
}

impl Store {
    /// The items of one shard with their due times, longest due first, at most `limit`. Items that are not due yet are
    /// included: a page of up to 4 KB costs the same half unit.
    pub async fn list_due(&self, shard: u8, limit: i32) -> Result<Vec<(WorkKey, Timestamp)>, Error> {
        Ok(self.list_due_after(shard, None, limit).await?.rows)
    }

    /// Like `list_due`, behind an earlier row, which need not exist any more.
    pub async fn list_due_after(
        &self,
        shard: u8,
        after: Option<&(WorkKey, Timestamp)>,
        limit: i32,
    ) -> Result<DuePage, Error> {
        let after = after.map(|(key, at)| (key.item(), at.millis()));
        let page = self.query_work_rows(&key::due_partition(shard), after, limit).await?;
        let rows = page.rows.into_iter().map(|(key, at)| (key, Timestamp::from_millis(at))).collect();
        Ok(DuePage { rows, is_full: page.is_full })
    }

    /// The jobs of a class that may be claimed, by `Job::order`, at most `limit`.
    pub async fn list_ready_jobs(&self, class: &ClassId, limit: i32) -> Result<Vec<Candidate>, Error> {
        Ok(self.list_ready_jobs_after(class, None, limit).await?.rows)
    }

    /// Like `list_ready_jobs`, behind an earlier row, whose job need not be Ready any more.
    pub async fn list_ready_jobs_after(
        &self,
        class: &ClassId,
        after: Option<&Candidate>,
        limit: i32,
    ) -> Result<ReadyPage, Error> {
        let after = after.map(|row| (key::job(&row.job), row.order));
        let page = self.query_work_rows(&key::ready_partition(class), after, limit).await?;
        let candidate = |(key, order)| match key {
            WorkKey::Job(job) => Some(Candidate { job, class: class.clone(), order }),
            _ => None,
        };
        Ok(ReadyPage { rows: page.rows.into_iter().filter_map(candidate).collect(), is_full: page.is_full })
    }

    /// The tickets of a project whose entries wait until it may start jobs again, and the runs whose steps do, oldest
    /// first, at most `limit`.
    pub async fn list_held(&self, project: &ProjectId, limit: i32) -> Result<Vec<WorkKey>, Error> {
        let rows = self.query_work_rows(&key::held_partition(project), None, limit).await?.rows;
        Ok(rows.into_iter().map(|(key, _)| key).collect())
    }

    pub(super) async fn query_work_rows(
        &self,
        partition: &str,
        after: Option<(Key, i64)>,
        limit: i32,
    ) -> Result<WorkPage, Error> {
        let start = after.map(|(key, order)| {
            let mut start = key.attributes();
            start.extend([("wk".into(), string_value(partition)), ("ws".into(), number_value(order))]);
            start
        });
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(WORK)
            .key_condition_expression("wk = :wk")
            .expression_attribute_values(":wk", string_value(partition))
            .set_exclusive_start_key(start)
            .limit(limit);
        let page = query.send().await.map_err(|error| Error::unavailable("read the due items", error))?;
        let row = |item: &Attributes| {
            let key = WorkKey::parse(string_attribute(item, "pk")?, string_attribute(item, "sk")?)?;
            Some((key, number_attribute(item, "ws")?))
        };
        let is_full = i32::try_from(page.items().len()).is_ok_and(|len| len >= limit);
        Ok(WorkPage { rows: page.items().iter().filter_map(row).collect(), is_full })
    }
}
