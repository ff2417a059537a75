//! Commands that a project runs around its agents: validation and splitting into arguments.
//! The allowlist is no sandbox: an allowed program executes code of the repository. It keeps settings from becoming a
//! shell on a runner. Isolation of a command is the runner's task.

use serde::{Deserialize, Serialize};

pub const MAX_COMMANDS: usize = 20;
pub const MAX_COMMAND_CHARS: usize = 500;

/// Which commands may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandPolicy {
    /// Common test and package-manager commands, without a shell.
    #[default]
    Allowlist,
    /// Any command that `/bin/sh` accepts.
    Unrestricted,
}

/// Programs that may run with any arguments.
const PROGRAMS: &str = "./gradlew ./mvnw ant bazel biome black bun bundle cargo cmake composer corepack ctest dart deno dotnet \
    eslint flake8 flutter go gofmt golangci-lint gradle isort jest just lein make meson mix mocha mvn mypy \
    ninja nox npm npx phpstan phpunit pip pip3 pipenv pnpm poetry prettier pylint pyright pytest rake rebar3 \
    rspec rubocop ruff rustfmt sbt shellcheck stack swift task tox tsc uv vitest yarn zig";

/// Programs that may run a file of the repository, but no code from their arguments.
const INTERPRETERS: &[&str] = &["bash", "node", "perl", "php", "python", "python3", "ruby", "sh"];

impl CommandPolicy {
    /// Parses a command into a program and its arguments.
    /// Errors: why the command may not run, as a sentence without its full stop.
    pub fn parse_command(self, line: &str) -> Result<Vec<String>, String> {
        check_format(line)?;
        match self {
            Self::Unrestricted => Ok(["/bin/sh", "-c", line].map(str::to_owned).to_vec()),
            Self::Allowlist => {
                let words = split_arguments(line)?;
                check_allowlist(&words)?;
                Ok(words)
            }
        }
    }

    /// Errors: too many commands, or the first command that may not run, and why.
    pub fn check(self, lines: &[String]) -> Result<(), String> {
        if lines.len() > MAX_COMMANDS {
            return Err(format!("use at most {MAX_COMMANDS} commands"));
        }
        lines.iter().try_for_each(|line| {
            let with_command = |fault: String| format!("`{}`: {fault}", crate::text::truncate(line, 80));
            self.parse_command(line).map(drop).map_err(with_command)
        })
    }
}

fn check_format(line: &str) -> Result<(), String> {
    if line.trim().is_empty() {
        return Err("a command is empty".into());
    }
    if line.chars().count() > MAX_COMMAND_CHARS {
        return Err(format!("a command has at most {MAX_COMMAND_CHARS} characters"));
    }
    if line.chars().any(char::is_control) {
        return Err("a command is one line without control characters".into());
    }
    Ok(())
}

fn shell_syntax_name(c: char) -> Option<&'static str> {
    Some(match c {
        '|' => "a pipe",
        ';' | '&' => "a command separator",
        '<' | '>' => "a redirect",
        '$' | '`' => "a substitution",
        '(' | ')' => "a group",
        '\\' => "an escape",
        '*' | '?' => "a pattern",
        _ => return None,
    })
}

