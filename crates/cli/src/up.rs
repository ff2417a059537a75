//! `pullyard up`: runs the whole system on this machine.
//! Chooses data folder and addresses, prints its addresses and handles the end; `pullyard-local` does the rest.

mod context;
mod faults;
mod folder;
mod jobs;
mod nearby;
mod watch;

use crate::client::{CliError, Global, Screen, open_in_browser};
use crate::disk::free_bytes;
use crate::logs;
use crate::signals::EndSignals;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::text::id::IntegrationId;
use pullyard_local::{Addresses, Disk, Error, LOCAL_FORGE, LocalSystem, Options};
use pullyard_protocol::client::ApiClient;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::runner::RunnerIsolation;
use pullyard_runner::{Isolation, OTHER_ISOLATIONS, check_disk_limit, check_process_memory, root_work_folder};
use pullyard_sandbox::raise_open_files_limit;
use serde_json::json;
use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const DEFAULT_API_PORT: u16 = 7878;
const FORGE_PORTS: RangeInclusive<u16> = 7879..=7978;
/// Preferred port of the embedded AWS, with the next four, so that events/env.json reaches it.
const AWS_FIRST_PORT: u16 = 7980;
const LEVELS: [&str; 6] = ["auto", "bubblewrap", "landlock", "seatbelt", "external", "none"];

/// Run all of Pullyard on this machine until Ctrl-C.
///
/// Everything is embedded: DynamoDB, SQS, ECS, Secrets Manager, a git forge for local repositories.
/// Needs git and, on Linux, bubblewrap for the agents' sandbox; no account, no Docker. All state is in the data folder.
/// Restart with the same folder to continue, including running jobs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard up
  pullyard up --data ~/pullyard --listen 127.0.0.1:8080
  pullyard up --data ~/second --listen 127.0.0.1:8080 --forge-listen 127.0.0.1:8081   a second one
  pullyard up --public-url https://pullyard.example.com   behind a TLS proxy of that name
  pullyard up --jobs 4               at most four jobs at once
  pullyard up --isolation none       agents without a sandbox
  pullyard up --new-admin-token      the old token stops working, the context gets the new one

Then, in another terminal:
  pullyard projects create shop --name Shop
  pullyard repos add --path .
  pullyard jobs create --prompt 'Greet in French' --wait")]
pub(crate) struct Up {
    /// Data folder.
    #[arg(long, env = "PULLYARD_DATA", value_name = "DIR", default_value = ".pullyard")]
    data: PathBuf,
    /// Loopback address to listen on (default: the last one, or 127.0.0.1:7878).
    #[arg(long, env = "PULLYARD_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// Loopback address of the embedded forge, for a new data folder only, because clones and pull requests contain it
    /// (default: the first free port from 7879).
    #[arg(long, env = "PULLYARD_FORGE_LISTEN", value_name = "ADDRESS")]
    forge_listen: Option<String>,
    /// Address of a TLS proxy in front of `up`: the API accepts its host, and links name it (default: this machine's).
    #[arg(long, env = "PULLYARD_PUBLIC_URL", value_name = "URL", value_parser = parse_public_url)]
    public_url: Option<String>,
    /// Jobs at once; further ones wait for a free place (default: one per core, at most one per 2 GB of memory).
    #[arg(long, env = "PULLYARD_JOBS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Open the board in a browser.
    #[arg(long)]
    open: bool,
    /// Where agents and the project's commands run: `bubblewrap` for a sandbox, `external` if this machine is one,
    /// `none` for this user's rights, `auto` for this system's sandbox.
    #[arg(long, env = "PULLYARD_ISOLATION", value_name = "LEVEL", value_parser = LEVELS, default_value = "auto")]
    isolation: String,
    /// Size of a job's folder, such as 10g, above which the job fails (default: 10g).
    #[arg(long, env = "PULLYARD_DISK_LIMIT", value_name = "SIZE", value_parser = check_disk_limit)]
    disk_limit: Option<String>,
    /// Memory of each sandboxed process, such as 8g, or `unlimited`, which address and thread sanitizers need (default:
    /// three quarters of the machine's).
    #[arg(long, env = "PULLYARD_PROCESS_MEMORY", value_name = "SIZE", value_parser = check_process_memory)]
    process_memory: Option<String>,
    /// Create another admin token and revoke the old one, if it was lost or leaked.
    #[arg(long)]
    new_admin_token: bool,
    /// Write metrics into the log, in CloudWatch's embedded metric format, under this name.
    #[arg(long, env = "PULLYARD_DEPLOYMENT", value_name = "NAME", hide = true)]
    deployment: Option<String>,
}

