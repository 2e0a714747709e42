"""A webhook: takes what Genesys posts, checks each signature over the raw bytes, and keeps it for the tests."""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Call:
    def __init__(self, body, headers, authentic):
        self.body = body
        self.headers = headers
        self.authentic = authentic


class Webhook:
    """Any number of hooks, each with its path and its secret."""

    def __init__(self):
        self.changed = threading.Condition()
        self.secrets = {}
        self.calls = {}
        self.status = {}
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(webhook.take(self.path, raw, self.headers))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hook(self, path, secret):
        """The URL of a new hook."""
        self.secrets[path], self.calls[path], self.status[path] = secret, [], 200
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def take(self, path, raw, headers):
        digest = hmac.new(self.secrets[path].encode(), raw, hashlib.sha256).digest()
        wanted = "sha256=" + base64.b64encode(digest).decode()
        authentic = hmac.compare_digest(wanted, headers.get("X-Hub-Signature-256", ""))
        with self.changed:
            self.calls[path].append(Call(json.loads(raw), headers, authentic))
            self.changed.notify_all()
        return self.status[path]

    def wait(self, path, wanted, what, timeout=30):
        """The first call that is `wanted`; fails with `what` when none comes."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for call in self.calls[path]:
                    if wanted(call.body):
                        assert call.authentic, f"the signature of {what} is wrong"
                        return call
                left = end - time.monotonic()
                assert left > 0, f"waited {timeout} s in vain for {what}: {[each.body for each in self.calls[path]]}"
                self.changed.wait(left)
