"""The context of every check: the settings, the stack's name, and the AWS region and profile."""

import importlib.machinery
import importlib.util
import os
import pathlib
import re
from typing import Any, Dict, NamedTuple, Optional

from .command import Aws, run

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def load_settings_command() -> Any:
    """infra/settings as a module; its name has no suffix, so `import` does not find it."""
    loader = importlib.machinery.SourceFileLoader("settings", str(ROOT / "infra/settings"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("settings", loader))
    loader.exec_module(module)
    return module


settings_command = load_settings_command()
Problem = settings_command.Problem


class Context(NamedTuple):
    root: pathlib.Path
    environment: str
    stack: str
    aws: Aws
    settings: Dict[str, str]
    fix: bool
    dry_run: bool

    @property
    def config_option(self) -> str:
        """The options with which `sam` reads the same answers."""
        option = f" --config-file {settings_command.LOCAL.name}" if settings_command.LOCAL.exists() else ""
        return option + (f" --config-env {self.environment}" if self.environment != "default" else "")


def configured_region(profile: Optional[str]) -> Optional[str]:
    """The region that `sam` uses: it reads AWS_DEFAULT_REGION and the profile, but not AWS_REGION."""
    if os.environ.get("AWS_DEFAULT_REGION"):
        return os.environ["AWS_DEFAULT_REGION"]
    result = run("aws", "configure", "get", "region", *(["--profile", profile] if profile else []))
    return result.output if result.ok and result.output else None


def load_context(options: Any) -> Context:
    """Errors: `Problem` for a samconfig file or a name of a stack that cannot be used."""
    answers = settings_command.Answers(options.env)
    stack = options.stack or answers.parameter("stack_name") or "pullyard"
    if not re.fullmatch("[a-z](-?[a-z0-9])+", stack) or not 3 <= len(stack) <= 25:
        raise Problem(f"the stack's name {stack} must be 3 to 25 lower-case letters, digits and single hyphens, "
                      "with a letter first and no hyphen last")
    profile = options.profile or answers.parameter("profile")
    region = options.region or answers.parameter("region") or configured_region(profile)
    return Context(ROOT, options.env, stack, Aws(region, profile or os.environ.get("AWS_PROFILE")), answers.values(),
                   options.fix, options.dry_run)
