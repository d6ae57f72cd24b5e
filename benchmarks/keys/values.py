"""Numbers, names and what the clock says, as they turn up inside Telugu sentences.

Numbers and clock terms look at te-num text (no figures left), names at te-std text. Knows nothing
of keys or calls.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache

import regex

from models.telugu import clock
from models.telugu.normalizers import te_num
from models.telugu.numbers import cardinal, numbered, spell, year
from models.telugu.standard import te_std

TOLERANCE_MIN = 3  # a clock told from the call's first prompt, or a minute rounded, still fits

_UNITS = [cardinal(n) for n in range(1, 10)]
_TENS = [cardinal(n) for n in range(20, 100, 10)]
# In front of a number these make another one of it: నూట ఎనిమిది, రెండు వందల ఎనిమిది.
_LARGER = "(?:నూట|వెయ్యి|లక్ష|కోటి|[^ ]*(?:వందల|వేల|లక్షల|కోట్ల)|పాయింట్)"
_GREATER = "(?:వంద|వేల|వేలు|లక్ష|కోట|పాయింట్)"  # and these behind it
_ENGLISH = (
    "జీరో", "వన్", "టూ", "త్రీ", "ఫోర్", "ఫైవ్", "సిక్స్",
    "సెవెన్", "ఎయిట్", "నైన్", "టెన్", "ఎలెవెన్", "ట్వెల్వ్",
    "థర్టీన్", "ఫోర్టీన్", "ఫిఫ్టీన్", "సిక్స్టీన్", "సెవెంటీన్",
    "ఎయిటీన్", "నైంటీన్", "ట్వెంటీ",
)  # fmt: skip
_CASES = "కి|కు|కే|కైనా|ని|ను|నే|తో|లో|గా|వ|యే|మంది|గంటలు|గంటల|రూపాయలు|రూపాయల"
# What a final ు or ి turns into before a vowel: పదిహేడవుతుంది, పదిహేడే, పదిహేడో.
_SANDHI = "ే|ో|ూ|ీ|వ|వుతుంది|వుతాయి|య్యింది|య్యాయి|యింది|యాయి|ొస్తుంది|ొస్తాయి|ంటే|న్నమాట"

_TITLES = "గారు|గారూ|గారి|గారికి|గారా|గారని|అండి"
_NAME_CASES = "కి|కు|కే|ని|ను|నే|నా|తో|లో|లోని|లోనే|లోనా|లోంచి|నుంచి|నుండి|ది|దే|వాసి|యే|య|గా|ే"

_OTHER_MONTHS = {7: ("జులై",), 8: ("ఆగష్టు",)}
_OTHER_DAYS = {3: ("లక్ష్మివారం", "బేస్తవారం", "లక్ష్మీవారం")}  # Thursday has more names
# Hours at which a part of the day may be named; neighbours overlap, as usage does.
_PERIODS = {
    "ఉదయ": range(3, 12),
    "పొద్దున": range(3, 12),
    "తెల్లవారు": range(2, 7),
    "మధ్యాహ్న": range(11, 17),
    "సాయంత్ర": range(15, 20),
    "రాత్రి": (*range(18, 24), *range(5)),
    "అర్ధరాత్రి": (23, 0, 1),
}


@lru_cache(maxsize=1024)
def number_pattern(value: int) -> regex.Pattern[str]:
    """Finds `value` in te-num text, and not where it is part of another number."""
    return regex.compile("|".join(_number(form) for form in sorted(_forms(value))))


def _forms(value: int) -> set[str]:
    digits = str(value)
    forms = {cardinal(value), te_num(digits), numbered(value), f"{numbered(value)[:-1]}ో"}
    if value < len(_ENGLISH):
        forms.add(_ENGLISH[value])
    if value >= 100:  # helpline numbers are read digit by digit or in pairs
        forms |= {spell(digits), " ".join(_ENGLISH[int(d)] for d in digits)}
        forms.add(" ".join("నాట్" if d == "0" else _ENGLISH[int(d)] for d in digits))
        if len(digits) == 4:
            forms.add(f"{cardinal(int(digits[:2]))} {cardinal(int(digits[2:]))}")
    if value == 1:
        forms |= {"ఒక", "ఒక్క"}
    return forms


def _number(form: str) -> str:
    words = form.split()
    before = [_LARGER]
    if words[0] in _UNITS:
        before += _TENS
    after = [_GREATER]
    if words[-1] in _TENS:
        after += _UNITS
    head = "".join(f"(?<!(?<![^ ]){word} )" for word in before)
    tail = f"(?! (?:{'|'.join(after)}))"
    last, rest = words[-1], " ".join([*words[:-1], ""])
    ends = f"{last}(?:{_CASES})?"
    if last[-1] in "ుి":
        ends = f"(?:{ends}|{last[:-1]}(?:{_SANDHI}))"
    return rf"(?<!\S){head}{rest}{ends}(?!\S){tail}"


@lru_cache(maxsize=1024)
def name_pattern(name: str) -> regex.Pattern[str]:
    """Finds a person's or town's name in te-std text, whatever case it stands in."""
    words = te_std(name).split()
    last = words[-1]
    endings = f"{_TITLES}|{_NAME_CASES}"
    forms = [f"{last}(?:{endings})?"]
    if last.endswith("ం"):  # neuters change their end: అనంతపురం, అనంతపురానికి
        forms.append(f"{last[:-1]}ా(?:నికి|న్ని|ని|నిది)")
    elif last[-1] in "ుి":  # called, a name grows long: రవీ, రాజూ
        forms.append(f"{last[:-1]}{ {'ు': 'ూ', 'ి': 'ీ'}[last[-1]] }")
    elif last[-1] == "్":  # or takes a vowel: కిరణ్, కిరణూ, కిరణు
        forms.append(f"{last[:-1]}(?:ు|ూ|ా)(?:{endings})?")
    else:
        forms.append(f"{last}ా")
    body = " ?".join([*words[:-1], f"(?:{'|'.join(forms)})"])
    return regex.compile(rf"(?<!\S){body}(?!\S)")


def says_time(text: str, now: datetime) -> bool:
    """Whether te-num `text` tells the time to within `TOLERANCE_MIN`, and no wrong part of day."""
    minutes = range(-TOLERANCE_MIN, TOLERANCE_MIN + 1)
    moments = [now + timedelta(minutes=m) for m in minutes]
    return any(_says_moment(text, moment) for moment in moments)


def _says_moment(text: str, moment: datetime) -> bool:
    named = [hours for word, hours in _PERIODS.items() if regex.search(rf"(?<!\S){word}", text)]
    if named and not any(moment.hour in hours for hours in named):
        return False
    return bool(_time_pattern(moment.hour % 12 or 12, moment.minute).search(text))


@lru_cache(maxsize=1024)
def _time_pattern(hour: int, minute: int) -> regex.Pattern[str]:
    this, following = _hour(hour), _hour(hour % 12 + 1)
    hours = r"(?: గంట(?:లు|ల|లూ|లకు)?)?"
    if minute == 0:
        a_number = "|".join({word for n in range(1, 60) for word in cardinal(n).split()[:1]})
        shapes = [rf"{this} గంట\S*+(?! (?:{a_number}))", rf"{this} అయ\S*"]
    else:
        shapes = [rf"{this}{hours} {_number(cardinal(minute))}"]
    if minute == 30:
        shapes += [rf"{cardinal(hour)}న్నర\S*", r"ఒంటి గంటన్నర\S*" if hour == 1 else r"(?!)"]
    if minute == 15:
        shapes += [rf"{this}{hours} పావు\S*", rf"{cardinal(hour)} ?ం[పబ]ావు\S*"]
    if minute == 45:
        shapes += [rf"పావు తక్కువ {following}", rf"{this}{hours} ముప్పావు\S*"]
    if minute > 30:
        left = _number(cardinal(60 - minute))
        shapes.append(rf"{following}(?: గంట\S*)? {left}(?: నిమిష\S*)? తక్కువ")
    return regex.compile("|".join(rf"(?<!\S){shape}" for shape in shapes))


def _hour(hour: int) -> str:
    """One o'clock has a form of its own, ఒంటి గంట."""
    return "(?:ఒంటి(?= గంట)|ఒకటి)" if hour == 1 else cardinal(hour)


