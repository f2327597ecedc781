"""Publishing: a bot goes to its person's own account on the Hugging Face Hub, and comes off again.

Private unless asked otherwise. run.json remembers where a bot was pushed and with which files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils._validators import validate_repo_id

from mynah.config import HubConfig, PushConfig
from mynah.errors import BotError, SettingsError
from mynah.hub_client import Hub, hub_address, hub_errors, open_hub, repo_exists
from mynah.parcel import Label, Parcel, packed
from mynah.run_folder import RunFolder, now, write_json
from mynah.terms import require_own_posts
from mynah.watch import Nobody, Watch, bar

Change = Literal["new", "changed", "same", "gone"]
Places = dict[str, dict[str, Any]]  # repository: {url, private, revision, files, at}

OUT_OF_REACH = (
    "copies that others have downloaded or made on the Hub",
    "what search engines and caches still show for a while",
)
_NOBODY = "your-name"  # stands for the account where nobody is asked


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A file of a push, and what became of it since the last one."""

    file: str
    bytes: int
    change: Change


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What a push did, or would do."""

    repo: str
    url: str
    private: bool
    revision: str | None  # None for a dry run
    files: list[FileChange]


def push_bot(
    folder: RunFolder,
    config: PushConfig,
    connection: HubConfig,
    *,
    dry_run: bool = False,
    watch: Watch | None = None,
) -> Pushed:
    """Upload a bot; of a bot that was pushed before, what has changed.

    Args:
        folder: the bot's.
        config: where to and how.
        connection: how to speak to the Hub.
        dry_run: check and count, but send nothing and ask nobody.
        watch: is told how it goes.

    Raises:
        NoConsent: the terms under which the posts were read forbid it.
        UnsafeUpload: a file holds what must not leave the machine.
        HubError: the Hub did not take it; nothing is public that was not before.
    """
    watch = watch or Nobody()
    _require_own(folder)
    require_own_posts(folder, public=config.public, word=config.i_have_the_right_to)
    hub = None if dry_run else open_hub(connection, login=True)
    with folder.lock():
        places = pushed_places(folder)
        repo = _destination(folder, config, places, hub)
        label = Label(
            repo=repo,
            address=hub_address(),
            adapter_only=config.adapter_only,
            token=hub.token if hub else None,
        )
        with packed(folder, label, watch) as parcel:
            plan = Pushed(
                repo=repo,
                url=f"{label.address}/{repo}",
                private=not config.public,
                revision=None,
                files=list(_changes(parcel, places.get(repo, {}).get("files", {}))),
            )
            return _upload(hub, folder, parcel, plan, watch) if hub else plan


def _require_own(folder: RunFolder) -> None:
    if origin := folder.pulled_from:
        raise BotError(
            f"Bot '{folder.name}' was pulled from {origin}: it is published there already.",
            hint="Push bots that were made here.",
        )
    folder.require(folder.adapter)
    folder.require(folder.cleaned)  # without the posts nothing can be compared with them


def pushed_places(folder: RunFolder) -> Places:
    """Return where a bot was pushed, and with which files."""
    record = folder.read_run()["stages"].get("push")
    return dict(record["result"]["repos"]) if record else {}


def _destination(folder: RunFolder, config: PushConfig, places: Places, hub: Hub | None) -> str:
    """Return the repository: the given one, the one of the last push, or one of the bot's name."""
    repo = config.repo or (next(iter(places)) if len(places) == 1 else folder.name)
    with hub_errors(repo):
        if "/" not in repo:
            repo = f"{hub.api.whoami()['name'] if hub else _NOBODY}/{repo}"
        validate_repo_id(repo)
    return repo


def _changes(parcel: Parcel, before: Mapping[str, str]) -> Iterator[FileChange]:
    for name, digest in parcel.files.items():
        change: Change = "new"
        if name in before:
            change = "same" if before[name] == digest else "changed"
        yield FileChange(file=name, bytes=parcel.size(name), change=change)
    for name in sorted(before.keys() - parcel.files.keys()):
        yield FileChange(file=name, bytes=0, change="gone")


