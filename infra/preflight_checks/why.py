"""Why the last deployment failed: the failed events of the stack and of its nested stacks, also of deleted ones."""

import re
from typing import Any, Dict, Iterator, List, Optional

from .command import AwsError
from .context import Context
from .report import FAIL, OK, WARN, Finding

CHECK = "why"
# `sam deploy` shows only these of the root stack, whose cause is an event of another stack or resource.
CONSEQUENCE = re.compile("cancelled|canceled|^Embedded stack |following resource\\(s\\) failed|^Nested stack ", re.I)
# CloudFormation's word for an event, and what happened to the resource.
DEEDS = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted", "IMPORT": "imported", "ROLLBACK": "rolled back",
         "UPDATE_ROLLBACK": "rolled back"}
# A pattern of a reason, and what to do.
FIXES = [
    ("Unrecognized resource types", "infra/preflight --only region"),
    ("already exists|AlreadyExists|already owned", "infra/preflight --only table --only leftovers"),
    ("Access ?Denied|not authorized|Insufficient permissions|explicit deny|UnauthorizedOperation", "infra/preflight --only permissions"),
    ("service-linked role|service linked role", "infra/preflight --only role"),
    ("LimitExceeded|limit exceeded|maximum number|ReservedConcurrentExecutions|quota", "infra/preflight --only quotas"),
    # CloudFormation can delete the queues of a failed stack in less time.
    ("must wait 60 seconds after deleting a queue", "sleep 60, then repeat sam deploy"),
    ("deletion protection|DeletionProtection", "infra/preflight --only table"),
]
MAX_STACKS = 50
# SAM deploys nothing then, and succeeds.
UNCHANGED = re.compile("didn't contain changes|No updates are to be performed")


def find_stack(context: Context) -> Optional[str]:
    """The ARN of the newest stack of this name. A deleted stack is found by its ARN only, for 90 days."""
    query = ["--query", f"StackSummaries[?StackName=='{context.stack}' && !ParentId].[CreationTime,StackId]"]
    found = context.aws.call("cloudformation", "list-stacks", *query, timeout=180) or []
    return max(found)[1] if found else None


def load_events(context: Context, stack: str) -> List[Dict[str, Any]]:
    """Oldest first."""
    answer = context.aws.call("cloudformation", "describe-stack-events", "--stack-name", stack, timeout=180)
    return list(reversed(answer.get("StackEvents", [])))


def is_start(event: Dict[str, Any]) -> bool:
    """The first event of a deployment; SAM deletes a failed first one afterwards."""
    return (event.get("PhysicalResourceId") == event["StackId"]
            and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "REVIEW_IN_PROGRESS")
            and event.get("ResourceStatusReason", "") in ("User Initiated", ""))


class Deployment:
    """The failed events of the last deployment, by the path of their nested stack."""

    def __init__(self, context: Context, root: str) -> None:
        self.context, self.seen = context, {root}
        events = load_events(context, root)
        starts = [event["Timestamp"] for event in events if is_start(event)]
        self.since = max(starts) if starts else ""
        self.status = next((event["ResourceStatus"] for event in reversed(events)
                            if event.get("PhysicalResourceId") == root), "an unknown state")
        self.findings = list(self.failures(events, ""))

    def failures(self, events: List[Dict[str, Any]], path: str) -> Iterator[Finding]:
        recent = [event for event in events if event["Timestamp"] >= self.since]
        nested = {event["PhysicalResourceId"]: event["LogicalResourceId"] for event in recent
                  if event["ResourceType"] == "AWS::CloudFormation::Stack" and event.get("PhysicalResourceId")}
        found = False
        for arn, name in nested.items():
            if arn in self.seen or len(self.seen) >= MAX_STACKS:
                continue
            self.seen.add(arn)
            for finding in self.failures(load_events(self.context, arn), f"{path}{name} > "):
                found = True
                yield finding
        for event in recent:
            reason = " ".join(event.get("ResourceStatusReason", "").split())
            if event["ResourceStatus"].endswith("_FAILED") and not (CONSEQUENCE.search(reason) or found and not reason):
                yield explain(event, reason, path)


def refused_change_set(context: Context, root: str, since: str) -> Optional[Finding]:
    """The newest change set, if AWS refused it after the last deployment began: the stack then has no failed event."""
    answer = context.aws.call("cloudformation", "list-change-sets", "--stack-name", root)
    newest = max(answer.get("Summaries", []), key=lambda one: one["CreationTime"], default=None)
    if newest is None or newest["Status"] != "FAILED" or newest["CreationTime"] < since:
        return None
    reason = " ".join(newest.get("StatusReason", "AWS gives no reason").split())
    if UNCHANGED.search(reason):
        return None
    # AWS refuses the name of a change set here.
    events = ["cloudformation", "describe-events", "--change-set-name", newest["ChangeSetId"]]
    return Finding(FAIL, CHECK, f"the change set {newest['ChangeSetName']} was refused: {reason}", context.aws.command(*events))


def explain(event: Dict[str, Any], reason: str, path: str) -> Finding:
    deed = DEEDS.get(event["ResourceStatus"][:-len("_FAILED")], "changed")
    name = "the stack" if event.get("PhysicalResourceId") == event["StackId"] else event["LogicalResourceId"]
    fix = next((fix for pattern, fix in FIXES if re.search(pattern, reason)), None)
    return Finding(FAIL, CHECK, f"{path}{name} ({event['ResourceType']}) could not be {deed}: {reason or 'AWS gives no reason'}", fix)


def check(context: Context) -> Iterator[Finding]:
    root = find_stack(context)
    if root is None:
        yield Finding(WARN, CHECK, f"no stack {context.stack} was deployed in {context.aws.region} in the last 90 days",
                      "infra/preflight --why --stack NAME --region REGION")
        return
    try:
        deployment = Deployment(context, root)
    except AwsError as error:
        yield error.finding(CHECK, context.aws, f"the events of {root}")
        return
    refused = None
    # A deleted stack has no change sets.
    if deployment.status != "DELETE_COMPLETE":
        try:
            # The event of a new stack can be later than its first change set.
            since = "" if deployment.status == "REVIEW_IN_PROGRESS" else deployment.since
            refused = refused_change_set(context, root, since)
        except AwsError as error:
            yield error.finding(CHECK, context.aws, "the change sets")
    if refused:
        yield refused
        return
    yield from deployment.findings
    if not deployment.findings:
        yield Finding(OK, CHECK, f"the last deployment of {context.stack} is in {deployment.status} and has no failed event")
