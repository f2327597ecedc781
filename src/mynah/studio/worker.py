"""The worker: one process for one job, `python -m mynah.studio.worker <folder of the job>`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from mynah.config import STAGES, Effort, build
from mynah.errors import MynahError, TrainingStopped
from mynah.run_folder import RunFolder
from mynah.studio.jobs import Job, Kind
from mynah.studio.watching import CurveTracker, JobWatch

Json = dict[str, Any]


def work(job: Job) -> None:
    """Do a job, and keep how it ended whatever happens."""
    with job.alive():
        watch = JobWatch(job)
        try:
            wanted = job.wanted()
            folder = RunFolder(job.root.parents[2] / wanted["bot"])
            settings = {
                stage: build(STAGES[stage], values) for stage, values in wanted["settings"].items()
            }
            result = _KINDS[wanted["kind"]](folder, settings, watch)
            job.keep(replace(watch.status, state="done", result=result))
        except TrainingStopped as error:
            job.keep(watch.status.failed(error, "stopped"))
        except MynahError as error:
            job.keep(watch.status.failed(error))
        except Exception as error:
            traceback.print_exc()
            job.keep(watch.status.failed(_foreign(error, job)))


def _foreign(error: Exception, job: Job) -> MynahError:
    return MynahError(f"It broke off ({type(error).__name__}).", hint=f"More is in {job.log}.")


def _estimate(folder: RunFolder, settings: Json, watch: JobWatch) -> Json:
    """Say what each turn of the dial would cost."""
    from mynah.model_stages import estimate_training

    costs = {}
    for effort in get_args(Effort):
        watch.begin(f"Finding out what '{effort}' takes on this machine")
        config = replace(settings["train"], effort=effort)
        costs[effort] = asdict(estimate_training(folder, config, settings["dataset"], watch=watch))
    return costs


def _train(folder: RunFolder, settings: Json, watch: JobWatch) -> Json:
    """Train, judge, let the bot talk and write its card: what is finished is not done again."""
    from mynah.judging import report_bot
    from mynah.model_stages import train_bot
    from mynah.speaking import say_posts
    from mynah.stages import card_bot
    from mynah.tracking import open_tracker

    tracker = CurveTracker(watch, open_tracker(settings["track"], folder.root.parent, watch))
    onlookers: Any = {"watch": watch, "tracker": tracker}
    done = watch.status.finished
    if "train" not in done:
        config, dataset = settings["train"], settings["dataset"]
        resume = folder.checkpoints.exists()
        train_bot(folder, config, dataset, resume=resume, **onlookers)
        watch.finish("train")
    if "report" not in done:
        report_bot(folder, settings["report"], settings["say"], **onlookers)
        watch.finish("report")
    watch.begin("Letting it talk")
    list(say_posts(folder, "", settings["say"], **onlookers).posts)
    card_bot(folder)
    return {}


def _export(folder: RunFolder, settings: Json, watch: JobWatch) -> Json:
    """Write the bot in another format."""
    from mynah.model_stages import export_bot

    watch.begin(f"Writing it as {settings['export'].format}")
    return {"folder": export_bot(folder, settings["export"]).name}


def _check(folder: RunFolder, settings: Json, watch: JobWatch) -> Json:
    """Say what would go up, and send nothing."""
    return _push(folder, settings, watch, dry_run=True)


def _push(folder: RunFolder, settings: Json, watch: JobWatch, *, dry_run: bool = False) -> Json:
    """Publish the bot."""
    from mynah.hub import push_bot

    return asdict(push_bot(folder, settings["push"], settings["hub"], dry_run=dry_run, watch=watch))


_KINDS: dict[Kind, Callable[[RunFolder, Json, JobWatch], Json]] = {
    "estimate": _estimate,
    "train": _train,
    "export": _export,
    "check": _check,
    "push": _push,
}

if __name__ == "__main__":
    from mynah.environment import settle_libraries

    settle_libraries()
    work(Job(Path(sys.argv[1])))
