"""The voice report's figures, each worked out from texts and costs alone; no model is loaded here.

    likelihood       bits per byte, gain, author specificity
    detectability    a classifier's area under the curve
    style            cosine of character profiles or embeddings, from base to person
    mauve            where wanted
    human            the quiz's score
    surface          nine distances, of the `features`
    copies           copied, exact, near-duplicate, runs, new 4-grams
    extraction       posts known by heart
    diversity        distinct-n, self-BLEU, repeats
    leaks            personal data
    voices           of a blend of finished bots: how much of each is heard
    markov           the floor that needs no model

`figure` is what all of them return, `texts` what they compare, `bootstrap` how sure they are;
`verdict` reads them, `report` holds them.
"""

from mynah.evaluation.copies import Copied
from mynah.evaluation.figure import Figure, Section
from mynah.evaluation.likelihood import BitsPerByte
from mynah.evaluation.report import VoiceReport

__all__ = ["BitsPerByte", "Copied", "Figure", "Section", "VoiceReport"]
