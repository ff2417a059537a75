//! Starting and stopping the forge. What its host may do to it without HTTP is in `host`;
//! how requests are answered is in `smart_http`, `rest` and `pages`.

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

/// How long requests under way may take once the forge is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Options {
    /// Where everything is kept; an earlier forge's folder is taken up again.
    pub dir: PathBuf,
    /// Bound by the caller on a loopback address.
    pub listener: TcpListener,
    /// Who may do everything in every repository; others are added later.
    pub users: Vec<User>,
    /// What the host adds; `NoExtension` adds nothing.
    pub extension: Arc<dyn Extension>,
}

/// A repository of the forge, as its host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The id in the REST API; may be larger than 2^53.
    pub id: u64,
    /// `owner/name`.
    pub full_name: String,
    /// The branch of the first commit.
    pub default_branch: String,
    /// What `git clone` takes.
    pub clone_url: String,
    pub html_url: String,
    /// The bare repository on disk.
    pub git_dir: PathBuf,
}

/// A running forge; dropping it stops it without waiting.
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
    /// Closed when the forge is over, for what would outlive the server.
    pub(crate) over: watch::Receiver<()>,
}

impl DemoForge {
    /// Serves the folder on the listener until `shutdown`.
    ///
    /// Errors: the listener is not on a loopback address, git is not installed, or the folder
    /// can't be used.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { dir, listener, users, extension } = options;
        let address = listener.local_addr().map_err(Error::storage("the listener"))?;
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback { address });
        }
        // Git's children get absolute paths, whatever folder the host runs in.
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
        // Outside of the routes: a path may be another one before it is looked up.
        let routes =
            Router::new().fallback_service(routes).layer(middleware::from_fn_with_state(shared.clone(), rest::by_id));
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async move {
                // A dropped forge stops as well.
                let _ = stopped.await;
            };
            if let Err(error) = extension.serve(listener, routes, Box::pin(stopped)).await {
                tracing::error!(error = %error, "the demo forge stopped serving: {error}");
            }
        });
        Ok(Self { shared, running: Mutex::new(Some(Running { stop, server, over })) })
    }

    /// The base of pages and git, such as `http://127.0.0.1:4010`, without a slash at the end.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// The base of the REST API, where GitHub Enterprise has it.
    pub fn api_url(&self) -> String {
        format!("{}/api/v3", self.shared.url)
    }

    /// The forge behind its routes, for an extension.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes a repository with one first commit of these files: path, contents, executable.
    ///
    /// Writes: the bare repository and its record under the folder.
    /// Errors: `RepositoryExists`, `InvalidName`, or git and the disk fail.
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

    /// Stops serving: requests under way get a few seconds to end, and then their git is told to. Repeating it does
    /// nothing.
    pub async fn shutdown(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, mut server, over }) = running else {
            return;
        };
        let _ = stop.send(());
        if timeout(STOP_LIMIT, &mut server).await.is_err() {
            server.abort();
        }
        // A fetch or push that is still under way ends here. Whoever stops the forge may end this process next, and
        // nobody would be left to tell its git.
        drop(over);
        let _ = timeout(STOP_LIMIT, self.shared.git.rest()).await;
    }
}

impl Shared {
    /// The extension that the host started the forge with, if it is of this type.
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

    /// Adds a member, or replaces the one with the same id.
    ///
    /// Writes: the forge's record.
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

    /// Renames or transfers a repository, and tells of it; the old name leads to it from then on.
    ///
    /// Writes: the old name in the forge's record, then the repository's own.
    pub async fn rename(self: &Arc<Self>, entry: &Arc<Entry>, by: &Actor, full_name: &str) -> Result<(), Error> {
        let (old_owner, old_name) = (entry.owner(), entry.name());
        self.repositories.rename(entry, full_name).await?;
        let (old, new) = (names::lookup_key(&old_owner, &old_name), full_name.to_ascii_lowercase());
        let moved = self.state.change(|state| {
            state.moved.insert(old, entry.id);
            // A name that is somebody's leads nowhere else.
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

    /// Deletes a repository. GitHub's hooks receive no event of it.
    pub async fn delete(self: &Arc<Self>, entry: &Arc<Entry>, by: &Account) -> Result<(), Error> {
        self.repositories.delete(entry).await?;
        self.extension.publish(self, entry, by, Occurrence::Deleted).await;
        Ok(())
    }
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{address}")
}
