"""What a deleted stack leaves on purpose: its table, signing key, buckets, users' secrets, mailboxes of runners, and the
budget that preflight made."""

import json
import os
import re
import tempfile
import time
from typing import Callable, Dict, List, NamedTuple

from .command import Aws, AwsError
from .regions import partition

# SQS lists a deleted queue for up to a minute, and Secrets Manager describes a deleted secret for some seconds.
PAUSE_SECS, PAUSES = 10, 12
# The tag that infra/data.yaml and preflight set. Resources of older stacks have CloudFormation's own tag only.
TAG = "pullyard:deployment"


class Kind(NamedTuple):
    """`find` lists what the stack made; `delete` deletes one of them and may be repeated."""
    name: str
    find: Callable[[Aws, str], List[str]]
    delete: Callable[[Aws, str], None]
    # Whether a removal continues where this kind cannot be read.
    optional: bool = False


def missing(error: AwsError) -> bool:
    return "NotFound" in error.code or error.code in ("ResourceNotFound", "NonExistentQueue", "QueueDoesNotExist",
                                                      "NoSuchBucket", "NoSuchTagSet", "404")


def belongs(tags: List[dict], stack: str) -> bool:
    """Whether the tags prove that this stack made the resource; its name alone proves nothing."""
    values = {one["Key"]: one["Value"] for one in tags or []}
    if TAG in values:
        return values[TAG] == stack
    return bool(re.fullmatch(rf"{stack}-Data-[A-Z0-9]+", values.get("aws:cloudformation:stack-name", "")))


def tables(aws: Aws, stack: str) -> List[str]:
    try:
        table = aws.call("dynamodb", "describe-table", "--table-name", stack)["Table"]
        # Its deletion ends anyway, and DynamoDB may refuse to list its tags.
        if table.get("TableStatus") == "DELETING":
            return [stack]
        tags = aws.call("dynamodb", "list-tags-of-resource", "--resource-arn", table.get("TableArn", "")).get("Tags", [])
    except AwsError as error:
        if missing(error):
            return []
        raise
    return [stack] if belongs(tags, stack) else []


def delete_table(aws: Aws, name: str) -> None:
    # An earlier run may have been interrupted after its call.
    if aws.call("dynamodb", "describe-table", "--table-name", name)["Table"].get("TableStatus") != "DELETING":
        aws.call("dynamodb", "update-table", "--table-name", name, "--no-deletion-protection-enabled")
        aws.call("dynamodb", "wait", "table-exists", "--table-name", name, timeout=600)
        aws.call("dynamodb", "delete-table", "--table-name", name)
    aws.call("dynamodb", "wait", "table-not-exists", "--table-name", name, timeout=600)


def keys(aws: Aws, stack: str) -> List[str]:
    try:
        secret = aws.call("secretsmanager", "describe-secret", "--secret-id", f"{stack}/key")
    except AwsError as error:
        if missing(error):
            return []
        raise
    return [f"{stack}/key"] if belongs(secret.get("Tags", []), stack) else []


def secrets(aws: Aws, stack: str) -> List[str]:
    """Secrets that users set. The roles of the stack reserve these two prefixes of names."""
    names = aws.call("secretsmanager", "list-secrets", "--filters", f"Key=name,Values={stack}/",
                     "--query", "SecretList[].Name") or []
    return sorted(one for one in names if one.startswith((f"{stack}/user/", f"{stack}/job/")))


def delete_secret(aws: Aws, name: str) -> None:
    aws.call("secretsmanager", "delete-secret", "--force-delete-without-recovery", "--secret-id", name)


