"""The sandbox's steering: switches, clock, faults, the agent's short-cuts. None of it is Genesys's API."""

import json
import urllib.request
from urllib.error import HTTPError


class Sandbox:
    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                told = answer.read()
        except HTTPError as error:
            error.add_note(error.read().decode(errors="replace"))
            raise
        return json.loads(told) if told else None

    def operations(self):
        """The operation's name for each method and path of the API, as the sandbox describes itself."""
        paths = self.call("GET", "/sandbox/openapi.json")["paths"]
        return {(method, path): each["operationId"] for path, calls in paths.items() for method, each in calls.items()}

    def switches(self):
        return self.call("GET", "/sandbox/switches")

    def switch(self, **values):
        return self.call("PUT", "/sandbox/switches", values)

    def clock(self, scale):
        return self.call("PUT", "/sandbox/clock", {"scale": scale})

    def advance(self, by):
        return self.call("POST", "/sandbox/clock/advance", {"by": by})

    def fault(self, on, action, times=1):
        return self.call("POST", "/sandbox/faults", {"on": on, "action": action, "times": times})

    def no_faults(self):
        return self.call("DELETE", "/sandbox/faults")

    def role(self, client, secret, permissions=None):
        """An OAuth client whose role has these permissions only."""
        body = {"secret": secret}
        if permissions is not None:
            body["permissions"] = permissions
        return self.call("PUT", f"/sandbox/clients/{client}", body)

    def response(self, name, **fields):
        """A canned response."""
        return self.call("PUT", f"/sandbox/responses/{name}", fields)

    def agent(self, what, customer, integration, **more):
        return self.call("POST", f"/sandbox/agent/{what}", {"customer": customer, "integration": integration, **more})

    def revoke(self, client):
        return self.call("POST", "/sandbox/tokens/revoke", {"client": client})

    def close_sockets(self, **how):
        return self.call("POST", "/sandbox/notifications/close", how)
