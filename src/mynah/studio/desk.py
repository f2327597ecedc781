"""What the page can do, apart from how it looks in Gradio: every answer is a piece of HTML.

A session is a browser. What is kept in memory of one is small, and lost when the studio ends: the
bots, their jobs and who brought them are on the disk.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mynah.card import display_names
from mynah.config import ExportConfig, GenerationConfig, PushConfig, QuizConfig, ShareConfig
from mynah.dataset import bot_kind
from mynah.errors import MynahError, SettingsError, StageMissing
from mynah.parentage import parents_of, refuse_blend
from mynah.quiz import fooled
from mynah.quiz_stage import Quiz, keep_round, prepare_quiz
from mynah.records import Generation, read_rows
from mynah.run_folder import RunFolder, bots_in
from mynah.share import write_share
from mynah.studio.bringing import Wish, bring, what_is_there
from mynah.studio.downloads import gguf_of
from mynah.studio.foreman import Foreman
from mynah.studio.jobs import Job, Kind, Status, last_job
from mynah.studio.rights import Rights
from mynah.studio.sharing import share_links
from mynah.studio.talking import compare, say
from mynah.studio.views import curve_of, view

Json = dict[str, Any]

_SESSIONS = 1_000  # browsers that are remembered
_REASONS = {
    "repost": "reposts",
    "cut": "cut off",
    "edited": "edited later",
    "short": "too short",
    "reply": "replies",
    "content-warning": "with a content warning",
    "empty": "nothing of one's own",
    "duplicate": "said before",
    "near-duplicate": "nearly said before",
}
_OF_TRAINING = ("train", "dataset", "report", "say", "track")


@dataclass
class Desk:
    """What one browser has before it."""

    bot: str | None = None
    said: list[Generation] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)  # of the last reading
    quiz: Quiz | None = None
    answers: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How a training is wanted: all else is in the settings."""

    effort: str
    weights: tuple[float, ...] | None = None
    consent: bool = False


