//! Test extension of the local forge: Bitbucket Cloud's REST API, GitHub Apps, calls of reviewers, renamed repositories,
//! and injected faults. Only tests link it.

mod apps;
mod bitbucket;
mod faults;
mod issues;
mod moves;
mod reviewers;
mod tool;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::{Router, middleware};
use futures::future::{BoxFuture, FutureExt as _};
use pullyard_local_forge::access::Actor;
use pullyard_local_forge::deliveries::{DeliveryHeaders, NewDelivery};
use pullyard_local_forge::forge_state::{ForgeEvent, Shared};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::reviews::Rejection;
use pullyard_local_forge::state::{HookRecord, State};
use pullyard_local_forge::users::Account;
use pullyard_local_forge::{Error, Extension, LocalForge, pulls};
use tokio::{net::TcpListener, sync::OnceCell};

pub use faults::{CallFilter, Fault};
pub use pullyard_local_forge::deliveries::DeliveryFault;

use apps::AppsRecord;
use faults::{ConnectionHandle, CuttableListener, Faults};

#[derive(Debug, Default)]
pub struct FakeForge {
    faults: Arc<Faults>,
    apps: OnceCell<State<AppsRecord>>,
    /// The old names of repositories, in lower case, and their ids.
    moved: Mutex<BTreeMap<String, u64>>,
    tool: tool::Tickets,
    issues: issues::Issues,
}

impl FakeForge {
    fn moved(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn extension() -> Arc<dyn Extension> {
        Arc::new(Self::default())
    }
}

impl Extension for FakeForge {
    fn routes(&self) -> Router<Arc<Shared>> {
        bitbucket::routes().merge(apps::page_routes()).merge(tool::routes(self.tool.clone()))
    }

    fn rest_routes(&self) -> Router<Arc<Shared>> {
        apps::rest_routes().merge(reviewers::routes())
    }

    fn serve(
        self: Arc<Self>,
        shared: Arc<Shared>,
        listener: TcpListener,
        routes: Router,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, io::Result<()>> {
        // A redirect may change the path, so it must run before routing.
        let routes = Router::new()
            .fallback_service(routes)
            .layer(middleware::from_fn_with_state(shared.clone(), issues::handle))
            .layer(middleware::from_fn_with_state(shared, moves::redirect))
            .layer(middleware::from_fn_with_state(self.faults.clone(), faults::inject));
        let routes = routes.into_make_service_with_connect_info::<ConnectionHandle>();
        axum::serve(CuttableListener(listener), routes).with_graceful_shutdown(stop).into_future().boxed()
    }

    fn authenticate_token<'a>(&'a self, shared: &'a Shared, token: &'a str) -> BoxFuture<'a, Option<Actor>> {
        apps::actor(shared, token).boxed()
    }

    fn authenticate_app<'a>(&'a self, shared: &'a Shared, claim: &'a str) -> BoxFuture<'a, Result<u64, String>> {
        apps::verify(shared, claim).boxed()
    }

    fn installation<'a>(
        &'a self,
        shared: &'a Shared,
        app: u64,
        entry: &'a RepositoryEntry,
    ) -> BoxFuture<'a, Option<u64>> {
        apps::installation_of(shared, app, entry).boxed()
    }

    fn publish<'a>(
        &'a self,
        shared: &'a Arc<Shared>,
        entry: &'a RepositoryEntry,
        by: &'a Account,
        occurrence: ForgeEvent<'a>,
    ) -> BoxFuture<'a, ()> {
        bitbucket::publish(shared, entry, by, occurrence).boxed()
    }

    fn delivery_headers(&self, hook: &HookRecord, parcel: &NewDelivery) -> DeliveryHeaders {
        bitbucket::delivery_headers(hook, parcel)
    }

    fn next_delivery_fault(&self) -> Option<DeliveryFault> {
        self.faults.next_delivery()
    }
}

