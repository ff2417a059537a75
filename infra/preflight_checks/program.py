"""The built program and the commit it was built from."""

import re
import zipfile
from typing import Iterator

from .command import run
from .context import Context
from .report import FAIL, FIXED, OK, WARN, Finding
from .samconfig import LOCAL, RELEASE, Samconfig

# e_machine of an ELF header.
MACHINES = {62: "x86_64", 183: "arm64"}
SOURCES = ["infra", "crates", "functions"]


def machine(path) -> str:
    with open(path, "rb") as file:
        return machine_of(file.read(20))


def machine_of(header: bytes) -> str:
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return "something else than Linux"
    return MACHINES.get(int.from_bytes(header[18:20], "little"), "an unknown processor")


def check_archive(context: Context, architecture: str) -> Finding:
    """The program in the archive of a release."""
    release = RELEASE.read_text().split()[0]
    try:
        with zipfile.ZipFile(context.root / "functions.zip") as archive, archive.open("bootstrap") as program:
            found = machine_of(program.read(20))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        return Finding(FAIL, "program", f"functions.zip cannot be read ({error}): unpack the archive again")
    if found != architecture:
        return Finding(FAIL, "program", f"functions.zip is for {found}, Architecture is {architecture}: "
                       f"use pullyard-aws-{architecture}.tar.gz")
    return Finding(OK, "program", f"functions.zip of release {release} for {architecture}")


def check_program(context: Context) -> Iterator[Finding]:
    architecture = context.parameters["Architecture"]
    if RELEASE.exists():
        yield check_archive(context, architecture)
        return
    build = "sam build" + context.config_option
    folder = context.root / ".aws-sam/build"
    programs = sorted([*folder.glob("*/bootstrap"), *folder.glob("Functions/*/bootstrap")])
    if not programs:
        yield Finding(OK, "program", f"not built yet: run `{build}`")
        return
    wrong = {path.parent.name: machine(path) for path in programs if machine(path) != architecture}
    if wrong:
        name, found = next(iter(wrong.items()))
        yield Finding(FAIL, "program", f"{name} is built for {found} and Architecture is {architecture} "
                      f"({len(wrong)} of {len(programs)} programs differ)", build)
    else:
        yield Finding(OK, "program", f"{len(programs)} functions built for {architecture}")


def check_commit(context: Context) -> Iterator[Finding]:
    """The commit is a parameter so that an output of the stack says which templates were deployed."""
    if RELEASE.exists():
        head = RELEASE.read_text().split()[1]
    else:
        head = run("git", "-C", str(context.root), "rev-parse", "HEAD").output
    if RELEASE.exists() and head.endswith("-dirty"):
        yield Finding(WARN, "commit", "this release was built from changed sources: the stack will not say what was deployed")
        return
    if not re.fullmatch("[0-9a-f]{40}", head):
        yield Finding(WARN, "commit", "this folder is no git checkout: the stack will not say what was deployed")
        return
    if context.parameters["Commit"] == head:
        yield Finding(OK, "commit", f"{LOCAL.name} has Commit={head}")
    elif context.dry_run:
        yield Finding(WARN, "commit", f"{LOCAL.name} does not name the commit {head}", "infra/preflight")
    else:
        config = Samconfig()
        config.put_overrides(context.environment, {**config.overrides(context.environment), "Commit": head})
        config.save()
        yield Finding(FIXED, "commit", f"Commit={head} is written to {LOCAL.name}")
    if RELEASE.exists():
        return
    changed = run("git", "-C", str(context.root), "status", "--porcelain", "--", *SOURCES).output.splitlines()
    if changed:
        yield Finding(WARN, "commit", f"{len(changed)} changes in {', '.join(SOURCES)} are not committed, first: "
                      f"{changed[0].strip()}", "git stash, or commit them")
