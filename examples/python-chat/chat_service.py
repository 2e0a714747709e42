"""A small chat service that speaks Tidegate's connector protocol, version 1 (docs/connectors.md)"""
import argparse, base64, hmac, http.client, json, os, sqlite3, sys, threading, time, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_TEXT, MEDIA = 4000, "image/"  # characters; media types
CAPABILITIES = {"reports_delivery": True, "max_text": MAX_TEXT, "media": ["image/*"]}
CALLS = {"conversations": ["open", "messages", "typing", "close"], "customers": ["say"]}
TABLES = """pragma journal_mode = wal; pragma synchronous = full;  -- a commit is on disk
    create table if not exists message (said text, id text primary key, chat text, customer text);
    create table if not exists event (event text, id text primary key, due real, session text);
    delete from event where session is not null;  -- sessions end with the process"""


class ChatService(ThreadingHTTPServer):
    def __init__(self, key, options):
        host, port = options.listen.rsplit(":", 1)
        super().__init__((host, int(port)), Handler)
        self.key, self.options, self.lock = key, options, threading.Lock()
        self.sessions, self.typing_ends = {}, {}  # by the gateway's id of the conversation
        self.db = sqlite3.connect(options.store, check_same_thread=False)
        self.db.executescript(TABLES)

    def sign(self, webhook_id, at, body):  # the same in both directions
        signed = f"{webhook_id}.{at}.".encode() + body
        return "v1," + base64.b64encode(hmac.digest(self.key, signed, "sha256")).decode()

    def is_signed(self, headers, body):
        webhook_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        is_recent = at.isdecimal() and abs(time.time() - int(at[:12])) <= 300  # seconds
        expected = self.sign(webhook_id, at, body).encode()
        given = headers.get("webhook-signature", "").encode().split(b" ")
        return is_recent and any(hmac.compare_digest(one, expected) for one in given)

    def open(self, chat, fields):
        new = os.urandom(16).hex(), fields["customer"]["id"], time.time() + self.options.handshake
        session, _, opens = self.sessions.setdefault(chat, new)
        if session == new[0]:
            self.tell("session.opened", opens, conversation=chat, session=session)
        return (200, {"session": session}) if time.time() >= opens else (202, {})

    def messages(self, chat, fields):
        key, text, content = fields["id"], fields.get("text"), fields.get("content", [])
        if self.db.execute("select 1 from message where id = ?", [key]).fetchone():
            return 202, {"status": "sent", "message_id": key}  # as the first time
        session, customer, opens = self.sessions.get(chat, (None, None, float("inf")))
        if fields.pop("session", None) != session or time.time() < opens:
            return 409, {"reason": {"message": "no such session"}}
        kinds = [str(one.get("attachment", {}).get("mime")).lower() for one in content]
        if len(text or "") > MAX_TEXT or not all(kind.startswith(MEDIA) for kind in kinds):
            return 422, {"reason": {"code": "UnsupportedMessage", "message": "cannot be shown"}}
        self.keep("message", {"from": "agent", **fields}, key, chat, customer)
        self.tell("message.delivered", time.time() + self.options.delay, message=key)
        return 202, {"status": "sent", "message_id": key}

    def typing(self, chat, fields):
        seconds = fields["duration_ms"] / 1000 if fields["state"] == "on" else 0
        self.typing_ends[chat] = time.time() + seconds

    def close(self, chat, _):
        self.db.execute("delete from event where session = ?", self.sessions.pop(chat, [0])[:1])

    def say(self, customer, fields):  # the customer writes
        text, who = fields["text"], {"id": customer, "nickname": customer}
        if not text.strip():
            return 400, {"reason": {"message": "the text is empty"}}
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        key = self.tell("message.created", time.time(), customer=who, text=text, time=at)
        self.keep("message", {"id": key, "from": "customer", "text": text}, key, None, customer)
        return 202, {"id": key}

    def seen(self, name):  # in a conversation, or by a customer
        query = "select said from message where ? in (chat, customer) order by rowid"
        messages = [json.loads(said) for said, in self.db.execute(query, [name])]
        return 200, {"messages": messages, "typing": time.time() < self.typing_ends.get(name, 0)}

    def keep(self, table, fields, *row):
        self.db.execute(f"insert into {table} values (?, ?, ?, ?)", [json.dumps(fields), *row])

    def tell(self, kind, due, **fields):
        event = {"type": kind, "id": os.urandom(16).hex(), **fields}
        self.keep("event", event, event["id"], due, fields.get("session"))
        return event["id"]

    def send_events(self):  # in order, each again and again until the gateway has it
        due = "select id, event from event where due <= ? order by rowid"
        while True:
            time.sleep(0.1)
            try:
                with self.lock:
                    events = self.db.execute(due, [time.time()]).fetchall()
                for event in events:
                    self.post(*event)
                    with self.lock, self.db:
                        self.db.execute("delete from event where id = ?", event[:1])
            except (OSError, http.client.HTTPException, sqlite3.Error) as error:
                print(f"events wait: {error}", file=sys.stderr)
                time.sleep(1)

    def post(self, key, event):
        url, at = urllib.parse.urlsplit(self.options.gateway), str(int(time.time()))
        headers = {"content-type": "application/json", "webhook-id": key, "webhook-timestamp": at,
                   "webhook-signature": self.sign(key, at, event.encode())}
        connection = getattr(http.client, url.scheme.upper() + "Connection")(url.netloc, timeout=10)
        connection.request("POST", url.path, event, headers)
        if (status := connection.getresponse().status) not in (202, 400, 413):
            raise OSError(f"the gateway answers {status}")  # 400 and 413 are for good

    def answer(self, request, body):
        _, kind, name, call = [*map(urllib.parse.unquote, request.path.split("/")), "", ""][:4]
        if kind != "customers" and not self.is_signed(request.headers, body):
            return 401, {"reason": {"message": "wrong signature"}}
        if request.command == "GET" and kind in ["", *CALLS]:
            return self.seen(name) if kind else (200, {"capabilities": CAPABILITIES})
        if call not in CALLS.get(kind, []):
            return 404, {"reason": {"message": "no such call"}}
        return getattr(self, call)(name, json.loads(body)) or (202, {})


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) if 0 <= length < 2**20 else None
            with self.server.lock, self.server.db:  # one call at a time, each is a transaction
                status, answer = self.server.answer(self, body)
        except Exception as error:  # a full disk may pass, a broken body stays broken
            status = 503 if isinstance(error, sqlite3.Error) else 400
            answer = {"reason": {"message": f"{type(error).__name__}: {error}"[:200]}}
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
    do_GET, log_message = do_POST, lambda *_: None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:9000")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080/connectors/acme/events")
    parser.add_argument("--handshake", type=float, default=5, help="seconds until it is over")
    parser.add_argument("--delay", type=float, default=1, help="seconds until a report is sent")
    parser.add_argument("--store", default="chat.db", help="the file of messages and events")
    secret = os.environ.get("CHAT_SECRET", "").partition("whsec_")[2]
    key = base64.b64decode(secret) or parser.error("CHAT_SECRET must be whsec_ followed by base64")
    service = ChatService(key, parser.parse_args())
    service.tell("session.lost", 0)
    threading.Thread(target=service.send_events, daemon=True).start()
    print("listening on http://%s:%s" % service.server_address, flush=True)
    service.serve_forever()
