//! The planted faults: what each changes in the example, and which cases must find it.

/// A fault of a connector.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// What stands in the example, exactly once, and what stands in the copy.
    pub(super) patches: &'static [(&'static str, &'static str)],
    /// The cases that must fail, and no others.
    pub(super) found_by: &'static [&'static str],
}

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "two messages change places",
        patches: &[(
            "for said, in self.db.execute(query, [name])]",
            "for said, in self.db.execute(query, [name])]\n        \
                messages[3:5] = messages[4:2:-1]",
        )],
        found_by: &["order-kept"],
    },
    Fault {
        name: "a repeated key doubles the message",
        patches: &[
            (
                "if self.db.execute(\"select 1 from message where id = ?\", [key]).fetchone():",
                "if False:",
            ),
            ("(said text, id text primary key,", "(said text, id text,"),
        ],
        found_by: &["key-repeated", "key-concurrent", "kill-key"],
    },
    Fault {
        name: "it answers before it stores",
        patches: &[
            (
                "            with self.server.lock, self.server.db:",
                "            with self.server.lock:",
            ),
            ("                    with self.lock, self.db:", "                    with self.lock:"),
        ],
        found_by: &["kill-message", "kill-report"],
    },
    Fault {
        name: "a report that got a 503 is not sent again",
        patches: &[("not in (202, 400, 413):", "not in (202, 400, 413, 503):")],
        found_by: &["report-repeated", "session-repeated"],
    },
    Fault {
        name: "a report names another id",
        patches: &[(
            "self.options.delay, message=key)",
            "self.options.delay, message=f\"not {key}\")",
        )],
        found_by: &["report-follows", "kill-report"],
    },
    Fault {
        name: "a message of one character hangs",
        patches: &[(
            "            with self.server.lock, self.server.db:",
            "            while body and b'\"?\"' in body:\n                \
                time.sleep(1)\n            \
                with self.server.lock, self.server.db:",
        )],
        found_by: &["answer-in-time"],
    },
    Fault {
        name: "emoji are dropped",
        patches: &[(
            "{\"from\": \"agent\", **fields}",
            "{**fields, \"text\": (text or \"\").encode(\"ascii\", \"ignore\").decode()}",
        )],
        found_by: &["text-unchanged", "text-longest"],
    },
    Fault {
        name: "a web page answers",
        patches: &[(
            "json.dumps(answer).encode())",
            "b\"<html>\" if \"status\" in answer else json.dumps(answer).encode())",
        )],
        found_by: &["answer-understood"],
    },
    Fault {
        name: "it takes a message of an old session",
        patches: &[("!= session or time.time() < opens", "is None or time.time() < opens")],
        found_by: &["session-old"],
    },
    Fault {
        name: "it takes any signature",
        patches: &[("hmac.compare_digest(one, expected)", "one.startswith(b\"v1,\")")],
        found_by: &["check-answered", "signature-wrong", "view-private"],
    },
    Fault {
        name: "typing never ends",
        patches: &[("time.time() + seconds", "float(\"inf\")")],
        found_by: &["typing-off", "typing-expires"],
    },
    Fault {
        name: "typing ends only by `off`",
        patches: &[("fields[\"duration_ms\"] / 1000 if", "3600 if")],
        found_by: &["typing-expires"],
    },
    Fault {
        name: "attachments are cut off",
        patches: &[("{\"from\": \"agent\", **fields}", "{**fields, \"content\": []}")],
        found_by: &["media-kept"],
    },
    Fault {
        name: "a repeated `open` starts another handshake",
        patches: &[(
            "        session, _, opens = self.sessions.setdefault(chat, new)",
            "        if time.time() < self.sessions.get(chat, new)[2]:\n            \
                self.sessions[chat] = new\n        \
                session, _, opens = self.sessions.setdefault(chat, new)",
        )],
        found_by: &["session-opens-once"],
    },
    Fault {
        name: "it takes content that it cannot show",
        patches: &[(" or not all(kind.startswith(MEDIA) for kind in kinds):", ":")],
        found_by: &["content-unclaimed"],
    },
    Fault {
        name: "`max_text` counts bytes",
        patches: &[("len(text or \"\") > MAX_TEXT", "len((text or \"\").encode()) > MAX_TEXT")],
        found_by: &["text-longest"],
    },
    Fault {
        name: "an unknown field is an error",
        patches: &[(
            "        if self.db.execute(\"select 1",
            "        if set(fields) - {'id', 'time', 'text', 'content', 'session'}:\n            \
                raise ValueError(\"unknown field\")\n        \
                if self.db.execute(\"select 1",
        )],
        found_by: &["fields-unknown"],
    },
    Fault {
        name: "a body that is not JSON is its own failure",
        patches: &[("sqlite3.Error) else 400", "sqlite3.Error) else 500")],
        found_by: &["json-broken"],
    },
    Fault {
        name: "an event that is sent again has another id",
        patches: &[(
            "        url, at = urllib",
            "        key = os.urandom(16).hex()\n        \
                event = json.dumps({**json.loads(event), \"id\": key})\n        \
                url, at = urllib",
        )],
        found_by: &["report-repeated", "session-repeated"],
    },
    Fault {
        name: "all handshakes have one id",
        patches: &[(
            "        url, at = urllib",
            "        if \"session.opened\" in event:\n            \
                event = json.dumps({**json.loads(event), \"id\": \"opened\"})\n        \
                url, at = urllib",
        )],
        found_by: &["events-ids"],
    },
    Fault {
        name: "reports have an unknown type, and a 503 ends an event",
        patches: &[
            ("\"message.delivered\"", "\"message.arrived\""),
            ("not in (202, 400, 413):", "not in (202, 400, 413, 503):"),
        ],
        found_by: &[
            "report-follows",
            "report-repeated",
            "session-repeated",
            "kill-report",
            "events-readable",
        ],
    },
    Fault {
        name: "the first event is signed for another body",
        patches: &[
            (
                "self.sign(key, at, event.encode())",
                "self.sign(key, at, event.encode() if \"once\" in vars(self) else b\"\")",
            ),
            (
                "        connection = getattr",
                "        self.once = True\n        \
                connection = getattr",
            ),
        ],
        found_by: &["events-signed"],
    },
    Fault {
        name: "old signatures count",
        patches: &[(" and abs(time.time() - int(at[:12])) <= 300", "")],
        found_by: &["signature-old"],
    },
    Fault {
        name: "calls without a signature count",
        patches: &[
            (
                "        _, kind, name, call = ",
                "        is_call = request.command == \"POST\"\n        \
                _, kind, name, call = ",
            ),
            (
                "not self.is_signed(request.headers, body):",
                "not (\n                \
                is_call and \"webhook-signature\" not in request.headers\n                \
                or self.is_signed(request.headers, body)):",
            ),
        ],
        found_by: &["signature-missing"],
    },
    Fault {
        name: "`close` has no effect",
        patches: &[("self.sessions.pop(chat, [0])[:1]", "[0]")],
        found_by: &["session-closed"],
    },
    Fault {
        name: "a session that is gone is a 404, and no `session.lost` tells of it",
        patches: &[
            ("return 409, {", "return 404, {"),
            ("    service.tell(\"session.lost\", 0)\n", ""),
        ],
        found_by: &["session-unknown", "session-old", "session-closed", "kill-session"],
    },
    Fault {
        name: "a refused message is an error",
        patches: &[("return 404, {", "return 500, {")],
        found_by: &["refusal-told"],
    },
    Fault {
        name: "the view names another session",
        patches: &[(
            "return 200, {\"messages\": messages,",
            "return 200, {\"session\": \"another\", \"messages\": messages,",
        )],
        found_by: &["session-opens"],
    },
    Fault {
        name: "a claim has the wrong type",
        patches: &[(
            "\"reports_delivery\": True,",
            "\"reports_delivery\": True, \"idempotent\": \"yes\",",
        )],
        found_by: &["check-answered"],
    },
];
