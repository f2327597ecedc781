"""The studio in a real browser: three steps from an archive to ten posts, and what may go wrong."""

from __future__ import annotations

import http.client
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import tiny
from mynah.run_folder import RunFolder
from visiting import PATIENCE, drop, least_copied, picture, studio, tab, visit

pytest.importorskip("gradio", reason="the extra mynah[web] is not installed")

EVIL = "<script>document.title='taken'</script>"
EVIL_POST = (
    "Beware of <img src=x onerror=\"document.title='taken'\"> ${document.title='taken'} {{7*7}}"
)


def test_three_steps_from_an_archive_to_posts(
    browser: Any, tmp_path: Path, tiny_base: Path, small_archive: Path
) -> None:
    """All of the story: bring, train, stop, reload, go on, talk, look at the report, take along."""
    with (
        studio(tmp_path / "bots", tiny_base, "--epochs", 10) as url,
        visit(browser, url, viewport={"width": 1000, "height": 800}) as page,
    ):
        drop(page, small_archive)
        page.wait_for_selector("#counts table")
        counts = page.inner_text("#counts")
        assert "@ferryclerk" in counts and "130" in counts and "kept to learn from" in counts
        assert page.locator(".m-examples li").count() == 8
        assert not list((tmp_path / "bots" / ".studio" / "uploads").rglob("*.zip"))
        picture(page, "1-bring")
        page.click("#next button, button#next")
        page.wait_for_selector(".m-estimate table")
        assert re.search(r"normal\s+\d+\.\d\s+\d+\.\d GB", page.inner_text(".m-estimate"))
        picture(page, "2-estimate")
        page.click("#start")
        page.wait_for_selector(".m-curve")
        page.wait_for_selector(".m-running .m-unseen")
        unseen = page.get_attribute(".m-unseen", "points")
        page.wait_for_function(  # the held-out curve moves while the job runs
            "before => document.querySelector('.m-running .m-unseen')?.getAttribute('points')"
            " !== before",
            arg=unseen,
        )
        picture(page, "3-training")
        page.click("#stop")
        page.wait_for_selector(".m-stopped")
        assert (tmp_path / "bots" / "ferryclerk" / "checkpoints").exists()
        page.click("#go-on")
        page.wait_for_selector(".m-running, .m-done")
        page.reload()
        page.wait_for_selector(".m-running, .m-done")
        page.wait_for_selector(".m-done")
        picture(page, "4-trained")
        tab(page, "3 · Talk")
        page.click("#say")
        page.wait_for_selector("#posts [aria-busy=false]")
        assert page.locator("#posts .m-post").count() == 10
        assert page.locator("#posts .m-text b").first.inner_text() == "My dream is"
        link = page.locator("#posts .m-acts a").first.get_attribute("href")
        assert link.startswith("https://x.com/intent/post?text=My%20dream%20is")
        page.locator(".m-near").first.hover()
        page.wait_for_selector(".m-tip:visible")
        picture(page, "5-talk")
        page.click(f"[data-preview='{least_copied(page)}']")
        page.wait_for_selector("#preview img")
        page.wait_for_function("document.querySelector('#preview img').naturalWidth === 1200")
        picture(page, "5-preview")
        tab(page, "Compare")
        page.click("#compare")
        page.wait_for_function("document.querySelectorAll('#columns .m-post').length === 12")
        picture(page, "6-compare")
        tab(page, "4 · Report")
        report = page.frame_locator(".m-report iframe")
        report.locator("h1").wait_for()
        picture(page, "7-report")
        with page.expect_download() as taken:
            page.get_by_role("link", name="Adapter").click()
        assert taken.value.suggested_filename == "ferryclerk-adapter.zip"
    run = RunFolder(tmp_path / "bots" / "ferryclerk").read_run()
    assert list(run["stages"]) == [*("fetch", "clean", "train", "report", "say", "card", "share")]


def test_one_session_does_not_see_the_posts_of_another(
    browser: Any, address: str, made: Path, tmp_path: Path
) -> None:
    archive = tiny.write_archive(tmp_path / "mine.zip", tiny.account_rows(), "mineonly")
    with visit(browser, address) as mine, visit(browser, address) as other:
        drop(mine, archive)
        mine.locator("#counts", has_text="@mineonly").wait_for()
        other.reload()
        tab(other, "Bots")
        other.wait_for_selector(".m-bot")
        assert "mineonly" not in other.content()
        for what in ("report.html", "adapter.zip", "card.md"):
            assert other.request.get(f"{address}bots/mineonly/{what}").status == 404
        assert mine.request.get(f"{address}bots/mineonly/adapter.zip").status == 404  # not trained
        assert other.request.get(f"{address}bots/ferryclerk/adapter.zip").status == 200
        tab(other, "1 · Bring posts")
        drop(other, archive)
        other.wait_for_selector("#news .m-error")
        assert "There is a bot 'mineonly' already." in other.inner_text("#news")


def test_who_clicks_before_the_page_is_answered_stays_there(browser: Any, address: str) -> None:
    with visit(browser, address) as page:
        asked = re.compile("/gradio_api/run/")
        page.route(asked, lambda route: None)
        with page.expect_request(asked):
            page.reload()
        tab(page, "Bots")
        page.unroute(asked)  # what was held goes on its way
        page.wait_for_selector(".m-bot")
        assert page.get_by_role("tab", name="Bots").get_attribute("aria-selected") == "true"


