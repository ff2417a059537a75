//! Checks whether this machine can be a runner, without registering or claiming.

use super::agents;
use super::settings::{Read, Settings};
use super::show::table;
use crate::Isolation;
use crate::agent::environment::Environment;
use crate::agent::find_program;
use crate::git::workspace::disk::private_dirs;
use crate::git::{self, Call, Git};
use crate::process::stray;
use pullyard_protocol::client::{self, Operator};
use pullyard_protocol::version::PROTOCOL;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// Mirrors and worktrees need more space than this.
const LEAST_FREE_GIB: f64 = 1.0;
const GIB: f64 = 1_073_741_824.0;
const SERVER_LIMIT: Duration = Duration::from_secs(15);

type Found = Result<String, String>;

/// Prints the result of every check. Returns the exit code.
pub(crate) async fn run(read: &Read) -> u8 {
    let settings = &read.settings;
    let git = Git::new("", "");
    let mut checks: Vec<(&str, Found)> = vec![
        ("git", version(&git).await),
        ("git works", works(&git, &settings.work_dir).await),
        ("signing", signing()),
        ("processes", processes()),
        ("work folder", writable(&settings.work_dir)),
        ("free space", free(&settings.work_dir)),
        ("token", token(read)),
        ("server", server(settings).await),
        ("isolation", isolation(settings)),
        ("other settings", others(read)),
    ];
    for agent in agents::find(&Environment::ours()).await {
        let named = if settings.capabilities_named { &settings.capabilities } else { &BTreeSet::new() };
        checks.push((agent.name(), agent.words(named)));
    }
    let failed = checks.iter().filter(|(_, found)| found.is_err()).count();
    let rows: Vec<_> = checks
        .into_iter()
        .map(|(name, found)| match found {
            Ok(words) => ["ok".to_owned(), name.to_owned(), words],
            Err(words) => ["WRONG".to_owned(), name.to_owned(), words],
        })
        .collect();
    table(&rows);
    u8::from(failed > 0)
}

async fn version(git: &Git) -> Found {
    match git.line(Call::new(["version"])).await {
        Ok(line) => Ok(line),
        Err(fault) => Err(fault.reason()),
    }
}

/// Whether git can create a repository and a commit in the work folder, and has its helper for HTTPS.
async fn works(git: &Git, work_dir: &Path) -> Found {
    let words = |fault: git::Fault| fault.reason();
    private_dirs(work_dir).map_err(|error| error.to_string())?;
    let dir = work_dir.join(format!("check-{}", std::process::id()));
    let made = async {
        let dir = git::init_bare(git, dir.clone()).await.map_err(words)?;
        let tree = git.line(Call::new(["mktree"]).repository(&dir)).await.map_err(words)?;
        let commit = Call::new(["commit-tree", "-m", "check", &tree]).repository(&dir).commits();
        git.line(commit).await.map_err(words)?;
        let helpers = git.line(Call::new(["--exec-path"])).await.map_err(words)?;
        if !Path::new(&helpers).join("git-remote-https").exists() {
            return Err(format!("git can't fetch over https: {helpers} has no git-remote-https"));
        }
        Ok("can commit, and fetch over https".to_owned())
    };
    let found = made.await;
    let _ = std::fs::remove_dir_all(&dir);
    found
}

/// Never an error: only projects that sign their commits need `ssh-keygen`.
fn signing() -> Found {
    let path = Environment::ours().get("PATH");
    Ok(match find_program("ssh-keygen", Path::new("/"), path.as_deref()) {
        Ok(_) => "ssh-keygen found (needed for signed commits)".into(),
        Err(_) => "no ssh-keygen: jobs with signed commits will fail; install the OpenSSH client".into(),
    })
}

/// The runner must verify that no process of an agent is alive before it publishes work.
fn processes() -> Found {
    match stray::seen().map_err(|error| format!("failed to {error}"))? {
        Some(count) => Ok(format!("{count} processes visible in /proc")),
        None => Ok("only process groups are visible: a process that leaves its group may outlive its job".into()),
    }
}

fn writable(work_dir: &Path) -> Found {
    let probe = work_dir.join(format!("check-{}.probe", std::process::id()));
    let tried = private_dirs(work_dir).and_then(|()| std::fs::write(&probe, "probe"));
    let _ = std::fs::remove_file(&probe);
    match tried {
        Ok(()) => Ok(format!("{} is writable", work_dir.display())),
        Err(error) => Err(format!("{} is not writable: {error}", work_dir.display())),
    }
}

fn free(work_dir: &Path) -> Found {
    let about = nix::sys::statvfs::statvfs(work_dir).map_err(|error| error.to_string())?;
    // Floating point, because the width of these integers differs between systems.
    let gib = about.blocks_available() as f64 * about.fragment_size() as f64 / GIB;
    let words = format!("{gib:.1} GiB");
    if gib >= LEAST_FREE_GIB { Ok(words) } else { Err(format!("{words}: mirrors and worktrees need at least 1 GiB")) }
}

fn token(read: &Read) -> Found {
    match read.faults.iter().find(|fault| fault.signed_out) {
        Some(fault) => Err(fault.sentence.clone()),
        None => {
            let row = read.rows.iter().find(|row| row.name == "token");
            let (value, from) = row.map_or(("", ""), |row| (&row.value, &row.from));
            Ok(format!("{value} from {from}; `start` verifies it"))
        }
    }
}

async fn server(settings: &Settings) -> Found {
    if settings.api_url.is_empty() {
        return Err("no URL is set".into());
    }
    // The route needs no credential, so the runner's token is not sent.
    let client = Operator::new(&settings.api_url, "-").map_err(|error| error.to_string())?;
    match timeout(SERVER_LIMIT, client.version()).await {
        Err(_) => Err(format!("{} did not answer within {} s", settings.api_url, SERVER_LIMIT.as_secs())),
        // A problem from a server is a sentence of its own.
        Ok(Err(error @ client::Error::Problem(_))) => Err(format!("{}: {error}", settings.api_url)),
        Ok(Err(error)) => Err(format!("failed to {error}")),
        Ok(Ok(server)) if server.protocol != PROTOCOL => Err(format!(
            "{} speaks protocol {}, this runner {PROTOCOL}: update the older one",
            settings.api_url, server.protocol
        )),
        Ok(Ok(server)) => {
            Ok(format!("{} answers: Pullyard {}, protocol {}", settings.api_url, server.version, server.protocol))
        }
    }
}

fn isolation(settings: &Settings) -> Found {
    match settings.isolation {
        None => Err("not set: `start` needs `external` or `none`".into()),
        Some(Isolation::None) => Ok("none: agents run as this user".into()),
        Some(Isolation::External) => Ok("external: this machine is a sandbox".into()),
    }
}

fn others(read: &Read) -> Found {
    let told = |sentence: &str| !sentence.starts_with("Choose an isolation");
    let faults: Vec<_> = read
        .faults
        .iter()
        .filter(|fault| !fault.signed_out && told(&fault.sentence))
        .map(|fault| fault.sentence.as_str())
        .collect();
    if faults.is_empty() { Ok("valid; `config` lists them".into()) } else { Err(faults.join(" ")) }
}
