//! What a host may add to the forge: routes, callers, listeners and faults. The shipped program adds nothing; the fake
//! forge, which only tests link, adds Bitbucket's API, GitHub Apps and faults.

use std::{any::Any, collections::BTreeMap, fmt::Debug, io, sync::Arc};

use axum::Router;
use futures::future::{BoxFuture, FutureExt as _, ready};
use tokio::net::TcpListener;

use crate::{
    access::{Actor, Allowed, Need},
    deliveries::{DeliveryFault, Parcel},
    forge::Shared,
    pulls::Pull,
    record::ReviewRecord,
    repositories::Entry,
    state::HookRecord,
    users::Account,
};

/// Something that happened, for an extension that describes it in its own API's terms.
#[derive(Clone, Copy, Debug)]
pub enum Occurrence<'a> {
    PullRequest {
        pull: &'a Pull,
        action: &'a str,
    },
    Review {
        pull: &'a Pull,
        review: &'a ReviewRecord,
        action: &'a str,
    },
    /// A comment on a line or on the whole.
    Comment {
        pull: &'a Pull,
        id: u64,
        action: &'a str,
    },
    /// The repository was renamed or transferred; this is its earlier owner and name.
    Renamed {
        owner: &'a str,
        name: &'a str,
    },
    Deleted,
}

/// The headers of a delivery, and the name of the header that carries its signature.
pub struct DeliveryHeaders {
    pub headers: BTreeMap<&'static str, String>,
    pub signature: &'static str,
}

/// What a caller that is no member may do, such as an App's token.
pub trait Permit: Debug + Send + Sync {
    fn may(&self, entry: &Entry, need: Need) -> Allowed;

    /// The App installation behind the caller.
    fn installation(&self) -> u64;
}

/// The parts of a forge that its host adds. Every method has a default that adds nothing.
pub trait Extension: Any + Debug + Send + Sync {
    /// Routes next to the pages and GitHub's REST API.
    fn routes(&self) -> Router<Arc<Shared>> {
        Router::new()
    }

    /// Routes below GitHub's REST API.
    fn rest_routes(&self) -> Router<Arc<Shared>> {
        Router::new()
    }

    /// Serves the finished routes until `stop` resolves.
    fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        routes: Router,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, io::Result<()>> {
        axum::serve(listener, routes).with_graceful_shutdown(stop).into_future().boxed()
    }

    /// The caller that has this token, which is no member's.
    fn actor<'a>(&'a self, _shared: &'a Shared, _token: &'a str) -> BoxFuture<'a, Option<Actor>> {
        ready(None).boxed()
    }

    /// The App whose signed claim this is; else the sentence of the refusal.
    fn app<'a>(&'a self, _shared: &'a Shared, _claim: &'a str) -> BoxFuture<'a, Result<u64, String>> {
        ready(Err("Bad credentials".to_owned())).boxed()
    }

    /// The installation through which an App's hook receives events of a repository.
    fn installation<'a>(&'a self, _shared: &'a Shared, _app: u64, _entry: &'a Entry) -> BoxFuture<'a, Option<u64>> {
        ready(None).boxed()
    }

    /// Called after each change, whether or not any hook listens.
    fn publish<'a>(
        &'a self,
        _shared: &'a Arc<Shared>,
        _entry: &'a Entry,
        _by: &'a Account,
        _occurrence: Occurrence<'a>,
    ) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }

    /// The headers of a delivery to a hook that was not made through GitHub's API.
    fn delivery_headers(&self, _hook: &HookRecord, _parcel: &Parcel) -> DeliveryHeaders {
        DeliveryHeaders { headers: BTreeMap::new(), signature: "X-Hub-Signature" }
    }

    fn delivery_fault(&self) -> Option<DeliveryFault> {
        None
    }
}

#[derive(Debug)]
pub struct NoExtension;

impl Extension for NoExtension {}