def says_date(text: str, now: datetime) -> bool:
    """Whether te-num `text` names today's day and month, and no wrong day of the week.

    The month may be left out where the day is called తేదీ.
    """
    text = text.replace(year(now.year), "")  # జనవరి ముప్పై రెండు వేల ఇరవై ఆరు: 30, not 32
    if not number_pattern(now.day).search(text):
        return False
    if says_month(text, now):
        right = True
    else:
        others = any(_month(n).search(text) for n in range(1, 13))
        right = not others and bool(regex.search(r"(?<!\S)(?:తేదీ|తారీఖు|తారీకు|డేట్)", text))
    days = _weekdays(text)
    return right and (not days or now.weekday() in days)


def says_month(text: str, now: datetime) -> bool:
    """Whether the month is named."""
    return bool(_month(now.month).search(text))


def says_weekday(text: str, now: datetime, shift: int = 0) -> bool:
    """Whether the day `shift` days from now is named, beside at most one other: no list fits."""
    days = _weekdays(text)
    return (now + timedelta(days=shift)).weekday() in days and len(days) <= 2


def _weekdays(text: str) -> set[int]:
    return {day for day in range(7) if _weekday(day).search(text)}


@lru_cache(maxsize=7)
def _weekday(day: int) -> regex.Pattern[str]:
    names = (clock.WEEKDAYS[day], *_OTHER_DAYS.get(day, ()))
    return regex.compile("|".join(rf"(?<!\S){name[:-1]}" for name in names))  # శుక్రవార|ం


@lru_cache(maxsize=12)
def _month(number: int) -> regex.Pattern[str]:
    names = (clock.MONTHS[number - 1], *_OTHER_MONTHS.get(number, ()))
    stems = [name[:-1] if name[-1] in "ుి్" else name for name in names]
    endings = "[\u0c3e-\u0c4d]*(?:లో|లోని|కి|కు|ల)?"
    return regex.compile("|".join(rf"(?<!\S){stem}{endings}(?!\S)" for stem in stems))


CLOCK: dict[str, Callable[[str, datetime], bool]] = {
    "time": says_time,
    "date": says_date,
    "weekday": says_weekday,
    "tomorrow": lambda text, now: says_weekday(text, now, 1),
    "yesterday": lambda text, now: says_weekday(text, now, -1),
    "month": says_month,
}
