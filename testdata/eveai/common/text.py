"""What eveAI does with a text."""

import re


def summarise(text):
    """Counts of a text, and its first sentence."""
    words = re.findall(r"\w+", text)
    first = re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]
    return {"words": len(words), "characters": len(text), "first": first}
