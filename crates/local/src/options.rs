//! The options of the local system.

use pullyard_emulator::lambda::Function;
use pullyard_emulator::{Credentials, Endpoints};
use pullyard_entry::{Clock, Config, Disk};
use pullyard_function_pages::ListRepositories;
use pullyard_local_forge::{Extension, NoExtension};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Puts proxies of a test between the functions and AWS: the functions call the returned addresses.
pub type AwsProxies = Arc<dyn Fn(Endpoints) -> Endpoints + Send + Sync>;

/// Returns the replacement of the function with this name, or `None` to run its library.
pub type FunctionOverrides = Arc<dyn Fn(&'static str, &Config) -> Option<Function> + Send + Sync>;

/// Contains keys, so it has no `Debug`.
#[derive(Clone)]
pub struct Options {
    pub data: PathBuf,
    pub api: String,
    /// Address of a proxy in front of the API. The API accepts its host, and pages and messages name it.
    pub public_url: Option<String>,
    /// Limit of open files, within which the API's listener stays; `None` if it is far higher than necessary.
    pub open_files: Option<usize>,
    pub forge: String,
    pub forge_extension: Arc<dyn Extension>,
    /// First of five preferred ports; free ports if `None`.
    pub aws_first_port: Option<u16>,
    /// Random in `new`, so that a request that another start signed is refused.
    pub credentials: Credentials,
    pub runner: Vec<String>,
    /// Jobs at once; further ones wait.
    pub max_jobs: Option<usize>,
    /// Returns the missing space or inodes of the work folder's disk. Jobs wait until it returns `None`.
    pub find_low_space: fn(&Path) -> Option<String>,
    pub task_environment: Vec<(String, String)>,
    /// Lists the capabilities of this machine's agents, each with whether this process has a key for it.
    pub list_agents: fn() -> Vec<(&'static str, bool)>,
    /// Lists git repositories of this machine that the pages offer.
    pub list_repositories: Arc<ListRepositories>,
    pub sweep_interval: Duration,
    /// For each answer of the API and of an embedded service, and for an idle connection; `None` sets the limits of
    /// the gateway and of the SDK. A machine that runs many systems at once needs a longer one.
    pub answer_limit: Option<Duration>,
    pub clock: Clock,
    pub hints: HintDelivery,
    pub new_admin_token: bool,
    pub aws_proxies: Option<AwsProxies>,
    pub function_overrides: Option<FunctionOverrides>,
    /// Name in the metrics, which are written to the log; `None` writes none.
    pub deployment: Option<String>,
    pub commit: &'static str,
    /// The address of the releases of this program; empty without one.
    pub releases: &'static str,
    pub isolation: String,
    /// The disk of the data folder; without a limit by default.
    pub disk: Disk,
    /// Worktrees, mirrors and undelivered results; in the data folder if `None`.
    pub work: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintDelivery {
    Deliver,
    /// Drops all hints except the sweeper's, so that only the table can restore the work.
    Drop,
}

impl Options {
    pub fn new(data: PathBuf, runner: Vec<String>) -> Self {
        let any = || "127.0.0.1:0".to_owned();
        Self {
            data,
            api: any(),
            public_url: None,
            open_files: None,
            forge: any(),
            forge_extension: Arc::new(NoExtension),
            aws_first_port: None,
            credentials: Credentials::random(),
            runner,
            max_jobs: None,
            find_low_space: |_| None,
            task_environment: Vec::new(),
            list_agents: Vec::new,
            list_repositories: Arc::new(Vec::new),
            sweep_interval: Duration::from_secs(5),
            answer_limit: None,
            clock: Clock::default(),
            hints: HintDelivery::Deliver,
            new_admin_token: false,
            aws_proxies: None,
            function_overrides: None,
            deployment: None,
            commit: "unknown",
            releases: "",
            isolation: "none".into(),
            disk: Disk::default(),
            work: None,
        }
    }
}
