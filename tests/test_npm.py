"""Packages from npm: fetched once, checked always, and a plain sentence where they cannot be had.

The npm here is a script that brings what the test has packed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import stat
import sys
import tarfile
from pathlib import Path

import pytest

import tiny
from mynah.errors import ExtraMissing
from mynah.npm import Package, fetch, locked, unpack
from mynah.run_folder import RunFolder
from mynah.templating import resource

CONTENT = b"the sea in WebAssembly"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Return the archive of a package with one file."""
    path = tmp_path / "packed.tgz"
    with tarfile.open(path, "w:gz") as archive:
        about = tarfile.TarInfo("package/sea.wasm")
        about.size = len(CONTENT)
        archive.addfile(about, io.BytesIO(CONTENT))
    return path


@pytest.fixture
def package(packed: Path, request: pytest.FixtureRequest) -> Package:
    """Return the package of that archive, under a name of this test's own."""
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")
    return Package(f"@harbour/{name}", "1.2.3", f"sha512-{digest}")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MYNAH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def install_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Path:
    """Put an npm first on the path; return the file in which it notes how it was called."""
    calls, folder = tmp_path / "calls", tmp_path / "bin"
    folder.mkdir()
    script = folder / "npm"
    script.write_text(
        f"#!{sys.executable}\nimport shutil, sys\n"
        f"open({str(calls)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n"
        f"target = sys.argv[sys.argv.index('--pack-destination') + 1]\n{code}\n",
        encoding="utf-8",
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return calls


def test_a_package_is_fetched_once_and_nothing_of_it_is_run(
    packed: Path, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"shutil.copy({str(packed)!r}, target + '/harbour-1.2.3.tgz')"
    calls = install_npm(tmp_path, monkeypatch, code)
    first = fetch(package)
    assert first.read_bytes() == packed.read_bytes()
    assert fetch(package) == first
    [call] = calls.read_text(encoding="utf-8").splitlines()
    assert call.startswith(f"pack {package.spec} ")
    assert "--ignore-scripts" in call
    unpack(first, {"package/sea.wasm": tmp_path / "deep" / "sea.wasm"})
    assert (tmp_path / "deep" / "sea.wasm").read_bytes() == CONTENT


def test_what_lies_spoilt_in_the_cache_is_fetched_anew(
    packed: Path, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"shutil.copy({str(packed)!r}, target + '/harbour-1.2.3.tgz')"
    calls = install_npm(tmp_path, monkeypatch, code)
    fetch(package).write_bytes(b"half of it")
    assert fetch(package).read_bytes() == packed.read_bytes()
    assert len(calls.read_text(encoding="utf-8").splitlines()) == 2


def test_another_package_under_that_name_is_not_used(
    package: Package, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_npm(tmp_path, monkeypatch, "open(target + '/harbour-1.2.3.tgz', 'w').write('other')")
    with pytest.raises(ExtraMissing, match="is not what it was: its hash differs"):
        fetch(package)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_without_a_network_the_sentence_has_npms_code_and_the_command(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "npm error code EAI_AGAIN\\nnpm error https://me:secret@registry.example/x\\n"
    install_npm(tmp_path, monkeypatch, f"sys.stderr.write('{words}'); sys.exit(1)")
    with pytest.raises(ExtraMissing) as caught:
        fetch(package)
    assert f"npm could not bring {package.spec} (EAI_AGAIN)." in caught.value.sentence
    assert f"npm pack {package.spec}" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_without_npm_the_hint_says_how_to_get_it(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExtraMissing, match=r"which is not installed.*apt-get install npm"):
        fetch(package)


def test_the_page_is_refused_in_one_sentence_and_nothing_is_left(
    bot: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = tiny.mynah("export", bot.name, "--format", "web")
    assert answer.code == 2
    assert answer.err.startswith(
        "Error: @wllama/wllama@3.8.1 comes from npm, which is not installed."
    )
    assert [path.name for path in bot.root.iterdir() if path.name.startswith((".m", "model"))] == []


def test_the_lock_pins_what_the_project_asks_for() -> None:
    asked = json.loads(resource("web/package.json"))["dependencies"]
    pinned = list(locked(json.loads(resource("web/package-lock.json"))))
    assert {each.name: each.version for each in pinned} == asked
    assert all(each.integrity.startswith("sha512-") for each in pinned)
    assert len({each.version for each in pinned}) == 1  # the two builds belong together
