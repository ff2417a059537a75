#!/usr/bin/env python3
"""Changes one value of the stack's parameter `Settings`: reads what `aws cloudformation describe-stacks` prints, and
prints the input of `aws cloudformation update-stack --cli-input-json`.

    stack_update.py NAME=VALUE < stacks.json     the input; an empty VALUE removes NAME
    stack_update.py --current NAME < stacks.json its value today; an empty line without one
"""

import json
import sys

SETTINGS = "Settings"


def parse(settings):
    """`NAME=VALUE;NAME=VALUE` as a dict in the same order."""
    return dict(part.split("=", 1) for part in settings.split(";") if "=" in part)


def edit(settings, name, value):
    """The same settings with this value; an empty value removes the name, so that its default applies."""
    values = {**parse(settings), name: value}
    return ";".join(f"{key}={text}" for key, text in values.items() if key != name or text)


def settings_of(stack):
    for parameter in stack.get("Parameters", []):
        if parameter["ParameterKey"] == SETTINGS:
            return parameter["ParameterValue"]
    raise SystemExit(f"the stack {stack['StackName']} has no parameter {SETTINGS}: an older release deployed it")


def update(stack, name, value):
    """Tags, the service role and notifications are left out, because CloudFormation then leaves them as they are."""
    changed = edit(settings_of(stack), name, value)
    return {
        # By id: a stack that is deleted and created again meanwhile is another one.
        "StackName": stack["StackId"],
        "UsePreviousTemplate": True,
        "Capabilities": stack.get("Capabilities", []),
        "Parameters": [
            {"ParameterKey": SETTINGS, "ParameterValue": changed}
            if parameter["ParameterKey"] == SETTINGS
            else {"ParameterKey": parameter["ParameterKey"], "UsePreviousValue": True}
            for parameter in stack["Parameters"]
        ],
    }


def main(arguments):
    stack = json.load(sys.stdin)["Stacks"][0]
    if arguments[0] == "--current":
        print(parse(settings_of(stack)).get(arguments[1], ""))
    else:
        name, _, value = arguments[0].partition("=")
        print(json.dumps(update(stack, name, value), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
