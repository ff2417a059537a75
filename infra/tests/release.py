"""Runs infra/release in a checkout whose cargo is a script.

    python3 infra/tests/release.py
    python3 infra/tests/release.py dist/VERSION     the lists of a release's files only

Needs python3.9, git, openssl 3 and sha256sum, on Linux.
"""

import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile

from install import REPOSITORY, TEMPORARY, check, failures, passed, program, release

NATIVE = f"{platform.machine()}-unknown-linux-gnu"
CARGO = f"""#!{sys.executable}
import json, os, pathlib, sys
words, folder = sys.argv, pathlib.Path(__file__).parent
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps(words[1:]) + "\\n")
if words[1] == "metadata":
    print((folder / (words[words.index("--filter-platform") + 1] + ".json")).read_text())
elif words[1] == "lambda":
    # `cargo metadata`, which cargo-lambda calls with its own options, has no such option.
    assert "--target-dir" not in words and words[words.index("--target") + 1].endswith(".2.28")
    folder_of = lambda option: pathlib.Path(words[words.index(option) + 1])
    (folder_of("--lambda-dir") / "pullyard-functions").mkdir(parents=True, exist_ok=True)
    text = f"\x7fELF {{os.path.basename(os.getcwd())}} {{os.environ['PULLYARD_COMMIT']}}"
    (folder_of("--lambda-dir") / "pullyard-functions/bootstrap").write_text(text)
else:
    target, commit = words[words.index("--target") + 1].rsplit(".", 2)[0], os.environ["PULLYARD_COMMIT"][:12]
    built = pathlib.Path(words[words.index("--target-dir") + 1]) / target / "release"
    built.mkdir(parents=True, exist_ok=True)
    (folder / "releases").write_text(os.environ["PULLYARD_RELEASES"])
    (folder / "flags").write_text(json.dumps(os.environ["CARGO_ENCODED_RUSTFLAGS"].split("\\x1f")))
    for name in ("pullyard", "pullyard-runner"):
        text = (folder / "program").read_text().replace("NAME", name).replace("COMMIT", commit)
        (built / name).write_text(text if target == {NATIVE!r} else "#!for another processor")
        (built / name).chmod(0o755)
"""
# Writes the time and the source of the wheel.
PIP = r"""
while [ "$1" != --wheel-dir ]; do shift; done
echo "$SOURCE_DATE_EPOCH $(cat "$3/pyproject.toml")" > "$2/pullyard-1.2.3-py3-none-any.whl"
"""
PROGRAM = """#!/bin/sh
case $1 in
  --version) echo "NAME 1.2.3 (COMMIT)" ;;
  completions) echo "completes for $2" ;;
  man) echo page > "$2/NAME.1" ;;
esac
"""


