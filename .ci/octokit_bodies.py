"""Generates webhook bodies from GitHub's description, for events without a published example."""
TIME, ADDRESS = "2026-11-20T12:04:01Z", "https://example.com/a"


class Described:
    """The webhooks that @octokit/openapi-webhooks describes."""

    def __init__(self, document):
        self.parts = document["components"]["schemas"]
        self.webhooks = document["webhooks"]

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self.parts[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def event(self, name):
        """The value of X-GitHub-Event; the described header names another event in places."""
        return self.webhooks[name]["post"]["operationId"].split("/")[0].replace("-", "_")

    def name(self, event, action):
        """The name of an event with its action in the description."""
        return "-".join(word.replace("_", "-") for word in (event, action) if word)

    def schema(self, name):
        return self.webhooks[name]["post"]["requestBody"]["content"]["application/json"]["schema"]

    def body(self, name, full=False):
        """The smallest body that the description allows, or one with every field down to some depth."""
        return self.make(self.schema(name), 2 if full else 0)

    def make(self, schema, full, name=""):
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        for choice in ("oneOf", "anyOf"):
            if choice in schema and "properties" not in schema:
                return self.make(schema[choice][0], full, name)
        if "allOf" in schema:
            made = {}
            for part in schema["allOf"]:
                value = self.make(part, full, name)
                made = {**made, **value} if isinstance(value, dict) else made
            return made
        if schema.get("enum"):
            return next(value for value in schema["enum"] if value is not None or len(schema["enum"]) == 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if kind == "object" or "properties" in schema:
            required = schema.get("required", [])
            fields = schema.get("properties", {})
            return {
                field: self.make(part, max(full - 1, 0), field)
                for field, part in fields.items()
                if field in required or full
            }
        if kind == "array":
            least = schema.get("minItems", 1 if full else 0)
            return [self.make(schema.get("items", {}), max(full - 1, 0), name) for _ in range(least)]
        if kind == "integer":
            return max(1, schema.get("minimum", 1))
        if kind == "number":
            return 0.5
        if kind == "boolean":
            return False
        if kind == "null":
            return None
        return {"date-time": TIME, "date": TIME[:10], "uri": ADDRESS, "email": "a@example.com"}.get(
            schema.get("format"), TIME if name.endswith("_at") else "x"
        )
