//! Reads the `work` index, which suggests items that are due and jobs that may be claimed; the item itself decides.

use crate::item::{Attributes, number_attribute, string_attribute};
use crate::schema::WORK;
use crate::transaction::string_value;
use crate::{Error, Store, key};
use pullyard_domain::id::{ClassId, IntegrationId, JobId, ProjectId, TicketKey};
use pullyard_domain::pull_request::PullRequestId;
use pullyard_domain::select::Candidate;
use pullyard_domain::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkKey {
    Job(JobId),
    Ticket(ProjectId, TicketKey),
    PullRequest(PullRequestId),
    Poll(ProjectId, IntegrationId, u64),
}

impl WorkKey {
    fn parse(pk: &str) -> Option<Self> {
        if let Some(job) = pk.strip_prefix("JOB#") {
            return JobId::new(job).ok().map(Self::Job);
        }
        if let Some(id) = pk.strip_prefix("PR#") {
            return id.replace('#', "/").parse().ok().map(Self::PullRequest);
        }
        if let Some(poll) = pk.strip_prefix(key::POLLS) {
            let [project, integration, repository] = poll.split('#').collect::<Vec<_>>()[..] else { return None };
            let (project, integration) = (project.parse().ok()?, integration.parse().ok()?);
            return Some(Self::Poll(project, integration, repository.parse().ok()?));
        }
        let (project, ticket) = pk.strip_prefix("TICKET#")?.split_once('#')?;
        Some(Self::Ticket(project.parse().ok()?, TicketKey::new(key::percent_decode(ticket)?).ok()?))
    }
}

impl Store {
    /// The items of one shard with their due times, longest due first, at most `limit`. Items that are not due yet are
    /// included: a page of up to 4 KB costs the same half unit.
    pub async fn list_due(&self, shard: u8, limit: i32) -> Result<Vec<(WorkKey, Timestamp)>, Error> {
        let rows = self.query_work_rows(&key::due_partition(shard), limit).await?;
        Ok(rows.into_iter().map(|(key, at)| (key, Timestamp::from_millis(at))).collect())
    }

    /// The jobs of a class that may be claimed, oldest first, at most `limit`.
    pub async fn list_ready_jobs(&self, class: &ClassId, limit: i32) -> Result<Vec<Candidate>, Error> {
        let rows = self.query_work_rows(&key::ready_partition(class), limit).await?;
        let candidate = |(key, order)| match key {
            WorkKey::Job(job) => Some(Candidate { job, class: class.clone(), order }),
            WorkKey::Ticket(..) | WorkKey::PullRequest(_) | WorkKey::Poll(..) => None,
        };
        Ok(rows.into_iter().filter_map(candidate).collect())
    }

    /// The tickets of a project whose entries wait until it may start jobs again, oldest first, at most `limit`.
    pub async fn list_held_tickets(&self, project: &ProjectId, limit: i32) -> Result<Vec<WorkKey>, Error> {
        Ok(self.query_work_rows(&key::held_partition(project), limit).await?.into_iter().map(|(key, _)| key).collect())
    }

    async fn query_work_rows(&self, partition: &str, limit: i32) -> Result<Vec<(WorkKey, i64)>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(WORK)
            .key_condition_expression("wk = :wk")
            .expression_attribute_values(":wk", string_value(partition))
            .limit(limit);
        let page = query.send().await.map_err(|error| Error::unavailable("read the due items", error))?;
        let row =
            |item: &Attributes| Some((WorkKey::parse(string_attribute(item, "pk")?)?, number_attribute(item, "ws")?));
        Ok(page.items().iter().filter_map(row).collect())
    }
}
