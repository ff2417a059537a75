//! The table as `ps` prints it, where the kernel shows none as files. It is asked in words that macOS and Linux
//! (procps) take the same way, so that it is tested where there is no Mac.
//!
//! Of environments it shows less than Linux does: macOS keeps those of its own programs (`/bin/sh`, `/usr/bin/git`) to
//! itself, and letters beyond ASCII are printed otherwise, so that a mark with one is not found.
//!
//! Source: ps(1) of macOS and of procps; `ps/ps.c` and `ps/print.c` of Apple's adv_cmds; `sysctl_procargsx` of its xnu.

use super::{Process, Table, Unseen};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// At the same place on every system: no path leads to another one.
pub(super) const PROGRAM: &str = "/bin/ps";
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How much it may print. Arguments and environments of each process stand there, and whose they are may make them long.
/// Units: bytes.
const MOST: u64 = 64 << 20;
const COLUMNS: [&str; 5] = ["pid=", "ppid=", "pgid=", "stat=", "lstart="];
/// A start is a day of the week, a month, a day, a time and a year.
const WORDS_OF_START: usize = 5;

pub(super) async fn look(marks: &[Vec<u8>], tell: impl FnMut(i32)) -> Result<Table, Unseen> {
    let printed = printed(PROGRAM, marks).await?;
    let read = read(&printed, marks).ok_or_else(|| Unseen(format!("{PROGRAM} printed what is no table of them")))?;
    read.marked.into_iter().for_each(tell);
    Ok(read.table)
}

/// What it prints: of each process a line, with its environment where there are marks to look for.
async fn printed(program: &str, marks: &[Vec<u8>]) -> Result<String, Unseen> {
    // Without a dash: with one an `e` says something else on either system.
    let (all, last): (&str, &[&str]) = if marks.is_empty() { ("axww", &[]) } else { ("axeww", &["command="]) };
    let mut command = Command::new(program);
    command.arg(all);
    for column in COLUMNS.iter().chain(last) {
        command.args(["-o", *column]);
    }
    // Nothing of ours is handed on. A clock that is set back an hour in autumn would make every process another one.
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC0").current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let run = async {
        let mut child = command.spawn()?;
        let printed = match child.stdout.take() {
            Some(pipe) => at_most(MOST, pipe).await?,
            None => Some(Vec::new()),
        };
        // Who prints more is killed, and not waited for.
        let Some(printed) = printed else { return Ok(None) };
        Ok::<_, std::io::Error>(Some((child.wait().await?, printed)))
    };
    match timeout(LIMIT, run).await {
        Ok(Ok(Some((status, printed)))) if status.success() => Ok(String::from_utf8_lossy(&printed).into_owned()),
        Ok(Ok(Some((status, _)))) => Err(Unseen(format!("{program} ended with {status}"))),
        Ok(Ok(None)) => Err(Unseen(format!("{program} printed more than {} MiB", MOST >> 20))),
        Ok(Err(error)) => Err(Unseen(format!("{program}: {error}"))),
        Err(_) => Err(Unseen(format!("{program} did not end within {} s", LIMIT.as_secs()))),
    }
}

/// Everything that comes, if it is no more than that.
async fn at_most(most: u64, from: impl AsyncRead + Unpin) -> std::io::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    from.take(most + 1).read_to_end(&mut read).await?;
    Ok((read.len() as u64 <= most).then_some(read))
}

/// What was printed.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    table: Table,
    marked: Vec<i32>,
}

/// None if a line is not as it should be, or there is none: what is not understood might be what is looked for.
fn read(printed: &str, marks: &[Vec<u8>]) -> Option<Read> {
    let marks: Vec<_> = marks.iter().map(|mark| String::from_utf8_lossy(mark)).collect();
    let mut read = Read { table: Table::new(), marked: Vec::new() };
    for line in printed.lines() {
        let (pid, state, process) = process_of(line)?;
        // Nothing of the dead runs.
        if state.starts_with('Z') {
            continue;
        }
        if marks.iter().any(|mark| has(line, mark)) {
            read.marked.push(pid);
        }
        read.table.insert(pid, process);
    }
    (!read.table.is_empty()).then_some(read)
}

fn process_of(line: &str) -> Option<(i32, &str, Process)> {
    let mut words = line.split_ascii_whitespace();
    // To a signal, zero and less are the names of many.
    let pid = words.next()?.parse::<i32>().ok().filter(|pid| pid.is_positive())?;
    let parent = words.next()?.parse().ok()?;
    let group = words.next()?.parse().ok()?;
    let state = words.next()?;
    let began: Vec<_> = words.take(WORDS_OF_START).collect();
    let process = Process { parent, group, began: began.join(" ") };
    (began.len() == WORDS_OF_START).then_some((pid, state, process))
}

