"""The chat service of examples/python-chat for the tests: with a log, and with failures to order.

It keeps nothing: a kill forgets sessions and messages, and no `session.lost` follows a start. What
the example refuses as too long, or as no image, it accepts.
"""
import argparse
import base64
import http.client
import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/python-chat"))
import chat_service  # noqa: E402


class ScriptedChat(chat_service.ChatService):
    request_queue_size = 256

    def __init__(self, key, options):
        self.log_lock = threading.Lock()
        self.log_file = open(options.log, "a", encoding="utf-8") if options.log else None
        self.refused_from = {}  # by conversation
        super().__init__(key, options)

    def log(self, what, **fields):
        if self.log_file:
            with self.log_lock:
                self.log_file.write(json.dumps({"what": what, **fields}, ensure_ascii=False) + "\n")
                self.log_file.flush()

    def open(self, chat, fields):
        customer = fields["customer"]["id"]
        if customer.startswith(self.options.never):
            answer = 202, {}
        elif customer.startswith(self.options.refuse):
            answer = self.refuse(chat)
        else:
            answer = super().open(chat, fields)
        self.log("open", conversation=chat, customer=customer, attempt=fields.get("attempt"),
                 status=answer[0])
        return answer

    def refuse(self, chat):
        """Refuses the customer at the end of the handshake. The next `open` starts another."""
        now = time.time()
        if self.refused_from.get(chat, 0) <= now:
            self.refused_from[chat] = now + self.options.handshake
            reason = {"code": "MessageNotAllowed", "message": "this customer is not served"}
            self.tell("session.refused", self.refused_from[chat], conversation=chat, reason=reason)
        return 202, {}

    def messages(self, chat, fields):
        seen = {"conversation": chat, "session": fields.get("session")}
        seen.update(id=fields["id"], text=fields.get("text"))
        known = "select 1 from message where id = ?"
        is_repeat = self.db.execute(known, [fields["id"]]).fetchone() is not None
        status, answer = super().messages(chat, fields)
        if status == 202 and self.options.deliver == "immediately":
            status, answer = 200, {**answer, "status": "delivered"}
        self.log("message", **seen, status=status, repeat=is_repeat)
        return status, answer

    def typing(self, chat, fields):
        self.log("typing", conversation=chat, state=fields.get("state"))
        return super().typing(chat, fields)

    def close(self, chat, fields):
        self.log("close", conversation=chat, reason=fields.get("reason"))
        return super().close(chat, fields)

    def tell(self, kind, due, **fields):
        if kind == "session.opened" and self.options.handshake == 0:
            return None  # the answer says so
        if kind == "message.delivered" and self.options.deliver == "immediately":
            return None  # the answer says so
        if kind == "message.delivered" and self.options.deliver == "fail":
            reason = {"code": "RecipientOptedOut", "message": "the customer has left"}
            return super().tell("message.failed", due, reason=reason, **fields)
        return super().tell(kind, due, **fields)

    def post(self, key, body):
        super().post(key, body)
        events = json.loads(body)
        for event in events if isinstance(events, list) else [events]:
            self.log("event", event=event)

    def send_together(self):
        """As `send_events`, with up to a hundred events in one call: the crash tests have many."""
        due = "select id, event from event where due <= ? order by rowid limit 100"
        while True:
            time.sleep(0.02)
            try:
                with self.lock:
                    events = self.db.execute(due, [time.time()]).fetchall()
                if events:
                    self.post(events[0][0], "[" + ",".join(event for _, event in events) + "]")
                with self.lock, self.db:
                    sent = [(key,) for key, _ in events]
                    self.db.executemany("delete from event where id = ?", sent)
            except (OSError, http.client.HTTPException):
                time.sleep(0.2)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--listen", required=True)
    options.add_argument("--gateway", required=True)
    options.add_argument("--secret", required=True)
    options.add_argument("--handshake", type=float, default=5.0)
    options.add_argument("--never", default="never", help="who waits for ever, by prefix")
    options.add_argument("--refuse", default="refuse", help="who is refused, by prefix")
    options.add_argument("--deliver", choices=["immediately", "later", "fail"], default="later")
    options.add_argument("--delay", type=float, default=1.0)
    options.add_argument("--one-by-one", action="store_true", help="an event in each call")
    options.add_argument("--log", help="a file for all that happens, one JSON object a line")
    options = options.parse_args()
    options.store = ":memory:"
    chat_service.MAX_TEXT, chat_service.MEDIA = float("inf"), ""
    chat_service.CAPABILITIES = {"reports_delivery": options.deliver != "immediately",
                                 "media": ["*/*"], "content": ["*"]}
    service = ScriptedChat(base64.b64decode(options.secret.removeprefix("whsec_")), options)
    send = service.send_events if options.one_by_one else service.send_together
    threading.Thread(target=send, daemon=True).start()
    print("listening on http://%s:%s" % service.server_address, flush=True)
    service.serve_forever()


if __name__ == "__main__":
    main()
