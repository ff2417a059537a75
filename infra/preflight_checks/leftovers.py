"""The stack of this name, and resources that an earlier stack left under its names."""

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, List, NamedTuple, Optional, Set, Tuple

from . import retained
from .command import AwsError
from .context import Context
from .report import FAIL, FIXED, OK, WARN, Finding

# A first deployment that failed: nothing in it works, and no update is possible.
DEAD = ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"]
# --fix deletes these: CloudFormation has deleted all resources of the first, and the second never had any.
EMPTY = ["ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"]


class Kind(NamedTuple):
    """Resources that are named after the stack. A new stack fails where one exists."""
    name: str
    # Prints a JSON list of names, URLs or ARNs.
    list: List[str]
    names: Set[str]
    # `{}` is replaced by the printed name, URL or ARN.
    delete: List[str]


def template_names(context: Context, key: str) -> Set[str]:
    """The names that infra/*.yaml give to resources by this property."""
    names = set()
    for path in (context.root / "infra").glob("*.yaml"):
        for name in re.findall(rf'(?m)^ +{key}: !Sub "?([^"\n]*\$\{{Deployment\}}[^"\n]*)"?', path.read_text()):
            names.add(name.replace("${Deployment}", context.stack))
    return names


def kinds(context: Context) -> List[Kind]:
    stack = context.stack
    logs, table = template_names(context, "LogGroupName"), [f"--table-name {stack}"]
    delete_logs = ["logs delete-log-group --log-group-name {}"]
    return [
        Kind("table", ["dynamodb describe-table", *table, "--query [Table.TableName]"], {stack},
             ["dynamodb update-table --table-name {} --no-deletion-protection-enabled",
              "dynamodb delete-table --table-name {}"]),
        Kind("repository", [f"ecr describe-repositories --repository-names {stack}-runner",
                            "--query repositories[].repositoryName"], {f"{stack}-runner"},
             ["ecr delete-repository --force --repository-name {}"]),
        Kind("log group", [f"logs describe-log-groups --log-group-name-prefix /pullyard/{stack}/",
                           "--query logGroups[].logGroupName"], logs, delete_logs),
        Kind("log group", [f"logs describe-log-groups --log-group-name-prefix /aws/vendedlogs/pullyard/{stack}/",
                           "--query logGroups[].logGroupName"], logs, delete_logs),
        Kind("function", ["lambda list-functions --query Functions[].FunctionName"],
             template_names(context, "FunctionName"), ["lambda delete-function --function-name {}"]),
        Kind("queue", [f"sqs list-queues --queue-name-prefix {stack}- --query QueueUrls"],
             template_names(context, "QueueName"), ["sqs delete-queue --queue-url {}"]),
        Kind("topic", ["sns list-topics --query Topics[].TopicArn"], template_names(context, "TopicName"),
             ["sns delete-topic --topic-arn {}"]),
        Kind("cluster", [f"ecs describe-clusters --clusters {stack}",
                         "--query clusters[?status==`ACTIVE`].clusterName"], {stack},
             ["ecs delete-cluster --cluster {}"]),
        Kind("schedule", [f"scheduler get-schedule --name {stack}-sweeper --query [Name]"], {f"{stack}-sweeper"},
             ["scheduler delete-schedule --name {}"]),
        Kind("rule", [f"events describe-rule --name {stack}-task-state-changes --query [Name]"],
             {f"{stack}-task-state-changes"},
             ["events remove-targets --rule {} --ids tasks", "events delete-rule --name {}"]),
        Kind("alarm", [f"cloudwatch describe-alarms --alarm-name-prefix {stack}- --query MetricAlarms[].AlarmName"],
             template_names(context, "AlarmName"), ["cloudwatch delete-alarms --alarm-names {}"]),
        Kind("dashboard", [f"cloudwatch list-dashboards --dashboard-name-prefix {stack}",
                           "--query DashboardEntries[].DashboardName"], {stack},
             ["cloudwatch delete-dashboards --dashboard-names {}"]),
    ]


def missing(error: AwsError) -> bool:
    return "NotFound" in error.code or error.code in ("ResourceNotFound", "NonExistentQueue")


def check_kind(context: Context, kind: Kind) -> List[Finding]:
    try:
        found = context.aws.call(*" ".join(kind.list).split()) or []
    except AwsError as error:
        return [] if missing(error) else [error.finding("leftovers", context.aws, f"{kind.name}s")]
    # A queue is listed by its URL and a topic by its ARN; both end in the name.
    taken = [one for one in found if one in kind.names or re.split("[:/]", one)[-1] in kind.names]
    findings = []
    for one in taken:
        fix = " && ".join(context.aws.command(*command.replace("{}", one).split()) for command in kind.delete)
        data = " with its data" if kind.name == "table" else ""
        findings.append(Finding(FAIL, "leftovers", f"the {kind.name} {one}{data} exists, a new stack would fail at it",
                                f"deploy under another stack_name, or: {fix}"))
    mailboxes = [one for one in found if re.fullmatch(f".*/{context.stack}-wake-[a-z0-9]{{26}}", one)]
    if mailboxes:
        fix = " && ".join(context.aws.command("sqs", "delete-queue", "--queue-url", one) for one in mailboxes)
        findings.append(Finding(WARN, "leftovers", f"{len(mailboxes)} mailboxes of runners of an earlier stack exist; they "
                                "cost nothing and hinder no new stack", fix))
    return findings


