"""Runs install.sh in chroots of Debian's releases, with their own shell and tools, against a server on 127.0.0.1.

    python3 infra/tests/install_chroots.py [RELEASE]

RELEASE is a folder of infra/release; otherwise the programs are shell scripts. Needs root, debootstrap and a mirror of Debian.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import install
from install import TARGET, TEMPORARY, check, failures, passed, release


def tries(debian, root, version, script):
    def chroot(*command, releases="releases", text=script):
        words = ["chroot", root, "/usr/bin/env", "-i", f"PATH=/with-{tool}", f"PULLYARD_RELEASES={install.address}/{releases}"]
        done = subprocess.run([*words, *command], input=text, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode()

    damaged, wrong = "is damaged or was replaced", re.sub(rb"\b[0-9a-f]{64} ", b"a" * 64 + b" ", script)
    for tool in ("curl", "wget", "neither"):
        (root / f"with-{tool}").mkdir()
        for name in set(os.listdir(root / "usr/bin")) - ({"curl", "wget"} - {tool}):
            (root / f"with-{tool}" / name).symlink_to(f"/usr/bin/{name}")
        for releases, text, sentence in [("damaged", script, damaged), ("truncated", script, damaged),
                                         ("releases", wrong, damaged), ("missing", script, "cannot download")]:
            code, output = chroot("sh", releases=releases, text=text)
            expected = "curl or wget is needed" if tool == "neither" else sentence
            left = [*os.listdir(root / "tmp"), *os.listdir(root / "usr/local/bin")]
            check(f"{debian}, {tool}, {releases}: {output}", (code, expected in output, left), (1, True, []))
        for name, options in [] if tool == "neither" else [("pullyard", []), ("pullyard-runner", ["--runner"])]:
            check(f"{debian}, {tool}, {name}", chroot("sh", "-s", "--", *options)[0], 0)
            output = chroot("sh", "-c", f"/usr/local/bin/{name} --version && rm /usr/local/bin/{name}")[1]
            check(f"{debian}, {name} starts: {output}", output.startswith(f"{name} {version}"))


if __name__ == "__main__":
    install.address = install.serve(TEMPORARY)
    given = pathlib.Path(sys.argv[1]) if sys.argv[1:] else install.publish("0.2.0")
    script = (given / "install.sh").read_bytes()
    version = re.search(r"(?m)^version=(.+)$", script.decode())[1]
    for name in [f"{one}-{TARGET}.tar.gz" for one in release.PROGRAMS]:
        whole = (given / name).read_bytes()
        for releases, content in [("releases", whole), ("damaged", whole[:-1] + bytes([whole[-1] ^ 1])), ("truncated", whole[:-1])]:
            (TEMPORARY / releases / version).mkdir(parents=True, exist_ok=True)
            (TEMPORARY / releases / version / name).write_bytes(content)
    # The older buster has a glibc that the programs need, but no packages on the mirrors.
    for debian in ("bullseye", "bookworm", "trixie"):
        root = TEMPORARY / debian
        # In a mount namespace of its own, so that no /proc is mounted below a folder that is removed.
        subprocess.run(["unshare", "--mount", "debootstrap", "--variant=minbase", "--include=curl,wget", debian, root], check=True)
        tries(debian, root, version, script)
    shutil.rmtree(TEMPORARY)
    print(f"install in chroots: {len(passed)} checks passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)
