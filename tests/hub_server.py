"""A small Hugging Face Hub on loopback: what the real client asks of the real one, and faults.

Large files go the LFS way (HF_HUB_DISABLE_XET=1). Whatever is asked for is in `Hub.seen`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from loopback import serving

ADA = "hf_aLoopbackTokenThatOpensNothing"
BOB = "hf_anotherOneThatOpensNothingAtAll"
TOKENS = {ADA: "ada", BOB: "bob"}
LARGE = (".safetensors", ".bin", ".gguf", ".png")


@dataclass
class Repo:
    """A repository: its files at every commit, the newest last."""

    private: bool
    history: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b"*\n"}])

    @property
    def files(self) -> dict[str, bytes]:
        return self.history[-1]

    @property
    def sha(self) -> str:
        names = {name: oid(name, content) for name, content in self.files.items()}
        return hashlib.sha1(json.dumps([len(self.history), names]).encode()).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith(LARGE)


def oid(name: str, content: bytes) -> str:
    """Return what the client compares its file with: SHA-256 of a large one, git's SHA-1 else."""
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Fault:
    """What goes wrong with the next requests of a kind: a status, `drop` or `hang`."""

    method: str
    path: str  # regular expression
    what: int | str
    times: int


@dataclass
class Hub:
    """The state of the server, for tests to read and to spoil."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    swap: dict[str, bytes] = field(default_factory=dict)  # what a file turns into on its way down

    def fail(self, method: str, path: str, what: int | str, times: int = 1) -> None:
        self.faults.append(Fault(method, path, what, times))

    def asked(self, method: str, path: str = "") -> list[str]:
        """Return the paths that were asked for by a method."""
        return [each for how, each in self.seen if how == method and re.search(path, each)]

    def fault_of(self, method: str, path: str) -> int | str | None:
        for fault in self.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault.what
        return None


class Answer(Exception):
    """What to answer: any route may stop with it."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        self.status, self.headers = status, headers
        self.body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle_one(self) -> None:
        self.path = unquote(urlsplit(self.path).path)
        self.hub.seen.append((self.command, self.path))
        fault = self.hub.fault_of(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "drop":
            self.rfile.read(length // 2)
            self.close_connection = True
            self.connection.close()
            return
        self.body = self.rfile.read(length)
        if fault == "hang":
            time.sleep(3)
        try:
            if isinstance(fault, int):
                raise Answer(fault, {"error": "a fault of the test"})
            self.user = self._user()
            self._route()
        except Answer as answer:
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):  # the client did not wait
                self.wfile.write(answer.body)

    def _user(self) -> str | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            raise Answer(401, X_Error_Message="Invalid credentials in Authorization header")
        return TOKENS.get(token)

    def _route(self) -> None:
        for method, pattern, answer in _ROUTES:
            if method == self.command and (found := re.fullmatch(pattern, self.path)):
                getattr(self, answer)(**found.groupdict())
        raise Answer(404, {"error": f"no route for {self.command} {self.path}"})

    def json(self) -> Any:
        return json.loads(self.body)

    def repo(self, name: str, *, write: bool = False) -> Repo:
        repo = self.hub.repos.get(name)
        if write and self.user is None:
            raise Answer(401)
        if repo is None or (repo.private and self.user != name.split("/")[0]):
            raise Answer(404 if self.user else 401, X_Error_Code="RepoNotFound")
        if write and self.user != name.split("/")[0]:
            raise Answer(403, X_Error_Message="no write access")
        return repo

    def whoami(self) -> None:
        raise Answer(200, {"name": self.user}) if self.user else Answer(401)

    def named(self) -> str:
        asked = self.json()
        if self.user is None:
            raise Answer(401)
        return f"{asked.get('organization') or self.user}/{asked['name']}"

    def create(self) -> None:
        name = self.named()
        if not name.startswith(f"{self.user}/"):
            raise Answer(403, X_Error_Message="not yours")
        url = {"url": f"{self.hub.url}/{name}"}
        if name in self.hub.repos:
            raise Answer(409, url)
        self.hub.repos[name] = Repo(private=self.json().get("visibility") == "private")
        raise Answer(200, url)

    def delete(self) -> None:
        self.repo(name := self.named(), write=True)
        del self.hub.repos[name]
        raise Answer(200)

    def settings(self, repo: str) -> None:
        self.repo(repo, write=True).private = self.json()["visibility"] == "private"
        raise Answer(200)

    def validate(self) -> None:
        raise Answer(200, {"errors": [], "warnings": []})

    def info(self, repo: str, revision: str = "main") -> None:
        found = self.repo(repo)
        names = [{"rfilename": name} for name in found.files]
        info = {"id": repo, "sha": found.sha, "private": found.private, "siblings": names}
        raise Answer(200, info | {"tags": [], "downloads": 0})

    def tree(self, repo: str, revision: str) -> None:
        rows = []
        for name, content in self.repo(repo).files.items():
            row = {"type": "file", "path": name, "size": len(content), "oid": oid(name, content)}
            if is_large(name):
                row["lfs"] = {"oid": row["oid"], "size": row["size"], "pointerSize": 134}
            rows.append(row)
        raise Answer(200, rows)

    def preupload(self, repo: str, revision: str) -> None:
        here, files = self.repo(repo, write=True).files, []
        for name in (asked["path"] for asked in self.json()["files"]):
            mode = "lfs" if is_large(name) else "regular"
            known = {"oid": oid(name, here[name])} if name in here else {}
            files.append({"path": name, "uploadMode": mode, "shouldIgnore": False, **known})
        raise Answer(200, {"files": files})

    def batch(self, repo: str) -> None:
        self.repo(repo, write=True)
        objects = []
        for each in self.json()["objects"]:
            upload = {
                "upload": {"href": f"{self.hub.url}/blobs/{each['oid']}"},
                "verify": {"href": f"{self.hub.url}/verify/{each['oid']}"},
            }
            actions = {} if each["oid"] in self.hub.blobs else {"actions": upload}
            objects.append(each | actions)
        raise Answer(200, {"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Answer(400)
        self.hub.blobs[oid] = self.body
        raise Answer(200)

    def verify(self, oid: str) -> None:
        raise Answer(200 if oid in self.hub.blobs else 404)

    def commit(self, repo: str, revision: str) -> None:
        found = self.repo(repo, write=True)
        files = dict(found.files)
        for line in self.body.splitlines():
            row = json.loads(line)
            key, value = row["key"], row["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        found.history.append(files)
        url = f"{self.hub.url}/{repo}/commit/{found.sha}"
        raise Answer(200, {"commitUrl": url, "commitOid": found.sha})

    def resolve(self, repo: str, revision: str, name: str) -> None:
        found = self.repo(repo)
        if name not in found.files:
            raise Answer(404, X_Error_Code="EntryNotFound")
        content = found.files[name]
        content = self.hub.swap.get(name, content)
        raise Answer(200, content, ETag=f'"{oid(name, content)}"', X_Repo_Commit=found.sha)


_REPO, _MODEL, _REVISION = r"/(?P<repo>[^/]+/[^/]+?)", r"/api/models", r"/(?P<revision>[^/]+)"
_ROUTES = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("DELETE", r"/api/repos/delete", "delete"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("PUT", rf"{_MODEL}{_REPO}/settings", "settings"),
    ("GET", rf"{_MODEL}{_REPO}", "info"),
    ("GET", rf"{_MODEL}{_REPO}/revision{_REVISION}", "info"),
    ("GET", rf"{_MODEL}{_REPO}/tree{_REVISION}", "tree"),
    ("POST", rf"{_MODEL}{_REPO}/preupload{_REVISION}", "preupload"),
    ("POST", rf"{_REPO}\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/blobs/(?P<oid>\w+)", "put"),
    ("POST", r"/verify/(?P<oid>\w+)", "verify"),
    ("POST", rf"{_MODEL}{_REPO}/commit{_REVISION}", "commit"),
    ("HEAD", rf"{_REPO}/resolve{_REVISION}/(?P<name>.+)", "resolve"),
    ("GET", rf"{_REPO}/resolve{_REVISION}/(?P<name>.+)", "resolve"),
)


@contextmanager
def running() -> Iterator[Hub]:
    """Serve a hub on a free port for as long as the block takes."""
    hub = Hub()
    with serving(_Handler, hub=hub) as hub.url:
        yield hub
