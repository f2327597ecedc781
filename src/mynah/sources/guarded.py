"""A stream of bytes within limits: counted, hashed, and what goes wrong with it in one sentence."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from mynah.errors import BrokenSource, SourceError, SourceNotFound, UnsafeArchive
from mynah.sources.journal import Journal

AGAIN = "Get the file again (an archive: download it once more from X), then repeat the command."
HARMLESS = 16 << 20  # bytes: a member no larger than this may have any ratio


class Guarded(io.RawIOBase):
    """A member's bytes: counted against the limits, hashed, foreign errors mapped.

    Headers lie, so what counts is what comes out, not what the archive says will.
    """

    def __init__(
        self,
        raw: IO[bytes],
        label: str,
        *,
        most: float,
        packed: float | None = None,
        ratio: float = 0,
        journal: Journal | None = None,
    ) -> None:
        super().__init__()
        self.label = label
        self._raw, self._most, self._journal = raw, most, journal
        self._most_unpacked = max(HARMLESS, packed * ratio) if packed is not None else most
        self._digest, self._out = hashlib.sha256(), 0

    @property
    def is_hashed(self) -> bool:
        """Tell whether a journal waits for the hash, which comes at the end of the bytes."""
        return self._journal is not None

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer.

        Raises:
            UnsafeArchive: more came out than the limits allow.
            BrokenSource: the bytes cannot be read or unpacked.
        """
        with reading(self.label):
            data = self._raw.read(len(buffer))
        self._out += len(data)
        check_size(self.label, self._out, self._most, self._most_unpacked)
        self._digest.update(data)
        if not data and len(buffer) and self._journal is not None:
            self._journal.hashed(self.label, self._digest.hexdigest())
            self._journal = None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the member."""
        if not self.closed:
            self._raw.close()
        super().close()


def check_size(label: str, size: float, most: float, most_unpacked: float) -> None:
    """Refuse a member that is, or says it is, larger than the limits.

    Raises:
        UnsafeArchive: it is.
    """
    if size > most:
        raise UnsafeArchive(
            f"{label} is larger than {most / 2**30:g} GiB.",
            hint="If you trust it, raise --max-member-gib.",
        )
    if size > most_unpacked:
        raise UnsafeArchive(
            f"{label} unpacks to far more than its packed size, as a zip bomb does.",
            hint="If you trust it, raise --max-ratio.",
        )


@contextmanager
def reading(label: str) -> Iterator[None]:
    """Turn what Python's file, zip and gzip code raises into one sentence.

    Raises:
        SourceError: SourceNotFound for a missing file, BrokenSource for the rest.
    """
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFound(f"There is no {label}.", hint="Check the path: ls") from error
    except NotImplementedError as error:
        raise BrokenSource(
            f"{label} is packed in a way that Python cannot unpack.",
            hint="Unpack it with another program and name the folder instead.",
        ) from error
    # Damaged zips and gzips make the standard library raise nearly anything: zlib.error,
    # struct.error, EOFError, OverflowError, UnicodeDecodeError, RuntimeError, LZMAError.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise BrokenSource(
                f"{label} cannot be read ({error.strerror}).", hint=f"Look at it: ls -l {label}"
            ) from error
        raise BrokenSource(f"{label} is cut short or damaged.", hint=AGAIN) from error
