//! `pullyard events`: prepares files for `sam local invoke` against a running `pullyard up`.

mod sign;

use crate::client::{CliError, Global, Screen};
use clap::Subcommand;
use pullyard_domain::text::format_error_chain;
use pullyard_local::load_environment;
use serde_json::Value;
use sign::Sign;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Services that the functions call. S3 is absent, because its signed URLs are used outside the container.
const ENDPOINT_VARIABLES: [&str; 4] = [
    "PULLYARD_DYNAMODB_ENDPOINT",
    "PULLYARD_SQS_ENDPOINT",
    "PULLYARD_ECS_ENDPOINT",
    "PULLYARD_SECRETSMANAGER_ENDPOINT",
];

/// Prepare events and variables for `sam local invoke`, to run one function against a running `pullyard up`.
///
/// events/README.md of the repository lists the events that exist.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard events env > env.json
  pullyard events sign events/webhook.review.json --secret-env HOOK_SECRET -o event.json
  sam local invoke WebhookFunction --event event.json --env-vars env.json")]
pub(crate) struct Events {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the functions' variables for a running `pullyard up`, as JSON for `sam local invoke --env-vars`.
    ///
    /// events/env.json of the repository has those for the default ports.
    #[command(after_help = "Examples:
  pullyard events env > env.json
  pullyard events env --data ~/pullyard > env.json
  pullyard events env --host 127.0.0.1    for a function without a container")]
    Env {
        /// Host name of this machine in the function's container.
        #[arg(long, value_name = "NAME", default_value = "host.docker.internal")]
        host: String,
        /// Data folder of `pullyard up`.
        #[arg(long, env = "PULLYARD_DATA", value_name = "DIR", default_value = ".pullyard")]
        data: PathBuf,
    },
    Sign(Sign),
}

impl Events {
    pub(crate) fn run(self, global: &Global) -> ExitCode {
        let screen = Screen::new(global);
        let ended = match self.command {
            Command::Env { data, host } => print_environment(&screen, &data, &host),
            Command::Sign(sign) => sign.run(global, &screen),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => fault.print_with_document(&screen),
        }
    }
}

fn print_environment(screen: &Screen, data: &Path, host: &str) -> Result<(), CliError> {
    let failed = |reason: String| CliError::failed(reason);
    let mut environment = load_environment(data)
        .map_err(|error| failed(format!("failed to {}", format_error_chain(&error))))?
        .ok_or_else(|| failed(format!("no `pullyard up` runs on the data folder {}", data.display())))
        .map_err(|fault| fault.with_help("start one with `pullyard up`, or choose its folder with --data"))?;
    for name in ENDPOINT_VARIABLES {
        if let Some(Value::String(url)) = environment.pointer_mut(&format!("/Parameters/{name}")) {
            *url = url.replace("//127.0.0.1:", &format!("//{host}:"));
        }
    }
    screen.print_line(&format!("{environment:#}"))
}
