"""The service against its own OpenAPI document: it answers as it says it does."""

from __future__ import annotations

import os

import schemathesis
from hypothesis import HealthCheck, given, settings

from mynah.run_folder import RunFolder
from test_serve import running

# A longer run: MYNAH_FUZZ=2000 python -m pytest tests/test_serve_fuzz.py
EXAMPLES = int(os.environ.get("MYNAH_FUZZ", "12"))


def test_it_answers_as_its_document_says(bot: RunFolder) -> None:
    with running(bot.root.parent, timeout=30, queue=256) as (client, _):
        document = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
        operations = [found.ok() for found in document.get_all_operations()]
        assert {(each.method, each.path) for each in operations} >= {
            ("post", "/v1/completions"),
            ("get", "/v1/models"),
        }
        for operation in operations:
            try_out(operation)


def try_out(operation: schemathesis.schemas.APIOperation) -> None:
    """Ask one operation in many ways, valid and not, and hold the answers to the document."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate()

    check()
