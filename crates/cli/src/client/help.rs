//! `pullyard help`: prints the help of a command or a topic.

use super::fault::Fault;
use super::screen::Screen;
use std::process::ExitCode;

/// Print the help of a command, or of a topic: exit-codes, json, environment.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard help jobs cancel
  pullyard help exit-codes")]
pub(crate) struct Help {
    /// A command, or a topic.
    #[arg(value_name = "COMMAND|TOPIC")]
    about: Vec<String>,
}

const EXIT_CODES: &str = "\
0    done
1    failed: the server, the network, or something unexpected; or a question was not answered with yes
2    wrong usage
3    refused by a guard; the sentence is on stderr
4    not signed in, or not allowed
5    no such thing
6    the job that was followed ended Failed or Cancelled
8    someone else changed it first
130  interrupted; the job goes on";

const JSON: &str = "\
--json prints the API's own answer as one JSON document on stdout, on one line when it is piped.
A fault is a problem document on stdout, too: its `code` is stable, its `detail` is for people.
--jsonl prints one document per line, where there are many or no end: `jobs events`, `jobs logs -f`.
Talk stays on stderr; --quiet silences all of it but errors. With --json nothing is ever asked: what asks
needs --yes. Times are RFC 3339 in UTC, lengths carry their unit in the name.";

const ENVIRONMENT: &str = "\
PULLYARD_URL      the server's address, as --url
PULLYARD_TOKEN    the API token, as --token
PULLYARD_PROJECT  the project, as --project
PULLYARD_CONTEXT  the saved context, as --context
NO_COLOR          set to anything: no colours, unless --color always
XDG_CONFIG_HOME   where contexts are saved, in pullyard/; ~/.config when not set
A flag is stronger than a variable, and a variable is stronger than the context.";

impl Help {
    pub(super) fn run(self, screen: &Screen, mut program: clap::Command) -> Result<ExitCode, Fault> {
        let topic = match self.about.first().map(String::as_str) {
            Some("exit-codes") => Some(EXIT_CODES),
            Some("json") => Some(JSON),
            Some("environment") => Some(ENVIRONMENT),
            _ => None,
        };
        if let Some(topic) = topic {
            screen.out(topic)?;
            return Ok(ExitCode::SUCCESS);
        }
        program.build();
        let mut command = &mut program;
        for name in &self.about {
            command = command.find_subcommand_mut(name).ok_or_else(|| {
                Fault::usage(format!("there is no help about {}", self.about.join(" ")))
                    .help("`pullyard --help` lists the commands; topics are exit-codes, json and environment")
            })?;
        }
        let text = command.render_long_help();
        screen.out(text.to_string().trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}
