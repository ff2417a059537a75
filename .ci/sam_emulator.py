"""Starts ministack as .ci/sam needs it: corrected where it takes less than CloudFormation does, and nowhere else.

Each correction says what is wrong. They take hold of names within one release of it, which .ci/sam pins.
"""

import os

import ministack.services.cloudformation as cloudformation
import ministack.services.cloudformation.engine as engine
import ministack.services.cloudformation.handlers as requests
import ministack.services.cloudformation.provisioners as provisioners
from ministack.app import main
from sam_expand import without_defaults

parsed = engine._parse_template
handlers = provisioners._RESOURCE_HANDLERS


def part(body):
    """CloudFormation expands SAM in nested templates as in the first one; ministack leaves them as they are. It knows
    no alarm on a sum of metrics, and its addresses are http, which no pattern of ours takes."""
    declared = parsed(body)
    template = without_defaults(parsed(body), engine._apply_transforms)
    if "Transform" in declared:
        # Whoever deploys must have agreed to it.
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
    """What comes from a parameter of type Number is a number to a service; here it stays a text, and ministack counts
    with it."""
    def made(logical_id, props, stack_name, *rest):
        scaling = {key: int(one) for key, one in props.get("ScalingConfig", {}).items()}
        return create(logical_id, {**props, "ScalingConfig": scaling}, stack_name, *rest)
    return made


def referred(create):
    """A Ref of a secret is its ARN; here it is its name."""
    def made(logical_id, props, stack_name, *rest):
        _, attributes = create(logical_id, props, stack_name, *rest)
        return attributes["Arn"], attributes
    return made


def remembered(update):
    """A resource of a part that an update leaves as it is keeps its attributes; here it has none from then on, and
    whoever asks for one fails."""
    def made(kind, id, old, new, stack_name, logical_id=None, attributes=None):
        if attributes is None:
            attributes = cloudformation._stacks[stack_name]["_resources"].get(logical_id, {}).get("Attributes")
        return update(kind, id, old, new, stack_name, logical_id, attributes)
    return made


# Nested templates are read by this name when one is made, and the first one by another that was taken before.
engine._parse_template = part
mapping, secret = handlers["AWS::Lambda::EventSourceMapping"], handlers["AWS::SecretsManager::Secret"]
mapping["create"] = numbered(mapping["create"])
secret["create"] = referred(secret["create"])
provisioners._update_resource = remembered(provisioners._update_resource)
# It asks for capabilities only where it asks everybody for rights, too.
requests._capabilities_enforced = lambda: True
main()
