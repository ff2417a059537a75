"""Tests which checks .ci/rare runs, in repositories of their own with checks that only write their names."""

import os
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
DAY = 86400
NOW = 1_800_000_000
AGENTS, CONTAINERS, SAM = "Claude Code and Codex", "containers", "sam build"
ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "ci",
               "GIT_AUTHOR_EMAIL": "ci@localhost", "GIT_COMMITTER_NAME": "ci", "GIT_COMMITTER_EMAIL": "ci@localhost"}
ROWS = [line.split("\t") for line in subprocess.check_output([HERE / "rare", "--list"], text=True).splitlines()]


def check(what, found, expected):
    assert found == expected, f"{what}: {found}, expected {expected}"


class Repository:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def git(self, *arguments, at=NOW):
        dates = {"GIT_AUTHOR_DATE": f"{at} +0000", "GIT_COMMITTER_DATE": f"{at} +0000"}
        return subprocess.check_output(["git", *arguments], cwd=self.folder, env={**ENVIRONMENT, **dates}, text=True,
                                       stderr=subprocess.STDOUT)

    def write(self, path, text="new\n"):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, path, at=NOW):
        self.write(path, f"{path} {at}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "work: change", at=at)

    def begin(self, at):
        """The script, its table's paths, and checks that write their names; a check with a file FAIL fails."""
        self.git("init", "--quiet", "--initial-branch", "main")
        for name in ("rare", "steps"):
            self.write(f".ci/{name}", (HERE / name).read_text())
        for path in "crates/sandbox/lib.rs", "functions/lambda/main.rs", "Cargo.lock", "crates/domain/lib.rs":
            self.write(path)
        for _, command, _ in ROWS:
            for word in command.split(" && "):
                self.write(word, f'#!/bin/sh\n[ ! -t 0 ] && echo {word} >> "$RAN" && [ ! -e FAIL ]\n')
                (self.folder / word).chmod(0o755)
        self.commit("README.md", at)

    def run(self, *arguments, code=0):
        """The names of the checks that ran, and the lines about all checks."""
        with tempfile.NamedTemporaryFile("r") as ran:
            done = subprocess.run(["bash", ".ci/rare", *arguments], cwd=self.folder, env={**ENVIRONMENT, "RAN": ran.name},
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            commands = ran.read().split()
        check(f"the end of {arguments} with {done.stdout}", done.returncode, code)
        names = [name for name, command, _ in ROWS if command.split(" && ")[0] in commands]
        lines = [line for line in done.stdout.splitlines() if line.startswith(("ran: ", "skipped: ", "failed: "))]
        check(f"the lines of {done.stdout}", len(lines), len(ROWS))
        return names, lines

    def turn(self):
        return ROWS[int(self.git("rev-list", "--count", "HEAD")) % len(ROWS)][0]

    def expect(self, what, *names, used="0"):
        """These checks run, and the one whose turn it is."""
        check(what, self.run(used)[0], [name for name, _, _ in ROWS if name in (*names, self.turn())])


def in_repository(test, at=NOW - 5 * DAY):
    with tempfile.TemporaryDirectory() as folder:
        repository = Repository(folder)
        repository.begin(at)
        test(repository)


def changes(one):
    one.commit("crates/domain/lib.rs")
    one.expect("a change of no check's paths")
    one.commit("crates/sandbox/lib.rs")
    one.expect("a change of a folder", AGENTS, CONTAINERS)
    one.commit("crates/domain/lib.rs", NOW + DAY)
    one.expect("a change of yesterday", AGENTS, CONTAINERS)
    one.commit("crates/domain/lib.rs", NOW + 3 * DAY)
    one.expect("a change of three days ago")
    one.write("Cargo.lock")
    one.expect("an edit that is not committed", SAM)
    (one.folder / "functions/lambda/main.rs").unlink()
    one.commit("Cargo.lock", NOW + 9 * DAY)
    one.expect("a deleted file", SAM)


def turns(one):
    taken = []
    for _ in ROWS:
        one.commit("crates/domain/lib.rs")
        names, lines = one.run("2300")
        taken += names
        check("the reason", [line for line in lines if line.startswith("ran: ")], [f"ran: {names[0]}: its turn"])
    check("the checks in rotation", sorted(taken), sorted(name for name, _, _ in ROWS))


def merges(one):
    one.git("switch", "--quiet", "--create", "work")
    one.commit("crates/sandbox/lib.rs", NOW - 4 * DAY)
    one.git("switch", "--quiet", "main")
    one.commit("crates/domain/lib.rs", NOW - 3 * DAY)
    one.git("merge", "--quiet", "--no-ff", "--message", "merge: work", "work")
    one.expect("an old change that was merged today", AGENTS, CONTAINERS)


def shallow_clones(one):
    one.commit("crates/domain/lib.rs", NOW - 3 * DAY)
    one.commit("crates/domain/lib.rs")
    for depth, names in (1, [name for name, _, _ in ROWS]), (2, []):
        with tempfile.TemporaryDirectory() as folder:
            one.git("clone", "--quiet", "--depth", str(depth), f"file://{one.folder}", f"{folder}/clone")
            Repository(f"{folder}/clone").expect(f"a clone of {depth} commits", *names)


def times(one):
    one.commit("crates/sandbox/lib.rs")
    one.commit("crates/domain/lib.rs")
    while one.turn() != SAM:
        one.commit("crates/domain/lib.rs", NOW + 1)
        one.commit("crates/domain/lib.rs")
    names, lines = one.run("2400")
    check("after 40 minutes", names, [AGENTS, CONTAINERS])
    check("the reason", lines[2], f"skipped: {SAM}: no change of its paths; its turn, but 40 minutes were used")
    names, lines = one.run("3900")
    check("after 65 minutes", names, [])
    expected = f"skipped: {AGENTS}: crates/sandbox/lib.rs changed, but 65 minutes were used; run .ci/nightly"
    check("the reason", lines[0], expected)
    check("every check after 65 minutes", one.run("--all")[0], [name for name, _, _ in ROWS])


def failures(one):
    one.commit("FAIL")
    one.commit("crates/sandbox/lib.rs")
    names, lines = one.run("--all", code=1)
    check("the checks beside a failed one", names, [name for name, _, _ in ROWS])
    check("the failures", lines, [f"failed: {name}" for name in names])
    one.run("0", code=1)


def no_base(one):
    one.expect("a history of one day", *(name for name, _, _ in ROWS))
    (one.folder / ".git").rename(one.folder / "moved")
    check("no repository", one.run("0")[0], [name for name, _, _ in ROWS])


for name, command, paths in ROWS:
    for path in paths.split():
        found = subprocess.check_output(["git", "ls-files", "--", path], cwd=ROOT, text=True)
        assert found, f"{name}: no file is at {path}"
for test in changes, turns, merges, shallow_clones, times, failures:
    in_repository(test)
in_repository(no_base, NOW - DAY)
print(f"rare: {len(ROWS)} checks, chosen by paths, time and turn")
