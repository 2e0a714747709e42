#!/usr/bin/env python3
"""A small chat service that speaks Tidegate's connector protocol, version 1.

It stands for the chat service that you want to connect: its handshake takes seconds, it reports later what became
of a message, and it survives a gateway that is away. Standard library only, Python 3.9 or later. Everything is kept
in memory; only the log (--log) outlives the process.

docs/connectors.md explains the protocol; README.md beside this file says how to run it.
"""
import argparse
import base64
import hashlib
import heapq
import hmac
import http.client
import itertools
import json
import os
import sys
import threading
import time
import urllib.parse
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 5 * 60  # seconds by which the two clocks may differ
LARGEST_BODY = 1024 * 1024


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---- Signatures: Standard Webhooks, the same in both directions -----------------------------------------------------

def sign(secret, webhook_id, timestamp, body):
    """The value of the header webhook-signature for these bytes."""
    if not secret.startswith("whsec_"):
        raise ValueError("the secret must be whsec_ followed by base64")
    key = base64.b64decode(secret[len("whsec_"):], validate=True)
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def verify(secret, headers, body, at):
    """Was this body signed with our secret, within five minutes of `at` (seconds since 1970)?"""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(at - int(timestamp[:12])) > TOLERANCE:
        return False
    expected = sign(secret, webhook_id, timestamp, body).encode()
    # While secrets are rotated the header holds several signatures; one that fits is enough.
    given = headers.get("webhook-signature", "").encode("utf-8", "replace").split(b" ")
    return any(hmac.compare_digest(one, expected) for one in given)


# ---- To the gateway -------------------------------------------------------------------------------------------------

class Outbox(threading.Thread):
    """The events of one customer: sent in order, each again and again until the gateway has taken it."""

    BATCH = 100

    def __init__(self, gateway, secret, log):
        super().__init__(daemon=True)
        self.url, self.secret, self.log = urllib.parse.urlsplit(gateway), secret, log
        self.waiting, self.count, self.changed = [], itertools.count(), threading.Condition()
        self.connection = None
        self.start()

    def add(self, event, delay=0.0):
        with self.changed:
            heapq.heappush(self.waiting, (time.monotonic() + delay, next(self.count), event))
            self.changed.notify()

    def due(self):
        """Waits for the next event, and takes with it what else is due."""
        with self.changed:
            while not self.waiting or self.waiting[0][0] > time.monotonic():
                self.changed.wait(self.waiting[0][0] - time.monotonic() if self.waiting else None)
            events = []
            while self.waiting and self.waiting[0][0] <= time.monotonic() and len(events) < self.BATCH:
                events.append(heapq.heappop(self.waiting)[2])
            return events

    def run(self):
        while True:
            events, pause = self.due(), 0.1
            while True:
                status = self.post(events)
                if 200 <= status < 300:
                    break
                if status in (400, 413, 422):  # it will never take these; the events behind them still count
                    break
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
            for event in events:
                self.log("event", status=status, **{"event": event})

    def post(self, events):
        """One try; 0 if there was no answer. Repetitions keep their id and are signed anew."""
        body = json.dumps(events).encode()
        webhook_id, timestamp = events[0].get("id", str(uuid.uuid4())), str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self.secret, webhook_id, timestamp, body),
        }
        try:
            if self.connection is None:
                secure = self.url.scheme == "https"
                connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
                self.connection = connect(self.url.netloc, timeout=30)
            self.connection.request("POST", self.url.path or "/", body, headers)
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return 0


# ---- The chat service itself ----------------------------------------------------------------------------------------

class Conversation:
    """What the gateway calls a conversation: here, the thread of one customer."""

    def __init__(self, customer):
        self.customer = customer
        self.session = None
        self.open_from = None  # when the handshake ends, by time.monotonic(); None before it starts
        self.refused_from = None
        self.answers = {}  # by idempotency key, so that a repeated message gets the same answer and no second effect


