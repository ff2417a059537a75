"""Starts ministack for .ci/sam, with corrections where it supports less than CloudFormation.

Each correction states the difference. The corrections replace internal names of one release, which .ci/venv pins.
"""

import os

import ministack.services.cloudformation as cloudformation
import ministack.services.cloudformation.engine as engine
import ministack.services.cloudformation.handlers as requests
import ministack.services.cloudformation.provisioners as provisioners
import ministack.services.cloudformation.stacks as stacks
import ministack.services.cloudwatch_logs as cloudwatch_logs
import ministack.services.dynamodb as dynamodb
from ministack.app import main
from sam_expand import without_defaults

parsed = engine._parse_template
handlers = provisioners._RESOURCE_HANDLERS


def part(body):
    """Expands SAM in nested templates, as CloudFormation does. Removes alarms on a sum of metrics, which ministack does
    not support, and accepts its http addresses in patterns."""
    declared = parsed(body)
    template = without_defaults(parsed(body), engine._apply_transforms)
    if "Transform" in declared:
        # Without this key, ministack would not require CAPABILITY_AUTO_EXPAND.
        template["Transform"] = declared["Transform"]
    alarms = [key for key, one in template["Resources"].items() if "Metrics" in one.get("Properties", {})]
    for key in alarms:
        del template["Resources"][key]
    for one in template["Resources"].values():
        if one["Type"] == "AWS::Lambda::Function":
            # Functions call this emulator instead of AWS.
            variables = one["Properties"]["Environment"]["Variables"]
            variables.update({key: os.environ["AWS_ENDPOINT_URL"] for key in variables if key.endswith("_ENDPOINT")})
    for one in template.get("Parameters", {}).values():
        if "AllowedPattern" in one:
            one["AllowedPattern"] = one["AllowedPattern"].replace("https://", "https?://")
    return template


def numbered(create):
    """Converts numbers: CloudFormation passes a parameter of type Number as a number, ministack as text, with which it
    then calculates."""
    def made(logical_id, props, stack_name, *rest):
        scaling = {key: int(one) for key, one in props.get("ScalingConfig", {}).items()}
        return create(logical_id, {**props, "ScalingConfig": scaling}, stack_name, *rest)
    return made


def referred(create):
    """Makes the Ref of a secret its ARN; ministack returns its name."""
    def made(logical_id, props, stack_name, *rest):
        _, attributes = create(logical_id, props, stack_name, *rest)
        return attributes["Arn"], attributes
    return made


def remembered(update):
    """Restores the attributes of a resource that an update does not change; ministack loses them, and a later GetAtt
    fails."""
    def made(kind, id, old, new, stack_name, logical_id=None, attributes=None):
        if attributes is None:
            attributes = cloudformation._stacks[stack_name]["_resources"].get(logical_id, {}).get("Attributes")
        return update(kind, id, old, new, stack_name, logical_id, attributes)
    return made


def refused(create):
    """Refuses a log group that exists, which ministack adopts."""
    def made(logical_id, props, stack_name, *rest):
        if props["LogGroupName"] in cloudwatch_logs._log_groups:
            raise ValueError(f"Resource of type 'AWS::Logs::LogGroup' with identifier '{props['LogGroupName']}' already exists.")
        return create(logical_id, props, stack_name, *rest)
    return made


def protected(delete):
    """Refuses to delete a protected table, which ministack deletes if a stack has it."""
    def made(physical_id, props):
        if dynamodb._tables.get(physical_id, {}).get("DeletionProtectionEnabled"):
            raise ValueError(f"Resource cannot be deleted as it is currently protected against deletion: {physical_id}")
        return delete(physical_id, props)
    return made


def nested(create, delete):
    """A nested stack that fails: its parent names it in an event, and what it had created is deleted; ministack forgets
    both."""
    def made(logical_id, props, stack_name):
        try:
            return create(logical_id, props, stack_name)
        except Exception:
            parent = cloudformation._stacks[stack_name]
            child = next((one for name, one in cloudformation._stacks.items()
                          if name.startswith(f"{stack_name}-{logical_id}-") and one["StackStatus"] == "CREATE_FAILED"), None)
            if child is None: # It was refused before it began.
                raise
            stacks._add_event(parent["StackId"], stack_name, logical_id, "AWS::CloudFormation::Stack", "CREATE_IN_PROGRESS",
                              "Resource creation Initiated", child["StackId"])
            delete(child["StackName"], {})
            raise ValueError(f"Embedded stack {child['StackId']} was not successfully created: {child['StackStatusReason']}")
    return made


def addressed(get_template):
    """Returns uploaded templates at AWS's address, the only one at which `sam delete` deletes them."""
    def made(params):
        status, headers, body = get_template(params)
        return status, headers, body.replace(os.environ["AWS_ENDPOINT_URL"].encode(), b"https://s3.amazonaws.com")
    return made


# ministack parses nested templates by this name; it parses the root template by a name that it imported before.
engine._parse_template = part
mapping, secret = handlers["AWS::Lambda::EventSourceMapping"], handlers["AWS::SecretsManager::Secret"]
group, table, stack = (handlers[f"AWS::{kind}"] for kind in ("Logs::LogGroup", "DynamoDB::Table", "CloudFormation::Stack"))
mapping["create"] = numbered(mapping["create"])
secret["create"] = referred(secret["create"])
group["create"] = refused(group["create"])
table["delete"] = protected(table["delete"])
stack["create"] = nested(stack["create"], stack["delete"])
provisioners._update_resource = remembered(provisioners._update_resource)
requests._ACTION_HANDLERS["GetTemplate"] = addressed(requests._ACTION_HANDLERS["GetTemplate"])
# ministack checks capabilities only if it also enforces IAM.
requests._capabilities_enforced = lambda: True
main()
