// Compares recorded exchanges with what Jira and Linear publish. Called by .ci/trackers.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [packages, file] = process.argv.slice(2);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const installed = (path) => join(packages, "node_modules", path);
// jira.js reads it: a field that its description lacks is an error.
process.env.AUDIT_SCHEMAS = "true";
const load = (path) => import(pathToFileURL(installed(path)));
const [cloud, parameters] = [await load("jira.js/dist/cloud/index.js"), await load("jira.js/dist/cloud/parameters/index.js")];
const graphql = createRequire(installed("x"))("graphql");

const wrong = new Map();
const covered = new Map();
const count = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
const fault = (place, message) => count(wrong, `${place}: ${message}`);

const sources = (folder) => readdirSync(join(root, folder), { recursive: true })
  .filter((name) => name.endsWith(".rs")).map((name) => readFileSync(join(root, folder, name), "utf8")).join("\n");
const matches = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);

// ---- Jira: each function of jira.js describes one operation, which a call with a stand-in of the client reveals.

// A text as the body of a comment would lead to another operation.
const named = new Proxy({}, { get: (_, name) => (typeof name !== "string" ? undefined : name === "body" ? {} : `{${name}}`) });

const operations = Object.entries(cloud).flatMap(([name, call]) => {
  if (typeof call !== "function" || name === "createCloudClient") return [];
  let described;
  try {
    call({ sendRequest: async (config) => { described = config; } }, named)?.catch?.(() => {});
  } catch {
    return []; // It needs real values, such as files.
  }
  if (!described?.url) return [];
  const pattern = described.url.replaceAll(/[.?+^$()|[\]\\]/g, "\\$&").replaceAll(/\{(\w+)\}/g, "(?<$1>[^/]+)");
  const request = parameters[`${name[0].toUpperCase()}${name.slice(1)}Schema`];
  return [{ ...described, name: `${described.method} ${described.url}`, pattern: new RegExp(`^${pattern}$`), request }];
});
// A literal segment has precedence over a parameter.
operations.sort((one, other) => one.url.split("{").length - other.url.split("{").length);

function check(place, schema, value) {
  const parsed = schema.safeParse(value);
  for (const issue of parsed.error?.issues ?? []) {
    fault(place, `${issue.path.map((step) => (typeof step === "number" ? "*" : step)).join("/")}: ${issue.message}`);
  }
}

/** A value of a query as the type that the description has. */
function typed(schema, text) {
  const forms = [text, Number(text), text.split(",")];
  return forms.find((form) => schema.safeParse(form).success) ?? text;
}

/** The described values of a parameter, among forms that accept any text. */
function describedValues(schema) {
  const { type, innerType, element, options } = schema?.def ?? {};
  if (type === "enum") return schema.options;
  return [innerType, element, ...(options ?? [])].filter(Boolean).flatMap(describedValues);
}

function checkJira({ method, path, query, body, status, answer }) {
  if (path.startsWith("/rest/webhooks/1.0/")) return count(covered, `${method} ${path.replace(/\d{2,}$/, "{id}")} (not described)`);
  const found = operations.find((operation) => operation.method === method && operation.pattern.test(path));
  if (!found) return fault(`${method} ${path}`, "this operation does not exist");
  const place = found.name;
  count(covered, place);
  if (status >= 400) return check(`${place} answers ${status}`, cloud.ErrorCollectionSchema, answer);
  const names = [[[...new URLSearchParams(query ?? "")], found.searchParams, "query"], [Object.entries(body ?? {}), found.body, "body"]];
  for (const [given, known, part] of names) {
    for (const [name] of given) if (!(name in (known ?? {}))) fault(place, `the ${part} has ${name}, which is not described`);
  }
  if (found.request) {
    const values = names[0][0].map(([name, text]) => [name, typed(found.request.shape[name] ?? cloud.ErrorCollectionSchema, text)]);
    for (const [name, text] of names[0][0]) {
      const values = describedValues(found.request.shape[name]);
      for (const value of values.length ? text.split(",") : []) {
        if (!values.includes(value)) fault(place, `${name}=${value} is not described`);
      }
    }
    check(place, found.request, { ...path.match(found.pattern).groups, ...Object.fromEntries(values), ...body });
  }
  if (found.schema) check(`${place} answers`, found.schema, answer);
  // Parts that the descriptions leave open.
  const parts = [
    ["StatusDetailsSchema", [answer?.fields?.status]],
    ["UserDetailsSchema", [answer?.fields?.creator]],
    ["FieldMetadataSchema", (answer?.transitions ?? []).flatMap((one) => Object.values(one.fields ?? {}))],
    ["FieldUpdateOperationSchema", Object.values(body?.update ?? {}).flat()],
  ];
  for (const [name, values] of parts) for (const value of values) if (value) check(`${place} ${name}`, cloud[name], value);
}

