"""What may stand on a Vietnamese plate: alphabet, grammar, made-up texts, and the best well-formed text of a reading.

Texts are upper case without dots, dashes and spaces, the upper line before the lower one. Invariant: a text that is given is
well-formed. The grammar and the search are those of the program (`crates/vision/src/plate`): whoever changes one changes both.
"""

import re
from collections import defaultdict

import numpy as np

# Never on a plate: I, J, O, W. Q only in army codes and in the QT of international organisations.
ALPHABET = "0123456789ABCDEFGHKLMNPQRSTUVXYZ"
BLANK = 0  # the first class of the network; character i of the alphabet is class i + 1
DIGITS = "0123456789"
SERIES = "ABCDEFGHKLMNPSTUVXYZ"
SECOND = "ABCDEFHKLMNPRSTUVXYZ"
PROVINCES = [f"{code}" for code in range(11, 100) if code not in (13, 42, 44, 45, 46, 87, 91, 96)]
MARKS = ("CD", "RM", "MK", "HC", "KT", "LD", "DA", "TD", "MD", "R", "T")
MISSIONS = ("NG", "QT", "CV", "NN")


def forms() -> list[tuple[bool, bool, list[str]]]:
    """Each form: whether it begins with a province, whether only motorbikes (two lines always) carry it, what may stand at each place."""
    every: list[tuple[bool, bool, list[str]]] = []
    for count in (4, 5):
        number = [DIGITS] * count
        every.append((True, False, [DIGITS, DIGITS, SERIES, *number]))
        every.append((True, True, [DIGITS, DIGITS, SERIES, SECOND, *number]))
        every.append((True, True, [DIGITS, DIGITS, SERIES, DIGITS[1:], *number]))
    every += [(True, False, [DIGITS, DIGITS, *mark, *[DIGITS] * count]) for mark in MARKS for count in (4, 5, 6)]
    every += [(True, False, [DIGITS] * 5 + [*mission, *[DIGITS] * count]) for mission in MISSIONS for count in (2, 3)]
    every += [(False, False, [ALPHABET[10:], ALPHABET[10:], *[DIGITS] * count]) for count in (4, 5, 6)]
    return every


FORMS = forms()


def opened(two_lines: bool | None) -> list[int]:
    """The forms that a plate of that many lines (None: not known) may have."""
    return [index for index, (_, motorbike, _) in enumerate(FORMS) if not (motorbike and two_lines is False)]


def then(alive: list[int], text: str, char: str) -> list[int]:
    """Of the forms that begin with `text` those that go on with `char`."""
    place, province = len(text), text + char in PROVINCES
    return [
        index
        for index in alive
        if place < len(FORMS[index][2]) and char in FORMS[index][2][place] and (place != 1 or province or not FORMS[index][0])
    ]


def well_formed(text: str, two_lines: bool | None) -> bool:
    alive = opened(two_lines)
    for place, char in enumerate(text):
        alive = then(alive, text[:place], char)
    return any(len(FORMS[index][2]) == len(text) for index in alive)


def likelihood(steps: np.ndarray, text: str) -> float:
    """Probability that the steps `[n, 33]` spell exactly `text`, over all ways to spell it."""
    columns = [BLANK] + [column for char in text for column in (ALPHABET.index(char) + 1, BLANK)]
    weight = np.zeros(len(columns))
    weight[:2] = steps[0, columns[:2]]
    over = np.array([place > 1 and place % 2 == 1 and columns[place] != columns[place - 2] for place in range(len(columns))])
    for step in steps[1:]:
        came = weight.copy()
        came[1:] += weight[:-1]
        came[2:] += weight[:-2] * over[2:]
        weight = came * step[columns]
    return float(weight[-2:].sum())


def spell(steps: np.ndarray, two_lines: bool | None, width: int = 16) -> tuple[str, list[tuple[str, float]]]:
    """The raw text (best class of each step, runs and blanks taken out) and the well-formed texts with their probabilities, best first.

    A beam of `width` beginnings, each with the probability of ending in a blank and in its last character.
    """
    raw, last = "", BLANK
    for best in steps.argmax(1):
        if best not in (BLANK, last):
            raw += ALPHABET[best - 1]
        last = best
    beam = {"": (1.0, 0.0)}
    known = {"": opened(two_lines)}
    for step in steps:
        new: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        likely = [(ALPHABET[column - 1], step[column]) for column in np.flatnonzero(step > 1e-6) if column != BLANK]
        for text, (blank, letter) in beam.items():
            new[text][0] += (blank + letter) * step[BLANK]
            for char, chance in likely:
                repeated = text.endswith(char)
                if repeated:
                    new[text][1] += letter * chance
                longer = text + char
                if longer not in known:
                    known[longer] = then(known[text], text, char)
                if known[longer]:
                    new[longer][1] += (blank if repeated else blank + letter) * chance
        kept = sorted(new.items(), key=lambda item: (-sum(item[1]), item[0]))[:width]
        beam = {text: (blank, letter) for text, (blank, letter) in kept}
    texts = [text for text in beam if well_formed(text, two_lines)]
    return raw, sorted(((text, likelihood(steps, text)) for text in texts), key=lambda item: (-item[1], item[0]))


def made_up(kind: str, rng: np.random.Generator) -> list[str]:
    """Lines of a well-formed plate: `kind` is car1, car2 or motorbike. Every character comes up often enough to be learned."""

    def pick(chars) -> str:
        return chars[int(rng.integers(len(chars)))]

    def number(count: int) -> str:
        return "".join(pick(DIGITS) for _ in range(count))

    place = "75" if rng.random() < 0.05 else pick(PROVINCES)
    if kind == "motorbike":
        share = rng.random()
        if share < 0.08:
            return [place + "MD" + pick(DIGITS[1:]), number(5)]
        upper = place + pick(SERIES) + (pick(SECOND) if share < 0.45 else pick(DIGITS[1:]))
        return [upper, number(5 if rng.random() < 0.7 else 4)]
    share = rng.random()
    if share < 0.06:
        army = pick(ALPHABET[10:]) + pick(ALPHABET[10:])
        lines = [army, number(4)]
    elif share < 0.1:
        lines = [place + number(3), pick(("NG", "QT", "NN")) + number(2)]
    elif share < 0.2:
        lines = [place + pick(MARKS), number(5)]
    else:
        lines = [place + pick(SERIES), number(5 if rng.random() < 0.85 else 4)]
    return lines if kind == "car2" else ["".join(lines)]


def split_label(text: str, lines: int, motorbike: bool) -> list[str] | None:
    """Where a labelled text breaks into its lines; None where the label does not say enough."""
    if lines == 1:
        return [text] if 6 <= len(text) <= 10 else None
    if motorbike and len(text) in (8, 9) and re.fullmatch(r"[0-9]{2}[A-Z][A-Z0-9][0-9]{4,5}", text):
        return [text[:4], text[4:]]
    if len(text) == 10 and text[2:4] == "MD":
        return [text[:5], text[5:]]
    if not motorbike and re.fullmatch(r"[0-9]{2}[A-Z][0-9]{4,5}", text):
        return [text[:3], text[3:]]
    return None
