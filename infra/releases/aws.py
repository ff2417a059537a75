"""The archive that deploys Pullyard on AWS without a compiler: the templates, the functions, and the programs."""

import io
import pathlib
import re
import zipfile
from typing import Dict

FOLDER = "pullyard-aws"
# What SAM and infra/preflight call the processors of Rust's targets.
ARCHITECTURES = {"x86_64-unknown-linux-gnu": "x86_64", "aarch64-unknown-linux-gnu": "arm64"}

def replace(pattern: str, value: str, text: str, count: int) -> str:
    """Fails where the template has changed, so that no archive has half of it."""
    text, found = re.subn(pattern, value, text)
    assert found == count, f"{pattern} occurs {found} times, expected {count}"
    return text


def template(name: str, text: str, architecture: str) -> str:
    """A template of infra/ with the built program, for this architecture only."""
    if name == "functions.yaml":
        functions = text.count("AWS::Serverless::Function")
        text = replace(r"(?m)^# CodeUri and Metadata are.*\n# Globals\.\n", "", text, 1)
        text = replace(r"(?m)^    Metadata: \{BuildMethod: .*\n", "", text, functions)
        text = replace(r"CodeUri: \S+", "CodeUri: ../functions.zip", text, functions)
    if name == "template.yaml":
        start = text.index("\n  Architecture:\n")
        end = text.index("\n  ", text.index("AllowedValues", start))
        one = replace(r"Default: \S+", f"Default: {architecture}", text[start:end], 1)
        text = text[:start] + replace(r"AllowedValues: \[.*\]", f"AllowedValues: [{architecture}]", one, 1) + text[end:]
    return text


def samconfig(text: str, architecture: str) -> str:
    """The sections of `sam deploy`, which finds the templates without a build."""
    text = replace(r"\[\w+\.build\.parameters\]\n(?:[^\n]+\n)+\n", "", text, 3)
    text = replace(r"(\[\w+\.deploy\.parameters\]\n)", r'\1template_file = "infra/template.yaml"\n', text, 3)
    text = replace(r"\[\w+\.local_invoke\.parameters\]\n(?:[^\n]+\n)+\n", "", text, 1)
    text = replace(r"# Against a running `pullyard up`.*\n", "", text, 1)
    text = replace("for `sam build` and `sam deploy` alike, as", "as", text, 1)
    return replace(r"(?m)^#   Architecture=.*\n(?:# {26}.*\n)+", f"#   Architecture={architecture}\n", text, 1)


def functions_zip(bootstrap: bytes, time: tuple) -> bytes:
    """Equal programs give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap", time)
        entry.create_system, entry.external_attr, entry.compress_type = 3, 0o100755 << 16, zipfile.ZIP_DEFLATED
        archive.writestr(entry, bootstrap, compresslevel=9)
    return buffer.getvalue()


def files(root: pathlib.Path, target: str, version: str, commit: str, bootstrap: bytes, time: tuple) -> Dict[str, bytes]:
    """The files of the archive in `FOLDER`, without the programs and licences."""
    architecture, infra = ARCHITECTURES[target], root / "infra"
    content = {f"infra/{path.name}": template(path.name, path.read_text(), architecture).encode()
               for path in infra.glob("*.yaml")}
    for path in [infra / "preflight", *(infra / "preflight_checks").glob("*.py"), *(infra / "image").iterdir()]:
        if path.is_file():
            content[str(path.relative_to(root))] = path.read_bytes()
    return {
        **content,
        "samconfig.toml": samconfig((root / "samconfig.toml").read_text(), architecture).encode(),
        "functions.zip": functions_zip(bootstrap, time),
        "README.md": (infra / "releases/aws.md").read_text().replace("@VERSION@", version).encode(),
        # Read by infra/preflight and infra/image/push instead of git's answers.
        "RELEASE": f"{version} {commit}\n".encode()}
