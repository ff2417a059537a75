// Repeats a function's AWS calls with the AWS SDK of Node.js behind a minimal runtime, as a lower bound for a function
// in JavaScript. `.ci/functions-figures` measures it.
import { readFileSync } from "node:fs";
import http from "node:http";

const calls = JSON.parse(readFileSync(process.env.CALLS, "utf8"));
// Import only the clients in use, like a real function.
const all = {
  DynamoDB: async () => {
    const commands = await import("@aws-sdk/client-dynamodb");
    return { commands, client: new commands.DynamoDBClient({ endpoint: process.env.PULLYARD_DYNAMODB_ENDPOINT }) };
  },
  SQS: async () => {
    const commands = await import("@aws-sdk/client-sqs");
    const at = { endpoint: process.env.PULLYARD_SQS_ENDPOINT, useQueueUrlAsEndpoint: false };
    return { commands, client: new commands.SQSClient(at) };
  },
  SecretsManager: async () => {
    const commands = await import("@aws-sdk/client-secrets-manager");
    const at = { endpoint: process.env.PULLYARD_SECRETSMANAGER_ENDPOINT };
    return { commands, client: new commands.SecretsManagerClient(at) };
  },
  ECS: async () => {
    const commands = await import("@aws-sdk/client-ecs");
    return { commands, client: new commands.ECSClient({ endpoint: process.env.PULLYARD_ECS_ENDPOINT }) };
  },
};
const services = {};
for (const { service } of calls) services[service] ??= await all[service]();

const REFUSED = new Set(["ConditionalCheckFailedException", "TransactionCanceledException"]);

// Use new keys for each event; with the same keys every condition would fail from the second event on.
const OF_THE_EVENT = /^(JOB|TICKET|DELIVERY|REVIEW|PR)#/;
function input(value, event) {
  if (Array.isArray(value)) return value.map((one) => input(one, event));
  if (typeof value !== "object" || value === null) return value;
  const read = {};
  for (const [name, inner] of Object.entries(value)) {
    if (name === "ClientRequestToken") continue;
    if (name === "B") read.B = Buffer.from(inner, "base64");
    else if (name === "pk" && OF_THE_EVENT.test(inner.S)) read.pk = { S: `${inner.S}~${event}` };
    else read[name] = input(inner, event);
  }
  return read;
}

async function handle(event) {
  for (const { service, operation, body } of calls) {
    const { commands, client } = services[service];
    try {
      await client.send(new commands[`${operation}Command`](input(body, event.n)));
    } catch (error) {
      // The new keys lack the revision that was read, so the condition fails; the call still counts.
      if (!REFUSED.has(error.name)) throw error;
    }
  }
  return { statusCode: 200, calls: calls.length };
}

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path: `/2018-06-01/runtime/${path}`, agent }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ headers: answer.headers, body: Buffer.concat(parts).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

for (;;) {
  const { headers, body } = await ask("GET", "invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  try {
    await ask("POST", `invocation/${id}/response`, JSON.stringify(await handle(JSON.parse(body))));
  } catch (error) {
    const said = { errorType: error.name, errorMessage: `${error.name}: ${error.message}` };
    await ask("POST", `invocation/${id}/error`, JSON.stringify(said));
  }
}
