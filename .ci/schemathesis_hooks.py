"""Changes the request bodies that schemathesis generates."""

import schemathesis


def as_written(value):
    """Replaces 7.0 by 7: JSON Schema accepts both as an integer, the API only the usual form."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [as_written(one) for one in value]
    if isinstance(value, dict):
        return {name: as_written(one) for name, one in value.items()}
    return value


@schemathesis.hook
def map_body(context, body):
    return as_written(body)
