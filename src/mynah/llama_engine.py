"""Speaking through llama.cpp: the base's own file and a few megabytes of adapter, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mynah.llama_cpp import AT_ONCE, Context, Model
from mynah.sampling import Logits

_ROWS = 32  # posts side by side
_PROMPT = 0  # the text that the others begin as
_LONG = 200  # tokens of a beginning from which on it is kept once for all texts


class LlamaEngine:
    """A bot in llama.cpp."""

    def __init__(self, model: Model, separator: int) -> None:
        self.model = model
        self.separator = separator
        self.longest = model.longest
        self.name = "llama.cpp"
        self.at_once = _ROWS

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, nothing put before it."""
        return self.model.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special ones left out."""
        return self.model.decode(ids)

    def begin(self, start: Sequence[int], rows: int, length: int) -> LlamaRows:
        """Return rows that all begin with `start` and grow to `length` tokens at most."""
        shared = len(start) if len(start) > _LONG else 0
        context = Context(self.model, texts=rows + 1, length=length, shared=shared)
        return LlamaRows(context, start, rows)


class LlamaRows:
    """Texts side by side; a row is free for a new one as soon as the old one has left."""

    def __init__(self, context: Context, start: Sequence[int], rows: int) -> None:
        self._context, self._start = context, len(start)
        self._free = list(range(rows, 0, -1))
        self._lengths: dict[int, int] = {}
        for begin in range(0, len(start), AT_ONCE):
            piece = start[begin : begin + AT_ONCE]
            places = [(_PROMPT, begin + at) for at in range(len(piece))]
            self.first = context.read(piece, places)[-1]

    def join(self) -> int | None:
        """Return a new row, or None while there is no room."""
        if not self._free:
            return None
        row = self._free.pop()
        self._context.copy(_PROMPT, row)
        self._lengths[row] = self._start
        return row

    def read(self, tokens: Mapping[int, int]) -> Mapping[int, Logits]:
        """Read the next token of some rows; the other rows leave."""
        for row in [row for row in self._lengths if row not in tokens]:
            del self._lengths[row]
            self._free.append(row)
        if not tokens:
            return {}
        places = [(row, self._lengths[row]) for row in tokens]
        logits = self._context.read(list(tokens.values()), places)
        for row in tokens:
            self._lengths[row] += 1
        return dict(zip(tokens, logits, strict=True))
