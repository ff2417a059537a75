"""The programs on this machine that build and deploy."""

import json
import os
import pathlib
import platform
import re
import shutil
from typing import Iterator, Optional, Tuple

from .command import run
from .context import Context
from .report import FAIL, OK, WARN, Finding
from .samconfig import RELEASE

TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
EMULATORS = {"x86_64": "qemu-x86_64", "arm64": "qemu-aarch64"}
RUSTUP = "install Rust with rustup, see https://rustup.rs"
BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
PACKAGE_MANAGERS = {"apt-get": "sudo apt-get install", "dnf": "sudo dnf install", "pacman": "sudo pacman -S",
                    "zypper": "sudo zypper install", "apk": "sudo apk add", "brew": "brew install"}


def package(name: str) -> str:
    """The command that installs a package of the operating system."""
    for program, command in PACKAGE_MANAGERS.items():
        if shutil.which(program):
            return f"{command} {name}"
    return f"install the package {name}"


def parse_version(text: str) -> Optional[Tuple[int, ...]]:
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def version(name: str, command: Tuple[str, ...], minimum: str, fix: str) -> Finding:
    """Whether a program starts and is new enough."""
    result = run(*command)
    # Old releases of the AWS CLI print their version on stderr.
    found = parse_version(result.output or result.errors) if result.ok else None
    if found is None:
        problem = result.errors.splitlines()[0] if result.errors else "prints no version"
        return Finding(FAIL, name, problem, fix)
    text = ".".join(map(str, found))
    if found < (parse_version(minimum) or ()):
        return Finding(FAIL, name, f"{text} is older than {minimum}", fix)
    return Finding(OK, name, text)


def check_zig() -> Finding:
    """cargo-lambda knows best which zig it will use: a program, or Python's package ziglang."""
    result = run("cargo", "lambda", "system", "--output-format", "json")
    try:
        zig = json.loads(result.output)["zig"]
        return Finding(OK, "zig", f"{zig['version']} ({zig['command']})")
    except (ValueError, KeyError, TypeError):
        return Finding(FAIL, "zig", "cargo-lambda finds no zig, its compiler for Lambda", "pip install ziglang")


def check_target(architecture: str) -> Finding:
    target = TARGETS[architecture]
    if shutil.which("rustup"):
        installed = target in run("rustup", "target", "list", "--installed").output.split()
        fix = f"rustup target add {target}"
    else:
        sysroot = run("rustc", "--print", "sysroot").output
        installed = bool(sysroot) and (pathlib.Path(sysroot) / "lib/rustlib" / target).is_dir()
        fix = f"{RUSTUP}, then: rustup target add {target}"
    if installed:
        return Finding(OK, "target", f"{target} for Architecture={architecture}")
    return Finding(FAIL, "target", f"{target} is not installed, Architecture={architecture} needs it", fix)


def check_compiler() -> Finding:
    for name in [os.environ.get("CC", "cc"), "gcc", "clang"]:
        if shutil.which(name):
            return Finding(OK, "compiler", f"C compiler {name}")
    fix = "xcode-select --install" if platform.system() == "Darwin" else package("gcc")
    return Finding(FAIL, "compiler", "no C compiler, which build scripts of crates need", fix)


def check_container(architecture: str) -> Iterator[Finding]:
    """The task image needs it, the stack does not: a missing one is a warning."""
    engines = [name for name in ("docker", "podman") if shutil.which(name)]
    if not engines:
        yield Finding(WARN, "container", "neither docker nor podman, which infra/image/push needs", package("podman"))
        return
    running = [name for name in engines if run(name, "info", timeout=20).ok]
    if not running:
        fix = "sudo systemctl start docker" if platform.system() == "Linux" else "open -a Docker"
        yield Finding(WARN, "container", f"{engines[0]} is installed, but `{engines[0]} info` fails", fix)
    else:
        yield Finding(OK, "container", " and ".join(running))
    yield from check_emulation(architecture, platform.machine(), platform.system(), BINFMT)


def check_emulation(architecture: str, machine: str, system: str, binfmt: pathlib.Path) -> Iterator[Finding]:
    """An image of another architecture runs its installers under emulation. Docker Desktop brings it along."""
    own = {"aarch64": "arm64", "amd64": "x86_64", "AMD64": "x86_64"}.get(machine, machine)
    if own == architecture or system != "Linux":
        return
    try:
        registered = (binfmt / EMULATORS[architecture]).read_text().startswith("enabled")
    except OSError:
        registered = False
    if registered:
        yield Finding(OK, "emulation", f"{EMULATORS[architecture]} is registered, the image can be built here")
    else:
        yield Finding(WARN, "emulation", f"an {architecture} image cannot be built on this {own} machine: "
                      f"{EMULATORS[architecture]} is not registered", package("qemu-user-static"))


def check(context: Context) -> Iterator[Finding]:
    # Older releases of SAM compile the dependencies once per function.
    yield version("sam", ("sam", "--version"), "1.165", "pip install --upgrade aws-sam-cli")
    yield version("aws", ("aws", "--version"), "1.0", "pip install awscli")
    if not RELEASE.exists():
        yield from check_compilers(context)
    yield from check_container(context.parameters["Architecture"])


def check_compilers(context: Context) -> Iterator[Finding]:
    rust = re.search('(?m)^rust-version = "(.+)"', (context.root / "Cargo.toml").read_text())
    minimum = rust[1] if rust else "1.0"
    update = f"rustup toolchain install {minimum}" if shutil.which("rustup") else RUSTUP
    yield version("cargo", ("cargo", "--version"), minimum, update)
    yield version("rustc", ("rustc", "--version"), minimum, update)
    lambda_command = ("cargo", "lambda", "--version")
    cargo_lambda = version("cargo-lambda", lambda_command, "1.8.6", "pip install --upgrade cargo-lambda ziglang")
    yield cargo_lambda
    if cargo_lambda.status == OK:
        yield check_zig()
    yield check_target(context.parameters["Architecture"])
    yield check_compiler()
    yield version("git", ("git", "--version"), "2.0", package("git"))
