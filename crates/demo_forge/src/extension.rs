//! The interface of the fake forge, which only tests link: routes, callers, listeners and faults.

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
    /// A comment on a line or on the whole pull request.
    Comment {
        pull: &'a Pull,
        id: u64,
        action: &'a str,
    },
    Renamed {
        owner: &'a str,
        name: &'a str,
    },
    Deleted,
}

pub struct DeliveryHeaders {
    pub headers: BTreeMap<&'static str, String>,
    pub signature: &'static str,
}

pub trait Permit: Debug + Send + Sync {
    fn may(&self, entry: &Entry, need: Need) -> Allowed;

    fn installation(&self) -> u64;
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
        listener: TcpListener,
        routes: Router,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, io::Result<()>> {
        axum::serve(listener, routes).with_graceful_shutdown(stop).into_future().boxed()
    }

    fn actor<'a>(&'a self, _shared: &'a Shared, _token: &'a str) -> BoxFuture<'a, Option<Actor>> {
        ready(None).boxed()
    }

    /// Returns the App that signed the JWT, or the message of the refusal.
    fn app<'a>(&'a self, _shared: &'a Shared, _claim: &'a str) -> BoxFuture<'a, Result<u64, String>> {
        ready(Err("Bad credentials".to_owned())).boxed()
    }

    fn installation<'a>(&'a self, _shared: &'a Shared, _app: u64, _entry: &'a Entry) -> BoxFuture<'a, Option<u64>> {
        ready(None).boxed()
    }

    /// Called after each change, even without hooks.
    fn publish<'a>(
        &'a self,
        _shared: &'a Arc<Shared>,
        _entry: &'a Entry,
        _by: &'a Account,
        _occurrence: Occurrence<'a>,
    ) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }

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