pub trait TestForge {
    fn bitbucket_api_url(&self) -> String;

    fn inject_fault(&self, calls: CallFilter, times: usize, fault: Fault);

    fn inject_delivery_fault(&self, times: usize, fault: DeliveryFault);

    fn clear_faults(&self);

    fn install_app(
        &self,
        slug: &str,
        owner: &str,
        full_names: Option<&[&str]>,
    ) -> impl Future<Output = Result<u64, Error>> + Send;

    fn rename_repository(
        &self,
        full_name: &str,
        new: &str,
        login: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    fn delete_repository(&self, full_name: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Shows the head of a pull request as a branch of another repository.
    fn set_head_fork(&self, full_name: &str, number: u64, fork: u64) -> impl Future<Output = Result<(), Error>> + Send;

    /// Raises the number of the next pull request; never lowers it.
    fn set_next_number(&self, full_name: &str, next: u64) -> impl Future<Output = Result<(), Error>> + Send;

    fn edit_review(
        &self,
        full_name: &str,
        of: (u64, u64),
        login: &str,
        text: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

fn actor(forge: &LocalForge, login: &str) -> Result<Actor, Error> {
    let member = forge.state().users.by_login(login);
    member.map(|member| Actor::from_member(&member)).ok_or_else(|| Error::UserMissing { login: login.to_owned() })
}

fn to_error(objection: Rejection) -> Error {
    match objection {
        Rejection::Internal(error) => error,
        other => Error::Refused { what: "change the pull request", reason: format!("{other:?}") },
    }
}

impl TestForge for LocalForge {
    fn bitbucket_api_url(&self) -> String {
        format!("{}{}", self.url(), bitbucket::API_PATH)
    }

    fn inject_fault(&self, calls: CallFilter, times: usize, fault: Fault) {
        faults_of(self).add(calls, times, fault);
    }

    fn inject_delivery_fault(&self, times: usize, fault: DeliveryFault) {
        faults_of(self).add_delivery_fault(times, fault);
    }

    fn clear_faults(&self) {
        faults_of(self).clear();
    }

    async fn install_app(&self, slug: &str, owner: &str, full_names: Option<&[&str]>) -> Result<u64, Error> {
        let mut ids = None;
        for full_name in full_names.into_iter().flatten() {
            let id = self.entry(full_name).await?.id;
            ids.get_or_insert_with(Vec::new).push(id);
        }
        apps::install(self.state(), slug, owner, ids).await
    }

    async fn rename_repository(&self, full_name: &str, new: &str, login: &str) -> Result<(), Error> {
        moves::rename(self.state(), &self.entry(full_name).await?, &actor(self, login)?, new).await
    }

    async fn delete_repository(&self, full_name: &str) -> Result<(), Error> {
        moves::delete(self.state(), &self.entry(full_name).await?).await
    }

    async fn set_head_fork(&self, full_name: &str, number: u64, fork: u64) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let changed = pulls::update_record(self.state(), &entry, number, |pull| {
            pull.fork = Some(fork);
            Ok::<_, Error>(())
        });
        changed.await.map(drop)
    }

    async fn set_next_number(&self, full_name: &str, next: u64) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let mut record = entry.record.lock().await;
        let mut changed = record.clone();
        changed.next_number = changed.next_number.max(next);
        entry.save(&mut record, changed).await
    }

    async fn edit_review(&self, full_name: &str, of: (u64, u64), login: &str, text: &str) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let actor = actor(self, login)?;
        let edited = reviewers::edit_review(self.state(), &entry, &actor, of, text.to_owned());
        edited.await.map(drop).map_err(to_error)
    }
}

fn faults_of(forge: &LocalForge) -> &Faults {
    static NONE: OnceLock<Faults> = OnceLock::new();
    forge.state().extension::<FakeForge>().map_or_else(|| NONE.get_or_init(Faults::default), |fake| &fake.faults)
}
