"""Asking services: their dialects of "later", trouble that passes, trouble that does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from mynah.sources.session import Session, address
from mynah.watch import Nobody
from web_server import Asked, Reply, Web, running

NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": formatdate(NOW + 60, usegmt=True)}, 60),
        ({"x-rate-limit-reset": f"{NOW + 300:.0f}"}, 300),  # X
        ({"x-ratelimit-reset": datetime.fromtimestamp(NOW + 90, UTC).isoformat()}, 90),  # Mastodon
        ({"x-ratelimit-reset": "2026-11-18T11:15:30.123456Z"}, 1_795_000_530.123456 - NOW),
        ({"ratelimit-reset": f"{NOW + 30:.0f}"}, 30),  # Bluesky
        ({"ratelimit-reset": "17"}, 17),  # the IETF's first drafts
        ({"ratelimit": "limit=100, remaining=0, reset=50"}, 50),
        ({"ratelimit": '"default";r=0;t=25'}, 25),  # and its later ones
        ({"x-rate-limit-reset": f"{NOW - 5:.0f}"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_every_service_says_later_in_its_own_way(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert wait_asked(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


def test_the_services_clock_counts_not_ours() -> None:
    headers = {"x-rate-limit-reset": f"{NOW + 60:.0f}", "date": formatdate(NOW, usegmt=True)}
    assert wait_asked(headers, NOW + 3_600) == 60


@given(st.dictionaries(st.sampled_from(["retry-after", "ratelimit", "date"]), st.text()))
def test_no_header_is_too_odd(headers: dict[str, str]) -> None:
    wait = wait_asked(headers, NOW)
    assert wait is None or wait >= 0
    assert exhausted(headers) in (True, False)


@pytest.fixture
def web() -> Iterator[Web]:
    with running({"/posts": lambda asked: Reply({"page": asked.params.get("page", "1")})}) as web:
        yield web


class Naps(list[float]):
    """A sleep that only writes down how long it would have taken."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


Open = Callable[..., Session]


@pytest.fixture
def session() -> Iterator[Open]:
    """Return what opens a session, with its naps and settings, for as long as the test takes."""
    with ExitStack() as opened:

        def open_one(naps: Naps | None = None, **settings: float) -> Session:
            sleep = Naps() if naps is None else naps
            return opened.enter_context(
                closing(Session(FetchConfig(**settings), Nobody(), sleep=sleep))
            )

        yield open_one


def test_a_request_says_who_asks(session: Open, web: Web) -> None:
    answer = session().get(f"{web.url}/posts", {"page": 2})
    assert answer.json() == {"page": "2"}
    assert web.asked[0].headers["user-agent"].startswith("mynah/")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_trouble_that_passes_is_waited_for(session: Open, web: Web, status: int) -> None:
    web.fail(status, times=3)
    naps = Naps()
    assert session(naps).get(f"{web.url}/posts").status == 200
    first, second, third = naps
    assert 1 <= first <= 2 <= second <= 3 and 4 <= third <= 5


def test_a_dropped_connection_is_made_anew(session: Open, web: Web) -> None:
    web.drop(times=2)
    assert session().get(f"{web.url}/posts").status == 200
    assert len(web.asked) == 3


def test_the_wait_is_what_the_service_says(session: Open, web: Web) -> None:
    web.fail(429, x_rate_limit_reset=str(int(time.time()) + 400), Date="")
    naps = Naps()
    session(naps).get(f"{web.url}/posts")
    assert len(naps) == 1 and 395 < naps[0] < 402


def test_an_empty_window_is_waited_for_before_the_next_request(session: Open) -> None:
    told = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"}
    naps = Naps()
    with running({"/posts": lambda asked: Reply({}, headers=told)}) as web:
        asking = session(naps)
        asking.get(f"{web.url}/posts")
        assert naps == []
        asking.get(f"{web.url}/posts")
    assert len(naps) == 1 and 39 < naps[0] < 42


def test_a_wait_that_is_too_long_is_an_error_at_once(session: Open, web: Web) -> None:
    web.fail(429, Retry_After="5000")
    with pytest.raises(RateLimited, match=r"asks to wait 5,00\d s") as told:
        session(max_wait=100).get(f"{web.url}/posts")
    assert "Run the same command again" in told.value.hint
    assert len(web.asked) == 1


def test_a_limit_without_a_reset_ends(session: Open, web: Web) -> None:
    web.fail(429, times=100)
    naps = Naps()
    with pytest.raises(RateLimited, match="without saying how long"):
        session(naps, max_wait=100).get(f"{web.url}/posts")
    assert 50 < sum(naps) <= 100


def test_a_server_that_stays_down_is_given_up(session: Open, web: Web) -> None:
    web.fail(502, times=100)
    with pytest.raises(ServerDown, match="status 502"):
        session(attempts=4).get(f"{web.url}/posts")
    assert len(web.asked) == 4


def test_a_port_without_a_server(session: Open) -> None:
    with running({}) as web:
        pass
    with pytest.raises(ServerDown, match="cannot be reached"):
        session(attempts=2).get(web.url)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RemoteError),
        (401, AccessRefused),
        (402, AccessRefused),
        (403, AccessRefused),
        (404, NoSuchAccount),
        (410, NoSuchAccount),
    ],
)
def test_a_refusal_is_not_tried_again(
    session: Open, web: Web, status: int, error: type[RemoteError]
) -> None:
    web.fail(status, body={"detail": "the gate is shut"})
    with pytest.raises(error, match="the gate is shut"):
        session().get(f"{web.url}/posts")
    assert len(web.asked) == 1


def test_a_token_that_a_service_repeats_is_not_shown(session: Open, web: Web) -> None:
    web.fail(401, body={"detail": "Bearer s3cr3t-as-can-be is not known, s3cr3t-as-can-be"})
    with pytest.raises(AccessRefused) as told:
        session().get(f"{web.url}/posts", headers={"Authorization": "Bearer s3cr3t-as-can-be"})
    assert "s3cr3t" not in str(told.value)


def test_an_answer_larger_than_allowed(session: Open, web: Web) -> None:
    with pytest.raises(RemoteError, match="is larger than"):
        session(max_member_gib=1e-9).get(f"{web.url}/posts")


@pytest.mark.parametrize("url", ["nowhere", "gopher://example.org/1", "http://[::1", ""])
def test_what_is_no_address(session: Open, url: str) -> None:
    with pytest.raises(SourceNotFound):
        session().get(url)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("alice.example", "https://alice.example"),
        ("127.0.0.1:2583", "http://127.0.0.1:2583"),
        ("localhost:80", "http://localhost:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("localhost.example", "https://localhost.example"),
    ],
)
def test_only_this_machine_is_asked_without_encryption(host: str, url: str) -> None:
    assert address(host) == url


def test_links_of_an_answer() -> None:
    header = '<https://a.example/?max_id=7>; rel="next", <https://a.example/?min_id=9>; rel="prev"'
    answer = Answer(url="https://a.example/", status=200, body=b"[]", headers={"link": header})
    assert answer.links["next"].endswith("max_id=7") and answer.links["prev"].endswith("min_id=9")


def test_a_route_sees_what_was_asked(session: Open) -> None:
    seen: list[Asked] = []
    with running({"/": lambda asked: (seen.append(asked), Reply())[1]}) as web:
        session().get(f"{web.url}/", headers={"X-Word": "yes"})
    assert seen[0].headers["x-word"] == "yes"
