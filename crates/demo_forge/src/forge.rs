//! Starts and stops the forge.

use std::{
    any::Any,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, middleware};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    Error, User,
    access::Actor,
    clock::Clock,
    deliveries::Deliveries,
    events,
    extension::{Extension, Occurrence},
    git::Git,
    ids::Ids,
    names, pages,
    repositories::{Entry, Repositories},
    rest, smart_http,
    state::State,
    users::{Account, Member, Users},
};

const STOP_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub listener: TcpListener,
    /// Administrators of every repository.
    pub users: Vec<User>,
    pub extension: Arc<dyn Extension>,
}

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
pub struct DemoForge {
    pub(crate) shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    over: watch::Sender<()>,
}

#[derive(Debug)]
pub struct Shared {
    pub dir: PathBuf,
    pub url: String,
    pub git: Arc<Git>,
    pub users: Users,
    pub repositories: Repositories,
    pub clock: Clock,
    pub ids: Ids,
    pub state: State,
    pub(crate) extension: Arc<dyn Extension>,
    pub(crate) deliveries: Deliveries,
    /// Closed at shutdown, for tasks that outlive the server.
    pub(crate) over: watch::Receiver<()>,
}

impl DemoForge {
    /// Errors: the listener is not on a loopback address, git is missing, or the folder is unusable.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { dir, listener, users, extension } = options;
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
        let (over, is_over) = watch::channel(());
        let shared = Arc::new(Shared {
            over: is_over,
            url: base_url(address),
            users: Users::new(users, remembered),
            clock: Clock::default(),
            ids: Ids::load(&dir)?,
            extension: extension.clone(),
            deliveries: Deliveries::load(&dir)?,
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
        // `by_id` may change the path, so it must run before routing.
        let routes =
            Router::new().fallback_service(routes).layer(middleware::from_fn_with_state(shared.clone(), rest::by_id));
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            if let Err(error) = extension.serve(listener, routes, Box::pin(stopped)).await {
                tracing::error!(error = %error, "the demo forge stopped serving: {error}");
            }
        });
        Ok(Self { shared, running: Mutex::new(Some(Running { stop, server, over })) })
    }

    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    pub fn api_url(&self) -> String {
        format!("{}/api/v3", self.shared.url)
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Creates a repository with one commit of `files`: path, contents, executable.
    ///
    /// Writes: the bare repository and its record.
    /// Errors: `RepositoryExists`, `InvalidName`, or a failure of git or the disk.
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
        let Some(Running { stop, mut server, over }) = running else {
            return;
        };
        let _ = stop.send(());
        if timeout(STOP_LIMIT, &mut server).await.is_err() {
            server.abort();
        }
        // Stop running transfers now: the host process may exit next and could not stop them.
        drop(over);
        let _ = timeout(STOP_LIMIT, self.shared.git.rest()).await;
    }
}

impl Shared {
    pub fn extension<T: Extension>(&self) -> Option<&T> {
        let extension: &dyn Any = &*self.extension;
        extension.downcast_ref()
    }

    pub fn describe(&self, entry: &Entry) -> Repository {
        let full_name = entry.full_name();
        Repository {
            id: entry.id,
            default_branch: entry.default_branch.clone(),
            clone_url: format!("{}/{full_name}.git", self.url),
            html_url: format!("{}/{full_name}", self.url),
            git_dir: entry.git_dir(),
            full_name,
        }
    }

    pub async fn put_member(&self, member: Member) -> Result<(), Error> {
        let added = member.clone();
        let stored = self.state.change(|state| {
            state.users.retain(|known| known.user.id != added.user.id);
            state.users.push(added);
            Ok::<_, Error>(())
        });
        stored.await?;
        self.users.put(member);
        Ok(())
    }

    /// Renames or transfers a repository; the old name redirects to the new one.
    ///
    /// Writes: the repository's record, then the old name in the forge's record.
    pub async fn rename(self: &Arc<Self>, entry: &Arc<Entry>, by: &Actor, full_name: &str) -> Result<(), Error> {
        let (old_owner, old_name) = (entry.owner(), entry.name());
        self.repositories.rename(entry, full_name).await?;
        let (old, new) = (names::lookup_key(&old_owner, &old_name), full_name.to_ascii_lowercase());
        let moved = self.state.change(|state| {
            state.moved.insert(old, entry.id);
            // The name of an existing repository must not redirect.
            state.moved.remove(&new);
            Ok::<_, Error>(())
        });
        moved.await?;
        let renamed = Occurrence::Renamed { owner: &old_owner, name: &old_name };
        self.extension.publish(self, entry, &by.account, renamed).await;
        if old_owner.eq_ignore_ascii_case(&entry.owner()) {
            let changes = serde_json::json!({ "changes": { "repository": { "name": { "from": old_name } } } });
            events::repository(self, entry, by, "renamed", changes).await;
        } else {
            let from = events::previous_owner(self, &old_owner);
            let changes = serde_json::json!({ "changes": { "owner": { "from": from } } });
            events::repository(self, entry, by, "transferred", changes).await;
        }
        Ok(())
    }

    /// Sends no event to GitHub's hooks.
    pub async fn delete(self: &Arc<Self>, entry: &Arc<Entry>, by: &Account) -> Result<(), Error> {
        self.repositories.delete(entry).await?;
        self.extension.publish(self, entry, by, Occurrence::Deleted).await;
        Ok(())
    }
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{address}")
}