def check_secret(context: Context) -> List[Finding]:
    """A secret that is scheduled for deletion holds its name for up to 30 days."""
    aws, name = context.aws, f"{context.stack}/key"
    delete = aws.command("secretsmanager", "delete-secret", "--force-delete-without-recovery", "--secret-id", name)
    try:
        secret = aws.call("secretsmanager", "describe-secret", "--secret-id", name)
    except AwsError as error:
        return [] if missing(error) else [error.finding("leftovers", aws, f"the secret {name}")]
    if secret.get("DeletedDate"):
        restore = aws.command("secretsmanager", "restore-secret", "--secret-id", name)
        return [Finding(FAIL, "leftovers", f"the secret {name} is scheduled for deletion and holds its name",
                        f"{restore} && {delete}")]
    return [Finding(FAIL, "leftovers", f"the secret {name} exists, a new stack would fail at it",
                    f"deploy under another stack_name, or: {delete}")]


def describe_stack(context: Context) -> Optional[dict]:
    try:
        return context.aws.call("cloudformation", "describe-stacks", "--stack-name", context.stack)["Stacks"][0]
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in error.message:
            return None
        raise


def deletion(context: Context) -> List[List[str]]:
    name = ["--stack-name", context.stack]
    return [["cloudformation", "delete-stack", *name], ["cloudformation", "wait", "stack-delete-complete", *name]]


def delete_stack(context: Context, status: str) -> Iterator[Finding]:
    delete, wait = deletion(context)
    yield Finding(OK, "leftovers", f"deleting the stack {context.stack}, which takes up to some minutes")
    context.aws.call(*delete)
    context.aws.call(*wait, timeout=900)
    yield Finding(FIXED, "leftovers", f"the stack {context.stack} was in {status} and has been deleted")


def check_stack(context: Context, status: str) -> Tuple[bool, Finding]:
    """Whether its names should be free, and what was found."""
    aws, stack = context.aws, context.stack
    both = " && ".join(aws.command(*command) for command in deletion(context))
    if status == "REVIEW_IN_PROGRESS":
        found = f"the stack {stack} is in {status}: its first change set was never executed"
        return True, Finding(WARN, "leftovers", found, both)
    if status in DEAD:
        return False, Finding(FAIL, "leftovers", f"the stack {stack} is in {status} and cannot be updated", both)
    if status == "UPDATE_ROLLBACK_FAILED":
        return False, Finding(FAIL, "leftovers", f"the stack {stack} is in {status}",
                              aws.command("cloudformation", "continue-update-rollback", "--stack-name", stack))
    if status.endswith("_IN_PROGRESS"):
        waiter = {"CREATE": "stack-create-complete", "DELETE": "stack-delete-complete"}
        command = ["cloudformation", "wait", waiter.get(status.split("_")[0], "stack-update-complete")]
        return False, Finding(FAIL, "leftovers", f"the stack {stack} is in {status}",
                              aws.command(*command, "--stack-name", stack))
    return False, Finding(OK, "leftovers", f"the stack {stack} is in {status} and can be updated")


def check_retained(context: Context) -> Iterator[Finding]:
    """What costs money and hinders no new stack."""
    remove = f"infra/remove --stack {context.stack} --region {context.aws.region}"
    remove += f" --profile {shlex.quote(context.aws.profile)}" if context.aws.profile else ""
    for name, find in (("secrets of users", retained.secrets), ("buckets", retained.buckets)):
        try:
            found = find(context.aws, context.stack)
        except AwsError as error:
            yield error.finding("leftovers", context.aws, name)
            continue
        if found:
            cost = "each costs 0.40 dollars a month, and a new stack uses them" if find is retained.secrets else \
                "their objects cost storage"
            yield Finding(WARN, "leftovers", f"{len(found)} {name} of an earlier stack exist; {cost}", remove)


def check(context: Context) -> Iterator[Finding]:
    stack = describe_stack(context)
    status = stack["StackStatus"] if stack else None
    if status in EMPTY and context.fix and not context.dry_run:
        yield from delete_stack(context, status)
    elif status:
        free, finding = check_stack(context, status)
        yield finding
        # A protected table makes the deletion of these fail again.
        if status in ("ROLLBACK_FAILED", "DELETE_FAILED"):
            yield from check_kind(context, kinds(context)[0])
        if not free:
            return
    # Most of each call is waiting.
    with ThreadPoolExecutor(4) as pool:
        checks = [pool.submit(check_secret, context)]
        checks += [pool.submit(check_kind, context, kind) for kind in kinds(context)]
        checks.append(pool.submit(lambda: list(check_retained(context))))
        clean = True
        for done in checks:
            for finding in done.result():
                clean = False
                yield finding
    if clean:
        yield Finding(OK, "leftovers", f"nothing in the account has the names of the stack {context.stack}")
