"""The KMS key of KmsKeyArn: its state, and the services that its policy must allow to use it."""

import fnmatch
import json
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from .command import AwsError
from .context import Context
from .report import FAIL, OK, WARN, Finding
from .samconfig import LOCAL

CHECK = "key"
PAGE = "docs/operations.md, \"A key of your own\", has the policy"
# Keys in these states cannot encrypt, and what makes them usable.
STATES = {
    "Disabled": ["enable-key"], "PendingDeletion": ["cancel-key-deletion", "enable-key"], "PendingImport": ["import-key-material"],
}
# Elements of a statement that narrow it further than this check reads.
UNREAD = ("NotAction", "NotPrincipal")


class Need(NamedTuple):
    """A principal that uses the key without a role of the stack, and what fails without it."""
    principal: str
    actions: List[str]
    # Values that a condition may require.
    context: Dict[str, str]
    failure: str


def needs(context: Context, account: str, partition: str) -> List[Need]:
    region, stack = context.aws.region or "", context.stack
    logs = lambda prefix: f"arn:{partition}:logs:{region}:{account}:log-group:{prefix}/{stack}/api"
    queue = f"arn:{partition}:sqs:{region}:{account}:{stack}-undelivered"
    of_logs = ["Encrypt", "Decrypt", "ReEncryptTo", "GenerateDataKey", "DescribeKey"]
    found = [
        Need(f"logs.{region}.amazonaws.com", of_logs, {"kms:EncryptionContext:aws:logs:arn": logs(prefix)}, failure)
        for prefix, failure in (("/pullyard", "the first log group fails"), ("/aws/vendedlogs/pullyard", "the access log fails"))
    ]
    found.append(Need("events.amazonaws.com", ["Decrypt", "GenerateDataKey"],
                      {"kms:EncryptionContext:aws:sqs:arn": queue, "aws:SourceAccount": account},
                      "task state changes that fail are lost"))
    if context.parameters["AlarmEmail"] or context.parameters["Alarms"] == "true":
        found.append(Need("cloudwatch.amazonaws.com", ["Decrypt", "GenerateDataKey"], {"aws:SourceAccount": account},
                          "alarms do not reach the topic"))
    return found


def as_list(value: Any) -> List[str]:
    return [value] if isinstance(value, str) else list(value or [])


def matches(pattern: str, value: str) -> bool:
    return fnmatch.fnmatchcase(value.lower(), re.sub(r"\[", "[[]", pattern.lower()))


def permits(conditions: Dict[str, Dict[str, Any]], context: Dict[str, str]) -> bool:
    """Whether each condition holds. A key or operator that this check does not know counts as fulfilled: only the real call
    decides it."""
    known = {key.lower(): value for key, value in context.items()}
    for operator, tests in conditions.items():
        positive = re.search("(String|Arn)(Equals|Like)", operator)
        for key, values in tests.items():
            if positive and key.lower() in known and not any(matches(one, known[key.lower()]) for one in as_list(values)):
                return False
    return True


def names(statement: Dict[str, Any], kind: str, principal: str) -> bool:
    given = statement.get("Principal")
    return given == "*" or isinstance(given, dict) and principal in as_list(given.get(kind))


def missing_actions(policy: Dict[str, Any], need: Need) -> List[str]:
    allowed: List[str] = []
    for statement in policy.get("Statement", []):
        if (statement.get("Effect") == "Allow" and names(statement, "Service", need.principal)
                and permits(statement.get("Condition", {}), need.context)):
            allowed += as_list(statement.get("Action"))
    return [action for action in need.actions if not any(matches(one, f"kms:{action}") for one in allowed)]


def delegates(policy: Dict[str, Any], account: str, partition: str) -> bool:
    """Whether the account's own policies, such as those of the stack's roles, decide."""
    root = f"arn:{partition}:iam::{account}:root"
    return any(statement.get("Effect") == "Allow" and not statement.get("Condition")
               and (names(statement, "AWS", root) or names(statement, "AWS", account) or names(statement, "AWS", "*"))
               and any(one in ("*", "kms:*") for one in as_list(statement.get("Action")))
               for statement in policy.get("Statement", []))


def check_state(context: Context, key: Dict[str, Any]) -> Iterator[Finding]:
    aws, arn, state = context.aws, key["Arn"], key["KeyState"]
    if key["KeySpec"] != "SYMMETRIC_DEFAULT" or key["KeyUsage"] != "ENCRYPT_DECRYPT":
        yield Finding(FAIL, CHECK, f"{arn} is of {key['KeySpec']} for {key['KeyUsage']}, and AWS encrypts with symmetric keys only",
                      aws.command("kms", "create-key"))
    elif state != "Enabled":
        commands = [aws.command("kms", one, "--key-id", arn) for one in STATES.get(state, [])]
        yield Finding(FAIL, CHECK, f"{arn} is in {state} and cannot encrypt", " && ".join(commands) or None)


def check_policy(context: Context, arn: str, account: str, partition: str) -> Iterator[Finding]:
    answer = context.aws.call("kms", "get-key-policy", "--key-id", arn, "--policy-name", "default")
    policy = json.loads(answer["Policy"])
    statements = policy.get("Statement", [])
    policy["Statement"] = statements = [statements] if isinstance(statements, dict) else statements
    if any(one in statement for statement in statements for one in UNREAD) or any(one.get("Effect") == "Deny" for one in statements):
        yield Finding(WARN, CHECK, f"the policy of {arn} has Deny, NotAction or NotPrincipal, which this check does not read", PAGE)
    if not delegates(policy, account, partition):
        yield Finding(WARN, CHECK, f"the policy of {arn} does not let the account's policies decide, so that it must name the "
                      "stack's roles, the table and the deploying principal itself", PAGE)
    for need in needs(context, account, partition):
        missing = missing_actions(policy, need)
        if missing:
            yield Finding(FAIL, CHECK, f"the policy of {arn} does not allow {need.principal} kms:{', kms:'.join(missing)}"
                          f"{place(need)}: {need.failure}", PAGE)


def place(need: Need) -> str:
    value: Optional[str] = next((one for key, one in need.context.items() if key.startswith("kms:EncryptionContext")), None)
    return f" for {value}" if value else ""


def check(context: Context) -> Iterator[Finding]:
    arn = context.parameters["KmsKeyArn"]
    if not arn:
        yield Finding(OK, CHECK, "no KmsKeyArn, so AWS's own keys encrypt")
        return
    _, partition, _, region, account, _ = arn.split(":", 5)
    own = context.aws.call("sts", "get-caller-identity")["Account"]
    if region != context.aws.region:
        yield Finding(FAIL, CHECK, f"{arn} is in {region}, and the stack in {context.aws.region}",
                      f"set KmsKeyArn in {LOCAL.name} to a key of {context.aws.region}")
        return
    if account != own:
        yield Finding(FAIL, CHECK, f"{arn} is in the account {account}, and the stack in {own}",
                      f"set KmsKeyArn in {LOCAL.name} to a key of {own}")
        return
    try:
        key = context.aws.call("kms", "describe-key", "--key-id", arn)["KeyMetadata"]
    except AwsError as error:
        if error.code != "NotFoundException":
            raise
        yield Finding(FAIL, CHECK, f"{arn} does not exist", f"correct KmsKeyArn in {LOCAL.name}")
        return
    findings = list(check_state(context, key)) or list(check_policy(context, arn, account, partition))
    yield from findings
    if not any(one.status == FAIL for one in findings):
        yield Finding(OK, CHECK, f"{arn} is enabled, and its policy allows the services of the stack")