def test_names_and_posts_are_shown_and_not_obeyed(
    browser: Any, address: str, tmp_path: Path
) -> None:
    rows = [{**row, "text": f"{EVIL_POST} {row['text']}"} for row in tiny.account_rows()]
    account = {**tiny.ACCOUNT, "username": "evil", "display_name": EVIL, "account_id": "66"}
    archive = tiny.zipped(
        tmp_path / "evil.zip", tiny.builder.members(tiny.builder.build(account, rows))
    )
    with visit(browser, address) as page:
        drop(page, archive)
        page.locator("#counts", has_text="@evil").wait_for()
        assert EVIL in page.inner_text("#counts h2")
        assert "{{7*7}}" in page.inner_text(".m-examples")
        assert page.locator("#counts img, #counts script").count() == 0
        assert page.title() == "Mynah"


def test_what_goes_wrong_is_one_sentence(browser: Any, address: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and then nothing")
    with visit(browser, address) as page:
        page.click("#read")
        page.wait_for_selector("#news .m-error")
        assert "There is nothing to read yet." in page.inner_text("#news")
        page.fill("#accounts textarea, #accounts input", "/etc/passwd")
        page.click("#read")
        page.get_by_text("'/etc/passwd' names no account.").wait_for()
        page.fill("#accounts textarea, #accounts input", "")
        drop(page, broken)
        page.get_by_text("broken.zip").first.wait_for()
        page.wait_for_function("document.querySelector('#news').innerText.includes('zip')")
        assert "Traceback" not in page.content()


def test_the_quiz_keeps_its_score(browser: Any, made: Path, tiny_base: Path) -> None:
    """The next key is meant for the next pair, and after the last for another round."""
    # The clerk says everything again and again, and at length.
    lax = ("--copied-words", 99, "--copied-share", 9, "--max-tokens", 96)
    with studio(made, tiny_base, *lax) as url, visit(browser, url) as page:
        page.wait_for_selector("#counts table")
        tab(page, "4 · Report")
        page.locator("#play").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".m-quiz h3, #news .m-error")
        assert not page.inner_text("#news")
        page.keyboard.press("Tab")
        while page.locator("[data-answer]").count():
            page.wait_for_function("document.activeElement.matches('[data-answer]')")
            before = page.inner_text(".m-quiz")
            page.keyboard.press("Space")
            page.wait_for_function(
                "before => document.querySelector('.m-quiz').innerText !== before", arg=before
            )
        assert re.search(r"All rounds: \d+ of \d+ right", page.inner_text("#quiz"))
        page.wait_for_function("document.activeElement.id === 'play'")


def test_the_guard_lets_nobody_else_in(address: str, made: Path) -> None:
    httpx = pytest.importorskip("httpx2")
    with httpx.Client(base_url=address, timeout=PATIENCE / 1e3) as client:
        page = client.get("/")
        rules = page.headers["content-security-policy"]
        nonce = re.search(r"'nonce-([^']+)'", rules)
        assert nonce and "unsafe-inline" not in rules.split("style-src")[0]
        assert page.text.count("<script") == page.text.count(f'<script nonce="{nonce[1]}"')
        assert "frame-ancestors 'none'" in rules
        cookie = page.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
        foreign = {"Origin": "http://evil.example"}
        assert client.post("/gradio_api/queue/join", headers=foreign, json={}).status_code == 403
        secret = made / "ferryclerk" / "posts.jsonl"
        for path in (f"/gradio_api/file={secret}", f"/file={secret}", "/gradio_api/openapi.json",
                     "/gradio_api/proxy=http://x.example", "/monitoring", "/docs",
                     "/bots/..%2f..%2fetc/report.html", "/gradio_api/vibe-code/"):  # fmt: skip
            assert client.get(path).status_code == 404, path
        tab = {"session_hash": "abcdefgh"}
        with client.stream("GET", "/gradio_api/heartbeat/abcdefgh"):
            stranger = {"Cookie": f"mynah_session={'x' * 40}"}
            answer = httpx.get(
                f"{address}gradio_api/queue/data", params=tab, headers=stranger, timeout=60
            )
            assert answer.status_code == 403


def test_an_upload_that_is_too_large_is_refused_before_it_comes(address: str) -> None:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(3 << 30))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_others_come_in_with_a_password_only(tmp_path: Path, tiny_base: Path) -> None:
    httpx = pytest.importorskip("httpx2")
    refused = tiny.mynah("web", "--no-open", "--host", "0.0.0.0", "--bots", tmp_path)
    assert refused.code == 2 and "MYNAH_PASSWORD" in refused.err
    secret = {"MYNAH_PASSWORD": "correct horse"}
    with studio(tmp_path / "bots", tiny_base, "--host", "0.0.0.0", **secret) as url:
        here = url.replace("0.0.0.0", "127.0.0.1")
        with httpx.Client(base_url=here, timeout=PATIENCE / 1e3) as client:
            assert client.get("/").status_code == 401
            assert client.get("/", auth=("me", "wrong")).status_code == 401
            assert client.get("/", auth=("me", "correct horse")).status_code == 200
            assert client.get("/studio.css").status_code == 401
