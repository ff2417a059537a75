//! The setup commands before an agent's work and the checks after it: settings, the frozen copy in a job, and results.

use crate::agent::commands::CommandPolicy;
use crate::text::code::coded_enum;
use crate::text::truncate;
use serde::{Deserialize, Serialize};

pub(crate) const MAX_LIMIT_SECS: u64 = 21_600;
pub(crate) const MAX_OUTPUT_KIB: u64 = 16_384;
/// Most results stored per attempt: every check twice. There may be more, because each input repeats all checks.
const MAX_RUNS: usize = 2 * crate::agent::commands::MAX_COMMANDS;

/// Commands that run in the checkout before the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Setup {
    /// Run one after the other in the repository. The first failure ends the job.
    pub commands: Vec<String>,
    /// Time limit per command. Units: seconds.
    pub limit_secs: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { commands: Vec::new(), limit_secs: 900 }
    }
}

/// Commands that check an agent's work before it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// All run, one after the other, in the repository.
    pub commands: Vec<String>,
    /// Time limit per command. Units: seconds.
    pub limit_secs: u64,
    /// Stored output per command, from its beginning and its end. Units: KiB.
    pub output_kib: u64,
    /// If a check fails, the agent gets the output once, then all checks run again.
    pub repair: bool,
    /// A check that changes a file fails the job. Files that git ignores may change.
    pub read_only: bool,
    pub failed: FailedChecksPolicy,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            commands: Vec::new(),
            limit_secs: 900,
            output_kib: 256,
            repair: false,
            read_only: false,
            failed: FailedChecksPolicy::Fail,
        }
    }
}

/// What to do with work whose checks failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "FailedChecks")]
#[serde(rename_all = "snake_case")]
pub enum FailedChecksPolicy {
    /// The job fails without a push.
    #[default]
    Fail,
    /// Open a draft that names the failed check. If the pull request is already open, the job fails.
    Draft,
}

/// A repository's commands in place of its project's. An absent list means the project's list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "OwnCommands")]
#[serde(default, deny_unknown_fields)]
pub struct CommandOverrides {
    /// Commands before the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<Vec<String>>,
    /// Commands after the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<String>>,
}

impl CommandOverrides {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Errors: the field, and why a command is not allowed.
    pub fn check(&self, policy: CommandPolicy) -> Result<(), (&'static str, String)> {
        let lists = [("setup", &self.setup), ("checks", &self.checks)];
        lists.into_iter().try_for_each(|(field, lines)| {
            policy.check(lines.as_deref().unwrap_or_default()).map_err(|fault| (field, fault))
        })
    }
}

/// All commands around a job's agent, frozen when the job was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobCommands {
    /// The runner checks each command against this policy again.
    pub policy: CommandPolicy,
    pub setup: Setup,
    pub checks: Checks,
}

impl JobCommands {
    pub fn first_disallowed(&self) -> Option<&str> {
        let all = self.setup.commands.iter().chain(&self.checks.commands);
        all.map(String::as_str).find(|line| self.policy.parse_command(line).is_err())
    }
}

/// The result of one run of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRun {
    pub command: String,
    /// 0 after the agent's first work, then one more after each repair or further input.
    pub round: u32,
    pub outcome: CheckOutcome,
    /// Its exit code, if it exited by itself; 127 if the program could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Units: milliseconds.
    pub took_ms: u64,
    /// The middle of its output was dropped.
    #[serde(default)]
    pub truncated: bool,
    /// The artifact with its output. Absent if there was no output, or the output was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
}

coded_enum! {
    /// How a check ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum CheckOutcome {
        Passed = "passed", "Passed";
        /// Another exit code, or a signal.
        Failed = "failed", "Failed";
        TimedOut = "timed_out", "Timed out";
    }
}

impl CheckRun {
    pub fn is_success(&self) -> bool {
        self.outcome == CheckOutcome::Passed
    }

