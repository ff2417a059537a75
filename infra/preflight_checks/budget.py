"""The account's monthly budget, which AWS reports on by e-mail. Not part of the stack: CloudFormation lacks the type in many
regions and cannot change the address of an existing budget."""

import json
import math
import re
from typing import Any, Dict, Iterator, List, Optional

from .command import AwsError
from .context import Context
from .leftovers import DEAD, describe_stack
from .report import FAIL, FIXED, OK, WARN, Finding
from .retained import TAG, budget_name
from .samconfig import BUDGET, LOCAL

CHECK = "budget"
MAX_USD = 1_000_000
# A forecast needs weeks of history, so that a new account hears of its first month by the actual costs only.
NOTIFICATIONS = [
    {"NotificationType": kind, "ComparisonOperator": "GREATER_THAN", "Threshold": threshold, "ThresholdType": "PERCENTAGE"}
    for kind, threshold in [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
]
BILLING = ("the root user allows it once, at Account > IAM user and role access to Billing information, and an administrator "
           "attaches infra/deploy-policy.json")
WHEN = ("AWS writes to {email} when 80 % and 100 % are spent, up to 12 hours late, and when it expects more, which needs about "
        "five weeks of costs")


def reject_budget(value: str) -> Optional[str]:
    if re.fullmatch("[0-9]{1,7}", value) and int(value) <= MAX_USD:
        return None
    return f"the monthly budget must be a whole number of dollars from 0, which is none, to {MAX_USD}, and is {value!r}"


def check(context: Context) -> Iterator[Finding]:
    wanted, email = context.budget, context.parameters["AlarmEmail"]
    if wanted is None:
        yield check_older_stack(context)
        return
    if reject_budget(wanted):
        yield Finding(FAIL, CHECK, reject_budget(wanted), f"correct {BUDGET} in {LOCAL.name}")
        return
    if int(wanted) and not email:
        yield Finding(FAIL, CHECK, f"{BUDGET}={wanted} needs AlarmEmail, the address that AWS writes to",
                      f"add AlarmEmail to parameter_overrides in {LOCAL.name}")
        return
    if (context.aws.region or "").startswith("us-gov-"):
        yield Finding(WARN, CHECK, "AWS GovCloud has no budgets: its costs are those of the commercial account beside it",
                      f"create the budget in that account, and remove {BUDGET} from {LOCAL.name}")
        return
    try:
        yield from Budget(context).apply(int(wanted), email)
    except AwsError as error:
        if not error.denied:
            raise
        yield Finding(WARN, CHECK, "cannot check the budget: needs budgets:ViewBudget, ModifyBudget and TagResource", BILLING)


def check_older_stack(context: Context) -> Finding:
    """Templates of older releases make the budget, by a parameter. A file that CI writes anew does not have it."""
    stack = describe_stack(context) or {}
    parameters = {one["ParameterKey"]: one.get("ParameterValue") for one in stack.get("Parameters", [])}
    amount = float(parameters.get("MonthlyBudgetUsd", "0"))
    if amount == 0 or stack["StackStatus"] in DEAD:
        return Finding(OK, CHECK, f"no {BUDGET} in {LOCAL.name}, so the account's budgets stay as they are")
    return Finding(WARN, CHECK, f"the next sam deploy deletes the stack's budget of {amount:g} dollars a month: this checkout's "
                   "templates lack it", f"add the lines [{context.environment}.preflight.parameters] and {BUDGET} = \"{math.ceil(amount)}\" to "
                   f"{LOCAL.name}, with AlarmEmail in parameter_overrides; in CI, --alarm-email and --monthly-budget to infra/preflight; "
                   "then infra/preflight again, before sam deploy")


class Budget:
    """The budget of one stack."""

    def __init__(self, context: Context) -> None:
        self.context, self.aws = context, context.aws
        self.name = budget_name(context.aws, context.stack)
        self.ids = ["--account-id", self.aws.call("sts", "get-caller-identity")["Account"], "--budget-name", self.name]

    def apply(self, wanted: int, email: str) -> Iterator[Finding]:
        budget = self.load()
        if wanted == 0:
            yield self.without(budget)
        elif self.context.dry_run:
            yield self.compare(budget, wanted)
        elif budget is None:
            yield self.create(wanted, email)
        elif not self.is_ours(budget):
            yield self.foreign()
        else:
            changes = self.update_limit(budget, wanted) + self.update_notifications(email)
            when = WHEN.format(email=email)
            if changes:
                yield Finding(FIXED, CHECK, f"{self.name}: {', '.join(changes)}; {when}")
            else:
                yield Finding(OK, CHECK, f"{self.name} is {wanted} dollars a month; {when}")

    def load(self) -> Optional[Dict[str, Any]]:
        try:
            return self.aws.call("budgets", "describe-budget", *self.ids)["Budget"]
        except AwsError as error:
            if error.code != "NotFoundException":
                raise
            return None

    def without(self, budget: Optional[Dict[str, Any]]) -> Finding:
        if budget is None:
            return Finding(OK, CHECK, f"none, as {BUDGET}=0 says")
        if not self.is_ours(budget):
            return Finding(OK, CHECK, f"{BUDGET} is 0, and the budget {self.name} is not one of all costs a month: preflight leaves it "
                           "unchanged")
        return Finding(WARN, CHECK, f"{BUDGET} is 0, and the budget {self.name} exists",
                       self.aws.command("budgets", "delete-budget", *self.ids))

    def compare(self, budget: Optional[Dict[str, Any]], wanted: int) -> Finding:
        if budget is None:
            return Finding(WARN, CHECK, f"the budget {self.name} of {wanted} dollars a month is missing", "infra/preflight")
        if not self.is_ours(budget):
            return self.foreign()
        if limit(budget) != wanted:
            return Finding(WARN, CHECK, f"{self.name} is {limit(budget):g} dollars a month instead of {wanted}", "infra/preflight")
        return Finding(OK, CHECK, f"{self.name} is {wanted} dollars a month")

    def is_ours(self, budget: Dict[str, Any]) -> bool:
        """A budget of other costs or another period was made by hand."""
        filters = budget.get("CostFilters") or budget.get("FilterExpression")
        fixed = "BudgetLimit" in budget and not budget.get("PlannedBudgetLimits") and not budget.get("AutoAdjustData")
        return fixed and budget["BudgetType"] == "COST" and budget["TimeUnit"] == "MONTHLY" and not filters

    def foreign(self) -> Finding:
        return Finding(FAIL, CHECK, f"the budget {self.name} exists and is not one of all costs a month: preflight leaves it "
                       "unchanged", f"remove {BUDGET} from {LOCAL.name}")

    def create(self, wanted: int, email: str) -> Finding:
        notified = [{"Notification": one, "Subscribers": [subscriber(email)]} for one in NOTIFICATIONS]
        try:
            self.aws.call("budgets", "create-budget", *self.ids[:2], "--budget", json.dumps(self.content(wanted)),
                          "--notifications-with-subscribers", json.dumps(notified),
                          # infra/remove deletes only a budget with this tag.
                          "--resource-tags", json.dumps([{"Key": TAG, "Value": self.context.stack}]))
        except AwsError as error:
            if error.code != "DuplicateRecordException":
                raise
            return Finding(WARN, CHECK, f"another process created the budget {self.name} just now", "infra/preflight --only budget")
        return Finding(FIXED, CHECK, f"{self.name} of {wanted} dollars a month has been created; {WHEN.format(email=email)}")

    def content(self, wanted: int) -> Dict[str, Any]:
        # The whole account: costs of one stack would need a cost allocation tag, which AWS activates a day later.
        return {"BudgetName": self.name, "BudgetType": "COST", "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": str(wanted), "Unit": "USD"}}

    def update_limit(self, budget: Dict[str, Any], wanted: int) -> List[str]:
        before = limit(budget)
        if before == wanted:
            return []
        # AWS replaces the whole budget, and sets its defaults for what is missing.
        stored = {key: budget[key] for key in ("CostTypes", "TimePeriod") if key in budget}
        self.aws.call("budgets", "update-budget", *self.ids[:2], "--new-budget", json.dumps({**stored, **self.content(wanted)}))
        return [f"{wanted} instead of {before:g} dollars a month"]

    def update_notifications(self, email: str) -> List[str]:
        answer = self.aws.call("budgets", "describe-notifications-for-budget", *self.ids)
        existing = {key(one) for one in answer.get("Notifications", [])}
        changes: List[str] = []
        for one in NOTIFICATIONS:
            notification = ["--notification", json.dumps(one)]
            title = f"{one['NotificationType'].lower()} {one['Threshold']} %"
            if key(one) not in existing:
                self.aws.call("budgets", "create-notification", *self.ids, *notification,
                              "--subscribers", json.dumps([subscriber(email)]))
                changes.append(f"{title} is new")
                continue
            answer = self.aws.call("budgets", "describe-subscribers-for-notification", *self.ids, *notification)
            before = [other for other in answer.get("Subscribers", []) if other["SubscriptionType"] == "EMAIL"]
            if subscriber(email) in before:
                continue
            # The only address is the previous AlarmEmail; further ones were added by hand.
            if len(before) == 1:
                self.aws.call("budgets", "update-subscriber", *self.ids, *notification, "--old-subscriber",
                              json.dumps(before[0]), "--new-subscriber", json.dumps(subscriber(email)))
            else:
                self.aws.call("budgets", "create-subscriber", *self.ids, *notification,
                              "--subscriber", json.dumps(subscriber(email)))
            changes.append(f"{title} is sent to {email}")
        return changes


def subscriber(email: str) -> Dict[str, str]:
    return {"SubscriptionType": "EMAIL", "Address": email}


def key(notification: Dict[str, Any]) -> tuple:
    kind = notification.get("ThresholdType", "PERCENTAGE")
    return notification["NotificationType"], notification["ComparisonOperator"], float(notification["Threshold"]), kind


def limit(budget: Dict[str, Any]) -> float:
    return float(budget["BudgetLimit"]["Amount"])
