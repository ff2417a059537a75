//! What decisions are made from, read strongly and in one call each: the units are those of single reads, and what
//! each call costs besides is paid once.

use crate::item::{Attributes, decode, key_of};
use crate::key::{self, Key};
use crate::read::project::is_gone;
use crate::{Error, Store};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, IntegrationId, ProjectId, ReviewId, TicketKey};
use pullyard_domain::project::{Integration, Project, Repository};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::review::Review;
use pullyard_domain::ticket::Ticket;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// Where a review of a linked pull request is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    pub project: Option<Project>,
    pub repository: Option<Repository>,
    /// The ticket that the pull request is linked to.
    pub ticket: Option<Ticket>,
    /// The review's ledger entry there.
    pub delivery: Option<Delivery>,
}

impl Store {
    pub async fn project_and_ticket(
        &self,
        project: &ProjectId,
        ticket: &TicketKey,
    ) -> Result<(Option<Project>, Option<Ticket>), Error> {
        let (ticket, project) = (key::ticket(project, ticket), key::project(project));
        let mut found = self.found(&[&project, &ticket]).await?;
        Ok((found.take(&project)?, found.take(&ticket)?))
    }

    /// A project and one of its repositories, by the forge's id.
    pub async fn project_and_repository(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        repository: u64,
    ) -> Result<(Option<Project>, Option<Repository>), Error> {
        let (repository, project) = (key::repository(project, integration, repository), key::project(project));
        let mut found = self.found(&[&project, &repository]).await?;
        Ok((found.take(&project)?, found.take(&repository)?))
    }

    /// A pull request's link, one of its reviews, and the forge that both are of, if that is connected.
    pub async fn link_and_review(
        &self,
        id: &PullRequestId,
        review: &ReviewId,
    ) -> Result<(Option<PullRequest>, Option<Review>, Option<Integration>), Error> {
        let (link, review) = (key::pull_request(id), key::review(id, review));
        let integration = key::integration(&id.integration);
        let mut found = self.found(&[&link, &review, &integration]).await?;
        found.0.retain(|of, item| *of != integration || !is_gone(item));
        Ok((found.take(&link)?, found.take(&review)?, found.take(&integration)?))
    }

    /// Where a review of a pull request is decided that this project's ticket is linked to, if it names one; with its
    /// ledger entry.
    pub async fn linked(
        &self,
        project: &ProjectId,
        id: &PullRequestId,
        repository: u64,
        ticket: Option<&TicketKey>,
        delivery: &DeliveryId,
    ) -> Result<Linked, Error> {
        let ticket = ticket.map(|ticket| key::ticket(project, ticket));
        let (repository, project) = (key::repository(project, &id.integration, repository), key::project(project));
        let delivery = key::delivery(delivery);
        let keys: Vec<_> = [&project, &repository, &delivery].into_iter().chain(&ticket).collect();
        let mut found = self.found(&keys).await?;
        Ok(Linked {
            project: found.take(&project)?,
            repository: found.take(&repository)?,
            ticket: ticket.map(|ticket| found.take(&ticket)).transpose()?.flatten(),
            delivery: found.take(&delivery)?,
        })
    }

    async fn found(&self, keys: &[&Key]) -> Result<Found, Error> {
        let items = self.few(keys).await?;
        Ok(Found(items.into_iter().map(|item| (key_of(&item), item)).collect()))
    }
}

/// Items of several kinds, each to be taken as what it is.
struct Found(HashMap<Key, Attributes>);

impl Found {
    fn take<T: DeserializeOwned>(&mut self, key: &Key) -> Result<Option<T>, Error> {
        self.0.remove(key).map(|item| decode(item, key)).transpose()
    }
}
