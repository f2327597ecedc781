"""That a machine wrote it: the same words and the same mark wherever a bot's text is kept.

Article 50(2) of the EU's AI Act (Regulation 2024/1689) wants synthetic text "marked in a
machine-readable format and detectable as artificially generated". A line of JSON can be marked,
and so can a card; a post that somebody copies out of them cannot.
"""

from __future__ import annotations

from typing import Any

# The term that news agencies and picture libraries use for what a model made (IPTC NewsCodes).
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

MARK: dict[str, Any] = {
    "machine_made": True,
    "notice": "Written by a language model, not by a person.",
    "digital_source_type": SOURCE_TYPE,
}