class ChatService:
    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.conversations = {}  # by the gateway's conversation id
        self.threads = {}  # by customer: everything that was said
        self.outboxes = {}  # by customer
        self.log_lock = threading.Lock()
        self.log_file = open(options.log, "a", encoding="utf-8") if options.log else None

    def log(self, what, **fields):
        if self.log_file:
            with self.log_lock:
                self.log_file.write(json.dumps({"at": now(), "what": what, **fields}, ensure_ascii=False) + "\n")
                self.log_file.flush()

    def tell(self, customer, event, delay=0.0):
        """Sends an event about this customer to the gateway."""
        outbox = self.outboxes.get(customer)
        if outbox is None:
            outbox = self.outboxes[customer] = Outbox(self.options.gateway, self.options.secret, self.log)
        outbox.add(event, delay)

    def open(self, name, body, _key):
        """The gateway wants a session for a customer. The handshake takes its time."""
        customer = body["customer"]["id"]
        at, handshake = time.monotonic(), self.options.handshake
        conversation = self.conversations.setdefault(name, Conversation(customer))
        if conversation.refused_from is not None and at >= conversation.refused_from:
            conversation = self.conversations[name] = Conversation(customer)
        if conversation.open_from is None and conversation.refused_from is None:
            if self.options.refuse and customer.startswith(self.options.refuse):
                conversation.refused_from = at + handshake
                reason = {"code": "MessageNotAllowed", "message": "this customer is not served"}
                refused = {"type": "session.refused", "id": new_id(), "conversation": name, "reason": reason}
                self.tell(customer, refused, handshake)
            elif self.options.never and customer.startswith(self.options.never):
                conversation.open_from = float("inf")
            else:
                conversation.session, conversation.open_from = new_id(), at + handshake
                if handshake > 0:
                    session = conversation.session
                    opened = {"type": "session.opened", "id": new_id(), "conversation": name, "session": session}
                    self.tell(customer, opened, handshake)
        ready = conversation.open_from is not None and at >= conversation.open_from
        status, answer = (200, {"session": conversation.session}) if ready else (202, {})
        self.log("open", conversation=name, customer=customer, attempt=body.get("attempt"), status=status)
        return status, answer

    def messages(self, name, body, key):
        """The agent wrote something."""
        conversation = self.conversations.get(name)
        key = key or body["id"]
        seen = {"conversation": name, "id": key, "text": body.get("text"), "session": body.get("session")}
        if conversation is not None and key in conversation.answers:
            self.log("message", **seen, status=conversation.answers[key][0], repeat=True)
            return conversation.answers[key]
        ready = conversation is not None and conversation.open_from is not None
        if not ready or time.monotonic() < conversation.open_from or body.get("session") != conversation.session:
            self.log("message", **seen, status=409, repeat=False)
            return 409, {"reason": {"code": "InvalidDestination", "message": "no such session"}}
        message_id, customer = new_id(), conversation.customer
        said = {"from": "agent", "id": message_id, "text": body.get("text"), "content": body.get("content", [])}
        self.threads.setdefault(customer, []).append({**said, "time": body.get("time")})
        report = {"id": new_id(), "message": key, "message_id": message_id}
        if self.options.deliver == "immediately":
            answer = 200, {"status": "delivered", "message_id": message_id}
        else:
            answer = 202, {"status": "sent", "message_id": message_id}
            if self.options.deliver == "later":
                report["type"] = "message.delivered"
            else:
                report["type"] = "message.failed"
                report["reason"] = {"code": "RecipientOptedOut", "message": "the customer has left"}
            self.tell(customer, report, self.options.delay)
        conversation.answers[key] = answer
        self.log("message", **seen, status=answer[0], repeat=False)
        return answer

    def typing(self, name, body, _key):
        self.log("typing", conversation=name, state=body.get("state"))
        return 202, {}

    def close(self, name, body, _key):
        conversation = self.conversations.get(name)
        if conversation is not None:
            conversation.session = conversation.open_from = None
        self.log("close", conversation=name, reason=body.get("reason"))
        return 202, {}

    def say(self, customer, text):
        """Lets whoever calls be the customer."""
        event = {"type": "message.created", "id": new_id(), "text": text, "time": now()}
        event["customer"] = {"id": customer, "id_type": "Opaque", "nickname": customer}
        self.threads.setdefault(customer, []).append(
            {"from": "customer", "id": event["id"], "text": text, "time": event["time"]})
        self.log("say", customer=customer, id=event["id"], text=text)
        self.tell(customer, event)
        return 202, {"id": event["id"]}


