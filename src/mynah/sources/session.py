"""Asking services on the network: politely, and not giving up at the first trouble.

Time-outs, dropped connections and a service's own trouble (500, 502, 503, 504) are tried again,
later and later, with chance in it so that many clients do not come back at once. Where a service
says how long to wait, that is waited, up to `max_wait`.
"""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from mynah import __version__
from mynah.config import FetchConfig
from mynah.errors import (
    AccessRefused,
    NoSuchAccount,
    RateLimited,
    RemoteError,
    ServerDown,
    SourceNotFound,
)
from mynah.sources.answer import Answer
from mynah.sources.limits import exhausted, wait_asked
from mynah.watch import Watch

USER_AGENT = (
    f"mynah/{__version__} (teaches a small model one account's way of posting; "
    f"Python {platform.python_version()})"
)
GO_ON = (
    "Run the same command again later: what has been fetched is kept, and it goes on from there."
)
_LATER = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}
_BACKOFF = wait_exponential_jitter(initial=1, max=120, jitter=1)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SHORTEST_SECRET = 8  # a header's value of fewer letters is a word like `*/*`


class _Later(Exception):
    """Try again: after `wait` seconds, or when the backoff says; raise `error` in the end."""

    def __init__(self, error: RemoteError, wait: float | None = None) -> None:
        super().__init__(error.sentence)
        self.error, self.wait = error, wait


def address(host: str) -> str:
    """Return the address of a host: https, but for this machine itself."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return f"{'http' if name in _LOOPBACK else 'https'}://{host}"


class Session:
    """Requests of one fetch, to whichever services."""

    def __init__(
        self,
        config: FetchConfig,
        watch: Watch,
        *,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config, self._watch, self._sleep = config, watch, sleep
        self._free: dict[str, float] = {}  # host -> monotonic time when its window opens
        self._client = httpx2.Client(
            headers={"User-Agent": USER_AGENT},
            timeout=httpx2.Timeout(config.timeout),
            follow_redirects=True,
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        allow: Collection[int] = (),
    ) -> Answer:
        """Ask once, and again where that may help.

        Args:
            url: with its scheme; `address` makes one of a host.
            params: what follows the question mark.
            headers: more of them; a value that a service repeats in an error is not shown.
            allow: statuses that the caller wants to see, as 404.

        Raises:
            RateLimited: the service asks for a longer wait than `max_wait`.
            ServerDown: it cannot be reached, or has trouble that does not end.
            NoSuchAccount: 404 or 410.
            AccessRefused: 401, 402 or 403.
            RemoteError: any other status.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(_Later),
            wait=_pause,
            stop=self._had_enough,
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            answer = retrying(self._ask, url, dict(params or {}), dict(headers or {}), allow)
        except _Later as later:
            raise later.error from later.__cause__
        return answer

    def _ask(
        self, url: str, params: dict[str, Any], headers: dict[str, str], allow: Collection[int]
    ) -> Answer:
        host = _host(url)
        self._wait_for_window(host)
        try:
            answer = self._exchange(url, params, headers)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise _no_address(url) from error
        except httpx2.TimeoutException as error:
            down = ServerDown(f"{host} took too long to answer.", hint=GO_ON)
            raise _Later(down) from error
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            kind = type(error).__name__
            raise _Later(ServerDown(f"{host} cannot be reached ({kind}).", hint=GO_ON)) from error
        except httpx2.HTTPError as error:
            kind = type(error).__name__
            raise RemoteError(f"{host} sent us in circles ({kind}).", hint=GO_ON) from error
        self._note_window(host, answer)
        if answer.status < 400 or answer.status in allow:
            return answer
        raise _refusal(answer, host, headers.values())

    def _exchange(self, url: str, params: dict[str, Any], headers: dict[str, str]) -> Answer:
        most = self._config.max_member_gib * 2**30
        with self._client.stream("GET", url, params=params or None, headers=headers) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > most:
                    raise RemoteError(
                        f"{url} is larger than {self._config.max_member_gib:g} GiB.",
                        hint="If you trust it, raise --max-member-gib.",
                    )
            return Answer(
                url=str(response.url),
                status=response.status_code,
                body=bytes(body),
                headers={name.lower(): value for name, value in response.headers.items()},
            )

    def _note_window(self, host: str, answer: Answer) -> None:
        if answer.status < 400 and exhausted(answer.headers):
            wait = wait_asked(answer.headers, time.time())
            if wait is not None:
                self._free[host] = time.monotonic() + wait

    def _wait_for_window(self, host: str) -> None:
        """Wait before a request that would only be refused."""
        wait = self._free.pop(host, 0.0) - time.monotonic()
        if wait <= 0:
            return
        if wait > self._config.max_wait:
            raise _rate_limited(host, wait)
        self._watch.say(f"{host} wants a pause of {wait:.0f} s.")
        self._sleep(wait + random.random())

    def _had_enough(self, state: RetryCallState) -> bool:
        """Tell whether to stop: after too many attempts, or for too long a wait."""
        later = _later(state)
        if state.idle_for + state.upcoming_sleep > self._config.max_wait:
            if isinstance(later.error, RateLimited):
                host = later.error.sentence.split(" ", 1)[0]
                later.error = _rate_limited(host, later.wait)
            return True
        limited = isinstance(later.error, RateLimited)
        return not limited and state.attempt_number >= self._config.attempts

    def _tell(self, state: RetryCallState) -> None:
        sentence = _later(state).error.sentence
        self._watch.say(f"{sentence} Trying again in {state.upcoming_sleep:.0f} s.")


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError as error:
        raise _no_address(url) from error


