"""Which language a published speech-to-speech model answers in before anybody trained it further.

Knows addresses, not weights: a fine-tuned model under another name is taken for what it says it is.
"""

from collections.abc import Collection

# Parts of the hub names of the published models, and what they were trained on.
PUBLISHED = {
    "kyutai/moshiko": "English",
    "kyutai/moshika": "English",
    "nvidia/personaplex": "English",
    "joshtalksai/human-1": "Hindi",
}


def notice(model: str, adapters: Collection[str] = ()) -> str:
    """What a caller must know who expects Telugu of this model; empty when there is nothing.

    Args:
        model: its weights address.
        adapters: names of the adapters it is served with, the merged one included.
    """
    language = next((said for name, said in PUBLISHED.items() if name in model.lower()), None)
    if language is None or adapters:
        return ""
    return (
        f"the speech-to-speech model {model} was trained on {language}: without Telugu adapters "
        f"(s2s.adapters) it answers in {language}; the cascade answers in Telugu"
    )
