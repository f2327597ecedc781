"""What is asked and what is answered, in the form that OpenAI's clients know.

Only what can be honoured is taken: a field that a bot cannot do anything with is refused unless it
has the value that asks for nothing.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mynah.config import LARGEST_SEED, GenerationConfig
from mynah.marking import MARK
from mynah.serving.desk import Job, Said

MOST_POSTS = 64  # of one request
_LONGEST_PROMPT = 16_000  # characters; how many tokens fit is checked later
_TEXT = {"pattern": "^[^\\u0000]*$"}


def _whole(value: Any) -> Any:
    """Take 3.0 for 3: in JSON they are one number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)
Neutral = Annotated[float, Field(ge=0, le=0)]


class Strict(BaseModel):
    """Refuses what it does not know, instead of leaving it out in silence."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(Strict):
    """What to send beside the posts."""

    include_usage: bool | None = Field(None, description="end with a chunk that counts tokens")


class CompletionRequest(Strict):
    """Posts of one bot that begin with `prompt`."""

    model: str = Field(min_length=1, max_length=200, description="name of the bot")
    prompt: str | None = Field("", max_length=_LONGEST_PROMPT, description="beginning of each post")
    n: Annotated[int, Field(ge=1, le=MOST_POSTS), _WHOLE] | None = Field(
        None, description="how many posts"
    )
    max_tokens: Annotated[int, Field(ge=1, le=100_000), _WHOLE] | None = Field(
        None, description="most tokens of a post"
    )
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED), _WHOLE] | None = Field(
        None, description="repeats the posts"
    )
    stream: bool | None = Field(None, description="send each post when it is whole")
    stream_options: StreamOptions | None = None
    echo: bool | None = Field(None, description="repeat the prompt before each post")
    user: str | None = Field(None, max_length=200, description="taken, and not looked at")
    best_of: Annotated[int, Field(ge=1, le=1), _WHOLE] | None = None
    presence_penalty: Neutral | None = None
    frequency_penalty: Neutral | None = None
    logprobs: None = None
    stop: None = Field(None, description="a post ends by itself, at the latest with its line")
    suffix: None = None

    def config(self, defaults: GenerationConfig) -> dict[str, Any]:
        """Return what differs from the service's own settings."""
        asked = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
        }
        given = {key: value for key, value in asked.items() if value is not None}
        fewest = min(defaults.min_tokens, given.get("max_tokens", defaults.max_tokens))
        return {**given, "n": self.n or 1, "min_tokens": fewest}


class Marked(BaseModel):
    """Says, in words and for machines, that a machine wrote it."""

    machine_made: bool = MARK["machine_made"]
    notice: str = MARK["notice"]
    digital_source_type: str = MARK["digital_source_type"]


class Choice(BaseModel):
    """One post."""

    text: str
    index: int
    finish_reason: Literal["stop", "length"]
    logprobs: None = None
    overlap: float = Field(description="longest run shared with a real post, as a share of words")
    drawn_again: int = Field(description="draws that were thrown away, as copies or unfinished")


class Usage(BaseModel):
    """Tokens read and drawn, those of draws that were thrown away included."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Timings(BaseModel):
    """How long it took, in seconds from the request."""

    first_token: float
    total: float
    cold: bool = Field(description="the bot had to be read from the disk")


class Completion(Marked):
    """The posts that were asked for."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    seed: int = Field(description="the same seed draws the same posts")
    choices: list[Choice]
    usage: Usage | None = None
    timings: Timings | None = None


class Model(BaseModel):
    """A bot."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["mynah"] = "mynah"


class Models(BaseModel):
    """All bots that are served."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    """Whether posts can be drawn."""

    status: Literal["ok", "stopping"]
    base: str


class Problem(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(BaseModel):
    """An error as OpenAI's clients read it."""

    error: Problem


def choice_of(said: Said, job: Job, *, echo: bool) -> Choice:
    """Return a post as a choice."""
    post = said.post
    return Choice(
        text=post.text if echo else post.text[len(job.prompt) :],
        index=said.place,
        finish_reason="stop" if said.ended else "length",
        overlap=post.nearest.overlap,
        drawn_again=post.drawn_again,
    )


def usage_of(job: Job, said: list[Said]) -> Usage:
    """Return what posts cost."""
    begun = sum(1 + each.post.drawn_again for each in said) * len(job.start)
    drawn = sum(each.post.tokens for each in said)
    return Usage(prompt_tokens=begun, completion_tokens=drawn, total_tokens=begun + drawn)


def timings_of(job: Job) -> Timings:
    """Return how long a request took so far."""
    total = time.monotonic() - job.asked
    first = total if job.first is None else job.first
    return Timings(first_token=round(first, 4), total=round(total, 4), cold=job.cold)
