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

# Where programs that show pictures look for that term (IPTC Photo Metadata, in XMP).
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
