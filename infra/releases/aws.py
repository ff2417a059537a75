"""The archive that deploys Pullyard on AWS without a compiler: the templates, the functions, and the programs."""

import io
import pathlib
import re
import subprocess
import zipfile
from typing import Dict

# What SAM and infra/preflight call the processors of Rust's targets.
ARCHITECTURES = {"x86_64-unknown-linux-gnu": "x86_64", "aarch64-unknown-linux-gnu": "arm64"}
LEFT_OUT = re.compile(r"infra/(tests|releases)/|infra/release$|infra/image/pin$|docs/(?!.*\.md$)")


class Problem(Exception):
    """One sentence for the user."""


def folder(version: str, target: str) -> str:
    """The folder in the archive, so that releases unpack beside each other."""
    return f"pullyard-aws-{version}-{ARCHITECTURES[target]}"


def replace(pattern: str, value: str, text: str, count: int) -> str:
    """Fails where a template has changed, so that no archive has half of it."""
    text, found = re.subn(pattern, value, text)
    if found != count:
        raise Problem(f"infra/releases/aws.py: {pattern} occurs {found} times in a template, expected {count}")
    return text


def functions_template(text: str) -> str:
    """The built program instead of its source."""
    functions = text.count("AWS::Serverless::Function")
    text = replace(r"(?m)^# CodeUri and Metadata are.*\n# Globals\.\n", "", text, 1)
    text = replace(r"(?m)^    Metadata: \{BuildMethod: .*\n", "", text, functions)
    return replace(r"CodeUri: \S+", "CodeUri: ../functions.zip", text, functions)


def root_template(text: str, architecture: str) -> str:
    """Allows the program's architecture only, so that no stack gets a program that it cannot start."""
    start = text.index("\n  Architecture:\n")
    end = text.index("\n  ", text.index("Description", start))
    one = replace(r"Default: \S+", f"Default: {architecture}", text[start:end], 1)
    one = replace(r"AllowedValues: \[.*\]", f"AllowedValues: [{architecture}]", one, 1)
    one = replace(r"Description: .*", "Description: The processor of functions and tasks; each archive is for one.", one, 1)
    return text[:start] + one + text[end:]


def functions_zip(bootstrap: bytes, time: tuple) -> bytes:
    """Equal programs give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap", time)
        entry.create_system, entry.external_attr, entry.compress_type = 3, 0o100755 << 16, zipfile.ZIP_DEFLATED
        archive.writestr(entry, bootstrap, compresslevel=9)
    return buffer.getvalue()


def files(root: pathlib.Path, target: str, version: str, commit: str, bootstrap: bytes, time: tuple) -> Dict[str, bytes]:
    """The files of the archive, without the programs and licences. Only what git has, and no secret beside it."""
    architecture = ARCHITECTURES[target]
    listed = subprocess.run(["git", "ls-files", "-z", "infra", "docs", "samconfig.toml"], cwd=root, check=True,
                            stdout=subprocess.PIPE, text=True).stdout.split("\0")
    content = {name: (root / name).read_bytes() for name in listed if name and not LEFT_OUT.search(name)}
    template = root_template(content["infra/template.yaml"].decode(), architecture)
    return {
        **content,
        "infra/functions.yaml": functions_template(content["infra/functions.yaml"].decode()).encode(),
        "infra/template.yaml": template.encode(),
        # Found by `sam deploy` without a build. infra/preflight reads the other one.
        "template.yaml": re.sub(r"(?m)^(\s+(?:TemplateURL|Location): )(\w+\.yaml)", r"\1infra/\2", template).encode(),
        "functions.zip": functions_zip(bootstrap, time),
        "README.md": (root / "infra/releases/aws.md").read_text().replace("@VERSION@", version)
                     .replace("@ARCHITECTURE@", architecture).encode(),
        # Read by infra/preflight and infra/image/push instead of git's answers.
        "RELEASE": f"{version} {commit} {architecture}\n".encode()}
