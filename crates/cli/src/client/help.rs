//! `pullyard help`: prints the help of a command or a topic.

use super::completions::add_completers;
use crate::client::prelude::*;
use pullyard_domain::text::nearest::find_nearest;

/// Print the help of a command or topic: exit-codes, json, environment.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard help jobs cancel
  pullyard help exit-codes")]
pub(crate) struct Help {
    /// Command or topic.
    #[arg(value_name = "COMMAND|TOPIC")]
    about: Vec<String>,
}

const EXIT_CODES: &str = "\
0    done
1    failed: the server, the network, or something unexpected; or a confirmation was declined
2    wrong usage
3    refused by a guard; the sentence is on stderr
4    not signed in, or not allowed
5    not found
6    the watched job or run failed or was cancelled
8    changed by another request
130  interrupted; the job or run goes on";

const JSON: &str = "\
--json prints the API's response as one JSON document on stdout, on one line if it is piped.
An error is a problem document on stdout, too: its `code` is stable, its `detail` is for users.
--jsonl prints one document per line: `jobs logs --jsonl`, also with -f.
Messages go to stderr; --quiet prints only errors. --json never prompts: commands that need
confirmation need --yes. Times are RFC 3339 in UTC; names of durations contain the unit.";

const ENVIRONMENT: &str = "\
PULLYARD_URL      the server's address, as --url
PULLYARD_TOKEN    the API token, as --token
PULLYARD_PROJECT  the project, as --project
PULLYARD_CONTEXT  the saved context, as --context
NO_COLOR          any value: no colours, unless --color always
XDG_CONFIG_HOME   where contexts are saved, in pullyard/; ~/.config when not set
A flag overrides a variable, and a variable overrides the context.";

const TOPICS: [(&str, &str); 3] = [("exit-codes", EXIT_CODES), ("json", JSON), ("environment", ENVIRONMENT)];

const GROUPS: [(&str, &str); 4] = [
    ("Start", "demo try up open login logout contexts status version update help completions man"),
    (
        "Work",
        "tickets jobs pulls review resolve revise analyses run runs templates submissions schedules link unlink why hold release",
    ),
    (
        "Set up",
        "init projects settings budgets integrations repos hooks trackers runners notifications secrets tokens mcp",
    ),
    ("Operate", "doctor deliveries breakers dlq"),
];

/// Prepares the program to parse a line: completion of names, grouped help.
pub(crate) fn prepare(mut program: clap::Command) -> clap::Command {
    program = group_commands(program);
    program.build();
    add_completers(program, "")
}

/// Lists the commands of `pullyard --help` by purpose. A command without a group appears under "Other".
fn group_commands(program: clap::Command) -> clap::Command {
    let about = |name: &str| {
        let command = program.find_subcommand(name)?;
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let aliases: String = command.get_visible_aliases().map(|alias| format!(" [alias: {alias}]")).collect();
        Some(format!("  {name:<13} {about}{aliases}\n"))
    };
    let mut text = String::new();
    for (title, names) in GROUPS {
        text.push_str(&format!("{title}:\n{}\n", names.split(' ').filter_map(about).collect::<String>()));
    }
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.split(' ').any(|member| member == name));
    let others = program.get_subcommands().filter(|command| !command.is_hide_set() && !is_grouped(command.get_name()));
    let others: String = others.filter_map(|command| about(command.get_name())).collect();
    if !others.is_empty() {
        text.push_str(&format!("Other:\n{others}\n"));
    }
    program.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Global options:\n{{options}}{{after-help}}"
    ))
}

impl Help {
    pub(super) fn run(self, screen: &Screen, mut program: clap::Command) -> Result<(), CliError> {
        let topic = self.about.first().and_then(|about| TOPICS.into_iter().find(|(name, _)| name == about));
        if let Some((_, text)) = topic {
            return screen.print_line(text);
        }
        let mut command = &mut program;
        for name in &self.about {
            let unknown = unknown_command(command, name);
            command = command.find_subcommand_mut(name).ok_or(unknown)?;
        }
        let text = command.render_long_help();
        screen.print_line(text.to_string().trim_end())
    }
}

fn unknown_command(command: &clap::Command, name: &str) -> CliError {
    let commands = command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(clap::Command::get_name);
    let topics = TOPICS.map(|(name, _)| name);
    let help = match find_nearest(name, commands.chain(topics)) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("`pullyard --help` lists the commands; topics are {}", topics.join(", ")),
    };
    CliError::usage(format!("there is no help for {name}")).with_help(help)
}
