"""The table of this stack's name: its protection from deletion, and an empty one that an earlier stack left."""

from typing import Any, Dict, Iterator, List, Optional

from .command import AwsError
from .context import Context
from .leftovers import DEAD, EMPTY, describe_stack, missing
from .report import FIXED, OK, WARN, Finding
from .retained import belongs

CHECK = "table"


def load_table(context: Context) -> Optional[Dict[str, Any]]:
    try:
        return context.aws.call("dynamodb", "describe-table", "--table-name", context.stack)["Table"]
    except AwsError as error:
        if not missing(error):
            raise
        return None


def check(context: Context) -> Iterator[Finding]:
    stack, table = describe_stack(context), load_table(context)
    if table is None:
        yield Finding(OK, CHECK, f"no table {context.stack} exists yet")
    elif stack is None or stack["StackStatus"] in EMPTY:
        yield from check_empty(context, table)
    elif stack["StackStatus"] in DEAD or not stack["StackStatus"].endswith("_COMPLETE"):
        yield Finding(OK, CHECK, f"not checked, since the stack {context.stack} is in {stack['StackStatus']}")
    else:
        yield check_protection(context, stack, table)


def protection(context: Context, enabled: bool) -> List[str]:
    flag = "--deletion-protection-enabled" if enabled else "--no-deletion-protection-enabled"
    return ["dynamodb", "update-table", "--table-name", context.stack, flag]


def check_protection(context: Context, stack: Dict[str, Any], table: Dict[str, Any]) -> Finding:
    """The template does not set the protection, so that a failed first deployment can delete the table. `pullyard init`
    sets it, and an update of the stack leaves it as it is."""
    given = {one["ParameterKey"]: one.get("ParameterValue") for one in stack.get("Parameters", [])}
    wanted = given.get("DeletionProtection", context.parameters["DeletionProtection"]) == "true"
    protected = table.get("DeletionProtectionEnabled", False)
    if protected == wanted:
        return Finding(OK, CHECK, f"the table {context.stack} is {'' if protected else 'not '}protected from deletion")
    fix = context.aws.command(*protection(context, wanted))
    if protected:
        return Finding(WARN, CHECK, f"the table {context.stack} is protected from deletion, and DeletionProtection is false", fix)
    return Finding(WARN, CHECK, f"the table {context.stack} can be deleted by mistake: `pullyard init` protects it", fix)


def check_empty(context: Context, table: Dict[str, Any]) -> Iterator[Finding]:
    """A failed deployment leaves an empty table where DynamoDB refused to delete it."""
    arn = table.get("TableArn", "")
    tags = context.aws.call("dynamodb", "list-tags-of-resource", "--resource-arn", arn).get("Tags", [])
    if not belongs(tags, context.stack):
        yield Finding(WARN, CHECK, f"no tag shows that a stack {context.stack} made the table {context.stack}, so it stays",
                      "use another stack name, or delete the table")
    elif not is_empty(context):
        yield Finding(WARN, CHECK, f"the table {context.stack} has data of an earlier stack, so it stays")
    elif not context.fix or context.dry_run:
        yield Finding(WARN, CHECK, f"the table {context.stack} is empty and belongs to no stack", "infra/preflight --fix")
    else:
        if table.get("DeletionProtectionEnabled"):
            context.aws.call(*protection(context, False))
            context.aws.call("dynamodb", "wait", "table-exists", "--table-name", context.stack, timeout=600)
        name = ["--table-name", context.stack]
        context.aws.call("dynamodb", "delete-table", *name)
        context.aws.call("dynamodb", "wait", "table-not-exists", *name, timeout=600)
        yield Finding(FIXED, CHECK, f"the table {context.stack} was empty, belonged to no stack, and has been deleted")


def is_empty(context: Context) -> bool:
    """One item is read, strongly consistent: the count that DynamoDB describes is up to six hours old."""
    answer = context.aws.call("dynamodb", "scan", "--table-name", context.stack, "--limit", "1", "--no-paginate",
                              "--consistent-read", "--select", "COUNT")
    return answer["Count"] == 0 and not answer.get("LastEvaluatedKey")
