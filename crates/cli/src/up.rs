//! `pullyard up`: runs the whole system on this machine.
//! Chooses data folder and addresses, prints its addresses and handles the end; `pullyard-local` does the rest.

mod context;
mod faults;
mod folder;
mod watch;

use crate::client::{CliError, Global, Screen, open_in_browser};
use crate::logs;
use crate::signals::EndSignals;
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::ForgeKind;
use pullyard_local::{Addresses, Error, LocalSystem, Options};
use pullyard_protocol::client::ApiClient;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::runner::RunnerIsolation;
use pullyard_runner::{Isolation, OTHER_ISOLATIONS, root_work_folder};
use serde_json::json;
use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const DEFAULT_API_ADDRESS: &str = "127.0.0.1:7878";
const FORGE_PORTS: RangeInclusive<u16> = 7879..=7978;
const ANY_PORT: &str = "127.0.0.1:0";
/// Preferred port of the embedded AWS, with the next four, so that events/env.json reaches it.
const AWS_FIRST_PORT: u16 = 7980;
const LEVELS: [&str; 6] = ["auto", "bubblewrap", "landlock", "seatbelt", "external", "none"];
const LOCAL_FORGE: &str = "local";

/// Run all of Pullyard on this machine until Ctrl-C.
///
/// Everything is embedded: DynamoDB, SQS, ECS, Secrets Manager, a git forge for local repositories.
/// Needs git and, on Linux, bubblewrap for the agents' sandbox; no account, no Docker. All state is in the data folder.
/// Restart with the same folder to continue, including running jobs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard up
  pullyard up --data ~/pullyard --listen 127.0.0.1:8080
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
    /// Open the board in a browser.
    #[arg(long)]
    open: bool,
    /// Where agents and the project's commands run: `bubblewrap` for a sandbox, `external` if this machine is one,
    /// `none` for this user's rights, `auto` for this system's sandbox.
    #[arg(long, env = "PULLYARD_ISOLATION", value_name = "LEVEL", value_parser = LEVELS, default_value = "auto")]
    isolation: String,
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
        (options.api, options.forge) = addresses(self.listen.as_deref(), &data)?;
        options.aws_first_port = Some(AWS_FIRST_PORT);
        options.task_environment = crate::runner::agent_environment();
        options.list_agents = pullyard_runner::list_local_agents;
        options.commit = pullyard_version::COMMIT;
        let isolation = self.isolation.parse::<Isolation>().map_err(|error| CliError::failed(error.to_string()))?;
        options.isolation = isolation.as_str().into();
        options.work = Some(isolation).filter(|level| *level != Isolation::None).and_then(|_| root_work_folder(&data));
        let work = options.work.clone().unwrap_or_else(|| data.join("work"));
        let isolation = check_isolation(isolation, work).await?;
        options.task_environment.push(("PULLYARD_ISOLATION_CHECK".into(), isolation.result.clone()));
        options.new_admin_token = self.new_admin_token;
        options.deployment = self.deployment.clone().filter(|name| !name.is_empty());
        logs::to_folder(&data.join("logs"))?;
        let local = tokio::select! {
            local = start(options) => local.map_err(|error| faults::start_fault(error, &data))?,
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        let api = ApiClient::new(local.api_url(), local.admin_token())?;
        connect_forge(&local, &api).await?;
        let mut sign_in = api.create_sign_in_link().await?.url;
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

fn addresses(listen: Option<&str>, data: &Path) -> Result<(String, String), CliError> {
    let last = Addresses::load(data).map_err(|error| faults::start_fault(error, data))?;
    let api = match (listen, &last) {
        (Some(address), _) => parse_loopback(address)?,
        (None, Some(last)) => last.api.clone(),
        (None, None) => DEFAULT_API_ADDRESS.to_owned(),
    };
    let forge = match last {
        // Clones and pull requests contain this address.
        Some(last) => last.forge,
        None => forge_address(*FORGE_PORTS.start()),
    };
    Ok((api, forge))
}

/// Tries the next ports if the default is taken. A random port is the last resort: it may be taken at the next start.
async fn start(options: Options) -> Result<LocalSystem, Error> {
    if Addresses::load(&options.data)?.is_some() {
        return LocalSystem::start(options).await;
    }
    for forge in FORGE_PORTS.map(forge_address) {
        match LocalSystem::start(Options { forge: forge.clone(), ..options.clone() }).await {
            Err(Error::Listen { address, source }) if address == forge && source.kind() == ErrorKind::AddrInUse => {}
            started => return started,
        }
    }
    LocalSystem::start(Options { forge: ANY_PORT.into(), ..options }).await
}

fn forge_address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Accepts only loopback addresses, because the embedded services have no password and no encryption.
fn parse_loopback(text: &str) -> Result<String, CliError> {
    let with_port = if text.contains(':') { text.to_owned() } else { format!("{text}:7878") };
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
    use super::parse_loopback;

    #[test]
    fn only_loopback_addresses_are_accepted() {
        assert_eq!(parse_loopback("127.0.0.1:8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(parse_loopback("127.0.0.1").unwrap(), "127.0.0.1:7878");
        assert_eq!(parse_loopback("localhost:8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(parse_loopback("[::1]:8080").unwrap(), "[::1]:8080");
        for refused in ["0.0.0.0:8080", "192.0.2.1:80", "[::]:80", "nonsense:", ":"] {
            assert!(parse_loopback(refused).is_err(), "{refused}");
        }
    }
}
