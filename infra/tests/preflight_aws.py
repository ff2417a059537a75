"""A fake AWS for preflight.py: answers by the name of the operation, in the protocol of the request."""

import http.server
import json
import threading
import urllib.parse
from xml.sax.saxutils import escape


class Refused(Exception):
    """An error of AWS: its code and message."""


def xml(value, item):
    if isinstance(value, dict):
        return "".join(f"<{key}>{xml(one, item)}</{key}>" for key, one in value.items())
    if isinstance(value, list):
        return "".join(f"<{item}>{xml(one, item)}</{item}>" for one in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


class Aws(http.server.ThreadingHTTPServer):
    """`answers` maps an operation to its answer, to a `Refused`, or to a function of the request that returns either."""

    daemon_threads = True
    # One request per process: the AWS CLI starts four at once.
    request_queue_size = 32

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.calls = answers, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {key: one[0] for key, one in urllib.parse.parse_qs(body.decode(errors="replace")).items()}
        target, path = self.headers.get("X-Amz-Target"), urllib.parse.urlparse(self.path).path
        if "/s3/aws4_request" in self.headers.get("Authorization", ""):
            # Each answer is a function of the bucket and the body that returns XML or a `Refused`.
            parts = {"location": "GetBucketLocation", "tagging": "GetBucketTagging", "versions": "ListObjectVersions",
                     "delete": "DeleteObjects"}
            asked = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query, keep_blank_values=True)
            bucket = path.strip("/")
            operation = next((parts[one] for one in asked if one in parts), "DeleteBucket" if bucket else "ListBuckets")
            self.server.calls.append(operation)
            answer = self.server.answers.get(operation, lambda *_: f"<{operation}Result/>")(bucket, body.decode())
            return self.reply("s3", operation, answer, False)
        if target:
            protocol, operation = "json", target.split(".")[-1]
            query = json.loads(body or b"{}")
        elif "/operation/" in path:
            protocol, operation = "cbor", path.split("/")[-1]
        elif "Action" in query:
            protocol, operation = "query", query["Action"]
        else:
            known = {"account-settings": "GetAccountSettings", "functions": "ListFunctions", "schedules": "GetSchedule"}
            protocol, operation = "rest", next((known[part] for part in path.split("/") if part in known), path)
        self.server.calls.append(operation)
        answer = self.server.answers.get(operation, self.server.answers.get("*", {}))
        if callable(answer):
            answer = answer(query)
        ec2 = operation in ("DescribeSubnets", "DescribeAvailabilityZones", "DescribeVpcs")
        self.reply(protocol, operation, answer, ec2)

    do_GET = do_POST = do_DELETE = answer

    def reply(self, protocol, operation, answer, ec2):
        refused = isinstance(answer, Refused)
        code, message = answer.args if refused else ("", "")
        headers = {}
        if protocol == "s3":
            body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if refused else answer
        elif protocol == "query" and refused:
            error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            body = f"<Response><Errors>{error}</Errors></Response>" if ec2 else f"<ErrorResponse>{error}</ErrorResponse>"
        elif protocol == "query":
            inner = xml(answer, "item" if ec2 else "member")
            inner = inner if ec2 else f"<{operation}Result>{inner}</{operation}Result>"
            body = f"<{operation}Response>{inner}</{operation}Response>"
        elif protocol == "cbor":
            # Only empty answers: a map without entries.
            headers["smithy-protocol"] = "rpc-v2-cbor"
            body = b"\xa0"
        else:
            headers["x-amzn-ErrorType"] = code
            body = json.dumps({"__type": code, "message": message} if refused else answer)
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(400 if refused else 200)
        for name, one in {**headers, "Content-Length": str(len(body))}.items():
            if one:
                self.send_header(name, one)
        self.end_headers()
        self.wfile.write(body)
