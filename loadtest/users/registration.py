"""Registration: users that create records, change them, read back what they wrote, and delete some again.

    LOCUST_API_TOKEN=$(cat .idnode/operator-token) locust -f loadtest/users/registration.py --host http://127.0.0.1:8000

Each write must be answered as done; each record, read past the caches, must say what was written last.  Names are made
of random bits, below --prefix, so runs do not meet.  At its end a user deletes what it made.
"""

import json
import os
from random import Random

from locust import FastHttpUser, constant, events, task
from locust.env import Environment

from loadtest.users.asking import WrongAnswer, options_of
from loadtest.users.connections import campaign_headers, handle_path
from resolver.wire import ResponseCode

CREATED, DONE, NOT_FOUND = 201, 200, 404
MOST_RECORDS = 50  # of one user, at a time
_AUTHORITATIVE = "?auth=true"
_FIRST_VALUE = "?index=1"


def refuse_without_token(environment: Environment, **_: object) -> None:
    """End locust before it begins when nobody could write."""
    if not options_of(environment).api_token:
        raise SystemExit("registration needs a token: --api-token or LOCUST_API_TOKEN")


events.init.add_listener(refuse_without_token)


class Registrar(FastHttpUser):
    """Writes over HTTP with an API token."""

    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        options = options_of(environment)
        self._headers = {
            **campaign_headers(options.campaign_token),
            "Authorization": f"Bearer {options.api_token}",
            "Content-Type": "application/json",
        }
        self._name = f"{options.prefix}/locust-{os.urandom(8).hex()}"
        self._dice = Random(self._name)
        self._written: dict[str, str] = {}
        self._number = 0
        self._under_way = ""  # whose write has no answer yet

    @task(4)
    def create(self) -> None:
        """Register an identifier, or delete one when there are many."""
        if len(self._written) >= MOST_RECORDS:
            self.delete()
            return
        self._number += 1
        self._write("create", f"{self._name}-{self._number}", "", CREATED)

    @task(4)
    def change(self) -> None:
        """Change a record, and read it back."""
        if not self._written:
            self.create()
            return
        handle = self._dice.choice(list(self._written))
        self._write("change", handle, _FIRST_VALUE, DONE)
        self._read_back(handle)

    @task(1)
    def delete(self) -> None:
        """Delete a record."""
        if self._written:
            handle = self._dice.choice(list(self._written))
            if self._send("DELETE", "delete", handle, "", None, {DONE}):
                del self._written[handle]

    def on_stop(self) -> None:
        """Delete what is left; what was under way when it was told to stop may be there or not."""
        doubtful = self._under_way
        for handle in {*self._written, doubtful} - {""}:
            due = {DONE, NOT_FOUND} if handle == doubtful else {DONE}
            self._send("DELETE", "delete", handle, "", None, due)

    def _write(self, name: str, handle: str, query: str, due: int) -> None:
        self._number += 1
        text = f"https://example.cn/{handle}/{self._number}"
        value = {"index": 1, "type": "URL", "data": text}
        if self._send("PUT", name, handle, query, json.dumps([value]), {due}):
            self._written[handle] = text

    def _send(
        self, method: str, name: str, handle: str, query: str, body: str | None, due: set[int]
    ) -> bool:
        """Write; True when it was done."""
        self._under_way = handle
        with self.client.request(
            method,
            handle_path(handle) + query,
            name=name,
            data=body,
            headers=self._headers,
            catch_response=True,
        ) as answer:
            self._under_way = "" if answer.status_code else handle
            if answer.status_code in due:
                answer.success()
                return True
            if answer.status_code:
                answer.failure(WrongAnswer(f"status {answer.status_code} instead of {due}"))
        return False

    def _read_back(self, handle: str) -> None:
        path = handle_path(handle) + _AUTHORITATIVE
        with self.client.get(
            path, name="read back", headers=self._headers, catch_response=True
        ) as answer:
            fault = _other_than(self._written.get(handle, ""), answer.content or b"")
            if answer.status_code and fault:
                answer.failure(WrongAnswer(fault))
            elif answer.status_code:
                answer.success()


def _other_than(text: str, body: bytes) -> str:
    """Return what is wrong with a record whose only public value is this text, "" when nothing is."""
    try:
        said = json.loads(body)
        found = [value["data"]["value"] for value in said["values"] if value["type"] == "URL"]
    except (ValueError, KeyError, TypeError):
        return f"no record: {body[:80]!r}"
    if said["responseCode"] != ResponseCode.SUCCESS or found != [text]:
        return "not what was written last"
    return ""