def buckets(aws: Aws, stack: str) -> List[str]:
    """Buckets of this region. A stack of the same name in another region has buckets of the same form."""
    listed = aws.call("s3api", "list-buckets", "--query", "Buckets[].Name") or []
    found = []
    # CloudFormation's name of a bucket: the nested stack, the resource, and letters.
    for name in (one for one in listed if re.match(rf"{stack}-data-[a-z0-9]{{8,}}-", one)):
        try:
            place = aws.call("s3api", "get-bucket-location", "--bucket", name).get("LocationConstraint")
            here = {None: "us-east-1", "EU": "eu-west-1"}.get(place, place) == aws.region
            tags = aws.call("s3api", "get-bucket-tagging", "--bucket", name).get("TagSet", []) if here else []
        except AwsError as error:
            if missing(error):
                continue
            raise
        if here and belongs(tags, stack):
            found.append(name)
    return sorted(found)


def delete_bucket(aws: Aws, name: str) -> None:
    """`aws s3 rb --force` deletes no older versions, so this deletes all versions and markers first."""
    while True:
        page = aws.call("s3api", "list-object-versions", "--bucket", name, "--no-paginate")
        found = [*(page.get("Versions") or []), *(page.get("DeleteMarkers") or [])]
        if not found:
            break
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found[:1000]]
        file, path = tempfile.mkstemp(suffix=".json")
        try:
            with os.fdopen(file, "w") as request:
                json.dump({"Objects": objects, "Quiet": True}, request)
            answer = aws.call("s3api", "delete-objects", "--bucket", name, "--delete", f"file://{path}", timeout=300)
        finally:
            os.unlink(path)
        errors = answer.get("Errors") or []
        if errors:
            raise AwsError("s3api", f"{errors[0].get('Key')} in {name} cannot be deleted: {errors[0].get('Message')}")
    aws.call("s3api", "delete-bucket", "--bucket", name)


def mailboxes(aws: Aws, stack: str) -> List[str]:
    urls = aws.call("sqs", "list-queues", "--queue-name-prefix", f"{stack}-wake-", "--query", "QueueUrls") or []
    return [one for one in urls if re.fullmatch(f".*/{stack}-wake-[a-z0-9]{{26}}", one)]


def delete_mailbox(aws: Aws, url: str) -> None:
    aws.call("sqs", "delete-queue", "--queue-url", url)


def budget_name(aws: Aws, stack: str) -> str:
    """With the region, because a budget's name is unique in the account."""
    return f"{stack}-{aws.region}"


def account(aws: Aws) -> str:
    return aws.call("sts", "get-caller-identity")["Account"]


def budgets(aws: Aws, stack: str) -> List[str]:
    # GovCloud has no budgets.
    if (aws.region or "").startswith("us-gov-"):
        return []
    name, own = budget_name(aws, stack), account(aws)
    try:
        aws.call("budgets", "describe-budget", "--account-id", own, "--budget-name", name)
        arn = f"arn:{partition(aws.region or '')}:budgets::{own}:budget/{name}"
        tags = aws.call("budgets", "list-tags-for-resource", "--resource-arn", arn).get("ResourceTags", [])
    except AwsError as error:
        if missing(error):
            return []
        raise
    return [name] if belongs(tags, stack) else []


def delete_budget(aws: Aws, name: str) -> None:
    aws.call("budgets", "delete-budget", "--account-id", account(aws), "--budget-name", name)


# The table is last: while it exists, a new stack of the name fails, so that an interrupted removal is noticed.
KINDS = [
    Kind("budget of preflight", budgets, delete_budget, optional=True),
    Kind("mailboxes of runners", mailboxes, delete_mailbox),
    Kind("secrets of users", secrets, delete_secret),
    Kind("buckets, with all objects and versions", buckets, delete_bucket),
    Kind("signing key", keys, delete_secret),
    Kind("table, with all jobs and tickets", tables, delete_table),
]


def wait_until_gone(aws: Aws, stack: str, deleted: Dict[Kind, List[str]], sleep: Callable[[float], None] = time.sleep) -> None:
    """Waits while AWS still shows what was deleted, for two minutes at most."""
    for _ in range(PAUSES):
        if not any(set(kind.find(aws, stack)).intersection(names) for kind, names in deleted.items()):
            return
        sleep(PAUSE_SECS)
