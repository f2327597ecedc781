"""Numbers about the service, for Prometheus. Bots and keys are no labels: there may be millions."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STEPS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
_ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 64)


class Metrics:
    """What is counted, in a register of this service's own."""

    def __init__(self) -> None:
        self.registry = to = CollectorRegistry()
        self.requests = Counter(
            "mynah_requests", "answers by status", ["path", "status"], registry=to
        )
        self.tokens = Counter("mynah_tokens", "tokens drawn, thrown away ones too", registry=to)
        self.posts = Counter("mynah_posts", "posts that were sent", registry=to)
        self.seconds = Histogram(
            "mynah_request_seconds", "request to whole answer", buckets=_SECONDS, registry=to
        )
        self.first = Histogram(
            "mynah_first_token_seconds",
            "request to first token",
            ["cold"],
            buckets=_SECONDS,
            registry=to,
        )
        self.steps = Histogram(
            "mynah_step_seconds", "one step of the model", buckets=_STEPS, registry=to
        )
        self.rows = Histogram("mynah_batch_rows", "posts in a step", buckets=_ROWS, registry=to)
        self.bots = Histogram("mynah_batch_bots", "bots in a step", buckets=_ROWS, registry=to)

    def watch(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Show what a function returns whenever somebody looks."""
        Gauge(name, words, registry=self.registry).set_function(value)

    def step(self, seconds: float, rows: int, bots: int, tokens: int) -> None:
        """Take note of one step of the model."""
        self.steps.observe(seconds)
        self.rows.observe(rows)
        self.bots.observe(bots)
        self.tokens.inc(tokens)

    def begun(self, seconds: float, *, cold: bool) -> None:
        """Take note of how long a request waited for its first token."""
        self.first.labels("yes" if cold else "no").observe(seconds)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)