def _upload(hub: Hub, folder: RunFolder, parcel: Parcel, plan: Pushed, watch: Watch) -> Pushed:
    """Send what is new. A new repository is private until all of it is there."""
    with hub_errors(plan.repo):
        private = _claim(hub, folder, plan.repo)
    if plan.private and not private:
        raise SettingsError(
            f"'{plan.repo}' is public, and --public was not typed.",
            hint=f"Type --public, or make it private first: {plan.url}/settings",
        )
    gone = [each.file for each in plan.files if each.change == "gone"]
    with bar(watch, "Uploading"), hub_errors(plan.repo):
        commit = hub.api.upload_folder(
            repo_id=plan.repo,
            folder_path=parcel.root,
            commit_message="Made with Mynah",
            delete_patterns=gone or None,
        )
        if private and not plan.private:
            hub.api.update_repo_settings(plan.repo, private=False)
    pushed = replace(plan, revision=commit.oid)
    _remember(folder, pushed, parcel.files)
    return pushed


def _claim(hub: Hub, folder: RunFolder, repo: str) -> bool:
    """Make sure of a repository that is the bot's to fill; tell whether it is private.

    Raises:
        RepoExists: it holds what this bot did not push.
    """
    known = repo in pushed_places(folder)
    try:
        info = hub.api.model_info(repo)
    except RepositoryNotFoundError:
        hub.api.create_repo(repo, private=True)
        _remember(folder, Pushed(repo=repo, url="", private=True, revision=None, files=[]), {})
        return True
    names = {each.rfilename for each in info.siblings or ()} - {".gitattributes"}
    if names and not known:
        raise repo_exists(repo)
    return bool(info.private)


def _remember(folder: RunFolder, pushed: Pushed, files: Mapping[str, str]) -> None:
    place = {
        "at": now(),
        "url": pushed.url,
        "private": pushed.private,
        "revision": pushed.revision,
        "files": dict(files),
    }
    places = pushed_places(folder) | {pushed.repo: place}
    folder.record("push", inputs={}, outputs={}, result={"repos": places})


def published_at(folder: RunFolder, repo: str | None) -> str:
    """Return the repository to take down: the named one, or the one that this bot was pushed to.

    Raises:
        BotError: it was not pushed.
        SettingsError: it was pushed to several.
    """
    places = list(pushed_places(folder)) if folder.run.exists() else []
    if repo:
        return repo
    if not places:
        raise BotError(
            f"Bot '{folder.name}' has not been pushed, as far as its records know.",
            hint=f"Name the place: mynah takedown {folder.name} --repo <you>/<name>",
        )
    if len(places) > 1:
        raise SettingsError(
            f"Bot '{folder.name}' was pushed to {', '.join(places)}.",
            hint=f"Choose one: mynah takedown {folder.name} --repo {places[0]}",
        )
    return places[0]


def take_down(folder: RunFolder, repo: str, connection: HubConfig) -> None:
    """Delete a repository with all its revisions, and forget that the bot was there.

    Raises:
        RepoNotFound: it is not there, or this login cannot see it.
        HubError: the Hub did not do it.
    """
    hub = open_hub(connection, login=True)
    known = folder.run.exists() and repo in pushed_places(folder)
    with hub_errors(repo):
        try:
            hub.api.delete_repo(repo)
        except RepositoryNotFoundError:
            # On one's own account it is gone; on another's it may only be out of sight.
            if not known or hub.api.whoami()["name"] != repo.split("/")[0]:
                raise
    if known:
        with folder.lock():
            _forget(folder, repo)


def _forget(folder: RunFolder, repo: str) -> None:
    run = folder.read_run()
    places = run["stages"]["push"]["result"]["repos"]
    del places[repo]
    if not places:
        del run["stages"]["push"]
    write_json(folder.run, run)
