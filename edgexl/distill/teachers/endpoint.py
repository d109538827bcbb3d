"""A language model behind an OpenAI-compatible endpoint, queried with patience.

Requests keep to a pace; what a later attempt may cure (status 408, 409, 429 and 5xx, no connection, no answer in time)
is tried again, as late as the server says or else after twice the wait of the time before.
"""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

from edgexl.base.errors import BadInput
from edgexl.distill.teachers.prompt import Messages

ATTEMPTS = 8
# 1 + 2 + 4 + ... + 60: about three minutes of outage are waited for.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
# Reasoning models think for minutes.
_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered: its content, the reasoning where that comes apart from it, and what it took."""

    content: str
    reasoning: str | None
    prompt_tokens: int
    completion_tokens: int
    cut_short: bool = False


class LanguageModel(Protocol):
    """What answers a conversation. `name` stands in every trace, so that one file never mixes models."""

    name: str

    def query(self, messages: Messages, stop: threading.Event) -> Reply:
        """Answer, or raise `Stopped` soon after `stop` is set while waiting for a turn."""
        ...


class Stopped(Exception):
    """The collection ended before this question was sent."""


class Refused(BadInput):
    """The endpoint will not answer this question, now or later; others it may."""


class Endpoint:
    """A `LanguageModel` behind the `openai` client.

    The key is the client's own, $OPENAI_API_KEY; an endpoint at `base_url` may do without. `requests_per_minute`
    spaces requests evenly, retries included. Raises `BadInput` where the client is missing or there is no key.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        requests_per_minute: float | None = None,
        max_tokens: int = 1024,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise BadInput("The endpoint needs the openai client; `pip install edgexl[collect]` brings it.") from None
        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        if key is None:
            raise BadInput("There is no key for the endpoint; set OPENAI_API_KEY, or name another with --base-url.")
        self.name = f"openai:{model}"
        self._model = model
        self._openai = openai
        # retries are this class's own, so that they keep to its pace and end when the collection does
        client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=_TIMEOUT_SECONDS)
        self._create: Any = client.chat.completions.create
        # reasoning models at OpenAI take the new name alone, and other servers often only the old one
        self._limit = {"max_tokens" if base_url else "max_completion_tokens": max_tokens}
        self._pace = _Pace(requests_per_minute)
        self._first_wait_seconds = first_wait_seconds

    def query(self, messages: Messages, stop: threading.Event) -> Reply:
        """Answer a conversation. Raises `Refused` for a question that is not taken, `BadInput` for a dead endpoint."""
        for attempt in range(1, ATTEMPTS + 1):
            self._pace.wait(stop)
            try:
                completion = self._create(model=self._model, messages=messages, **self._limit)
                return _reply(completion)
            except self._openai.APIStatusError as error:
                self._raise_if_final(error)
                reason, wait = f"status {error.status_code}", _wait_seconds(error)
            except self._openai.APIConnectionError as error:
                reason, wait = _reason(error), None
            if attempt < ATTEMPTS:
                doubled = min(self._first_wait_seconds * 2 ** (attempt - 1), LONGEST_WAIT_SECONDS)
                # spread, so that requests that failed together do not come back together
                pause = wait if wait is not None else doubled * random.uniform(0.75, 1.25)
                if stop.wait(pause):
                    raise Stopped
        raise BadInput(
            f"The endpoint gave no answer in {ATTEMPTS} attempts ({reason}); check that it is up and go on later."
        )

    def _raise_if_final(self, error: Any) -> None:
        """Raise `BadInput` for a status that no later attempt cures."""
        status, said = error.status_code, " ".join(str(error.message).split())[:200]
        if status == 429 and error.code == "insufficient_quota":
            raise BadInput(f"The endpoint's quota is used up ({said}); pay for more and go on.") from None
        if status in (400, 413, 422):
            raise Refused(f"The endpoint refused a question with status {status} ({said}).") from None
        if status not in (408, 409, 429) and status < 500:
            raise BadInput(
                f"The endpoint refused with status {status} ({said}); check the key, --model and --base-url."
            ) from None


class _Pace:
    """Turns at even distances, for any number of threads."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._distance_seconds = 60 / requests_per_minute if requests_per_minute else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, stop: threading.Event) -> None:
        """Return when it is this caller's turn. Raises `Stopped` once `stop` is set."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._distance_seconds
        if stop.wait(max(0.0, turn - time.monotonic())):
            raise Stopped


def _reply(completion: Any) -> Reply:
    if not completion.choices:
        raise Refused("The endpoint answered a question with no choice at all.")
    choice = completion.choices[0]
    more = choice.message.model_extra or {}  # servers name the reasoning one way or the other
    reasoning = more.get("reasoning_content") or more.get("reasoning")
    usage = completion.usage
    return Reply(
        content=choice.message.content or "",
        reasoning=reasoning if isinstance(reasoning, str) else None,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        cut_short=choice.finish_reason == "length",
    )


def _wait_seconds(error: Any) -> float | None:
    """The wait that the server asks for, in seconds; None where it does not say (or names a date)."""
    try:
        return min(max(float(error.response.headers.get("retry-after", "")), 0.0), LONGEST_WAIT_SECONDS)
    except ValueError:
        return None


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return " ".join(str(cause).split()) or type(cause).__name__
