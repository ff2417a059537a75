//! Reads the facts of decisions, strongly and in one call each.
//! This costs the same read units as single reads, but the other costs of a call only once.

use crate::item::{Attributes, decode, key_of};
use crate::key::{self, Key};
use crate::read::project::is_disconnected;
use crate::{Error, Store};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, IntegrationId, ProjectId, ReviewId, TicketKey};
use pullyard_domain::project::{Integration, Project, Repository};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::review::Review;
use pullyard_domain::ticket::Ticket;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkedReviewFacts {
    pub project: Option<Project>,
    pub repository: Option<Repository>,
    pub ticket: Option<Ticket>,
    pub delivery: Option<Delivery>,
}

impl Store {
    pub async fn load_project_and_ticket(
        &self,
        project: &ProjectId,
        ticket: &TicketKey,
    ) -> Result<(Option<Project>, Option<Ticket>), Error> {
        let (ticket, project) = (key::ticket(project, ticket), key::project(project));
        let mut found = self.load_items(&[&project, &ticket]).await?;
        Ok((found.take(&project)?, found.take(&ticket)?))
    }

    pub async fn load_project_and_repository(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        repository: u64,
    ) -> Result<(Option<Project>, Option<Repository>), Error> {
        let (repository, project) = (key::repository(project, integration, repository), key::project(project));
        let mut found = self.load_items(&[&project, &repository]).await?;
        Ok((found.take(&project)?, found.take(&repository)?))
    }

    /// A pull request's link, one of its reviews, and the forge of both, if that is connected.
    pub async fn load_link_and_review(
        &self,
        id: &PullRequestId,
        review: &ReviewId,
    ) -> Result<(Option<PullRequest>, Option<Review>, Option<Integration>), Error> {
        let (link, review) = (key::pull_request(id), key::review(id, review));
        let integration = key::integration(&id.integration);
        let mut found = self.load_items(&[&link, &review, &integration]).await?;
        found.0.retain(|of, item| *of != integration || !is_disconnected(item));
        Ok((found.take(&link)?, found.take(&review)?, found.take(&integration)?))
    }

    /// The facts for a review of a pull request that is linked to this project. `ticket` is the linked ticket, if any.
    pub async fn load_review_facts(
        &self,
        project: &ProjectId,
        id: &PullRequestId,
        repository: u64,
        ticket: Option<&TicketKey>,
        delivery: &DeliveryId,
    ) -> Result<LinkedReviewFacts, Error> {
        let ticket = ticket.map(|ticket| key::ticket(project, ticket));
        let (repository, project) = (key::repository(project, &id.integration, repository), key::project(project));
        let delivery = key::delivery(delivery);
        let keys: Vec<_> = [&project, &repository, &delivery].into_iter().chain(&ticket).collect();
        let mut found = self.load_items(&keys).await?;
        Ok(LinkedReviewFacts {
            project: found.take(&project)?,
            repository: found.take(&repository)?,
            ticket: ticket.map(|ticket| found.take(&ticket)).transpose()?.flatten(),
            delivery: found.take(&delivery)?,
        })
    }

    async fn load_items(&self, keys: &[&Key]) -> Result<ItemsByKey, Error> {
        let items = self.load_few(keys).await?;
        Ok(ItemsByKey(items.into_iter().map(|item| (key_of(&item), item)).collect()))
    }
}

/// Items of several kinds; `take` decodes one.
struct ItemsByKey(HashMap<Key, Attributes>);

impl ItemsByKey {
    fn take<T: DeserializeOwned>(&mut self, key: &Key) -> Result<Option<T>, Error> {
        self.0.remove(key).map(|item| decode(item, key)).transpose()
    }
}
