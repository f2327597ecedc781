"""A real PDS and PLC on loopback: installed once into a cache, started for a session of tests."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from filelock import FileLock

# Read here, before the session moves HOME: the servers are installed once for all sessions.
_HOME = os.environ.get("HOME", str(Path.home()))
CACHE = Path(os.environ.get("MYNAH_TEST_CACHE", f"{_HOME}/.cache/mynah-tests"))
_PACKAGES = ("@atproto/pds@0.5.35", "@did-plc/server@0.0.1")
NODE = 22  # the oldest that the PDS runs on
_MINUTES = 10
_SCRIPT = Path(__file__).with_name("pds.mjs")
POSTS = "app.bsky.feed.post"


class NotToBeHad(Exception):
    """The servers cannot be installed here; the text says why."""


@dataclass(frozen=True)
class Person:
    """Somebody with an account, who may write."""

    did: str
    handle: str
    _client: httpx2.Client

    def post(self, text: str, **more: Any) -> str:
        """Write a post and return its address."""
        return self.write([{"text": text, **more}])[0]

    def write(self, records: Sequence[dict[str, Any]], collection: str = POSTS) -> list[str]:
        """Write records, 200 a call, and return their addresses."""
        written = []
        for start in range(0, len(records), 200):
            writes = [_create(collection, record) for record in records[start : start + 200]]
            answer = self.call("com.atproto.repo.applyWrites", repo=self.did, writes=writes)
            written += [result["uri"] for result in answer["results"]]
        return written

    def put(self, collection: str, record: dict[str, Any], key: str = "self") -> None:
        """Write or replace one record, of a kind that the server need not know."""
        body = {"repo": self.did, "collection": collection, "rkey": key, "validate": False}
        self.call("com.atproto.repo.putRecord", **body, record={"$type": collection, **record})

    def delete(self, uri: str) -> None:
        """Delete one record."""
        _, _, _, collection, key = uri.split("/")
        body = {"repo": self.did, "collection": collection, "rkey": key}
        self.call("com.atproto.repo.deleteRecord", **body)

    def listed(self, collection: str) -> list[str]:
        """Return the addresses of the records of a kind."""
        asked = {"repo": self.did, "collection": collection}
        answer = _answer(self._client.get("/xrpc/com.atproto.repo.listRecords", params=asked))
        return [record["uri"] for record in answer["records"]]

    def car(self) -> bytes:
        """Return the whole account, as a person downloads it."""
        answer = self._client.get("/xrpc/com.atproto.sync.getRepo", params={"did": self.did})
        return answer.raise_for_status().content

    def call(self, method: str, **body: Any) -> Any:
        """Call a procedure as this person."""
        return _answer(self._client.post(f"/xrpc/{method}", json=body))


@dataclass(frozen=True)
class Servers:
    """Where the two servers are."""

    pds: str
    plc: str
    _open: ExitStack

    def person(self, name: str) -> Person:
        """Open an account called `<name>.test`."""
        client = self._open.enter_context(httpx2.Client(base_url=self.pds, timeout=600))
        handle = f"{name}.test"
        body = {"handle": handle, "email": f"{name}@mail.test", "password": "made-up"}
        made = _answer(client.post("/xrpc/com.atproto.server.createAccount", json=body))
        client.headers["Authorization"] = f"Bearer {made['accessJwt']}"
        return Person(made["did"], handle, client)


def _create(collection: str, record: dict[str, Any]) -> dict[str, Any]:
    first = {"$type": collection, "createdAt": "2024-05-01T08:00:00.000Z"}
    kind = "com.atproto.repo.applyWrites#create"
    return {"$type": kind, "collection": collection, "value": first | record}


def _answer(response: httpx2.Response) -> Any:
    assert response.is_success, response.text
    return response.json() if response.content else None


@contextmanager
def running(home: Path, folder: Path) -> Iterator[Servers]:
    """Run both servers, with their files in a folder, for as long as the block takes."""
    command = [_node(home), "--input-type=module", "--eval", _SCRIPT.read_text(), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    log = (folder / "log").open("w")
    environment = os.environ | {"LOG_ENABLED": "false", "NODE_ENV": "production"}
    with (
        log,
        subprocess.Popen(command, cwd=home, env=environment, stderr=log, **pipes) as process,
    ):
        try:
            # Anything else that the servers say comes before it.
            line = next((line for line in process.stdout if line.startswith('{"pds"')), "")
            assert line, (folder / "log").read_text()
            with ExitStack() as opened:
                yield Servers(**json.loads(line), _open=opened)
        finally:
            process.stdin.close()
            process.wait(30)


def installed() -> Path:
    """Return the folder with Node and the servers, installing them the first time.

    Raises:
        NotToBeHad: npm or the registry is not there.
    """
    home = CACHE / "-".join(package.rpartition("@")[2] for package in _PACKAGES)
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "lock"):
        if not (home / "complete").exists():
            _npm(home, f"node-{_system()}@{NODE}")
            _npm(home, *_PACKAGES)
            (home / "complete").touch()
    return home


def _system() -> str:
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}-{machine}"


def _node_home(home: Path) -> Path:
    return home / "node_modules" / f"node-{_system()}"


def _node(home: Path) -> str:
    return str(_node_home(home) / "bin" / "node")


def _npm(home: Path, *packages: str) -> None:
    """Install packages; what has to be compiled finds the headers beside the Node it is for."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotToBeHad("there is no npm")
    node = _node_home(home)
    environment = os.environ | {
        "HOME": _HOME,
        "PATH": f"{node / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "npm_config_nodedir": str(node),
        "npm_config_fetch_retries": "0",
        **dict.fromkeys(("CFLAGS", "CXXFLAGS"), "-O1"),  # after an -O3: a minute less
    }
    command = [npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", *packages]
    pipes = {"capture_output": True, "text": True}
    try:
        done = subprocess.run(command, env=environment, timeout=_MINUTES * 60, **pipes)
    except subprocess.TimeoutExpired as error:
        raise NotToBeHad(f"npm took more than {_MINUTES} minutes") from error
    if done.returncode:
        raise NotToBeHad(f"npm install {' '.join(packages)} failed: {done.stderr[-300:]}")
