"""Numbers as Telugu words: cardinals in lakhs and crores, ordinals, decimals, halves, years.

Only the words; where a number stands in a text and what it counts is for the files that call this
one. num2words 0.5.14 knows Telugu but says "one hundreds eight" (ఒకటి వందల ఎనిమిది) for 108, has no
plural వేలు, no వెయ్యి, and spells 14, 15 and 18 wrongly, so the rules are written out here.
"""

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{2,3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"  # as written, with commas

_UNITS = (
    "సున్నా", "ఒకటి", "రెండు", "మూడు", "నాలుగు", "ఐదు", "ఆరు", "ఏడు", "ఎనిమిది", "తొమ్మిది",
    "పది", "పదకొండు", "పన్నెండు", "పదమూడు", "పద్నాలుగు", "పదిహేను", "పదహారు", "పదిహేడు",
    "పద్దెనిమిది", "పంతొమ్మిది",
)  # fmt: skip
_TENS = ("ఇరవై", "ముప్పై", "నలభై", "యాభై", "అరవై", "డెబ్బై", "ఎనభై", "తొంభై")
_SCALES = (
    (10_000_000, "కోటి", "కోట్లు"),
    (100_000, "లక్ష", "లక్షలు"),
    (1_000, "వెయ్యి", "వేలు"),
)
_MOST_DIGITS = 15  # longer ones are codes, not quantities, and are read digit by digit
_POINT = "పాయింట్"


def cardinal(value: int) -> str:
    """108 → నూట ఎనిమిది, 250000 → రెండు లక్షల యాభై వేలు. Negative numbers say మైనస్."""
    if value < 0:
        return f"మైనస్ {cardinal(-value)}"
    if value >= 10**_MOST_DIGITS:
        return spell(str(value))
    parts: list[str] = []
    for size, one, many in _SCALES:
        count, value = divmod(value, size)
        if count:
            parts.append(one if count == 1 else f"{attributive(count)} {many}")
    count, value = divmod(value, 100)
    if count == 1:
        parts.append("నూట" if value else "వంద")
    elif count:
        parts.append(f"{_UNITS[count]} వందలు")
    if value or not parts:
        parts.append(_below_hundred(value))
    return " ".join([*map(genitive, parts[:-1]), parts[-1]])


def _below_hundred(value: int) -> str:
    if value < 20:
        return _UNITS[value]
    tens, unit = divmod(value, 10)
    return _TENS[tens - 2] + (f" {_UNITS[unit]}" if unit else "")


def genitive(words: str) -> str:
    """The form before a noun or postposition: రెండు వందలు → రెండు వందల. Others stay."""
    return words.removesuffix("ు") if words.endswith("లు") else words


def attributive(value: int) -> str:
    """The form that counts a noun: 1 → ఒక, 21 → ఇరవై ఒక్క, 200 → రెండు వందల."""
    if value == 1:
        return "ఒక"
    words = genitive(cardinal(value))
    return words.removesuffix("ఒకటి") + "ఒక్క" if words.endswith("ఒకటి") else words


def ordinal(value: int) -> str:
    """1 → మొదటి, 2 → రెండవ, 20 → ఇరవయ్యవ, 21 → ఇరవై ఒకటవ."""
    return "మొదటి" if value == 1 else numbered(value)


def numbered(value: int) -> str:
    """As `ordinal`, with 1 → ఒకటవ: days of a month are numbered, not ranked."""
    words = genitive(cardinal(value))
    if words.endswith("వెయ్యి"):
        return words.removesuffix("ి") + "వ"
    if words.endswith("ై"):
        return words.removesuffix("ై") + "య్యవ"
    return (words[:-1] if words[-1] in "ిు" else words) + "వ"


def spell(digits: str) -> str:
    """Digit by digit: 108 → ఒకటి సున్నా ఎనిమిది. Takes ASCII digits only."""
    return " ".join(_UNITS[int(digit)] for digit in digits)


def year(value: int) -> str:
    """1947 → పంతొమ్మిది వందల నలభై ఏడు; years from 2000 are plain numbers."""
    if not 1100 <= value <= 1999:
        return cardinal(value)
    hundreds, rest = divmod(value, 100)
    if not rest:
        return f"{cardinal(hundreds)} వందలు"
    return f"{cardinal(hundreds)} వందల {cardinal(rest)}"


def half(value: int) -> str:
    """A number and a half: 0 → అర, 2 → రెండున్నర."""
    return f"{cardinal(value)}న్నర" if value else "అర"


def say(number: str, *, counting: bool = False) -> str:
    """A number as written (`NUMBER`) in words: 3.5 → మూడు పాయింట్ ఐదు, 1,50,000 → లక్ష యాభై వేలు.

    `counting`: a noun follows, so 1 → ఒక, 200 → రెండు వందల and 2.5 → రెండున్నర. A number that
    starts with a superfluous zero is a code: 007 → సున్నా సున్నా ఏడు.
    """
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(whole) > _MOST_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = spell(whole)
    elif counting and not fraction:
        return attributive(int(whole))
    elif counting and fraction in ("5", "50") and int(whole) <= 12:
        return half(int(whole))
    else:
        words = cardinal(int(whole))
    return f"{genitive(words)} {_POINT} {spell(fraction)}" if fraction else words
