"""The service against its own OpenAPI document: it answers as it says it does."""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from mynah.run_folder import RunFolder
from test_serve import running

# A longer run: MYNAH_FUZZ=2000 python -m pytest tests/test_serve_fuzz.py
EXAMPLES = int(os.environ.get("MYNAH_FUZZ", "12"))


@pytest.fixture
def api(bot: RunFolder):
    """Serve a bot whose answers are short, and read what the service says of itself."""
    with running(bot.root.parent, timeout=30, queue=256) as (client, _):
        yield schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


document = schemathesis.pytest.from_fixture("api")


@document.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_it_answers_as_its_document_says(case: schemathesis.Case) -> None:
    case.call_and_validate()
