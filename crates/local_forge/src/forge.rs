//! Starts and stops the forge.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    Error, User,
    clock::Clock,
    deliveries::Deliveries,
    forge_state::{Extension, Repository, Shared},
    git::Git,
    ids::IdGenerator,
    pages,
    repositories::Repositories,
    rest, smart_http,
    state::State,
    users::Users,
};

const STOP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub listener: TcpListener,
    /// Administrators of every repository.
    pub users: Vec<User>,
    /// Address below which Pullyard shows the pull requests: `/REPOSITORY ID/NUMBER` follows.
    pub pages: Option<String>,
    pub extension: Arc<dyn Extension>,
}

#[derive(Debug)]
pub struct LocalForge {
    pub(crate) shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    shutdown: watch::Sender<()>,
}

impl LocalForge {
    /// Errors: the listener is not on a loopback address, git is missing, or the folder is unusable.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { dir, listener, users, pages: pages_url, extension } = options;
        let address = listener.local_addr().map_err(Error::storage("the listener"))?;
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback { address });
        }
        // Git's children run in other folders, so the path must be absolute.
        let dir = std::path::absolute(&dir).map_err(Error::storage(&dir))?;
        tokio::fs::create_dir_all(&dir).await.map_err(Error::storage(&dir))?;
        let git = Arc::new(Git::find(&dir).await?);
        let repositories = Repositories::load(&dir, git.clone()).await?;
        let state: State = State::load(&dir, "forge.json").await?;
        let remembered = state.read(|state| state.users.clone()).await;
        let (shutdown_sender, is_over) = watch::channel(());
        let shared = Arc::new(Shared {
            shutdown: is_over,
            url: format!("http://{address}"),
            users: Users::new(users, remembered),
            pages: pages_url,
            clock: Clock::default(),
            ids: IdGenerator::load(&dir)?,
            extension: extension.clone(),
            deliveries: Deliveries::default(),
            state,
            dir,
            git,
            repositories,
        });
        let routes = Router::new()
            .merge(smart_http::routes())
            .merge(pages::routes())
            .nest("/api/v3", rest::routes(extension.rest_routes()))
            .merge(extension.routes())
            .merge(rest::graphql_route())
            .with_state(shared.clone());
        let routes = pullyard_loopback::require_own_host(routes, &[], "");
        let (stop, stopped) = oneshot::channel();
        let shared_by_server = shared.clone();
        let server = tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            if let Err(error) = extension.serve(shared_by_server, listener, routes, Box::pin(stopped)).await {
                tracing::error!(error = %error, "the local forge stopped serving: {error}");
            }
        });
        Ok(Self { shared, running: Mutex::new(Some(Running { stop, server, shutdown: shutdown_sender })) })
    }

    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    pub fn api_url(&self) -> String {
        format!("{}/api/v3", self.shared.url)
    }

    pub fn state(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Creates a repository with one commit of `files`: path, contents, executable.
    /// Writes: the repository and its record. Errors: `RepositoryExists`, `InvalidName`, or a failure of git or disk.
    pub async fn create_repository(
        &self,
        full_name: &str,
        default_branch: &str,
        files: &[(&str, &str, bool)],
    ) -> Result<Repository, Error> {
        let entry = self.shared.repositories.create(full_name, default_branch, files).await?;
        Ok(self.shared.describe(&entry))
    }

    pub async fn repository(&self, full_name: &str) -> Option<Repository> {
        let (owner, name) = full_name.split_once('/')?;
        let entry = self.shared.repositories.find(owner, name).await?;
        Some(self.shared.describe(&entry))
    }

    /// Waits up to five seconds for open requests, then stops their git processes. Idempotent.
    pub async fn shutdown(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, mut server, shutdown: shutdown_sender }) = running else {
            return;
        };
        let _ = stop.send(());
        if timeout(STOP_TIMEOUT, &mut server).await.is_err() {
            server.abort();
        }
        // Stop running transfers now: the host process may exit next and could not stop them.
        drop(shutdown_sender);
        let _ = timeout(STOP_TIMEOUT, self.shared.git.wait_idle()).await;
    }
}
