"""Genesys's SDK, unchanged but for its host; what it calls is counted, and what it is answered is checked."""

import json
from urllib.parse import urlsplit

import PureCloudPlatformClientV2 as genesys
import urllib3
from PureCloudPlatformClientV2.default_http_client import DefaultHttpClient
from PureCloudPlatformClientV2.rest import ApiException

from . import answers

CLIENT = ("sandbox-client", "sandbox-secret")


class Sdk(genesys.ApiClient):
    """The SDK's client, pointed at the sandbox by its own gateway setting.

    `patient` leaves the SDK as it is: it waits as long as `Retry-After` says and tries again. Without it each answer
    comes to the test.
    """

    # Method and path template of everything that any client called with success.
    called = set()
    # What was wrong with the answers to any client: a test that leaves something here has failed.
    wrong = []

    def __init__(self, url, patient=False):
        super().__init__()
        url = urlsplit(url)
        self.set_gateway(url.hostname, url.scheme, url.port, url.path, url.path)
        if not patient:
            http = DefaultHttpClient()
            http.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(total=0)
            self.set_http_client(http)

    def get_client_credentials_token(self, client_id, client_secret):
        client = super().get_client_credentials_token(client_id, client_secret)
        Sdk.called.add(("post", "/oauth/token"))
        return client

    def call_api(self, resource_path, method, *args, **kwargs):
        try:
            answer = super().call_api(resource_path, method, *args, **kwargs)
        except ApiException as error:
            error.told = self.told(error)
            raise
        Sdk.called.add((method.lower(), resource_path))
        kind, body = kwargs.get("response_type"), self.last_response.data
        wrong = answers.faults(json.loads(body) if body else None, kind) + answers.unknown_values(answer)
        Sdk.wrong += [f"{method} {resource_path}: {each}" for each in wrong]
        return answer

    def told(self, error):
        """The body of an error as the SDK's model, checked as each answer is."""
        body = json.loads(error.body)
        wrong = answers.faults(body, "ErrorBody")
        for name in ("message", "code", "status", "contextId"):
            if not body.get(name):
                wrong.append(f"no {name}")
        if body.get("status") != error.status:
            wrong.append(f"the status {error.status} is another in the body")
        if error.headers.get("inin-correlation-id") != body.get("contextId"):
            wrong.append("inin-correlation-id is not the contextId")
        Sdk.wrong += [f"{error.status}: {each}" for each in wrong]
        return self.read(body, "ErrorBody")

    def read(self, body, kind):
        """JSON as one of the SDK's models, by the SDK's own reading."""
        return self.deserialize(Answer(json.dumps(body)), kind)


class Answer:
    """What the SDK reads from."""

    def __init__(self, data):
        self.data = data

    def getheader(self, name):
        return "application/json" if name == "Content-Type" else None


def login(url, client=CLIENT, patient=False):
    """A client with a token of its own."""
    sdk = Sdk(url, patient)
    sdk.get_client_credentials_token(*client)
    return sdk