/// Splits a line into arguments. Quotes group characters; other shell syntax is an error.
fn split_arguments(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        let shell = match quote {
            // As in a shell: all characters are literal in single quotes, most of them in double quotes.
            Some('\'') => None,
            Some(_) => shell_syntax_name(c).filter(|_| matches!(c, '$' | '`' | '\\')),
            None => shell_syntax_name(c),
        };
        if let Some(name) = shell {
            return Err(format!(
                "`{c}` is {name}, but commands run without a shell: write a script in the repository, or set command_policy=unrestricted"
            ));
        }
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

fn check_allowlist(words: &[String]) -> Result<(), String> {
    let mut words = words.iter().map(String::as_str);
    let program = words.next().unwrap_or_default();
    if program.contains('=') {
        return Err("a command must start with its program and can't set variables".into());
    }
    if PROGRAMS.split(' ').any(|allowed| allowed == program) {
        return Ok(());
    }
    let first = words.next().unwrap_or_default();
    if INTERPRETERS.contains(&program) {
        let is_module = program.starts_with("python") && first == "-m";
        return if is_module || is_repository_path(first) {
            Ok(())
        } else {
            Err(format!("{program} may only run a file of the repository, given by its path in it"))
        };
    }
    if program == "git" {
        return if first == "diff" { Ok(()) } else { Err("the only git command allowed is `git diff`".into()) };
    }
    Err(format!("{program} is not on the list of allowed programs; set command_policy=unrestricted to run any"))
}

fn is_repository_path(path: &str) -> bool {
    !path.is_empty() && !path.starts_with(['-', '/', '~']) && path.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use CommandPolicy::{Allowlist, Unrestricted};

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        assert_eq!(Allowlist.parse_command(line).unwrap(), expected, "{line}");
    }

    #[track_caller]
    fn check_rejected(line: &str, expected: &str) {
        let fault = Allowlist.parse_command(line).unwrap_err();
        assert!(fault.contains(expected), "{line}: {fault}");
    }

    #[test]
    fn command_lines_are_split_without_a_shell() {
        check("cargo test --workspace", &["cargo", "test", "--workspace"]);
        check("  npm   run  'a | b'  ", &["npm", "run", "a | b"]);
        check("pytest -k \"fast and not slow\" ''", &["pytest", "-k", "fast and not slow", ""]);
        check("pytest tests/test_a.py::test['x']", &["pytest", "tests/test_a.py::test[x]"]);
        check("git diff --check", &["git", "diff", "--check"]);
        check("python -m pytest", &["python", "-m", "pytest"]);
        check("bash scripts/worktree/setup.sh", &["bash", "scripts/worktree/setup.sh"]);
        check("sh a/..b/x.sh", &["sh", "a/..b/x.sh"]);
        check("pytest -k \"a | (b)*\" 'c\\d $e'", &["pytest", "-k", "a | (b)*", "c\\d $e"]);
    }

    #[test]
    fn shell_syntax_is_rejected_by_name() {
        check_rejected("npm test | tee log", "a pipe");
        check_rejected("npm ci; rm -r x", "a command separator");
        check_rejected("npm ci && npm test", "a command separator");
        check_rejected("npm test > log", "a redirect");
        check_rejected("npm test < log", "a redirect");
        check_rejected("npm run $(cat x)", "a substitution");
        check_rejected("npm run \"$HOME\"", "a substitution");
        check_rejected("npm run `cat x`", "a substitution");
        check_rejected("npm run \"`cat x`\"", "a substitution");
        check_rejected("(npm ci)", "a group");
        check_rejected("npm run a\\ b", "an escape");
        check_rejected("eslint src/*.js", "a pattern");
        check_rejected("eslint src/?.js", "a pattern");
        check_rejected("npm ci & npm test", "a command separator");
        check_rejected("npm run a)", "a group");
        check_rejected("npm run \"a\\b\"", "an escape");
        check_rejected("npm test 'x", "is not closed");
        check_rejected("npm test\nrm x", "one line");
        check_rejected("CI=1 npm test", "can't set variables");
        check_rejected(" ", "is empty");
    }

    #[test]
    fn only_listed_programs_are_allowed() {
        check_rejected("rm -r /", "rm is not on the list");
        check_rejected("/bin/npm test", "is not on the list");
        check_rejected("./agent.sh", "is not on the list");
        check_rejected("bash -c 'rm x'", "a file of the repository");
        check_rejected("sh ../x.sh", "a file of the repository");
        check_rejected("sh /tmp/x.sh", "a file of the repository");
        check_rejected("sh ~/x.sh", "a file of the repository");
        check_rejected("sh a/../../x.sh", "a file of the repository");
        check_rejected("sh", "a file of the repository");
        check_rejected("node -m x", "a file of the repository");
        check_rejected("git", "allowed is `git diff`");
        check_rejected("python -c 'x'", "a file of the repository");
        check_rejected("node -e 'x'", "a file of the repository");
        check_rejected("git push", "allowed is `git diff`");
    }

    #[test]
    fn unrestricted_policy_uses_the_shell_for_one_line() {
        assert_eq!(Unrestricted.parse_command("a | b").unwrap(), ["/bin/sh", "-c", "a | b"]);
        assert!(Unrestricted.parse_command("a\nb").is_err());
        assert!(Unrestricted.parse_command(&"ü".repeat(MAX_COMMAND_CHARS)).is_ok());
        assert!(Unrestricted.parse_command(&"x".repeat(MAX_COMMAND_CHARS + 1)).is_err());
    }

    #[test]
    fn invalid_list_names_the_faulty_command() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(Allowlist.check(&lines(&["npm ci", "npm test"])), Ok(()));
        let fault = Allowlist.check(&lines(&["npm ci", "rm -r x"])).unwrap_err();
        assert!(fault.starts_with("`rm -r x`: rm is not on the list"), "{fault}");
        assert_eq!(Allowlist.check(&vec!["npm ci".into(); MAX_COMMANDS]), Ok(()));
        assert_eq!(Allowlist.check(&vec!["npm ci".into(); MAX_COMMANDS + 1]), Err("use at most 20 commands".into()));
    }
}
