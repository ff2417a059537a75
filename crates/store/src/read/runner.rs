//! Reads self-hosted runners, job classes, and the sweeper's last round.

use crate::item::sweeper_state::SweeperState;
use crate::item::{Attributes, Class, RunnerName, blob, key_of, number_attribute};
use crate::key::{self, RUNNER_SHARDS};
use crate::read::partition::SortKeys;
use crate::{Error, Store};
use pullyard_domain::agent::runner::{Profile, Runner};
use pullyard_domain::job::fleet::{FleetSnapshot, Member};
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::text::id::{ClassId, ProjectId, RunnerId};
use pullyard_domain::text::time::Timestamp;
use std::collections::{BTreeSet, HashMap};

impl Store {
    pub async fn load_runner(&self, runner: &RunnerId) -> Result<Option<Runner>, Error> {
        self.load(&key::runner(runner)).await
    }

    /// Both parts of a runner, read strongly in one call; `None` if a part is missing.
    pub async fn load_member(&self, runner: &RunnerId) -> Result<Option<Member>, Error> {
        Ok(self.load_members(&BTreeSet::from([runner.clone()])).await?.pop())
    }

    /// Like `load_member` for many runners, in any order. Missing runners are omitted.
    pub async fn load_members(&self, runners: &BTreeSet<RunnerId>) -> Result<Vec<Member>, Error> {
        let keys: Vec<_> = runners.iter().flat_map(|id| [key::runner(id), key::runner_profile(id)]).collect();
        let (mut found, mut profiles) = (Vec::new(), HashMap::new());
        for item in self.load_many(&keys).await? {
            if key_of(&item).pk.starts_with(key::RUNNERS) {
                found.push(self.decode::<Runner>(&item)?);
            } else {
                let profile: Profile = self.decode(&item)?;
                profiles.insert(profile.id.clone(), profile);
            }
        }
        let member = |runner: Runner| Some(Member { profile: profiles.remove(&runner.id)?, runner });
        Ok(found.into_iter().filter_map(member).collect())
    }

    pub async fn load_runner_id(&self, name: &str) -> Result<Option<RunnerId>, Error> {
        Ok(self.load::<RunnerName>(&key::runner_name(name)).await?.map(|name| name.owner))
    }

    pub fn runner_shards() -> std::ops::Range<u8> {
        0..RUNNER_SHARDS
    }

    /// Read strongly. A runner that cannot be decoded is returned as its error, so that it hides no other.
    pub async fn list_shard_runners(&self, shard: u8) -> Result<Vec<Result<Runner, Error>>, Error> {
        let items = self.query_items(&key::runner_shard(shard), SortKeys::All, None, "read the runners").await?;
        Ok(items.iter().map(|item| self.decode(item)).collect())
    }

    pub async fn list_runners(&self) -> Result<Vec<Result<Runner, Error>>, Error> {
        let mut runners = Vec::new();
        for shard in Self::runner_shards() {
            runners.extend(self.list_shard_runners(shard).await?);
        }
        Ok(runners)
    }

    /// The profiles of these runners, in any order, without missing ones. Errors: as in `list_shard_runners`.
    pub async fn load_runner_profiles(&self, runners: &[RunnerId]) -> Result<Vec<Result<Profile, Error>>, Error> {
        let keys: Vec<_> = runners.iter().map(key::runner_profile).collect();
        Ok(self.load_many(&keys).await?.iter().map(|item| self.decode(item)).collect())
    }

    /// The classes of a project's jobs, with their requirements for a runner. Errors as in `list_shard_runners`.
    pub async fn list_classes(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<Result<(ClassId, ClassRequirements), Error>>, Error> {
        let pk = key::class_pool(project);
        let items = self.query_items(&pk, SortKeys::Prefix("CLASS#"), None, "read the classes of a project").await?;
        let class = |item| self.decode::<Class>(item).map(|class| (class.class, class.needs));
        Ok(items.iter().map(class).collect())
    }

    pub async fn load_class(&self, project: &ProjectId, class: &ClassId) -> Result<Option<ClassRequirements>, Error> {
        Ok(self.load::<Class>(&key::class(project, class)).await?.map(|class| class.needs))
    }

    pub async fn load_sweeper_state(&self) -> Result<Option<SweeperState>, Error> {
        self.load(&key::sweeps()).await
    }

    /// `None` also without a recent item: an old one is not unpacked.
    pub async fn load_fleet(&self, now: Timestamp) -> Result<Option<FleetSnapshot>, Error> {
        let key = key::fleet();
        let item = self.load_attributes(&key).await?;
        let at = |item: &Attributes| number_attribute(item, "at").map(Timestamp::from_millis);
        let is_recent = |item: &Attributes| at(item).is_some_and(|at| FleetSnapshot::is_recent(at, now));
        item.filter(is_recent).map(|item| blob::unpack(&key, &item)).transpose()
    }
}