function checkJiraDelivery(body) {
  count(covered, "delivery of Jira (described in parts)");
  check("delivery of Jira", cloud.StatusDetailsSchema, body.issue.fields.status);
  for (const item of body.changelog.items) check("delivery of Jira", cloud.ChangeDetailsSchema, item);
}

// ---- Linear: the SDK has each type of the schema as a TypeScript type, which is translated back.

const text = readFileSync(installed("@linear/sdk/dist/" + readdirSync(installed("@linear/sdk/dist")).find((name) => /^index-.*\.d\.mts$/.test(name))), "utf8");
const types = new Map();
const enums = new Map();
/** They alone have no `__typename` among the types of answers. */
const interfaces = new Set();
let current = null;
for (const line of text.split("\n")) {
  if (/^type \w+Fragment = /.test(line)) break; // Types of the SDK's own operations follow.
  const start = line.match(/^(type|declare enum) (\w+)(?: =(?: ([\w &]+) &)?)? \{$/);
  if (start) {
    current = new Map();
    for (const name of start[3]?.split(" & ") ?? []) interfaces.add(name);
    (start[1] === "type" ? types : enums).set(start[2], current);
  } else if (line.startsWith("}")) {
    current = null;
  } else if (current) {
    const field = line.match(/^  (\w+)(\??): (.+);$/) ?? line.match(/^  (\w+)() = "(.*)",?$/);
    if (field) current.set(field[1], { optional: field[2] === "?", of: field[3] });
  }
}

/** `Maybe<Array<Scalars["String"]>>` as `[String!]`. */
function toGraphql(of) {
  const maybe = of.match(/^(?:Input)?Maybe<(.+)>$/);
  if (maybe) return toGraphql(maybe[1]).replace(/!$/, "");
  const list = of.match(/^Array<(.+)>$/);
  return list ? `[${toGraphql(list[1])}]!` : `${of.replace(/^Scalars\["(\w+)"\]$/, "$1")}!`;
}

const referenced = new Set();
const member = ([name, { optional, of }]) => {
  const translated = toGraphql(of);
  referenced.add(translated.replaceAll(/[[\]!]/g, ""));
  return [name, optional ? translated.replace(/!$/, "") : translated];
};
const definitions = [];
for (const [name, fields] of types) {
  const isOutput = fields.has("__typename") || interfaces.has(name);
  if (name === "Scalars" || fields.size === 0 || (!isOutput && name.endsWith("Args"))) continue;
  const lines = [...fields].filter(([field]) => !field.startsWith("_")).map(member).map(([field, of]) => {
    const given = isOutput && types.get(`${name}${field[0].toUpperCase()}${field.slice(1)}Args`);
    const args = given ? `(${[...given].map(member).map(([arg, of]) => `${arg}: ${of}`).join(", ")})` : "";
    return `  ${field}${args}: ${of}`;
  });
  definitions.push(`${isOutput ? "type" : "input"} ${name} {\n${lines.join("\n")}\n}`);
}
for (const [name, values] of enums) definitions.push(`enum ${name} { ${[...values.values()].map((value) => value.of).join(" ")} }`);
const defined = new Set(["ID", "String", "Boolean", "Int", "Float", ...types.keys(), ...enums.keys()]);
// Unions and JSON are opaque, as no document of ours selects them.
for (const name of referenced) if (!defined.has(name)) definitions.push(`scalar ${name}`);
const schema = graphql.buildSchema(definitions.join("\n"), { assumeValidSDL: true });

function checkSelection(place, selection, of, value) {
  if (of instanceof graphql.GraphQLNonNull) {
    if (value === null || value === undefined) return fault(place, "it is null");
    return checkSelection(place, selection, of.ofType, value);
  }
  if (value === null || value === undefined) return;
  if (of instanceof graphql.GraphQLList) {
    if (!Array.isArray(value)) return fault(place, "it is no list");
    return value.forEach((item) => checkSelection(place, selection, of.ofType, item));
  }
  if (!selection) {
    const kinds = { Float: "number", Int: "number", Boolean: "boolean" };
    if (typeof value !== (kinds[of.name] ?? "string")) fault(place, `it is no ${of.name}`);
    return;
  }
  const answered = new Set(selection.selections.map((one) => (one.alias ?? one.name).value));
  for (const name of Object.keys(value)) if (!answered.has(name)) fault(place, `${name} is not selected`);
  for (const one of selection.selections) {
    const name = (one.alias ?? one.name).value;
    checkSelection(`${place}/${name}`, one.selectionSet, of.getFields()[one.name.value].type, value[name]);
  }
}

function checkLinear({ path, body, answer }) {
  if (path === "/oauth/token") return count(covered, "POST /oauth/token (not described)");
  // Tests also send invalid documents on purpose, so only accepted ones are checked.
  if (answer.errors) return;
  const document = graphql.parse(body.query);
  const operation = document.definitions[0];
  const place = `${operation.operation} ${operation.name.value}`;
  count(covered, place);
  const faults = graphql.validate(schema, document);
  for (const { message } of faults) fault(place, message);
  if (faults.length) return;
  const { errors } = graphql.getVariableValues(schema, operation.variableDefinitions ?? [], body.variables ?? {});
  for (const { message } of errors ?? []) fault(place, message);
  checkSelection(`${place} answers`, operation.selectionSet, schema.getRootType(operation.operation), answer.data);
}

/** The payload of a delivery, by the SDK's type. */
function checkPayload(place, name, value) {
  const fields = types.get(name);
  for (const field of Object.keys(value)) if (!fields.has(field)) fault(place, `${name} has no ${field}`);
  for (const [field, { optional }] of fields) if (!optional && !(field in value)) fault(place, `${name}.${field} is missing`);
}

function checkLinearDelivery(body) {
  const place = "delivery of Linear";
  count(covered, place);
  checkPayload(place, "EntityWebhookPayload", body);
  checkPayload(place, "IssueWebhookPayload", body.data);
  checkPayload(place, "WorkflowStateChildWebhookPayload", body.data.state);
  checkPayload(place, "UserActorWebhookPayload", body.actor);
}

/** The schema of the fake is a part of Linear's; an input may omit optional fields. */
function checkFakeSchema() {
  const fake = graphql.buildSchema(readFileSync(join(root, "crates/fake_tracker/src/linear/schema.graphql"), "utf8"));
  for (const [name, type] of Object.entries(fake.getTypeMap())) {
    if (name.startsWith("__") || !type.getFields) continue;
    for (const [field, { type: of, args }] of Object.entries(type.getFields())) {
      const place = `fake schema ${name}.${field}`;
      const real = schema.getType(name)?.getFields()[field];
      if (!real) fault(place, "Linear has no such field");
      else if (`${real.type}` !== `${of}`) fault(place, `its type is ${real.type}`);
      for (const arg of args ?? []) {
        const known = real?.args.find((one) => one.name === arg.name);
        if (`${known?.type}` !== `${arg.type}`) fault(place, `the type of ${arg.name} is ${known?.type}`);
      }
    }
    if (graphql.isInputObjectType(type)) {
      for (const [field, { type: of }] of Object.entries(schema.getType(name)?.getFields() ?? {})) {
        if (of instanceof graphql.GraphQLNonNull && !type.getFields()[field]) fault(`fake schema ${name}`, `${field} is required`);
      }
    }
  }
}

checkFakeSchema();
for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
  const exchange = JSON.parse(line);
  const isDelivery = exchange.method === "HOOK";
  if (exchange.tool === "Jira") (isDelivery ? checkJiraDelivery(exchange.body) : checkJira(exchange));
  else (isDelivery ? checkLinearDelivery(exchange.body) : checkLinear(exchange));
}
const plain = (name) => name.replaceAll(/\{\w+\}/g, "{}");
const called = new Set([...covered.keys()].map(plain));
const claimed = [
  ...matches(sources("crates/tracker/src/jira").concat(readFileSync(join(root, "crates/tracker/src/jira.rs"), "utf8")), /Source: `([A-Z]+ \/[^`]+)`/g),
  ...matches(sources("crates/tracker/src/linear").concat(readFileSync(join(root, "crates/tracker/src/linear.rs"), "utf8")), /"((?:query|mutation) \w+)/g),
];
for (const name of new Set(claimed)) if (!called.has(plain(name))) fault(name, "a client names this operation, but no test calls it");
for (const [name, times] of [...covered].sort()) console.log(String(times).padStart(5), name);
console.log(`${covered.size} operations; ${operations.length} described by jira.js, ${types.size} types by @linear/sdk`);
for (const [message, times] of [...wrong].sort()) console.error(`${message} (${times} times)`);
process.exit(wrong.size ? 1 : 0);
