#!/usr/bin/env python3
"""Reads and edits samconfig.local.toml, or samconfig.toml while it is missing.

    samconfig.py ENV NAME=VALUE    replaces the value of a parameter where the file has one
"""

import json
import os
import pathlib
import re
import shutil
import sys
from typing import Dict, List, Optional, Tuple

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LOCAL = ROOT / "samconfig.local.toml"
TRACKED = ROOT / "samconfig.toml"
# In the archive of a release: its version and commit. There, the program is built already.
RELEASE = ROOT / "RELEASE"
BUDGET = "monthly_budget_usd"
PAIR = re.compile(r"""\s*([A-Za-z0-9]+)=("[^"\\]*"|'[^'\\]*'|[^\s"'\\]+)(?=\s|$)""")


class Problem(Exception):
    """One sentence for the user."""


def parse_overrides(text: str) -> Dict[str, str]:
    """Parses `NAME="VALUE" NAME=VALUE` as SAM does."""
    pairs: Dict[str, str] = {}
    position = 0
    while text[position:].strip():
        match = PAIR.match(text, position)
        if not match or match[1] == "ParameterKey":
            raise Problem(f"parameter_overrides must be NAME=VALUE pairs; this part is not: {text[position:].strip()}")
        pairs[match[1]], position = match[2].strip("\"'"), match.end()
    return pairs


class Samconfig:
    """The lines of one samconfig file, with the parameters of each environment in its section of all commands.

    `sam deploy --guided` and older releases write them into the sections of `sam deploy` and `sam build`. There, a
    change of Architecture could miss one of the two.
    """

    def __init__(self) -> None:
        self.path = LOCAL if LOCAL.exists() else TRACKED
        self.lines = self.path.read_text(encoding="utf-8").splitlines()
        self.moved: List[str] = []
        for environment in dict.fromkeys(re.findall(r"(?m)^\s*\[\s*([^\s.\]]+)\.", "\n".join(self.lines))):
            self.gather(environment)

    def gather(self, environment: str) -> None:
        self.gather_overrides(environment)
        # Older templates made the budget, by a parameter.
        overrides = self.overrides(environment)
        budget = overrides.pop("MonthlyBudgetUsd", None)
        if budget is not None:
            if self.budget(environment) is None:
                self.put(environment, BUDGET, budget, "preflight")
            self.put_overrides(environment, overrides)
            self.moved.append(environment)
            self.moved = list(dict.fromkeys(self.moved))

    def gather_overrides(self, environment: str) -> None:
        numbers = [self.find(f"{environment}.{command}.parameters", "parameter_overrides") for command in ["build", "deploy"]]
        found = [number for number in numbers if number is not None]
        if found:
            overrides = self.overrides(environment)
            for number in found:
                overrides.update(parse_overrides(self.value(number)))
            # Older releases had one parameter for most of them.
            overrides.update(pair.split("=", 1) for pair in overrides.pop("Settings", "").split(";") if "=" in pair)
            for number in sorted(found, reverse=True):
                del self.lines[number]
            self.put_overrides(environment, overrides)
            self.moved.append(environment)

    def section(self, name: str) -> Optional[Tuple[int, int]]:
        """First and last line of a section, without its header."""
        start = None
        for number, line in enumerate(self.lines):
            header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$", line)
            if header and start is not None:
                return start, number
            if header and header[1] == name:
                start = number + 1
        return None if start is None else (start, len(self.lines))

    def find(self, section: str, key: str) -> Optional[int]:
        start, end = self.section(section) or (0, 0)
        return next((at for at in range(start, end) if re.match(rf"\s*{key}\s*=", self.lines[at])), None)

    def value(self, number: int) -> str:
        """Errors: `Problem` where it is not a string on one line."""
        key, raw = (part.strip() for part in self.lines[number].split("=", 1))
        match = re.fullmatch(r"""("(?:\\.|[^"\\])*"|'[^']*')\s*(#.*)?""", raw)
        try:
            if match and not raw.startswith(('"""', "'''")):
                # A basic string of TOML without its rare escapes is a string of JSON.
                return json.loads(match[1]) if raw[0] == '"' else match[1][1:-1]
        except ValueError:
            pass
        raise Problem(f"{self.path.name} line {number + 1}: {key} must be one quoted string on one line")

    def get(self, environment: str, key: str) -> Optional[str]:
        """A value such as stack_name, of `sam deploy` or of every command."""
        for command in ["deploy", "global"]:
            number = self.find(f"{environment}.{command}.parameters", key)
            if number is not None:
                return self.value(number)
        return None

    def budget(self, environment: str) -> Optional[str]:
        """The monthly budget in dollars, or `None` where the file leaves it as it is. SAM does not read this section."""
        number = self.find(f"{environment}.preflight.parameters", BUDGET)
        return None if number is None else self.value(number)

    def put(self, environment: str, key: str, value: str, command: str = "global") -> None:
        """Sets a value of one command, or of every command."""
        quote = "'" if '"' in value else '"'
        section, line = f"{environment}.{command}.parameters", f"{key} = {quote}{value}{quote}"
        number, lines = self.find(section, key), self.section(section)
        if number is not None:
            self.lines[number] = line
        elif lines:
            # After the section's last value: comments below it belong to the next section.
            filled = [at + 1 for at in range(*lines) if re.match(r"\s*[^#\s]", self.lines[at])]
            self.lines.insert(filled[-1] if filled else lines[0], line)
        else:
            self.lines += ["", f"[{section}]", line]

    def overrides(self, environment: str) -> Dict[str, str]:
        number = self.find(f"{environment}.global.parameters", "parameter_overrides")
        return {} if number is None else parse_overrides(self.value(number))

    def put_overrides(self, environment: str, overrides: Dict[str, str]) -> None:
        quoted = {name: value if re.fullmatch(r"\S+", value) else f'"{value}"' for name, value in overrides.items()}
        self.put(environment, "parameter_overrides", " ".join(f"{name}={value}" for name, value in quoted.items()))

    def save(self) -> None:
        """Writes: samconfig.local.toml. Errors: `Problem`, and nothing is written."""
        text = "\n".join(self.lines) + "\n"
        try:
            import tomllib  # from Python 3.11 on
            tomllib.loads(text)
        except ImportError:
            pass
        except ValueError as error:
            raise Problem(f"{self.path.name} is not valid TOML after the change, nothing was written: {error}")
        new = LOCAL.with_name(LOCAL.name + ".new")
        new.write_text(text, encoding="utf-8")
        shutil.copymode(self.path, new)
        os.replace(new, LOCAL)


def main(environment: str, assignment: str) -> None:
    """An update of a stack uses the previous value of a parameter that the file does not have."""
    name, _, value = assignment.partition("=")
    config = Samconfig()
    overrides = config.overrides(environment)
    if LOCAL.exists() and name in overrides:
        config.put_overrides(environment, {**overrides, name: value})
        config.save()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Problem, OSError, UnicodeDecodeError) as problem:
        sys.exit(f"samconfig.local.toml: {problem}")