def new_id():
    return uuid.uuid4().hex


# ---- HTTP -----------------------------------------------------------------------------------------------------------

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open between calls
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024  # an answer leaves in one piece
    service = None

    def do_GET(self):
        path = self.parts()
        if path == []:  # `tidegate check` asks so, signed
            signed = "webhook-signature" in self.headers
            if signed and not verify(self.service.options.secret, self.headers, b"", time.time()):
                return self.answer(401, {"reason": {"message": "wrong signature"}})
            return self.answer(200, {"service": "python-chat"})
        if len(path) == 2 and path[0] == "customers":
            with self.service.lock:
                return self.answer(200, {"customer": path[1], "thread": self.service.threads.get(path[1], [])})
        return self.answer(404, {"reason": {"message": "no such path"}})

    def do_POST(self):
        length, path = self.headers.get("content-length", ""), self.parts()
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True  # the body stays unread
            return self.answer(413 if length.isdigit() else 411, {})
        body = self.rfile.read(int(length))
        if len(path) == 3 and path[0] == "conversations":
            if not verify(self.service.options.secret, self.headers, body, time.time()):
                self.service.log("unsigned", path=self.path)
                return self.answer(401, {"reason": {"message": "wrong signature"}})
            calls = {"open": self.service.open, "messages": self.service.messages,
                     "typing": self.service.typing, "close": self.service.close}
            return self.call(calls.get(path[2]), path[1], body, self.headers.get("idempotency-key"))
        if len(path) == 3 and path[0] == "customers" and path[2] == "say":
            return self.call(lambda customer, fields, _: self.service.say(customer, fields["text"]), path[1], body)
        return self.answer(404, {"reason": {"message": "no such path"}})

    def call(self, call, name, body, key=None):
        if call is None:
            return self.answer(404, {"reason": {"message": "no such call"}})
        try:
            fields = json.loads(body)
            with self.service.lock:  # one at a time: this is what keeps order and makes repetitions harmless
                status, answer = call(name, fields, key)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            status, answer = 400, {"reason": {"code": "InvalidMessageStructure", "message": repr(error)[:200]}}
        return self.answer(status, answer)

    def answer(self, status, fields):
        body = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def parts(self):
        path = urllib.parse.urlsplit(self.path).path
        return [urllib.parse.unquote(part) for part in path.split("/") if part]

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256


def read_options():
    options = argparse.ArgumentParser(description="A small chat service that speaks Tidegate's connector protocol.")
    options.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT")
    options.add_argument("--gateway", default="http://127.0.0.1:8080/connectors/acme/events", metavar="URL",
                         help="where this integration's events go (default: %(default)s)")
    options.add_argument("--secret", default=os.environ.get("CHAT_SECRET"),
                         help="whsec_ and base64, the same as in tidegate.toml; or the environment's CHAT_SECRET")
    options.add_argument("--handshake", type=float, default=5.0, metavar="SECONDS")
    options.add_argument("--never", default="never", metavar="PREFIX",
                         help="customers whose id starts so wait for ever (default: %(default)s)")
    options.add_argument("--refuse", default="refuse", metavar="PREFIX",
                         help="customers whose id starts so are refused (default: %(default)s)")
    options.add_argument("--deliver", choices=["immediately", "later", "fail"], default="later")
    options.add_argument("--delay", type=float, default=1.0, metavar="SECONDS",
                         help="until a message is reported as delivered or failed (default: %(default)s)")
    options.add_argument("--log", metavar="FILE", help="keep a log of everything there, one JSON object a line")
    options = options.parse_args()
    try:
        sign(options.secret or "", "", "0", b"")
    except ValueError as error:
        sys.exit(f"--secret or CHAT_SECRET: {error}")
    return options


def main():
    options = read_options()
    host, _, port = options.listen.rpartition(":")
    Handler.service = ChatService(options)
    server = Server((host, int(port)), Handler)
    print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
