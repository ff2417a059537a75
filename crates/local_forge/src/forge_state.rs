//! The parts of the forge that all routes share, and the interface for extensions.
//! An extension adds routes, callers, listeners and faults. The fake forge, which only tests link, is one.

use std::{any::Any, collections::BTreeMap, fmt::Debug, io, path::PathBuf, sync::Arc};

use axum::Router;
use futures::future::{BoxFuture, FutureExt as _, ready};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    Error,
    access::Actor,
    clock::Clock,
    deliveries::{Deliveries, DeliveryFault, DeliveryHeaders, NewDelivery},
    git::Git,
    ids::IdGenerator,
    record::{Pull, ReviewRecord},
    repositories::{Repositories, RepositoryEntry},
    state::{HookRecord, State},
    users::{Account, Member, Users},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// May exceed 2^53.
    pub id: u64,
    pub full_name: String,
    pub default_branch: String,
    pub clone_url: String,
    pub html_url: String,
    pub git_dir: PathBuf,
}

#[derive(Debug)]
pub struct Shared {
    pub dir: PathBuf,
    pub url: String,
    pub(crate) pages: Option<String>,
    pub git: Arc<Git>,
    pub users: Users,
    pub repositories: Repositories,
    pub clock: Clock,
    pub ids: IdGenerator,
    pub state: State,
    pub(crate) extension: Arc<dyn Extension>,
    pub(crate) deliveries: Deliveries,
    /// Closed at shutdown, for tasks that outlive the server.
    pub(crate) shutdown: watch::Receiver<()>,
}

impl Shared {
    pub fn extension<T: Extension>(&self) -> Option<&T> {
        let extension: &dyn Any = &*self.extension;
        extension.downcast_ref()
    }

    pub fn describe(&self, entry: &RepositoryEntry) -> Repository {
        let full_name = entry.full_name();
        Repository {
            id: entry.id,
            default_branch: entry.default_branch.clone(),
            clone_url: format!("{}/{full_name}.git", self.url),
            html_url: format!("{}/{full_name}", self.url),
            git_dir: entry.git_dir.clone(),
            full_name,
        }
    }

    pub async fn put_member(&self, member: Member) -> Result<(), Error> {
        let added = member.clone();
        let update = self.state.update(|state| {
            state.users.retain(|existing| existing.user.id != added.user.id);
            state.users.push(added);
            Ok::<_, Error>(())
        });
        update.await?;
        self.users.put(member);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
pub enum ForgeEvent<'a> {
    PullRequest { pull: &'a Pull, action: &'a str },
    Review { pull: &'a Pull, review: &'a ReviewRecord, action: &'a str },
    Comment { pull: &'a Pull, id: u64, action: &'a str },
}

pub trait Extension: Any + Debug + Send + Sync {
    fn routes(&self) -> Router<Arc<Shared>> {
        Router::new()
    }

    fn rest_routes(&self) -> Router<Arc<Shared>> {
        Router::new()
    }

    fn serve(
        self: Arc<Self>,
        _shared: Arc<Shared>,
        listener: TcpListener,
        routes: Router,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, io::Result<()>> {
        axum::serve(listener, routes).with_graceful_shutdown(stop).into_future().boxed()
    }

    fn authenticate_token<'a>(&'a self, _shared: &'a Shared, _token: &'a str) -> BoxFuture<'a, Option<Actor>> {
        ready(None).boxed()
    }

    /// Returns the App that signed the JWT, or the message of the refusal.
    fn authenticate_app<'a>(&'a self, _shared: &'a Shared, _claim: &'a str) -> BoxFuture<'a, Result<u64, String>> {
        ready(Err("Bad credentials".to_owned())).boxed()
    }

    fn installation<'a>(
        &'a self,
        _shared: &'a Shared,
        _app: u64,
        _entry: &'a RepositoryEntry,
    ) -> BoxFuture<'a, Option<u64>> {
        ready(None).boxed()
    }

    /// Called after each change, even without hooks.
    fn publish<'a>(
        &'a self,
        _shared: &'a Arc<Shared>,
        _entry: &'a RepositoryEntry,
        _by: &'a Account,
        _occurrence: ForgeEvent<'a>,
    ) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }

    fn delivery_headers(&self, _hook: &HookRecord, _parcel: &NewDelivery) -> DeliveryHeaders {
        DeliveryHeaders { headers: BTreeMap::new(), signature: "X-Hub-Signature" }
    }

    fn next_delivery_fault(&self) -> Option<DeliveryFault> {
        None
    }
}

#[derive(Debug)]
pub struct NoExtension;

impl Extension for NoExtension {}
