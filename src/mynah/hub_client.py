"""The way to the Hugging Face Hub: its own client, the person's own login, its errors in our words.

The login is that of the Hub's client (HF_TOKEN, or `hf auth login`). It is handed on to the client
and never shown, written down or sent elsewhere. HF_ENDPOINT names another Hub.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import HfApi, get_token, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils._http import default_client_factory
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from mynah.config import HubConfig
from mynah.errors import (
    HubError,
    HubUnreachable,
    MynahError,
    NotAllowed,
    NotLoggedIn,
    RepoExists,
    RepoNotFound,
    SettingsError,
)

_ADDRESS = "https://huggingface.co"
_LOGIN = (
    "Make a token at https://huggingface.co/settings/tokens, then type: hf auth login "
    "(or set HF_TOKEN)"
)
_AGAIN = "Run the same command again: what has arrived is not sent twice."


@dataclass(frozen=True)
class Hub:
    """A Hub to talk to, as somebody or as nobody."""

    api: HfApi
    address: str
    token: str | None = field(repr=False)


def open_hub(config: HubConfig, *, login: bool) -> Hub:
    """Return the Hub; nothing is sent yet.

    Raises:
        NotLoggedIn: a login is needed and there is none.
    """
    with hub_errors("your login"):  # it may be one that the client renews over the network
        token = get_token()
    if login and not token:
        raise NotLoggedIn("You are not logged in to the Hugging Face Hub.", hint=_LOGIN)
    if token and not (token.isascii() and token.isprintable()):
        raise NotLoggedIn("HF_TOKEN holds something that is no token.", hint=_LOGIN)
    set_client_factory(lambda: _patient(config.timeout))
    address = hub_address()
    return Hub(HfApi(endpoint=address, token=token or False), address, token)


def hub_address() -> str:
    """Return where the Hub is."""
    return (os.environ.get("HF_ENDPOINT") or _ADDRESS).rstrip("/")


def _patient(seconds: float) -> httpx2.Client:
    """Return the client of the library, which else would wait for ever."""
    client = default_client_factory()
    client.timeout = httpx2.Timeout(seconds)
    return client


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Turn whatever the Hub's client raises into one sentence, and keep its bars and logs quiet.

    Raises:
        HubError: one of its kinds.
        SettingsError: `repo` cannot be a repository's name.
    """
    try:
        with _quiet():
            yield
    except MynahError:
        raise
    except Exception as error:  # the client has dozens of kinds, and wraps one in the other
        raise _in_our_words(error, repo) from error


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    with warnings.catch_warnings(action="ignore"):
        logger.setLevel(logging.ERROR)
        disable_progress_bars()
        try:
            yield
        finally:
            enable_progress_bars()
            logger.setLevel(level)


def _in_our_words(error: BaseException, repo: str) -> MynahError:
    for each in _chain(error):
        if isinstance(each, HfHubHTTPError):
            return _by_status(each, repo)
        if isinstance(each, HFValidationError):
            return SettingsError(
                f"'{repo}' cannot be the name of a repository.",
                hint="Type one as me/name, in letters, digits, '-', '_' and '.': --repo me/name",
            )
        if isinstance(each, OfflineModeIsEnabled):
            return HubUnreachable("HF_HUB_OFFLINE keeps the Hub away.", hint="Unset it.")
        if isinstance(each, httpx2.TimeoutException):
            return HubUnreachable("The Hub took too long to answer.", hint=_AGAIN)
        if isinstance(each, httpx2.TransportError | ConnectionError):
            kind = type(each).__name__
            return HubUnreachable(f"The Hub cannot be reached ({kind}).", hint=_AGAIN)
    kind = type(error).__name__
    return HubError(f"The Hub's own client gave up on '{repo}' ({kind}).", hint=_AGAIN)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _by_status(error: HfHubHTTPError, repo: str) -> HubError:
    status, request = error.response.status_code, error.response.request
    if status == 401 and "Authorization" not in request.headers:
        sentence = f"'{repo}' is not there, or it is private and you are not logged in."
        return RepoNotFound(sentence, hint=_LOGIN)
    if status == 401:
        return NotLoggedIn("The Hub does not take your login.", hint=_LOGIN)
    if status == 403:
        return NotAllowed(
            f"Your login may not do this with '{repo}'.",
            hint="Use a token that may write there, or a name of your own: --repo <you>/<name>",
        )
    if status == 404:
        sentence = f"There is no '{repo}' on the Hub, or your login may not see it."
        return RepoNotFound(sentence, hint="Look at its name again.")
    if status == 409 and request.url.path.endswith("/repos/create"):
        return repo_exists(repo)
    if status in (409, 412):
        return HubError(f"Something else is changing '{repo}' on the Hub.", hint=_AGAIN)
    if status in (408, 429) or status >= 500:
        return HubUnreachable(f"The Hub has trouble of its own (status {status}).", hint=_AGAIN)
    return HubError(
        f"The Hub refused what was asked of '{repo}' (status {status}).",
        hint=f"Look at {hub_address()}/{repo}",
    )


def repo_exists(repo: str) -> RepoExists:
    """Return the error for a name that something else has."""
    return RepoExists(
        f"There is a '{repo}' on the Hub that this bot did not push.",
        hint="Choose another name: --repo <you>/<name>",
    )
