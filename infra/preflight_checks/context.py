"""The context of every check: the parameters, the stack's name, and the AWS region and profile."""

import os
import pathlib
import re
from typing import Any, Dict, NamedTuple, Optional

from .command import Aws, run
from .parameters import PARAMETERS, reject, reject_together
from .samconfig import LOCAL, ROOT, Problem, Samconfig


class Context(NamedTuple):
    root: pathlib.Path
    environment: str
    stack: str
    aws: Aws
    parameters: Dict[str, str]
    # In dollars a month; `None` leaves the account's budget as it is.
    budget: Optional[str]
    fix: bool
    dry_run: bool

    @property
    def config_option(self) -> str:
        """The options with which `sam` reads the same answers."""
        option = f" --config-file {LOCAL.name}" if LOCAL.exists() else ""
        return option + (f" --config-env {self.environment}" if self.environment != "default" else "")


def configured_region(profile: Optional[str]) -> Optional[str]:
    """The region that `sam` uses: it reads AWS_DEFAULT_REGION and the profile, but not AWS_REGION."""
    if os.environ.get("AWS_DEFAULT_REGION"):
        return os.environ["AWS_DEFAULT_REGION"]
    result = run("aws", "configure", "get", "region", *(["--profile", profile] if profile else []))
    return result.output if result.ok and result.output else None


def reject_stack(name: str) -> Optional[str]:
    if re.fullmatch("[a-z](-?[a-z0-9])+", name) and 3 <= len(name) <= 25:
        return None
    return (f"the stack's name {name} must be 3 to 25 lower-case letters, digits and single hyphens, "
            "with a letter first and no hyphen last")


def load_config(environment: str) -> Samconfig:
    """Errors: `Problem` for a file without this environment."""
    config = Samconfig()
    if not any(line.strip().startswith(f"[{environment}.") for line in config.lines):
        raise Problem(f"{config.path.name} has no section [{environment}.global.parameters]")
    return config


def load_context(options: Any) -> Context:
    """Errors: `Problem` for a samconfig file or a name of a stack that cannot be used."""
    environment = options.env
    config = load_config(environment)
    overrides = config.overrides(environment)
    parameters = {**{name: fields["Default"] for name, fields in PARAMETERS.items()}, **overrides}
    stack = options.stack or config.get(environment, "stack_name") or "pullyard"
    reasons = [reject(name, value) for name, value in overrides.items()]
    reason = next(filter(None, reasons), None) or reject_together(parameters)
    if reason:
        raise Problem(f"{reason}: correct parameter_overrides in {config.path.name}")
    if reject_stack(stack):
        raise Problem(reject_stack(stack))
    profile = options.profile or config.get(environment, "profile")
    region = options.region or config.get(environment, "region") or configured_region(profile)
    return Context(ROOT, environment, stack, Aws(region, profile or os.environ.get("AWS_PROFILE")), parameters,
                   config.budget(environment), options.fix, options.dry_run)
