"""Runs install.sh of a small release against a server on 127.0.0.1, with the tools and systems that users have.

    python3 infra/tests/install.py

Needs python3.9, curl and wget where they are installed.
"""

import hashlib
import http.server
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TEMPORARY = pathlib.Path(tempfile.mkdtemp())
TARGET = "x86_64-unknown-linux-gnu"
TOOLS = ["sh", "cat", "cut", "rm", "mktemp", "mkdir", "cp", "chmod", "mv", "tar", "gzip", "head", "grep", "sleep", "sha256sum", "echo", "env"]
passed, failures, ended = [], [], threading.Event()


def check(name, actual, expected=True):
    (passed if actual == expected else failures).append(name)
    if actual != expected:
        print(f"FAILED {name}\n  expected {expected}\n  actual   {actual}")


def load(path):
    loader = importlib.machinery.SourceFileLoader("release", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("release", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


release = load(REPOSITORY / "infra/release")


def publish(version, text="exit 0", known=True):
    """A release whose programs are shell scripts, and whose installer may know no address."""
    folder = TEMPORARY / "releases" / version
    folder.mkdir(parents=True)
    hashes = {}
    for name in release.PROGRAMS:
        archive = folder / f"{name}-{TARGET}.tar.gz"
        content = f"#!/bin/sh\n# {name} {version}\necho '{name} {version}'\n{text}\n".encode()
        release.pack(archive, {name: content, "LICENSE": b"Apache-2.0\n"}, 1_790_000_000)
        hashes[archive.name] = hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / "install.sh").write_bytes(release.installer(version, address if known else "", hashes))
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        # As object stores answer. `self.path` is cleaned already.
        if "//" in self.requestline.split()[1]:
            return self.send_error(404)
        if not self.path.startswith("/stalls/"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x")
        ended.wait()


def serve(folder):
    """Returns the address of a server of this folder."""
    handler = lambda *arguments: Quiet(*arguments, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def program(folder, name, text):
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Machine:
    """A PATH with the usual tools, each of which a test may replace or remove, and a home."""

    def __init__(self, name):
        self.home, self.bin = TEMPORARY / name / "home", TEMPORARY / name / "bin"
        self.home.mkdir(parents=True)
        self.bin.mkdir()
        for tool in [*TOOLS, "curl"]:
            if shutil.which(tool):
                (self.bin / tool).symlink_to(shutil.which(tool))
        program(self.bin, "uname", 'case $1 in -m) echo x86_64;; *) echo Linux;; esac')
        program(self.bin, "getconf", "echo glibc 2.36")
        program(self.bin, "id", "echo 1000")

    def without(self, *tools):
        for tool in tools:
            (self.bin / tool).unlink(missing_ok=True)
        return self

    def install(self, *arguments, script=None, cwd=None, umask=0o022, **environment):
        text = (script or TEMPORARY / "releases/0.2.0/install.sh").read_bytes()
        variables = {"PATH": str(self.bin), "HOME": str(self.home), "TMPDIR": str(self.home), **environment}
        done = subprocess.run([shutil.which("sh"), "-s", "--", *arguments], input=text, env=variables, timeout=60, cwd=cwd,
                              umask=umask, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        left = [path for path in self.home.rglob("*") if path.name.startswith((".pullyard", "tmp."))]
        check("no temporary file is left", left, [])
        return done.returncode, done.stdout.decode()

    def installed(self, name="pullyard", folder=".local/bin"):
        path = self.home / folder / name
        return subprocess.run([path], capture_output=True, text=True).stdout.strip() if path.exists() else None

    def refuses(self, name, sentence, *arguments, **options):
        code, output = self.install(*arguments, **options)
        check(f"{name}: exit code", code, 1)
        check(f"{name}: {output}", sentence in output and "Nothing was installed" in output)
        check(f"{name}: nothing is installed", self.installed() is None)


def installs():
    machine = Machine("installs")
    code, output = machine.install()
    check("a first installation", (code, machine.installed()), (0, "pullyard 0.2.0"))
    check("what it says", all(part in output for part in ("verified  sha256", "export PATH=", "Next: pullyard demo")))
    check("the mode", stat.S_IMODE((machine.home / ".local/bin/pullyard").stat().st_mode), 0o755)
    code, output = machine.install("--version", "0.1.9")
    check("another version", (code, machine.installed()), (0, "pullyard 0.1.9"))
    code, _ = machine.install(PULLYARD_VERSION="0.2.0")
    code, _ = machine.install("--version", "0.1.9", PULLYARD_RELEASES=f"{address}//")
    check("slashes at the end of the address", (code, machine.installed()), (0, "pullyard 0.1.9"))
    code, _ = machine.install(PULLYARD_VERSION="0.2.0")
    check("back again", (code, machine.installed()), (0, "pullyard 0.2.0"))
    check("another version by its variable", (machine.install(PULLYARD_VERSION="0.1.9")[0], machine.installed()), (0, "pullyard 0.1.9"))
    machine.install("--runner", "--dir", str(machine.home / "a folder"))
    check("the runner in another folder", machine.installed("pullyard-runner", "a folder"), "pullyard-runner 0.2.0")
    machine.install(PULLYARD_INSTALL_DIR=str(machine.home / "variable"))
    check("a folder by its variable", machine.installed(folder="variable"), "pullyard 0.2.0")
    for folder in ("/first", "/first/"):
        code, output = machine.install("--dir", f"{machine.home}{folder}", PATH=f"{machine.bin}:{machine.home}/first")
        check(f"{folder} is found in PATH: {output}", (code, "PATH" in output), (0, False))
    shutil.rmtree(machine.home / "first")
    code, output = machine.install("--dir", "relative", cwd=machine.home)
    check("a relative folder", (code, f'export PATH="{machine.home}/relative:' in output), (0, True))
    code, output = machine.install(PATH=f"{machine.home}/first:{machine.bin}:{machine.home}/.local/bin")
    check("a folder of PATH needs no hint", (code, "export PATH" in output), (0, False))
    (machine.home / "first").mkdir()
    program(machine.home / "first", "pullyard", "exit 1")
    code, output = machine.install(PATH=f"{machine.home}/first:{machine.bin}:{machine.home}/.local/bin")
    check("another program that PATH finds first", (code, "finds" in output and "first" in output), (0, True))
    check("--help", (f"curl -fsSL {address}/install.sh" in machine.install("--help")[1]))
    # In a temporary folder that is mounted without the right to start programs.
    tar = shutil.which("tar")
    program(machine.bin, "tar", f'{tar} "$@" && exec chmod 644 "$4/pullyard"')
    check("a temporary folder without programs", machine.install(umask=0o077)[0], 0)
    check("the mode by any umask", stat.S_IMODE((machine.home / ".local/bin/pullyard").stat().st_mode), 0o755)
    shasum = Machine("shasum").without("sha256sum")
    program(shasum.bin, "shasum", f'[ "$1 $2" = "-a 256" ] && exec {shutil.which("sha256sum")} "$3"')
    check("with shasum only", (shasum.install()[0], shasum.installed()), (0, "pullyard 0.2.0"))
    if shutil.which("wget"):
        wget = Machine("wget").without("curl")
        (wget.bin / "wget").symlink_to(shutil.which("wget"))
        check("with wget only", (wget.install()[0], wget.installed()), (0, "pullyard 0.2.0"))


def refuses():
    machine = Machine("refuses")
    machine.refuses("an unknown option", "unknown option --fast", "--fast")
    machine.refuses("an option without its value", "--dir needs a value", "--dir")
    machine.refuses("a version that does not exist", "cannot download", "--version", "9.9.9")
    machine.refuses("a version that is none", "is no version", "--version", "../0.1.9")
    (TEMPORARY / "releases/install.sh").write_text("version=0.2.0\n")
    for version in ("0.2", "0.5.0", ".."):
        machine.refuses(f"another script as {version}", "is not the installer of", "--version", version)
    machine.refuses("no home", "HOME is not set", HOME="")
    machine.refuses("a server that is away", "cannot download", PULLYARD_RELEASES="http://127.0.0.1:9/x")
    no_address = TEMPORARY / "no-address.sh"
    no_address.write_bytes(release.installer("0.2.0", "", {}))
    machine.refuses("no address", "set PULLYARD_RELEASES", script=no_address)
    no_hash = TEMPORARY / "no-hash.sh"
    no_hash.write_bytes(release.installer("0.2.0", address, {f"pullyard-runner-{TARGET}.tar.gz": "a" * 64}))
    machine.refuses("no hash", f"has no program for {TARGET}", script=no_hash)
    wrong_hash = TEMPORARY / "wrong-hash.sh"
    wrong_hash.write_bytes(release.installer("0.2.0", address, {f"pullyard-{TARGET}.tar.gz": "a" * 64}))
    machine.refuses("a damaged archive", f"damaged or was replaced: expected {'a' * 64}", script=wrong_hash)
    archive = TEMPORARY / f"releases/0.2.0/pullyard-{TARGET}.tar.gz"
    packed = archive.read_bytes()
    for name, content in [("a changed byte", packed[:-1] + bytes([packed[-1] ^ 1])), ("a truncated archive", packed[:-1])]:
        archive.write_bytes(content)
        machine.refuses(name, "is damaged or was replaced")
    archive.write_bytes(packed)
    truncated = TEMPORARY / "truncated.sh"
    whole = (TEMPORARY / "releases/0.2.0/install.sh").read_bytes()
    for length in [*range(0, len(whole) - 20, 97), *range(len(whole) - 20, len(whole) - 1)]:
        truncated.write_bytes(whole[:length])
        machine.install(script=truncated)
        check(f"a script that ends after {length} bytes installs nothing", machine.installed(), None)
    machine.refuses("a program that does not start", "does not start here", script=broken / "install.sh")
    for tools, sentence in [(["curl"], "curl or wget is needed"), (["sha256sum"], "sha256sum or shasum is needed")]:
        Machine(f"without-{tools[0]}").without(*tools).refuses(f"without {tools[0]}", sentence)
    for name, tool, text, sentence in [
        ("an old glibc", "getconf", "echo glibc 2.27", "glibc 2.27 is older than 2.28"),
        ("musl", "getconf", "exit 1", "has no glibc"),
        ("another processor", "uname", "case $1 in -m) echo riscv64;; *) echo Linux;; esac", "no program for riscv64"),
        ("another system", "uname", "case $1 in -m) echo amd64;; *) echo FreeBSD;; esac", "no program for FreeBSD"),
        ("a Mac", "uname", "case $1 in -m) echo arm64;; *) echo Darwin;; esac", "no program for aarch64-apple-darwin"),
        ("arm64", "uname", "case $1 in -m) echo aarch64;; *) echo Linux;; esac", "no program for aarch64-unknown-linux-gnu"),
        ("a full disk", "cp", "echo half > \"$2\"; echo 'No space left on device' >&2; exit 1", "cannot write into"),
    ]:
        machine = Machine(name.replace(" ", "-"))
        program(machine.bin, tool, text)
        machine.refuses(name, sentence)
        advice = machine.install("--runner")[1]
        check(f"{name}: advice for the runner", "from source" not in advice or "crates/runner" in advice)
    # As root, the refused folder is one of this machine: the script cannot create it, nor write into it.
    root = Machine("root").without("cp", "mv")
    program(root.bin, "id", "echo 0")
    program(root.bin, "mkdir", "exit 1")
    root.refuses("the folder of root", "cannot create /usr/local/bin.")
    stalled = Machine("stalled")
    program(stalled.bin, "curl", f"""for word; do
      case $word in 3) word=0;; 30) word=1;; esac
      shift; set -- "$@" "$word"
    done
    exec {shutil.which("curl")} "$@\"""")
    stalled.refuses("a server that stalls", "cannot download", PULLYARD_RELEASES=f"{address}/stalls")
    program(stalled.bin, "curl", 'echo "$@" >&2; exit 1')
    stalled.refuses("a redirect to http", "--proto-redir =https ", PULLYARD_RELEASES="https://releases.example")
    wget, options = Machine("wget-https").without("curl"), {"PULLYARD_RELEASES": "https://releases.example"}
    program(wget.bin, "wget", 'echo "$@" >&2; exit 1')
    wget.refuses("another version by wget of another maker", "needs curl or GNU wget", "--version", "0.1.9", **options)
    program(wget.bin, "wget", '[ "$1" != --version ] || { echo "GNU Wget 1.21.3"; exit; }; echo "$@" >&2; exit 1')
    wget.refuses("a redirect of an installer", "--max-redirect=0", "--version", "0.1.9", **options)
    check("a redirect of an archive", "--max-redirect" in wget.install(**options)[1], False)
    for name, code in [("INT", 130), ("TERM", 143)]:
        # The shell receives it before the server's answer.
        program(stalled.bin, "curl", f'kill -{name} "$PPID"; exit 1')
        check(f"SIG{name}", (stalled.install()[0], stalled.installed()), (code, None))
    new = Machine("new-glibc")
    program(new.bin, "getconf", "echo glibc 3.1")
    check("a much newer glibc", new.install()[0], 0)
    file = Machine("file")
    (file.home / ".local").write_text("a file")
    file.refuses("a folder that cannot be created", "cannot create")
    folder = Machine("folder")
    (folder.home / "src/pullyard").mkdir(parents=True)
    code, output = folder.install("--dir", f"{folder.home}/src")
    check("a folder of this name", (code, "is a folder" in output, os.listdir(folder.home / "src/pullyard")), (1, True, []))


def owned():
    machine = Machine("owned")
    folder, record = str(machine.home / ".cargo/bin"), machine.home / ".cargo/.crates.toml"
    (machine.home / ".cargo/bin").mkdir(parents=True)
    installed = lambda: machine.installed(folder=".cargo/bin")
    program(machine.home / ".cargo/bin", "pullyard", "echo mine")
    record.write_text('[v1]\n"pullyard-cli 0.1.0 (path+file:///src/crates/cli)" = ["pullyard"]\n')
    code, output = machine.install("--dir", folder)
    check("cargo's program stays", (code, "--force" in output, installed()), (1, True, "mine"))
    check("--force replaces it", (machine.install("--dir", folder, "--force")[0], installed()), (0, "pullyard 0.2.0"))
    check("with each option for another version",
          (machine.install("--dir", folder, "--force", "--version", "0.1.9", PULLYARD_VERSION="9.9.9")[0], installed()),
          (0, "pullyard 0.1.9"))
    program(machine.home / ".cargo/bin", "pullyard-runner", "echo mine")
    record.write_text('[v1]\n"pullyard-runner 0.1.0 (path+file:///src/crates/runner)" = ["pullyard-runner"]\n')
    check("the runner of cargo", machine.install("--runner", "--dir", folder)[0], 1)
    arguments = ["--runner", "--dir", folder, "--force", "--version", "0.1.9"]
    check("the runner of another version", (machine.install(*arguments)[0], machine.installed("pullyard-runner", ".cargo/bin")),
          (0, "pullyard-runner 0.1.9"))
    check("a program that cargo did not install", (machine.install("--dir", folder)[0], installed()), (0, "pullyard 0.2.0"))
    for tool, arguments in [("dpkg", "-S"), ("rpm", "-qf")]:
        program(machine.bin, tool, f'[ "$*" = "{arguments} {folder}/pullyard" ]')
        check(f"a program of {tool}", machine.install("--dir", folder)[0], 1)
        machine.without(tool)


if __name__ == "__main__":
    # A shell that starts this in the background ignores SIGINT, and so would the shells of the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    (TEMPORARY / "releases").mkdir()
    address = serve(TEMPORARY / "releases")
    publish("0.1.9", known=False), publish("0.2.0")
    broken = publish("0.3.0", "exit 1")
    # Other servers' answers: the script of another release, and a page.
    for version, page in [("0.2", (TEMPORARY / "releases/0.2.0/install.sh").read_text()), ("0.5.0", "<h1>(Welcome</h1>")]:
        (TEMPORARY / "releases" / version).mkdir()
        (TEMPORARY / "releases" / version / "install.sh").write_text(page)
    for scenario in (installs, refuses, owned):
        scenario()
    ended.set()
    shutil.rmtree(TEMPORARY)
    print(f"install: {len(passed)} checks passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)