class Studio:
    """The studio of one folder of bots."""

    def __init__(self, rights: Rights, foreman: Foreman, settings: Json) -> None:
        """Take who may see what, who begins the jobs, and the settings that all starts from."""
        self.rights, self.foreman, self.settings = rights, foreman, settings
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._lock = threading.Lock()

    def desk(self, session: str) -> Desk:
        """Return what a browser has before it."""
        with self._lock:
            desk = self._desks.setdefault(session, Desk())
            self._desks.move_to_end(session)
            while len(self._desks) > _SESSIONS:
                self._desks.popitem(last=False)
        return desk

    # The bots.

    def bots(self, session: str) -> list[str]:
        """Return the bots that a session can choose: its own, and all that talk."""
        return [
            folder.name
            for folder in bots_in(self.rights.bots)
            if folder.adapter.exists() or self.rights.owns(folder.name, session)
        ]

    def chosen(self, session: str) -> str | None:
        """Return the bot that a browser had before it, or else the one it worked on last."""
        names, desk = self.bots(session), self.desk(session)
        if desk.bot not in names:
            own = [name for name in names if self.rights.owns(name, session)]
            newest = sorted(own, key=lambda name: self._folder(name).run.stat().st_mtime)
            desk.bot = newest[-1] if newest else None
        return desk.bot

    def choose(self, session: str, bot: str | None) -> None:
        """Lay a bot before a browser."""
        desk = self.desk(session)
        if desk.bot != bot:
            self._desks[session] = Desk(bot=bot)

    def gallery(self, session: str) -> str:
        """Show all bots."""
        return view("gallery", bots=[self._row(name) for name in self.bots(session)])

    def _row(self, name: str) -> Json:
        run = self._folder(name).read_run()
        handles = [account["handle"] for account in run["accounts"]] or [name]
        report = run["stages"].get("report", {}).get("result", {})
        gain = (report.get("bits_per_byte") or {}).get("gain_percent")
        talks = "talks" if self._folder(name).adapter.exists() else "not trained yet"
        return {
            "name": name,
            "names": " & ".join(display_names(run["accounts"])) or name,
            "handles": " ".join(f"@{handle}" for handle in handles),
            "kind": bot_kind(handles),
            "state": f"{gain:.1f} % fewer bits than its base" if gain else talks,
        }

    def _folder(self, name: str) -> RunFolder:
        return RunFolder(self.rights.bots / name)

    # Step 1: bring posts.

    def bring(self, session: str, wish: Wish) -> str:
        """Read what a person brings, order an estimate, and return the bot's name."""
        fetch, clean = self.settings["fetch"], self.settings["clean"]
        folder, sentences = bring(self.rights, session, wish, fetch, clean)
        self._desks[session] = Desk(bot=folder.name, sentences=sentences)
        self._order("estimate", folder.name, session, ("train", "dataset"))
        return folder.name

    def there(self, session: str, bot: str) -> Json:
        """Return what there is of a bot's posts.

        Raises:
            BotError: they are another session's.
        """
        return what_is_there(self.rights.own(bot, session))

    def counts(self, session: str, there: Json) -> str:
        """Show what became of a bot's posts."""
        sentences = self.desk(session).sentences
        return view("counts", there=there, sentences=sentences, labels=_REASONS)

    # Step 2: train.

    def train(self, session: str, bot: str, wanted: Wanted) -> None:
        """Put a training into the queue.

        Raises:
            SettingsError: somebody else's posts, and nobody says that they agreed.
        """
        there = self.there(session, bot)
        refuse_blend(self._folder(bot), "train")
        if there["strangers"] and not wanted.consent:
            handles = " and ".join(f"@{handle}" for handle in there["strangers"])
            raise SettingsError(
                f"These are posts of {handles}, and nobody has said that they may be used.",
                hint="Tick the line about it in step 1.",
            )
        if (job := last_job(self.foreman.home, "train", bot)) and not job.status().ended:
            raise SettingsError(f"Bot '{bot}' is in the queue already.")
        weights = wanted.weights if len(there["accounts"]) > 1 else None
        changed = {
            "train": replace(self.settings["train"], effort=wanted.effort),
            "dataset": replace(self.settings["dataset"], weights=weights),
        }
        self._order("train", bot, session, _OF_TRAINING, **changed)

    def stop(self, session: str, bot: str) -> None:
        """Ask a training to save and stop."""
        self.foreman.stop(self._training(session, bot))

    def go_on(self, session: str, bot: str) -> None:
        """Let a training go on that was stopped."""
        self.foreman.go_on(self._training(session, bot))

    def _training(self, session: str, bot: str) -> Job:
        self.rights.own(bot, session)
        if job := last_job(self.foreman.home, "train", bot):
            return job
        raise StageMissing(f"Bot '{bot}' is not being trained.", hint="Choose: Train.")

    def training(self, session: str, bot: str | None) -> Status | None:
        """Return how far a session's training of a bot is."""
        job = self._job("train", session, bot)
        return job.status() if job else None

    def progress(self, session: str, bot: str | None) -> str:
        """Show how far a training is; before it the estimate."""
        if bot is None:
            return view("hint", words="Bring posts first: step 1.")
        if not self.rights.owns(bot, session):
            return view("hint", words="Only the one who brought the posts can train this bot.")
        if job := self._job("train", session, bot):
            status = job.status()
            before = self.foreman.before(job) if status.state == "waiting" else 0
            curve = curve_of(status.losses, status.held_out)
            talks = "report" in status.finished
            return view("progress", status=status, before=before, curve=curve, talks=talks)
        if job := self._job("estimate", session, bot):
            status = job.status()
            return view("estimate", status=status, costs=status.result)
        if parents := parents_of(self._folder(bot)):
            names = " and ".join(parent.name for parent in parents)
            words = f"This bot was made of {names} without training. Train those, and blend anew."
            return view("hint", words=words)
        trained = self._folder(bot).adapter.exists()
        words = "This bot is trained. Train starts anew." if trained else "Ready to be trained."
        return view("hint", words=words)

    def _job(self, kind: Kind, session: str, bot: str | None) -> Job | None:
        if bot is None or not self.rights.owns(bot, session):
            return None
        return last_job(self.foreman.home, kind, bot)

    def _order(
        self, kind: Kind, bot: str, session: str, stages: Sequence[str], **changed: Any
    ) -> None:
        chosen = {stage: self.settings[stage] for stage in stages} | changed
        settings = {stage: asdict(config) for stage, config in chosen.items()}
        self._order_with(kind, bot, session, settings)

    def _order_with(self, kind: Kind, bot: str, session: str, settings: Json) -> None:
        self.foreman.order(kind, bot, session, settings)

    # Step 3: talk.

    def say(
        self, session: str, bot: str, prompt: str, how: GenerationConfig, server: str
    ) -> Iterator[str]:
        """Show posts as they are ready."""
        folder, own = self._talker(bot), self.rights.owns(bot, session)
        share_links("", server)
        desk = self.desk(session)
        desk.said = []
        shown: Json = {"prompt": prompt, "own": own, "wanted": how.n}
        rows: list[Json] = []
        yield view("posts", rows=rows, **shown)
        for post in say(folder, prompt, how, own=own):
            desk.said.append(post)
            near = post.nearest.text if own else ""
            row = {"text": post.text, "overlap": post.nearest.overlap, "nearest": near}
            rows.append({**row, "links": share_links(post.text, server)})
            yield view("posts", rows=rows, **shown)
        seeds = f"Seed {desk.said[0].seed}. A machine wrote all of this."
        yield view("posts", rows=rows, notice=seeds, **shown)

    def preview(self, session: str, bot: str, number: int) -> str:
        """Draw a post as the bot's picture, and show it.

        Raises:
            StageMissing: it was not said in this browser, or others were said since.
            ShareError: it repeats a real one, or cannot be drawn.
        """
        folder, said = self.rights.own(bot, session), self.desk(session).said
        rows = list(read_rows(folder.samples)) if folder.samples.exists() else []
        if (
            not 0 < number <= min(len(said), len(rows))
            or said[number - 1].text != (rows[number - 1]["text"])
        ):
            status = self.training(session, bot)
            if status and not status.ended:
                raise StageMissing(
                    "What a bot says while it is judged is not kept, so no picture can be made.",
                    hint="Draw posts when its report is there.",
                )
            raise StageMissing("These posts are not the last that were kept.", hint="Draw others.")
        shared = write_share(folder, ShareConfig(post=number))
        address = f"/bots/{quote(bot)}/{shared.image.name}?{shared.image.stat().st_mtime_ns}"
        return view("preview", address=address, words=shared.description)

    def compare(self, session: str, bot: str, prompt: str, how: GenerationConfig) -> Iterator[str]:
        """Show the bot beside its base and a Markov chain."""
        self.rights.own(bot, session)  # the chain repeats real posts
        for columns in compare(self._talker(bot), prompt, how):
            yield view("compared", columns=columns)

    def _talker(self, bot: str) -> RunFolder:
        folder = self._folder(bot)
        if not folder.adapter.exists():
            raise StageMissing(f"Bot '{bot}' has not been trained yet.", hint="Go to step 2.")
        return folder

    # Step 4: the report, and what can be taken along.

    def report(self, session: str, bot: str | None) -> str:
        """Show the voice report."""
        if bot is None or not self.rights.owns(bot, session):
            return view("hint", words="A report is shown to the one who brought the posts.")
        folder = self._folder(bot)
        record = folder.read_run()["stages"].get("report", {}).get("result", {})
        return view(
            "report", bot=bot, verdict=record.get("verdict") if folder.page.exists() else ""
        )

    def offers(self, session: str, bot: str | None) -> str:
        """Show what can be taken along, and how far exports and pushes are."""
        if bot is None or not self.rights.owns(bot, session):
            return view("hint", words="A bot is taken along by the one who brought the posts.")
        folder = self._folder(bot)
        kinds: dict[Kind, str] = {"export": "GGUF", "check": "Dry run", "push": "Publishing"}
        jobs = [
            {"title": title, "status": job.status(), "dry": kind == "check"}
            for kind, title in kinds.items()
            if (job := last_job(self.foreman.home, kind, bot))
        ]
        trained, card = folder.adapter.exists(), folder.card.exists()
        return view("offers", bot=bot, trained=trained, card=card, gguf=gguf_of(folder), jobs=jobs)

    def export(self, session: str, bot: str) -> None:
        """Order a GGUF file."""
        self.rights.own(bot, session)
        settings = {"export": asdict(ExportConfig(format="gguf"))}
        self._order_with("export", self._talker(bot).name, session, settings)

    def push(self, session: str, bot: str, *, public: bool, dry: bool) -> None:
        """Order a push, or a dry run of one.

        Raises:
            SettingsError: others reach this studio, and the login is that of its machine.
        """
        self.rights.own(bot, session)
        if not self.rights.local:
            raise SettingsError(
                "A bot is published from one's own machine, with one's own login.",
                hint="Take the adapter along, or push at the command line.",
            )
        checked = last_job(self.foreman.home, "check", bot)
        if not dry and not (checked and checked.status().state == "done"):
            raise SettingsError("See first what would go up.", hint="Choose: Dry run.")
        settings = {"push": asdict(PushConfig(public=public)), "hub": asdict(self.settings["hub"])}
        self._order_with("check" if dry else "push", bot, session, settings)

    def start_quiz(self, session: str, bot: str) -> str:
        """Draw a round of "Real or bot?" and show its first pair."""
        folder, desk = self.rights.own(bot, session), self.desk(session)
        desk.quiz, desk.answers = prepare_quiz(folder, QuizConfig(), self.settings["say"]), []
        return self._pair(desk, desk.quiz, "")

    def answer(self, session: str, bot: str, answer: int) -> str:
        """Take an answer; show the next pair, or the score of the whole round."""
        desk = self.desk(session)
        if desk.quiz is None or desk.quiz.bot != bot:
            raise SettingsError("There is no round to answer.", hint="Choose: Play.")
        pairs = desk.quiz.pairs
        desk.answers.append(answer)
        right = "Right." if pairs[len(desk.answers) - 1].answer == answer else "No: the other one."
        if len(desk.answers) < len(pairs):
            return self._pair(desk, desk.quiz, right)
        quiz, answers = desk.quiz, desk.answers
        desk.quiz, desk.answers = None, []
        score = keep_round(self.rights.own(bot, session), quiz, answers)
        words = f"{right} All rounds: {score.right} of {score.pairs} right. {score.meaning()}"
        return view("score", words=words, fooled=fooled(pairs, answers))

    @staticmethod
    def _pair(desk: Desk, quiz: Quiz, last: str) -> str:
        number = len(desk.answers)
        shown: Json = {"number": number + 1, "count": len(quiz.pairs), "last": last}
        return view("quiz", pair=quiz.pairs[number], **shown)


def wish_of(files: Sequence[str] | None, accounts: str, name: str, anew: bool) -> Wish:
    """Return what a person brings, as the page has it."""
    paths = tuple(Path(file) for file in files or ())
    return Wish(files=paths, accounts=accounts or "", name=name or "", anew=anew)


__all__ = ["Desk", "MynahError", "Studio", "Wanted", "wish_of"]
