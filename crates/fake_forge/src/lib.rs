//! Test extension of the demo forge: Bitbucket Cloud's REST API, GitHub Apps, and injected faults. Only tests link it.

mod apps;
mod bitbucket;
mod faults;

use std::{
    io,
    sync::{Arc, OnceLock},
};

use axum::{Router, middleware};
use futures::future::{BoxFuture, FutureExt as _};
use pullyard_demo_forge::{
    DemoForge, Error, Extension,
    access::Actor,
    deliveries::{DeliveryHeaders, NewDelivery},
    forge_state::{ForgeEvent, Shared},
    repositories::RepositoryEntry,
    state::{HookRecord, State},
    users::Account,
};
use tokio::{net::TcpListener, sync::OnceCell};

pub use faults::{CallFilter, Fault};
pub use pullyard_demo_forge::deliveries::DeliveryFault;

use apps::AppsRecord;
use faults::{ConnectionHandle, CuttableListener, Faults};

#[derive(Debug, Default)]
pub struct FakeForge {
    faults: Arc<Faults>,
    apps: OnceCell<State<AppsRecord>>,
}

impl FakeForge {
    pub fn extension() -> Arc<dyn Extension> {
        Arc::new(Self::default())
    }
}

impl Extension for FakeForge {
    fn routes(&self) -> Router<Arc<Shared>> {
        bitbucket::routes().merge(apps::page_routes())
    }

    fn rest_routes(&self) -> Router<Arc<Shared>> {
        apps::rest_routes()
    }

    fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        routes: Router,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, io::Result<()>> {
        let routes = routes.layer(middleware::from_fn_with_state(self.faults.clone(), faults::inject));
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
}

impl TestForge for DemoForge {
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
}

fn faults_of(forge: &DemoForge) -> &Faults {
    static NONE: OnceLock<Faults> = OnceLock::new();
    forge.state().extension::<FakeForge>().map_or_else(|| NONE.get_or_init(Faults::default), |fake| &fake.faults)
}