class Source:
    """A checkout whose cargo is a script, in a folder with a space."""

    def __init__(self, name):
        self.folder, self.bin = TEMPORARY / name / "a source", TEMPORARY / name / "bin"
        shutil.copytree(REPOSITORY / "infra", self.folder / "infra", ignore=shutil.ignore_patterns("__pycache__", "tests"))
        shutil.copy(REPOSITORY / "samconfig.toml", self.folder)
        (self.folder / "functions/lambda").mkdir(parents=True)
        (self.folder / "docs").mkdir()
        (self.folder / "clients/python").mkdir(parents=True)
        (self.folder / "clients/python/pyproject.toml").write_text("a package\n")
        (self.folder / "docs/operations.md").write_text("# Operations\n")
        (self.folder / "Cargo.toml").write_text('[workspace.package]\nversion = "1.2.3"\n')
        self.changelog = self.folder / "CHANGELOG.md"
        self.changelog.write_text("# Changelog\n\n## 1.2.3 (2026-11-29)\n")
        (self.folder / "Cargo.lock").write_text(
            f'name = "url"\nversion = "2.5.0"\nsource = "registry"\nchecksum = "{"a" * 64}"\n')
        (self.folder / "LICENSE").write_text("Pullyard's licence\n")
        (self.folder / ".gitignore").write_text("/target\n/dist\n")
        self.bin.mkdir()
        program(self.bin, "pip", PIP)
        program(self.bin, "rustc", 'echo "${0%/*}/sysroot"')
        for target in release.TARGETS:
            (self.bin / "sysroot/lib/rustlib" / target / "lib").mkdir(parents=True)
            (self.bin / f"{target}.json").write_text(json.dumps(self.metadata(target)))
        (self.bin / "cargo").write_text(CARGO)
        (self.bin / "cargo").chmod(0o755)
        (self.bin / "program").write_text(PROGRAM)
        (self.folder / "infra/compose/runner.env").write_text("PULLYARD_RUNNER_TOKEN=secret\n")
        self.git("init", "-q")
        self.commit()

    def metadata(self, target):
        """pullyard links url and a crate of the target; serde's macro and cc are parts of the build."""
        crates = TEMPORARY / "crates"
        packages, nodes = [], []
        for name, needed in {
            "pullyard-cli": [("url", None), ("serde_derive", None), ("cc", "build"), (f"only-{target}", None)],
            "pullyard-runner": [("url", None), ("tempfile", "dev")], "pullyard-functions": [("url", None)], "url": [], f"only-{target}": [("url", None)],
            "serde_derive": [("syn", None)], "syn": [], "cc": [], "tempfile": [],
        }.items():
            (crates / name).mkdir(parents=True, exist_ok=True)
            (crates / name / "LICENSE-MIT").write_text(f"MIT, {name}\n" if name == "url" else "MIT\n")
            (crates / name / "licenserc.toml").write_text("no licence")
            packages.append({
                "id": f"id {name}", "name": name, "version": "2.5.0", "license": "MIT/Apache-2.0",
                "source": None if name.startswith("pullyard") else "registry",
                "manifest_path": str(crates / name / "Cargo.toml"),
                "targets": [{"kind": ["proc-macro" if name == "serde_derive" else "lib"]}]})
            nodes.append({"id": f"id {name}", "deps": [
                {"pkg": f"id {one}", "dep_kinds": [{"kind": kind, "target": None}]} for one, kind in needed]})
        return {"packages": packages, "resolve": {"nodes": nodes}}

    def git(self, *words):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        return subprocess.run(["git", "-C", self.folder, *identity, *words], check=True, capture_output=True, text=True).stdout

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-qm", "change")

    def release(self, *arguments, **environment):
        """Returns the exit code, the output and the calls of cargo."""
        (self.bin / "calls").write_text("")
        variables = {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.bin), **environment}
        done = subprocess.run([self.folder / "infra/release", *arguments], env=variables, text=True, timeout=60,
                              cwd=self.bin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check(f"no stack trace: {done.stdout}", "Traceback" in done.stdout, False)
        return done.returncode, done.stdout, [json.loads(line) for line in (self.bin / "calls").read_text().splitlines()]

    def refuses(self, name, sentence, *arguments, builds=False):
        code, output, calls = self.release(*(arguments or ["1.2.3"]))
        check(f"{name}: {output}", (code, sentence in output, bool(calls)), (1, True, builds))
        check(f"{name}: no release", (self.folder / "dist/1.2.3").exists(), False)


def check_lists(out, version, targets, git):
    """The folder and each archive have exactly their files."""
    texts, completions = ["LICENSE", "THIRD-PARTY.txt"], [f"completions/{name}" for name in release.SHELLS.values()]
    lists = {"pullyard": ["pullyard", *texts, *completions, "man/man1/pullyard.1"], "pullyard-runner": ["pullyard-runner", *texts],
             "pullyard-compose": [f"pullyard-compose/{one}" for one in [*texts, ".dockerignore", "compose.yaml", "runner.env.example", "pullyard-runner"]]}
    tracked = {line.split("\t")[1]: line.startswith("100755") for line in git("ls-files", "--stage", "infra", "docs").splitlines()}
    tracked = {name: runs for name, runs in tracked.items() if not name.startswith(("infra/tests/", "infra/release", "infra/image/pin"))
               and (name.startswith("infra/") or name.endswith(".md"))}
    aws = {*tracked, "samconfig.toml", "template.yaml", "functions.zip", "README.md", "RELEASE", *texts, *release.PROGRAMS}
    files = [f"pullyard-{version}-py3-none-any.whl", "install.sh", "pullyard.cdx.json", "SHA256SUMS"]
    for target in targets:
        machine = release.aws.ARCHITECTURES[target]
        files += [*(f"{name}-{target}.tar.gz" for name in lists), f"pullyard-aws-{machine}.tar.gz"]
        for name, expected in lists.items():
            names = tarfile.open(out / f"{name}-{target}.tar.gz").getnames()
            # The other pages are those of its commands.
            names = [one for one in names if not one.startswith("man/man1/pullyard-")]
            check(f"the content of {name} for {target}", names, sorted(expected))
        top, archive = f"pullyard-aws-{version}-{machine}/", tarfile.open(out / files[-1])
        check(f"the content of {files[-1]}", {one.name.removeprefix(top) for one in archive}, aws)
        programs = {one.name.removeprefix(top) for one in archive if one.mode == 0o755}
        check("its programs", programs, {*release.PROGRAMS, *(name for name, runs in tracked.items() if runs)})
    check("the files", sorted({*os.listdir(out)} - {"SHA256SUMS.sig"}), sorted(files))


def makes():
    source, key = Source("makes"), TEMPORARY / "key.pem"
    out, public = source.folder / "dist/1.2.3", TEMPORARY / "public.pem"
    public.write_text(source.release("--new-key", str(key))[1])
    check("only its owner reads a key", stat.S_IMODE(key.stat().st_mode), 0o600)
    address = ["--address", "https://releases.example/pullyard"]
    code, output, calls = source.release("1.2.3", "--sign", str(key), *address, CARGO_TARGET_DIR="target/else where")
    check(f"a release: {output}", code, 0)
    check("one build for each target", [words[0] for words in calls], ["zigbuild", "zigbuild", "lambda", "lambda", "metadata", "metadata"])
    aws = ["pullyard-aws-x86_64.tar.gz", "pullyard-aws-arm64.tar.gz"]
    archives = [f"{name}-{target}.tar.gz" for name in release.PROGRAMS for target in release.TARGETS]
    check_lists(out, "1.2.3", release.TARGETS, source.git)
    content = {name: tarfile.open(out / name) for name in archives}
    for name in aws:
        archive, top = tarfile.open(out / name), f"pullyard-aws-1.2.3-{name[13:-7]}/"
        functions = zipfile.ZipFile(io.BytesIO(archive.extractfile(f"{top}functions.zip").read()))
        check("Lambda's file", [(one.filename, one.external_attr >> 16) for one in functions.infolist()], [("bootstrap", 0o100755)])
        commit = source.git("rev-parse", "HEAD").strip()
        check("the functions' program", functions.read("bootstrap").decode(), f"\x7fELF lambda {commit}")
        check("the release", archive.extractfile(f"{top}RELEASE").read().decode(), f"1.2.3 {commit} {name[13:-7]}\n")
    seconds = source.git("log", "-1", "--format=%ct").strip()
    check("the wheel", (out / "pullyard-1.2.3-py3-none-any.whl").read_text(), f"{seconds} a package\n")
    check("the steps name the version", b"Pullyard 1.2.3 on AWS" in archive.extractfile(f"{top}README.md").read())
    check("programs know the address", (source.bin / "releases").read_text(), address[1])
    flags = json.loads((source.bin / "flags").read_text())
    check("no path of the machine", flags,
          [f"--remap-path-prefix={source.folder}=/pullyard", f"--remap-path-prefix={source.bin}/.cargo=/cargo"])
    third = content[archives[0]].extractfile("THIRD-PARTY.txt").read().decode()
    check("each licence once, with its crates", (third.count("\nMIT\n"), third.count("MIT, url"), "no licence" in third), (1, 1, False))
    linked = ["only-aarch64-unknown-linux-gnu", "only-x86_64-unknown-linux-gnu", "url"]
    check("the crates of the licences", re.findall(r"(?m)^(\S+) 2\.5\.0 +MIT OR Apache-2.0$", third), linked)
    components = json.loads((out / "pullyard.cdx.json").read_text())["components"]
    check("the bill of materials", [one["name"] for one in components], [*linked[:2], "pullyard-cli", "pullyard-functions", "pullyard-runner", "url"])
    check("its hash", components[-1]["hashes"][0]["content"], "a" * 64)
    sums = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, capture_output=True)
    check("the hashes", (sums.returncode, len((out / "SHA256SUMS").read_text().splitlines())), (0, 11))
    check("the installer's hash", hashlib.sha256((out / archives[0]).read_bytes()).hexdigest() in (out / "install.sh").read_text())
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", out / "SHA256SUMS",
              "-sigfile", out / "SHA256SUMS.sig"]
    check("the signature", subprocess.run(verify, capture_output=True).returncode, 0)
    check("its size", (out / "SHA256SUMS.sig").stat().st_size, 64)

    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code, output, calls = source.release("1.2.3")
    check(f"a version is never overwritten: {output}", (code, "exists; delete it, or" in output, calls), (1, True, []))
    check("the first stays", {path.name: path.read_bytes() for path in out.iterdir()}, before)
    check("a folder of others stays", (source.release("1.2.3", "--out", str(source.bin))[0], source.bin.is_dir()), (1, True))
    source.release("1.2.3", "--sign", str(key), *address, "--out", str(TEMPORARY / "again"))
    check("two releases are equal", {path.name: path.read_bytes() for path in (TEMPORARY / "again").iterdir()}, before)


