"""samconfig.local.toml: written once from the answers to a few questions, and adapted to this release."""

import sys
from typing import Any, Callable, Iterator, List, Optional

from .budget import reject_budget
from .context import configured_region, load_config, reject_stack
from .parameters import PARAMETERS, reject
from .regions import reject_region
from .report import FIXED, OK, WARN, Finding
from .samconfig import BUDGET, LOCAL, Problem, Samconfig

# Flags and parameters of the answers that are parameters of the stack.
FLAGS = {"alarm_email": "AlarmEmail", "architecture": "Architecture"}


def ask(question: str, default: str, reject: Callable[[str], Optional[str]]) -> str:
    while True:
        value = input(f"{question} [{default}]: ").strip() or default
        reason = reject(value)
        if not reason:
            return value
        print(f"  {reason}")


def create(options: Any) -> Finding:
    """Writes: samconfig.local.toml. Errors: `Problem` for a flag, and nothing is written."""
    environment = options.env
    config = load_config(environment)
    can_ask = sys.stdin.isatty() and sys.stdout.isatty() and not options.yes and not options.json

    def answer(flag: str, default: str, question: str, reject: Callable[[str], Optional[str]]) -> str:
        given = getattr(options, flag)
        if given is None:
            return ask(question, default, reject) if can_ask else default
        if reject(given):
            raise Problem(reject(given))
        return given

    def parameter(flag: str, question: str) -> str:
        name = FLAGS[flag]
        return answer(flag, PARAMETERS[name]["Default"], question, lambda value: reject(name, value))

    stack = answer("stack", config.get(environment, "stack_name") or "pullyard", "Name of the stack", reject_stack)
    profile = options.profile or config.get(environment, "profile")
    region = answer("region", configured_region(profile) or "", "AWS region", reject_region)
    email = parameter("alarm_email", "E-mail address that receives alarms, empty for no alarms")
    if not email and options.monthly_budget not in (None, "0"):
        raise Problem("--monthly-budget needs --alarm-email, the address that AWS writes to")
    question = "Budget of the account in dollars a month, 0 for none"
    budget = answer("monthly_budget", "0", question, reject_budget) if email else "0"
    choices = PARAMETERS["Architecture"]["AllowedValues"]
    # A release's archive is for one architecture.
    if options.architecture or len(choices) > 1:
        architecture = parameter("architecture", "Architecture, x86_64, or arm64, which costs about 20 % less")
    else:
        architecture = choices[0]
    for key, value in [("stack_name", stack), ("s3_prefix", stack), ("region", region), ("profile", options.profile)]:
        if value:
            config.put(environment, key, value)
    # An update of an existing stack uses its previous address and budget, unless these answers name others.
    chosen = {"AlarmEmail": email} if email else {}
    if budget != "0":
        config.put(environment, BUDGET, budget, "preflight")
    config.put_overrides(environment, {**config.overrides(environment), **chosen, "Architecture": architecture})
    config.save()
    return Finding(FIXED, "config", f"{LOCAL.name} is written, for the stack {stack} in {region or 'no region'}, "
                   f"Architecture={architecture}, {'alarms to ' + email if email else 'no alarms'}")


def reject_flags(options: Any, chosen: List[str]) -> None:
    """Errors: `Problem` for a flag without effect, and for another stack than the one that `sam deploy` deploys."""
    for flag, name in {**FLAGS, "monthly_budget": BUDGET}.items():
        if getattr(options, flag) is None:
            continue
        if LOCAL.exists():
            raise Problem(f"{LOCAL.name} exists: change {name} there")
        if "config" not in chosen:
            raise Problem(f"--{flag.replace('_', '-')} is for a new {LOCAL.name}: add --only config")
    if LOCAL.exists() and chosen != ["leftovers"] and not options.why:
        config = load_config(options.env)
        for flag, key in [("stack", "stack_name"), ("region", "region")]:
            if getattr(options, flag) not in (None, config.get(options.env, key)):
                raise Problem(f"{LOCAL.name} exists: change {key} there")


def repair_prefix(config: Samconfig, environment: str) -> Optional[str]:
    """Sets the folder of the stack's templates in SAM's bucket. Returns it if the file had none, or another stack's.
    Errors: `Problem` for unreadable parameters, and nothing is written."""
    config.overrides(environment)
    stack, prefix = config.get(environment, "stack_name") or "pullyard", config.get(environment, "s3_prefix") or ""
    # The prefixes of samconfig.toml belong to other stacks; any further one is the user's.
    if prefix == stack or prefix and prefix not in ("pullyard", "pullyard-dev"):
        return None
    number = config.find(f"{environment}.deploy.parameters", "s3_prefix")
    if number is not None:
        del config.lines[number]
    config.put(environment, "s3_prefix", stack)
    return stack


def check(options: Any) -> Iterator[Finding]:
    """The other checks read the file, so this one comes first."""
    if not LOCAL.exists():
        if options.dry_run:
            yield Finding(WARN, "config", f"{LOCAL.name} is missing, these are the defaults", "infra/preflight")
        else:
            yield create(options)
        return
    config = load_config(options.env)
    prefix = repair_prefix(config, options.env)
    if prefix and options.dry_run:
        yield Finding(WARN, "config", f"{LOCAL.name} lacks s3_prefix = \"{prefix}\"", "infra/preflight")
    elif prefix:
        config.save()
        yield Finding(FIXED, "config", f"{LOCAL.name} has s3_prefix = \"{prefix}\": `sam delete` of another stack no longer "
                      "deletes this one's templates")
    if not config.moved:
        yield Finding(OK, "config", f"{LOCAL.name} exists")
    elif not options.dry_run:
        config.save()
    for environment in config.moved:
        line = f"{LOCAL.name} [{environment}.global.parameters]: {config.get(environment, 'parameter_overrides')}"
        if options.dry_run:
            yield Finding(WARN, "config", f"{LOCAL.name} is of an older release or of `sam deploy --guided`, to be: {line}", "infra/preflight")
        else:
            yield Finding(FIXED, "config", line)
