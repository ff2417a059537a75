//! Limits the global flags to the commands where they have an effect.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

const SERVER: [&str; 4] = ["url", "token", "context", "project"];
const ALL: [&str; 7] = ["url", "token", "context", "project", "json", "quiet", "color"];

/// The global flags that a command ignores. A row also covers its subcommands without a row of their own.
const IGNORED: &[(&str, &[&str])] = &[
    ("demo", &["url", "token", "context", "project", "quiet", "color"]),
    ("up", &["url", "token", "project"]),
    ("try", &SERVER),
    ("events", &["url", "token", "context", "project", "json", "quiet"]),
    ("events sign", &["url", "project", "json", "quiet"]),
    ("runner", &["token", "project", "json", "quiet"]),
    ("runner run-job", &ALL),
    ("runner version", &ALL),
    ("function", &ALL),
    ("logout", &["url", "token", "project"]),
    ("contexts", &SERVER),
    ("help", &ALL),
    ("completions", &ALL),
    ("man", &["url", "token", "context", "project", "json"]),
    ("open", &["project"]),
    ("version", &["token", "project"]),
    ("doctor", &["project"]),
    ("projects", &["project"]),
    ("projects show", &[]),
    ("settings describe", &["url", "token", "context", "project", "quiet"]),
    ("integrations", &["project"]),
    ("hooks", &["project"]),
    ("hooks install", &[]),
    ("runners", &["project"]),
    ("secrets", &["project"]),
    ("secrets test", &[]),
    ("tokens", &["project"]),
    ("tokens create", &[]),
    ("breakers", &["project"]),
    ("dlq", &["project"]),
    ("deliveries show", &["project"]),
    ("deliveries replay", &["project"]),
    ("deliveries recover", &["project"]),
];

/// Hides the global flags that a command ignores. `program` must be built, because building copies the flags.
pub(super) fn hide_ignored_flags(program: Command) -> Command {
    hide_in(program, "", &[])
}

fn hide_in(command: Command, path: &str, inherited: &'static [&'static str]) -> Command {
    let ignored = IGNORED.iter().find(|(of, _)| *of == path).map_or(inherited, |(_, flags)| flags);
    let command = command.mut_args(|arg| {
        let is_ignored = arg.is_global_set() && ignored.contains(&arg.get_id().as_str());
        if is_ignored { arg.hide(true) } else { arg }
    });
    command.mut_subcommands(|inner| {
        let path = format!("{path} {}", inner.get_name());
        hide_in(inner, path.trim_start(), ignored)
    })
}

/// Refuses a global flag that the command would ignore. A variable is no mistake, because it is for many commands.
pub(crate) fn check_flags(program: &Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let (mut command, mut matches) = (program, matches);
    while let Some((name, inner)) = matches.subcommand() {
        let Some(next) = command.find_subcommand(name) else { break };
        (command, matches) = (next, inner);
    }
    let ignored = command.get_arguments().filter(|arg| arg.is_global_set() && arg.is_hide_set());
    for id in ignored.map(|arg| arg.get_id().as_str()) {
        if matches.value_source(id) == Some(ValueSource::CommandLine) {
            let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
            let message = format!("--{id} has no effect on `{name}`; leave it out\n");
            return Err(clap::Error::raw(ErrorKind::UnknownArgument, message));
        }
    }
    Ok(())
}