impl Up {
    pub(crate) async fn run(self, global: &Global) -> ExitCode {
        let screen = Screen::new(global);
        match self.serve(global, &screen).await {
            Ok(code) => code,
            Err(fault) => fault.print_with_document(&screen),
        }
    }

    async fn serve(self, global: &Global, screen: &Screen) -> Result<ExitCode, CliError> {
        // Listen from the start, so that an interrupted start also shuts down in order.
        let mut signals = EndSignals::listen()?;
        let data = folder::prepare(&self.data)?;
        let mut options = Options::new(data.clone(), crate::runner::command()?);
        let last = Addresses::load(&data).map_err(|error| faults::start_fault(error, &data))?;
        options.api = api_address(self.listen.as_deref(), last.as_ref())?;
        let forge = forge_address(self.forge_listen.as_deref(), last.as_ref())?;
        options.public_url.clone_from(&self.public_url);
        options.max_jobs = Some(self.jobs.map_or_else(jobs::default_jobs, |jobs| jobs as usize));
        options.find_low_space = pullyard_runner::find_low_space;
        options.open_files = raise_open_files_limit();
        options.aws_first_port = Some(AWS_FIRST_PORT);
        options.task_environment = crate::runner::agent_environment();
        options.list_agents = pullyard_runner::list_local_agents;
        if let Ok(folder) = std::env::current_dir() {
            options.list_repositories = nearby::repository_list(folder);
        }
        options.commit = pullyard_version::COMMIT;
        options.releases = pullyard_version::RELEASES;
        let isolation = self.isolation.parse::<Isolation>().map_err(|error| CliError::failed(error.to_string()))?;
        options.isolation = isolation.as_str().into();
        options.work = Some(isolation).filter(|level| *level != Isolation::None).and_then(|_| root_work_folder(&data));
        let work = options.work.clone().unwrap_or_else(|| data.join("work"));
        let isolation = check_isolation(isolation, work).await?;
        options.task_environment.push(("PULLYARD_ISOLATION_CHECK".into(), isolation.result.clone()));
        let limits = [("PULLYARD_DISK_LIMIT", &self.disk_limit), ("PULLYARD_PROCESS_MEMORY", &self.process_memory)];
        let limits = limits.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit.clone()?)));
        options.task_environment.extend(limits);
        let disk = data.clone();
        options.disk = Disk::new(move || free_bytes(&disk));
        options.new_admin_token = self.new_admin_token;
        options.deployment = self.deployment.clone().filter(|name| !name.is_empty());
        logs::to_folder(&data.join("logs"))?;
        let local = tokio::select! {
            local = start(options, forge) => local.map_err(|error| faults::start_fault(error, &data))?,
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        let api = ApiClient::new(local.api_url(), local.admin_token())?;
        connect_forge(&local, &api).await?;
        // A proxy in front may not run yet.
        let sign_in = api.create_sign_in_link().await?.url;
        let path = sign_in.find("/sign-in?").and_then(|start| sign_in.get(start..)).unwrap_or_default();
        let mut sign_in = format!("{}{path}", local.api_url());
        if api.projects(None).await?.projects.is_empty() {
            sign_in.push_str("&to=/setup/start");
        }
        let context = context::save(&local, &data, global.context());
        self.print_addresses(screen, &local, &data, &context, &sign_in, &isolation)?;
        if self.open {
            open_in_browser(&sign_in);
        }
        tokio::select! {
            _ = signals.next() => {}
            never = watch::watch_forever(&data, screen) => match never {},
        };
        let running = local.count_running_tasks().await;
        local.detach().await;
        if running > 0 {
            let jobs = if running == 1 { "1 job keeps".to_owned() } else { format!("{running} jobs keep") };
            screen.note(&format!("Stopped. {jobs} running; `pullyard up` on this folder reconnects."));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print_addresses(
        &self,
        screen: &Screen,
        local: &LocalSystem,
        data: &Path,
        context: &context::SaveOutcome,
        sign_in: &str,
        isolation: &RunnerIsolation,
    ) -> Result<(), CliError> {
        if screen.is_json() {
            return screen.json(&json!({
                "api": local.api_url(),
                "forge": local.forge().url(),
                "data": data,
                "context": context.name(),
                "isolation": isolation,
                "sign_in": sign_in,
            }));
        }
        let mut lines = vec![
            ("Pullyard", format!("{}, {}", local.api_url(), context.describe())),
            ("Sign in", format!("{sign_in}   (once; `pullyard open` creates another)")),
            ("Data", format!("{}, logs in its folder logs", data.display())),
            ("Isolation", format!("{}: {}", isolation.level, isolation.result)),
        ];
        if isolation.level != Isolation::None.as_str()
            && let Some(work) = root_work_folder(data)
        {
            let reason = "because agents have accounts of their own, which cannot enter folders of root";
            lines.push(("Jobs", format!("work in {}, {reason}", work.display())));
        }
        lines.push(("Stop", "Ctrl-C; running jobs continue, and the next `pullyard up` reconnects".to_owned()));
        for (label, text) in lines {
            screen.print_line(&format!("{label:>11}  {text}"))?;
        }
        Ok(())
    }
}

/// Checks the sandbox before the start, because a refusal at the first job would come too late. Jobs work in `work`.
async fn check_isolation(isolation: Isolation, work: PathBuf) -> Result<RunnerIsolation, CliError> {
    let result = tokio::task::spawn_blocking(move || pullyard_runner::check_isolation(isolation, None, &work)).await;
    let result = result.unwrap_or_else(|error| Err(error.to_string()));
    let result = result.map_err(|reason| CliError::failed(reason).with_help(OTHER_ISOLATIONS))?;
    Ok(RunnerIsolation { level: isolation.as_str().into(), result })
}

fn api_address(listen: Option<&str>, last: Option<&Addresses>) -> Result<String, CliError> {
    match (listen, last) {
        (Some(address), _) => parse_loopback(address, DEFAULT_API_PORT),
        (None, Some(last)) => Ok(last.api.clone()),
        (None, None) => Ok(local_address(DEFAULT_API_PORT)),
    }
}

/// `None`: a free port.
fn forge_address(listen: Option<&str>, last: Option<&Addresses>) -> Result<Option<String>, CliError> {
    let address = listen.map(|address| parse_loopback(address, *FORGE_PORTS.start())).transpose()?;
    match (address, last) {
        (Some(address), Some(last)) if address != last.forge && !address.ends_with(":0") => {
            let reason = format!("clones and pull requests of this folder contain the forge's address {}", last.forge);
            Err(CliError::usage(reason).with_help("omit --forge-listen, or choose a new folder with --data"))
        }
        (address, last) => Ok(last.map(|last| last.forge.clone()).or(address)),
    }
}

/// Without an address for the forge, tries the next ports if the default is taken. A random port is the last resort: it
/// may be taken at the next start.
async fn start(options: Options, forge: Option<String>) -> Result<LocalSystem, Error> {
    if let Some(forge) = forge {
        return LocalSystem::start(Options { forge, ..options }).await;
    }
    for forge in FORGE_PORTS.map(local_address) {
        match LocalSystem::start(Options { forge: forge.clone(), ..options.clone() }).await {
            Err(Error::Listen { address, source }) if address == forge && source.kind() == ErrorKind::AddrInUse => {}
            started => return started,
        }
    }
    LocalSystem::start(Options { forge: local_address(0), ..options }).await
}

fn local_address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Accepts only loopback addresses, because the server has no encryption.
fn parse_loopback(text: &str, default_port: u16) -> Result<String, CliError> {
    let with_port = match text.parse::<u16>() {
        Ok(port) => local_address(port),
        Err(_) if text.contains(':') => text.to_owned(),
        Err(_) => format!("{text}:{default_port}"),
    };
    let resolved: Vec<SocketAddr> = with_port
        .to_socket_addrs()
        .map_err(|_| CliError::usage(format!("{text} is not an address")).with_help("write it as 127.0.0.1:PORT"))?
        .collect();
    match resolved.iter().find(|address| address.is_ipv4()).or(resolved.first()) {
        Some(address) if resolved.iter().all(|address| address.ip().is_loopback()) => Ok(address.to_string()),
        _ => Err(CliError::usage(format!("{text} can be reached by other machines, and `up` speaks plain HTTP"))
            .with_help("listen on 127.0.0.1, and put a proxy with TLS in front of it")),
    }
}

/// Refuses a path, because a proxy has to pass all paths, and names that no certificate of a proxy has.
fn parse_public_url(text: &str) -> Result<String, String> {
    let url = text.parse::<http::Uri>().ok().filter(|url| url.scheme_str() == Some("https"));
    let url = url.filter(|url| url.path() == "/" && url.query().is_none() && !text.contains('#'));
    let authority = url.as_ref().and_then(http::Uri::authority).map(http::uri::Authority::as_str);
    let authority = authority.filter(|authority| !authority.is_empty() && !authority.contains(['@', '[']));
    authority
        .map(|authority| format!("https://{}", authority.to_lowercase()))
        .ok_or_else(|| "write it as https://NAME or https://NAME:PORT, without a path".to_owned())
}

async fn connect_forge(local: &LocalSystem, api: &ApiClient) -> Result<(), CliError> {
    let id = IntegrationId::new(LOCAL_FORGE).map_err(|bad| CliError::failed(bad.to_string()))?;
    let request = CreateIntegration {
        id,
        kind: ForgeKind::GitHub,
        api_url: local.forge().api_url(),
        token_secret: local.forge_secret().into(),
    };
    let integration = api.create_integration(&request).await?;
    if integration.api_url != request.api_url {
        return Err(CliError::failed(format!("repositories of this folder are served at {}", integration.api_url))
            .with_help("addresses.json in the data folder names another address; restore it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{forge_address, parse_loopback, parse_public_url};
    use pullyard_local::Addresses;

    #[test]
    fn public_url_is_an_https_address_without_a_path() {
        let url = |text| parse_public_url(text).ok();
        for (accepted, kept) in [
            ("https://p.example.com", "https://p.example.com"),
            ("https://p.example.com/", "https://p.example.com"),
            ("HTTPS://P.example.com:8443", "https://p.example.com:8443"),
        ] {
            assert_eq!(url(accepted).as_deref(), Some(kept), "{accepted}");
        }
        for refused in [
            "http://p.example.com",
            "p.example.com",
            "https://p.example.com/x",
            "https://p/?q",
            "https://a@p",
            "https://p#x",
            "https://[::1]",
            "https://",
            "",
        ] {
            assert_eq!(url(refused), None, "{refused}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_accepted() {
        let parse = |text| parse_loopback(text, 7878);
        assert_eq!(parse("127.0.0.1:8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(parse("127.0.0.1").unwrap(), "127.0.0.1:7878");
        assert_eq!(parse("17990").unwrap(), "127.0.0.1:17990");
        assert_eq!(parse("localhost:8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(parse("[::1]:8080").unwrap(), "[::1]:8080");
        for refused in ["0.0.0.0:8080", "192.0.2.1:80", "[::]:80", "nonsense:", ":"] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn forge_of_a_used_folder_keeps_its_address() {
        let last = Addresses { api: "127.0.0.1:7878".into(), forge: "127.0.0.1:7879".into() };
        assert_eq!(forge_address(Some("127.0.0.1:9000"), None).unwrap().as_deref(), Some("127.0.0.1:9000"));
        for listen in [None, Some("127.0.0.1:7879"), Some("localhost"), Some("127.0.0.1:0")] {
            assert_eq!(forge_address(listen, Some(&last)).unwrap().as_deref(), Some("127.0.0.1:7879"), "{listen:?}");
        }
        let error = forge_address(Some("127.0.0.1:9000"), Some(&last)).unwrap_err().message();
        assert_eq!(error, "clones and pull requests of this folder contain the forge's address 127.0.0.1:7879");
        assert_eq!(forge_address(None, None).unwrap(), None);
    }
}