    pub fn end_phrase(&self) -> String {
        match (self.outcome, self.exit_code, self.signal) {
            (CheckOutcome::TimedOut, ..) => "a stop at its limit".into(),
            (_, Some(code), _) => format!("exit code {code}"),
            (_, None, Some(signal)) => format!("signal {signal}"),
            (_, None, None) => "an unknown exit code".into(),
        }
    }

    /// The newest run of each command, in the order of their first runs: a later round may have stopped after its first
    /// checks.
    pub fn find_newest(runs: &[Self]) -> Vec<&Self> {
        let mut newest: Vec<&Self> = Vec::new();
        for run in runs {
            match newest.iter_mut().find(|known| known.command == run.command) {
                Some(known) => *known = run,
                None => newest.push(run),
            }
        }
        newest
    }

    /// Limits the results for storage: the last ones, which decide, with short texts.
    #[must_use]
    pub fn limit_for_storage(mut runs: Vec<Self>) -> Vec<Self> {
        runs.drain(..runs.len().saturating_sub(MAX_RUNS));
        let shorten = |run: Self| Self {
            command: truncate(&run.command, 200),
            artifact: run.artifact.map(|name| truncate(&name, 100)),
            ..run
        };
        runs.into_iter().map(shorten).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::project::{Repository, Settings};

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn repository_commands_override_those_of_the_project() {
        let mut settings = Settings::default();
        let mut repository = fixtures::repository();
        assert_eq!(JobCommands::from_settings(&settings, &repository), None);
        settings.checks.commands = lines(&["npm test"]);
        settings.setup.commands = lines(&["npm ci"]);
        let of = |settings: &Settings, repository: &Repository| {
            JobCommands::from_settings(settings, repository).map(|all| (all.setup.commands, all.checks.commands))
        };
        assert_eq!(of(&settings, &repository), Some((lines(&["npm ci"]), lines(&["npm test"]))));
        repository.commands.checks = Some(lines(&["make test"]));
        assert_eq!(of(&settings, &repository), Some((lines(&["npm ci"]), lines(&["make test"]))));
        repository.commands = CommandOverrides { setup: Some(Vec::new()), checks: Some(Vec::new()) };
        assert_eq!(of(&settings, &repository), None);
    }

    #[test]
    fn empty_own_commands_are_stored_and_unset_ones_are_not() {
        let none = CommandOverrides { setup: None, checks: Some(Vec::new()) };
        for (commands, stored) in
            [(CommandOverrides::default(), serde_json::Value::Null), (none, serde_json::json!({ "checks": [] }))]
        {
            let repository = Repository { commands, ..fixtures::repository() };
            let value = serde_json::to_value(&repository).unwrap();
            assert_eq!(value["commands"], stored);
            assert_eq!(serde_json::from_value::<Repository>(value).unwrap(), repository);
        }
    }

    #[track_caller]
    fn check_rejected(change: impl FnOnce(&mut Settings), pointer: &str, says: &str) {
        let mut settings = Settings::default();
        change(&mut settings);
        let fault = settings.validate().unwrap_err();
        assert_eq!(fault.pointer, pointer);
        assert!(fault.fault.contains(says), "{}", fault.fault);
    }

    #[test]
    fn invalid_check_settings_are_rejected_with_their_pointer() {
        check_rejected(|all| all.checks.commands = lines(&["npm test | tee x"]), "/checks/commands", "a pipe");
        check_rejected(|all| all.setup.commands = lines(&["curl x"]), "/setup/commands", "`curl x`: curl is not");
        let mut settings = Settings::default();
        settings.checks.commands = lines(&["npm test | tee x"]);
        settings.command_policy = CommandPolicy::Unrestricted;
        assert_eq!(settings.validate(), Ok(()));
    }

    #[test]
    fn repository_commands_obey_the_project_policy() {
        let own = CommandOverrides { setup: None, checks: Some(lines(&["rm x"])) };
        assert_eq!(own.check(CommandPolicy::Allowlist).unwrap_err().0, "checks");
        assert_eq!(own.check(CommandPolicy::Unrestricted), Ok(()));
    }

    #[test]
    fn stored_commands_are_validated_again() {
        let mut repository = fixtures::repository();
        repository.commands.checks = Some(lines(&["make", "a | b"]));
        let all = JobCommands::from_settings(&Settings::default(), &repository).unwrap();
        assert_eq!(all.first_disallowed(), Some("a | b"));
        assert_eq!(JobCommands { policy: CommandPolicy::Unrestricted, ..all }.first_disallowed(), None);
    }

    fn failed(round: u32) -> CheckRun {
        CheckRun {
            command: "x".repeat(9_000),
            round,
            outcome: CheckOutcome::Failed,
            exit_code: None,
            signal: None,
            took_ms: 1,
            truncated: false,
            artifact: Some("y".repeat(9_000)),
        }
    }

    #[test]
    fn newest_runs_keep_the_order_of_the_first_round() {
        let run = |command: &str, round| CheckRun { command: command.into(), ..failed(round) };
        let runs = [run("a", 0), run("b", 0), run("c", 0), run("a", 1)];
        let newest: Vec<_> = CheckRun::find_newest(&runs).into_iter().map(|run| (&*run.command, run.round)).collect();
        assert_eq!(newest, [("a", 1), ("b", 0), ("c", 0)]);
    }

    #[test]
    fn check_end_names_exit_code_signal_or_limit() {
        let run = |outcome, exit_code, signal| CheckRun { outcome, exit_code, signal, ..failed(0) };
        assert_eq!(run(CheckOutcome::Failed, Some(7), None).end_phrase(), "exit code 7");
        assert_eq!(run(CheckOutcome::Failed, None, Some(9)).end_phrase(), "signal 9");
        assert_eq!(run(CheckOutcome::TimedOut, None, Some(9)).end_phrase(), "a stop at its limit");
    }

    #[test]
    fn limits_of_commands_and_output_are_inclusive() {
        type Limit = fn(&mut Settings, u64);
        let fault = |change: Limit, to: u64| {
            let mut settings = Settings::default();
            change(&mut settings, to);
            settings.validate().err().map(|fault| fault.pointer)
        };
        let limits: [(Limit, &str); 2] = [
            (|all, to| all.setup.limit_secs = to, "/setup/limit_secs"),
            (|all, to| all.checks.limit_secs = to, "/checks/limit_secs"),
        ];
        for (change, pointer) in limits {
            assert_eq!((fault(change, 1), fault(change, 21_600)), (None, None), "{pointer}");
            assert_eq!((fault(change, 0), fault(change, 21_601)), (Some(pointer), Some(pointer)));
        }
        let change: Limit = |all, to| all.checks.output_kib = to;
        let output = |to| fault(change, to);
        let pointer = Some("/checks/output_kib");
        assert_eq!([3, 4, 16_384, 16_385].map(output), [pointer, None, None, pointer]);
    }

    #[test]
    fn stored_check_results_are_the_last_forty_and_clipped() {
        assert_eq!(failed(0).end_phrase(), "an unknown exit code");
        let rounds = |all: &[CheckRun]| all.iter().map(|run| run.round).collect::<Vec<_>>();
        let runs = CheckRun::limit_for_storage((1..=99).map(failed).collect());
        assert_eq!(rounds(&runs), (60..=99).collect::<Vec<_>>());
        assert_eq!(rounds(&CheckRun::limit_for_storage((1..=40).map(failed).collect())), (1..=40).collect::<Vec<_>>());
        let last = runs.last().unwrap();
        assert_eq!(last.command.chars().count(), 200);
        assert_eq!(last.artifact.as_ref().map(|name| name.chars().count()), Some(100));
    }
}
