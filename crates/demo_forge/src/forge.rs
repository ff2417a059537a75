//! Starting and stopping the forge, and what its host may do to it without HTTP.
//! How requests are answered is in `smart_http`, `rest` and `pages`.

use std::{
    net::SocketAddr,
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
    git::Git,
    names::FullName,
    pages,
    repositories::{Entry, Repositories},
    rest, smart_http,
    users::Users,
};

/// How long requests under way may take once the forge is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a forge is made of.
#[derive(Debug)]
pub struct Options {
    /// Where everything is kept; an earlier forge's folder is taken up again.
    pub dir: PathBuf,
    /// Bound by the caller on a loopback address.
    pub listener: TcpListener,
    /// Everyone who may use it.
    pub users: Vec<User>,
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
    /// The page for people.
    pub html_url: String,
    /// The bare repository on disk.
    pub git_dir: PathBuf,
}

/// A running forge; dropping it stops it without waiting.
#[derive(Debug)]
pub struct DemoForge {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    over: watch::Sender<()>,
}

/// What every route needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) url: String,
    pub(crate) git: Arc<Git>,
    pub(crate) users: Users,
    pub(crate) repositories: Repositories,
    /// Closed when the forge is over, for what would outlive the server.
    pub(crate) over: watch::Receiver<()>,
}

impl DemoForge {
    /// Serves the folder on the listener until `shutdown`.
    ///
    /// Errors: the listener is not on a loopback address, git is not installed, or the folder
    /// can't be used.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { dir, listener, users } = options;
        let address = listener.local_addr().map_err(Error::storage("the listener"))?;
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback { address });
        }
        // Git's children get absolute paths, whatever folder the host runs in.
        let dir = std::path::absolute(&dir).map_err(Error::storage(&dir))?;
        tokio::fs::create_dir_all(&dir).await.map_err(Error::storage(&dir))?;
        let git = Arc::new(Git::find(&dir).await?);
        let repositories = Repositories::load(&dir, git.clone()).await?;
        let (over, is_over) = watch::channel(());
        let shared = Arc::new(Shared {
            over: is_over,
            url: base_url(address),
            users: Users::new(users),
            dir,
            git,
            repositories,
        });
        let routes = Router::new()
            .merge(smart_http::routes())
            .merge(pages::routes())
            .nest("/api/v3", rest::routes())
            .with_state(shared.clone());
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async move {
                // A dropped forge stops as well.
                let _ = stopped.await;
            };
            if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(stopped).await {
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

    /// The repository of this name, if there is one.
    pub async fn repository(&self, full_name: &str) -> Option<Repository> {
        let (owner, name) = full_name.split_once('/')?;
        let entry = self.shared.repositories.find(owner, name).await?;
        Some(self.shared.describe(&entry))
    }

    /// Gives the next pull request of a repository this number, so that a demo does not begin at 1.
    ///
    /// Writes: the repository's record. A number that was given out already is never given again:
    /// a lower one changes nothing.
    pub async fn number_pull_requests_from(&self, full_name: &str, next: u64) -> Result<(), Error> {
        let FullName { owner, name } = FullName::parse(full_name)?;
        let entry = self.shared.repositories.find(&owner, &name).await;
        let entry = entry.ok_or_else(|| Error::RepositoryMissing { full_name: full_name.to_owned() })?;
        let mut record = entry.record.lock().await;
        let mut changed = record.clone();
        changed.next_number = changed.next_number.max(next);
        entry.replace(&mut record, changed).await
    }

    /// Stops serving: requests under way get a few seconds to end. Repeating it does nothing.
    pub async fn shutdown(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, mut server, over }) = running else {
            return;
        };
        let _ = stop.send(());
        if timeout(STOP_LIMIT, &mut server).await.is_err() {
            server.abort();
        }
        // A fetch or push that is still under way ends here.
        drop(over);
    }
}

impl Shared {
    pub(crate) fn describe(&self, entry: &Entry) -> Repository {
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
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{address}")
}