/// Whether a variable stands in a line, whole. Arguments stand there as well, and look the same.
fn has(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + mark.len()..).unwrap_or_default();
        before.ends_with(' ') && (after.is_empty() || after.starts_with(' '))
    })
}

/// Whether this machine has the one of procps: not every Linux does.
#[cfg(target_os = "linux")]
#[cfg(test)]
pub(in crate::stray) fn is_there() -> bool {
    let said = std::process::Command::new(PROGRAM).arg("--version").output();
    let is_there = said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("procps"));
    if !is_there {
        eprintln!("skipped: this machine has no {PROGRAM} of procps");
    }
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "TMPDIR=/work/worktrees/job 1/tmp";

    fn process(parent: i32, group: i32, began: &str) -> Process {
        Process { parent, group, began: began.into() }
    }

    #[test]
    fn a_line_is_a_process_and_the_dead_are_none() {
        let printed = "    1     0     1 Ss   Mon Nov 16 09:12:44 2026    \n\
                       99998     1   501 S+   Tue Nov  3 23:59:59 2026    \n\
                       99999 99998   501 Z    Tue Nov  3 23:59:59 2026    \n";
        let (first, second) = (process(0, 1, "Mon Nov 16 09:12:44 2026"), process(1, 501, "Tue Nov 3 23:59:59 2026"));
        let expected = Read { table: [(1, first), (99_998, second)].into(), marked: vec![] };
        assert_eq!(read(printed, &[]), Some(expected));
    }

    #[test]
    fn a_mark_is_a_whole_variable() {
        let marks = [MARK.as_bytes().to_vec()];
        for (rest, expected) in [
            (format!("node server.js HOME=/x {MARK} LANG=C"), true),
            (format!("node server.js {MARK}"), true),
            (format!("node server.js {MARK}-2 LANG=C"), false),
            (format!("node server.js OLD_{MARK}"), false),
            ("node server.js TMPDIR=/work/worktrees/job".to_owned(), false),
        ] {
            let line = format!("  7     1     7 S    Tue Nov  3 23:59:59 2026     {rest}");
            assert_eq!(!read(&line, &marks).unwrap().marked.is_empty(), expected, "{rest}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_table() {
        let good = "  7     1     7 S    Tue Nov  3 23:59:59 2026\n";
        assert!(read(good, &[]).is_some());
        for bad in [
            "",
            "usage: ps [-AaCcEefhjlMmrSTvwXx]\n",
            "  PID  PPID  PGID STAT STARTED\n",
            "  0     1     7 S    Tue Nov  3 23:59:59 2026\n",
            " -1     1     7 S    Tue Nov  3 23:59:59 2026\n",
            "  8     1     7 S    Tue Nov  3\n",
        ] {
            assert_eq!(read(bad, &[]), None, "{bad}");
            assert_eq!(read(&format!("{good}{bad}"), &[]).is_none(), !bad.is_empty(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_or_fails_shows_nobody() {
        for bad in ["/no/such/ps", "/bin/false"] {
            let error = printed(bad, &[]).await.unwrap_err().to_string();
            assert!(error.starts_with("see which processes run: ") && error.contains(bad), "{error}");
        }
    }

    #[tokio::test]
    async fn what_prints_without_an_end_is_read_to_its_bound_and_no_further() {
        assert_eq!(at_most(4, &b"four"[..]).await.unwrap().as_deref(), Some(&b"four"[..]));
        assert_eq!(at_most(4, &b"fives"[..]).await.unwrap(), None);
        assert_eq!(at_most(1_000_000, tokio::io::repeat(b'x')).await.unwrap(), None);
    }

    /// It is among what it shows; a Mac's shows nothing of itself.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn ps_is_given_nothing_of_our_environment() {
        if !is_there() {
            return;
        }
        let printed = printed(PROGRAM, &[MARK.into()]).await.unwrap();
        let ours = i32::try_from(std::process::id()).unwrap();
        let is_ours = |line: &&str| process_of(line).unwrap().2.parent == ours && line.contains("-o lstart=");
        let lines: Vec<_> = printed.lines().filter(is_ours).collect();
        assert!(!lines.is_empty(), "{printed}");
        for line in lines {
            assert!(line.trim_end().ends_with("= LC_ALL=C TZ=UTC0"), "{line}");
        }
    }
}
