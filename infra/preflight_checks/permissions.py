"""The permissions of the caller: IAM simulates the calls of infra/deploy-policy.json, which changes nothing."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .command import AwsError
from .context import Context
from .regions import partition
from .report import FAIL, OK, WARN, Finding
from .samconfig import ROOT

CHECK = "permissions"
POLICY = ROOT / "infra/deploy-policy.json"
# IAM accepts this many actions in a call.
MAX_ACTIONS = 100


def load_policy(context: Context, account: str) -> List[Dict[str, Any]]:
    """The statements of this stack, each with one ARN that exists in no account."""
    text = POLICY.read_text(encoding="utf-8").replace("NAME", context.stack)
    return [{**one, "Resource": concrete(one["Resource"][0], context.aws.region or "", account)}
            for one in json.loads(text)["Statement"]]


def concrete(arn: str, region: str, account: str) -> str:
    """IAM simulates one resource, so a pattern becomes an ARN that it matches."""
    if arn == "*":
        return arn
    parts = arn.split(":", 5)
    parts[1] = partition(region)
    parts[3], parts[4] = (region if parts[3] == "*" else parts[3]), (account if parts[4] == "*" else parts[4])
    parts[5] = parts[5].replace("*", "preflight")
    return ":".join(parts)


def find_principal(context: Context, arn: str) -> Optional[str]:
    """The user or role whose policies IAM simulates. A session does not name the path of its role."""
    kind = arn.split(":", 5)[5]
    if kind.startswith("user/"):
        return arn
    if kind.startswith("assumed-role/"):
        role = kind.split("/")[1]
        try:
            return context.aws.call("iam", "get-role", "--role-name", role)["Role"]["Arn"]
        except AwsError as error:
            if not error.denied:
                raise
        # Right for a role without a path.
        _, partition_name, _, _, account, _ = arn.split(":", 5)
        return f"arn:{partition_name}:iam::{account}:role/{role}"
    return None


def simulate(context: Context, principal: str, statement: Dict[str, Any]) -> Iterator[Tuple[str, bool]]:
    """Denied actions, and whether the organisation denies them."""
    # The simulation takes no patterns.
    actions = [action for action in statement["Action"] if "*" not in action]
    entries = [f"ContextKeyName={key},ContextKeyValues={values[0]},ContextKeyType=string"
               for key, values in statement.get("Condition", {}).get("StringEquals", {}).items()]
    more = ["--context-entries", *entries] if entries else []
    for start in range(0, len(actions), MAX_ACTIONS):
        chosen = actions[start:start + MAX_ACTIONS]
        for result in evaluate(context, principal, chosen, ["--resource-arns", statement["Resource"], *more]):
            # A condition on a tag or an address, which the simulation does not know, decides at the real call.
            if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues"):
                organisation = result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True)
                yield result["EvalActionName"], not organisation


def evaluate(context: Context, principal: str, actions: List[str], more: List[str]) -> List[Dict[str, Any]]:
    """IAM refuses actions of one service whose resources differ in form, such as apigateway:GET beside TagResource."""
    try:
        answer = context.aws.call("iam", "simulate-principal-policy", "--policy-source-arn", principal, "--action-names",
                                  *actions, *more, timeout=120)
    except AwsError as error:
        if error.code != "InvalidInput" or len(actions) == 1:
            raise
        half = len(actions) // 2
        return [one for part in (actions[:half], actions[half:]) for one in evaluate(context, principal, part, more)]
    return answer.get("EvaluationResults", [])


def check(context: Context) -> Iterator[Finding]:
    identity = context.aws.call("sts", "get-caller-identity")
    try:
        principal = find_principal(context, identity["Arn"])
    except AwsError as error:
        if not error.denied:
            raise
        principal = None
    if principal is None:
        yield unknown(identity["Arn"])
        return
    denied: List[str] = []
    statements = load_policy(context, identity["Account"])
    # Most of each call is waiting.
    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda one: list(simulate(context, principal or "", one)), statements))
    except AwsError as error:
        if error.code != "NoSuchEntity":
            raise
        yield unknown(f"{principal}, because no role has this ARN: reading the path of the role needs iam:GetRole")
        return
    for statement, found in zip(statements, answers):
        for organisation in (False, True):
            names = [action for action, by_organisation in found if by_organisation == organisation]
            if names:
                denied += names
                yield refused(context, statement, names, organisation)
    if not denied:
        yield Finding(OK, CHECK, f"{principal} may make the calls of a deployment")


def unknown(subject: str) -> Finding:
    return Finding(WARN, CHECK, f"not checked: IAM cannot simulate {subject}", "compare its policies with infra/deploy-policy.json")


def refused(context: Context, statement: Dict[str, Any], names: List[str], organisation: bool) -> Finding:
    subject = re.sub("([a-z])([A-Z])", r"\1 \2", statement["Sid"]).lower()
    by = "a policy of the organisation denies" if organisation else "no policy allows"
    fix = ("an administrator of the organisation permits it" if organisation else
           f"an administrator attaches the output of: sed s/NAME/{context.stack}/g infra/deploy-policy.json")
    return Finding(FAIL, CHECK, f"{subject}: {by} {', '.join(names)} on {statement['Resource']}", fix)