def _no_address(url: str) -> SourceNotFound:
    return SourceNotFound(f"'{url}' is no address.", hint="Look at it again.")


def _later(state: RetryCallState) -> _Later:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _Later)  # nothing else is tried again
    return error


def _pause(state: RetryCallState) -> float:
    """Return the seconds until the next attempt: as asked, or doubling from one."""
    wait = _later(state).wait
    return _BACKOFF(state) if wait is None else wait + random.random()


def _refusal(answer: Answer, host: str, secrets: Collection[str]) -> Exception:
    """Return the error for a status, with the service's own words where it has some."""
    said = answer.problem()
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            said = said.replace(secret, "…").replace(secret.split()[-1], "…")
    because = f": {said.rstrip('.')}" if said else ""
    wait = wait_asked(answer.headers, time.time())
    if answer.status == 429:
        return _Later(RateLimited(f"{host} wants fewer requests{because}.", hint=GO_ON), wait)
    if answer.status in _LATER:
        trouble = f"{host} has trouble of its own (status {answer.status}){because}."
        return _Later(ServerDown(trouble, hint=GO_ON), wait if answer.status == 503 else None)
    return _final(answer.status, host, because)


def _final(status: int, host: str, because: str) -> RemoteError:
    if status in (404, 410):
        return NoSuchAccount(
            f"{host} does not have that{because}.", hint="Look at the name of the account again."
        )
    if status == 402:
        return AccessRefused(
            f"{host} wants to be paid first (status 402){because}.",
            hint="Top up the account at the service, then run the same command again.",
        )
    if status in (401, 403):
        return AccessRefused(
            f"{host} refused (status {status}){because}.",
            hint="It is not public, or the login or token does not cover it.",
        )
    return RemoteError(
        f"{host} did not understand (status {status}){because}.",
        hint="Look at the name again; if it is right, the service has changed.",
    )


def _rate_limited(host: str, wait: float | None) -> RateLimited:
    asked = f"{wait:,.0f} s" if wait is not None else "longer, without saying how long"
    return RateLimited(
        f"{host} asks to wait {asked}, which is more than --max-wait allows.", hint=GO_ON
    )