def makes_nothing():
    source = Source("makes-nothing")
    source.refuses("another version", "Cargo.toml has the version 1.2.3", "1.2.4")
    source.refuses("no https", "must be an https address", "1.2.3", "--address", "http://releases.example")
    source.refuses("a key that is missing", "openssl", "1.2.3", "--sign", str(TEMPORARY / "none.pem"))
    source.refuses("a key in the work tree", "outside of the work tree", "--new-key", str(source.folder / "key.pem"))
    check("it is not written", (source.folder / "key.pem").exists(), False)
    ignored = subprocess.run(["git", "-C", REPOSITORY, "check-ignore", "--quiet", "release-key.pem"])
    check("git ignores a key that was moved there", ignored.returncode, 0)
    for title in ("1.2.3 (unreleased)", "1.2.3-rc1 (2026-11-29)", "1.2.30 (2026-11-29)"):
        source.changelog.write_text(f"# Changelog\n\n## {title}\n")
        source.commit()
        source.refuses(f"the section {title}", "no dated section 1.2.3")
    (source.folder / "new file").write_text("")
    source.changelog.write_text("# Changelog\n\n## 1.2.3 (2026-11-29)\n")
    source.refuses("changes", "has changes (CHANGELOG.md, ")
    code, output, _ = source.release("1.2.3", "--allow-dirty")
    archive = tarfile.open(source.folder / f"dist/1.2.3/pullyard-{NATIVE}.tar.gz")
    check("programs with changes say so", (code, b"-dirty)" in archive.extractfile("pullyard").read()), (0, True))
    shutil.rmtree(source.folder / "dist")
    source.commit()
    for name, text, sentence in [
        ("a program of another version", PROGRAM.replace("1.2.3", "1.2.2"), "is pullyard 1.2.2 ("),
        ("a program that does not start", "#!/bin/sh\nexit 1\n", "--version` ended with 1"),
        ("no completions", PROGRAM.replace('echo "completes for $2"', "exit 1"), "completions bash` ended with 1"),
        ("a new glibc", PROGRAM + "# GLIBC_2.17 GLIBC_2.30\n", "needs glibc 2.30"),
    ]:
        (source.bin / "program").write_text(text)
        source.refuses(name, sentence, builds=True)
    (source.bin / "program").write_text(PROGRAM)
    shutil.rmtree(source.bin / "sysroot/lib/rustlib" / NATIVE)
    source.refuses("without the target of this machine", f"rustup target add {NATIVE}")


if __name__ == "__main__":
    if sys.argv[1:]:
        built = pathlib.Path(sys.argv[1])
        targets = [target for target in release.TARGETS if (built / f"pullyard-{target}.tar.gz").exists()]
        check("a target is built", NATIVE in targets)
        check_lists(built, built.name, targets, lambda *words: subprocess.check_output(["git", *words], cwd=REPOSITORY, text=True))
    else:
        makes()
        makes_nothing()
    shutil.rmtree(TEMPORARY)
    print(f"release: {len(passed)} checks passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)
