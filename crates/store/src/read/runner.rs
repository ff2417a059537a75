//! Reads self-hosted runners, job classes, and the sweeper's last round.

use crate::item::class::Class;
use crate::item::sweeps::Sweeps;
use crate::item::{Name, decoded, key_of};
use crate::key::{self, RUNNER_SHARDS};
use crate::{Error, Store};
use pullyard_domain::fleet::Member;
use pullyard_domain::id::{ClassId, ProjectId, RunnerId};
use pullyard_domain::runner::{Profile, Runner};
use pullyard_domain::select::ClassRequirements;
use std::collections::{BTreeSet, HashMap};

impl Store {
    /// The changing part of a runner, read strongly.
    pub async fn runner(&self, runner: &RunnerId) -> Result<Option<Runner>, Error> {
        self.get(&key::runner(runner)).await
    }

    /// Both parts of a runner, read strongly in one call; `None` if a part is missing.
    pub async fn member(&self, runner: &RunnerId) -> Result<Option<Member>, Error> {
        Ok(self.members(&BTreeSet::from([runner.clone()])).await?.pop())
    }

    /// Like `member` for many runners, in any order. Missing runners are omitted.
    pub async fn members(&self, runners: &BTreeSet<RunnerId>) -> Result<Vec<Member>, Error> {
        let keys: Vec<_> = runners.iter().flat_map(|id| [key::runner(id), key::runner_profile(id)]).collect();
        let (mut found, mut profiles) = (Vec::new(), HashMap::new());
        for item in self.many(&keys).await? {
            if key_of(&item).pk.starts_with(key::RUNNERS) {
                found.push(decoded::<Runner>(item)?);
            } else {
                let profile: Profile = decoded(item)?;
                profiles.insert(profile.id.clone(), profile);
            }
        }
        let member = |runner: Runner| Some(Member { profile: profiles.remove(&runner.id)?, runner });
        Ok(found.into_iter().filter_map(member).collect())
    }

    pub async fn runner_named(&self, name: &str) -> Result<Option<RunnerId>, Error> {
        Ok(self.get::<Name>(&key::runner_name(name)).await?.map(|name| name.owner))
    }

    pub fn runner_shards() -> std::ops::Range<u8> {
        0..RUNNER_SHARDS
    }

    /// The runners of one shard, read strongly. A runner that cannot be decoded is returned as its error, so that it
    /// does not hide the others.
    pub async fn runners_of(&self, shard: u8) -> Result<Vec<Result<Runner, Error>>, Error> {
        let items = self.pages(&key::runner_shard(shard), "", "read the runners").await?;
        Ok(items.into_iter().map(decoded).collect())
    }

    pub async fn runners(&self) -> Result<Vec<Result<Runner, Error>>, Error> {
        let mut runners = Vec::new();
        for shard in Self::runner_shards() {
            runners.extend(self.runners_of(shard).await?);
        }
        Ok(runners)
    }

    /// The profiles of these runners, in any order, read strongly. Missing ones are omitted; errors as in `runners_of`.
    pub async fn runner_profiles(&self, runners: &[RunnerId]) -> Result<Vec<Result<Profile, Error>>, Error> {
        let keys: Vec<_> = runners.iter().map(key::runner_profile).collect();
        Ok(self.many(&keys).await?.into_iter().map(decoded).collect())
    }

    /// The classes of a project's jobs, with their requirements for a runner. Errors as in `runners_of`.
    pub async fn classes(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<Result<(ClassId, ClassRequirements), Error>>, Error> {
        let pk = key::class_pool(project);
        let items = self.pages(&pk, "CLASS#", "read the classes of a project").await?;
        let class = |item| decoded::<Class>(item).map(|class| (class.class, class.needs));
        Ok(items.into_iter().map(class).collect())
    }

    pub async fn class(&self, project: &ProjectId, class: &ClassId) -> Result<Option<ClassRequirements>, Error> {
        Ok(self.get::<Class>(&key::class(project, class)).await?.map(|class| class.needs))
    }

    pub async fn sweeps(&self) -> Result<Option<Sweeps>, Error> {
        self.get(&key::sweeps()).await
    }
}
