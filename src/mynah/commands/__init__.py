"""What each verb of the command line does. `verbs` has what each takes."""

from mynah.commands.asking import do_map, do_quiz, do_report, do_say, do_who
from mynah.commands.keeping import (
    do_dashboard,
    do_drift,
    do_lineage,
    do_list,
    do_rollback,
    do_update,
    do_web,
)
from mynah.commands.leaving import do_card, do_export, do_pull, do_push, do_share, do_takedown
from mynah.commands.making import do_blend, do_clean, do_fetch, do_flock, do_make, do_train
from mynah.commands.many import do_fleet, do_sweep
from mynah.commands.serving import do_serve

__all__ = [
    "do_blend",
    "do_card",
    "do_clean",
    "do_dashboard",
    "do_drift",
    "do_export",
    "do_fetch",
    "do_fleet",
    "do_flock",
    "do_lineage",
    "do_list",
    "do_make",
    "do_map",
    "do_pull",
    "do_push",
    "do_quiz",
    "do_report",
    "do_rollback",
    "do_say",
    "do_serve",
    "do_share",
    "do_sweep",
    "do_takedown",
    "do_train",
    "do_update",
    "do_web",
    "do_who",
]
