"""Every error that Mynah raises on purpose, and what the person can do about it.

    MynahError
    ├── SourceError            posts cannot be had
    │   ├── SourceNotFound     nothing at that path or name
    │   ├── UnknownFormat      a file, but none that Mynah reads
    │   ├── BrokenSource       truncated, not JSON, not UTF-8
    │   ├── UnsafeArchive      zip bomb, `..` in a member's name
    │   ├── EmptySource        read well, but holds no post
    │   ├── AuthorNeeded       a chat, and nobody in it is named
    │   ├── NoConsent          the account, its service or the person does not say yes
    │   └── RemoteError        a service on the network did not give posts
    │       ├── RateLimited    it asks for a longer wait than is allowed
    │       ├── AccessRefused  it wants a login, another one, or money
    │       ├── NoSuchAccount  nobody has that name there
    │       └── ServerDown     no network, time-out, trouble at the other end
    ├── TooFewPosts            not enough text survives cleaning
    ├── BotError               the bot's folder
    │   ├── BotNotFound        no such bot
    │   ├── BotExists          the name is taken
    │   ├── BotBusy            another process holds the lock
    │   └── StageMissing       an earlier stage has not run yet
    ├── BaseError              the pretrained model
    │   └── BaseNotInstalled   not on this machine
    ├── TrainingStopped        Ctrl-C: what was learned so far is saved
    ├── SettingsError          an unknown key, a value out of range
    ├── StorageError           disk full, folder not writable
    ├── ShareError             a share image that cannot be made
    ├── HubError               the Hugging Face Hub did not do what was asked
    │   ├── NotLoggedIn        no login, or one that the Hub does not take
    │   ├── NotAllowed         a login without the right to do this
    │   ├── RepoNotFound       nothing of that name that this login may see
    │   ├── RepoExists         the name is taken by something else
    │   └── HubUnreachable     no network, time-out, trouble at the other end
    ├── UnsafeUpload           a file to be published holds what must not be
    ├── UnsafeDownload         a file of a repository that is not to be trusted
    ├── FleetError             the machines of a fleet cannot be had
    └── ExtraMissing           an optional library is not installed

Only `cli.main` and the studio catch; every foreign error is mapped where it enters.
"""

from __future__ import annotations


class MynahError(Exception):
    """Carry one clear sentence and the next command to type."""

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}".strip()


class SourceError(MynahError):
    """Posts cannot be had from a source."""


class SourceNotFound(SourceError):
    """Nothing is at that path or name."""


class UnknownFormat(SourceError):
    """The file exists but is none of the formats that Mynah reads."""


class BrokenSource(SourceError):
    """The file is truncated, not JSON where JSON is due, or not text."""


class UnsafeArchive(SourceError):
    """The archive would harm: a zip bomb, or a member outside its folder."""


class EmptySource(SourceError):
    """The source was read well but holds no post."""


class NoConsent(SourceError):
    """The account or its service says no, or the person has not said that they may."""


class RemoteError(SourceError):
    """A service on the network did not give posts."""


class RateLimited(RemoteError):
    """The service asks for a longer wait than is allowed."""


class AccessRefused(RemoteError):
    """The service wants a login, another one, or money."""


class NoSuchAccount(RemoteError):
    """Nobody has that name at the service."""


class ServerDown(RemoteError):
    """There is no network, the service takes too long, or it has trouble of its own."""


class AuthorNeeded(SourceError):
    """Several people speak in a source; none of them is named."""


class TooFewPosts(MynahError):
    """Not enough text survives cleaning to learn a voice from."""


class BotError(MynahError):
    """Something about a bot's folder."""


class BotNotFound(BotError):
    """No bot has that name."""


class BotExists(BotError):
    """A bot of that name is there already."""


class BotBusy(BotError):
    """Another process is working on the bot."""


class StageMissing(BotError):
    """An earlier stage has to run first."""


class BaseError(MynahError):
    """Something about the pretrained model."""


class BaseNotInstalled(BaseError):
    """The base is not on this machine."""


class TrainingStopped(MynahError):
    """The person stopped the training; what was learned so far is saved."""


class SettingsError(MynahError):
    """An unknown key, or a value out of range."""


class StorageError(MynahError):
    """The disk is full or the folder cannot be written."""


class ShareError(MynahError):
    """A share image cannot be made."""


class HubError(MynahError):
    """The Hugging Face Hub did not do what was asked."""


class NotLoggedIn(HubError):
    """There is no login, or one that the Hub does not take."""


class NotAllowed(HubError):
    """The login may not do this."""


class RepoNotFound(HubError):
    """Nothing has that name, or this login may not see it."""


class RepoExists(HubError):
    """The name is taken by something that this bot did not push."""


class HubUnreachable(HubError):
    """There is no network, the Hub takes too long, or it has trouble of its own."""


class UnsafeUpload(MynahError):
    """A file that was to be published holds what must not be."""


class UnsafeDownload(MynahError):
    """A file of a repository is not to be trusted."""


class FleetError(MynahError):
    """The machines of a fleet cannot be had, or none of them is large enough."""


class ExtraMissing(MynahError):
    """An optional library is not installed."""

    @classmethod
    def of(cls, extra: str, sentence: str) -> ExtraMissing:
        """Return the error for what one of Mynah's own extras would bring."""
        return cls(sentence, hint=f"Run: pip install 'mynah[{extra}]'")
