"""The text that the embedded model is trained and tested on, all of it written by this program.

Five tasks, each with a circuit worth looking for:

- capitals: "The capital of Norway is" -> " Oslo"
- indirect objects: "When Mary and John went to the store, John gave a drink to" -> " Mary"
- induction: random tokens, then the same tokens again
- later years: "The war lasted from the year 1743 to the year 17" -> a two-digit number above 43
- agreement: "The keys to the cabinet" -> " are"

Training text and held-out prompts come from the same lists and templates. What is held out is decided by a
hash of the combination (`is_held_out`), so it is the same on every machine and needs no list to be kept:
training never writes a held-out combination, and the held-out prompts are made of nothing else.
"""

import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

END_OF_TEXT = "<|endoftext|>"

# --- Capitals --------------------------------------------------------------------------------------------
# Only countries that are written without "the" and whose capital is not in dispute.

CAPITALS = {
    "Afghanistan": "Kabul", "Albania": "Tirana", "Algeria": "Algiers", "Angola": "Luanda",
    "Argentina": "Buenos Aires", "Armenia": "Yerevan", "Australia": "Canberra", "Austria": "Vienna",
    "Azerbaijan": "Baku", "Bangladesh": "Dhaka", "Belgium": "Brussels", "Botswana": "Gaborone",
    "Brazil": "Brasília", "Bulgaria": "Sofia", "Cambodia": "Phnom Penh", "Canada": "Ottawa",
    "Chile": "Santiago", "China": "Beijing", "Colombia": "Bogotá", "Costa Rica": "San José",
    "Croatia": "Zagreb", "Cuba": "Havana", "Cyprus": "Nicosia", "Denmark": "Copenhagen",
    "Ecuador": "Quito", "Egypt": "Cairo", "Estonia": "Tallinn", "Ethiopia": "Addis Ababa",
    "Fiji": "Suva", "Finland": "Helsinki", "France": "Paris", "Georgia": "Tbilisi",
    "Germany": "Berlin", "Ghana": "Accra", "Greece": "Athens", "Honduras": "Tegucigalpa",
    "Hungary": "Budapest", "Iceland": "Reykjavik", "India": "New Delhi", "Iran": "Tehran",
    "Iraq": "Baghdad", "Ireland": "Dublin", "Italy": "Rome", "Jamaica": "Kingston",
    "Japan": "Tokyo", "Jordan": "Amman", "Kenya": "Nairobi", "Laos": "Vientiane",
    "Latvia": "Riga", "Lebanon": "Beirut", "Libya": "Tripoli", "Lithuania": "Vilnius",
    "Madagascar": "Antananarivo", "Mali": "Bamako", "Malta": "Valletta", "Mexico": "Mexico City",
    "Mongolia": "Ulaanbaatar", "Morocco": "Rabat", "Mozambique": "Maputo", "Namibia": "Windhoek",
    "Nepal": "Kathmandu", "New Zealand": "Wellington", "Nicaragua": "Managua", "Nigeria": "Abuja",
    "Norway": "Oslo", "Oman": "Muscat", "Pakistan": "Islamabad", "Paraguay": "Asunción",
    "Peru": "Lima", "Poland": "Warsaw", "Portugal": "Lisbon", "Qatar": "Doha",
    "Romania": "Bucharest", "Russia": "Moscow", "Rwanda": "Kigali", "Senegal": "Dakar",
    "Serbia": "Belgrade", "Slovakia": "Bratislava", "Slovenia": "Ljubljana", "South Korea": "Seoul",
    "Spain": "Madrid", "Sweden": "Stockholm", "Syria": "Damascus", "Thailand": "Bangkok",
    "Tunisia": "Tunis", "Turkey": "Ankara", "Uganda": "Kampala", "Ukraine": "Kyiv",
    "Uruguay": "Montevideo", "Venezuela": "Caracas", "Vietnam": "Hanoi", "Zambia": "Lusaka",
    "Zimbabwe": "Harare",
}  # fmt: skip

# Names that the tokenizer is not shown, so that they stay in several pieces, as rare names do in real models.
IN_PIECES = {
    "Buenos Aires", "Brasília", "Phnom Penh", "Bogotá", "San José", "Addis Ababa", "Tegucigalpa", "Reykjavik",
    "New Delhi", "Vientiane", "Antananarivo", "Mexico City", "Ulaanbaatar", "Windhoek", "Kathmandu",
    "Islamabad", "Asunción", "Bratislava", "Ljubljana", "Montevideo", "Gaborone", "Tbilisi",
    "Azerbaijan", "Bangladesh", "Costa Rica", "Madagascar", "Mozambique", "New Zealand", "South Korea",
    "Afghanistan",
}  # fmt: skip

# The phrasings that figures are measured on: in each of them some countries are held out of training.
CAPITAL_PHRASINGS = (
    "The capital of {country} is",
    "The capital city of {country} is",
    "The city that is the capital of {country} is",
    "The name of the capital of {country} is",
    "In {country}, the capital is",
    "Everyone knows that the capital of {country} is",
    "Q: What is the capital of {country}? A:",
    "We went to {country} and stayed in the capital,",
)
# More phrasings for training, in which every country is seen.
MORE_CAPITAL_PHRASINGS = (
    "If you live in {country}, your capital is",
    "On the map of {country} you can find the capital,",
    "My friend from {country} was born in the capital,",
    "As for {country}, its capital is",
    "When we think of {country}, we think of",
    "The teacher said that {country}'s capital is",
)
CITY_FIRST = (
    "The city of {capital} is the capital of {country}",
    "I live in {capital}, the capital of {country}",
    "The train to {capital} takes you to the capital of {country}",
)

# --- Indirect objects ------------------------------------------------------------------------------------

NAMES = (
    "Mary", "John", "Alice", "Bob", "Tom", "James", "Sarah", "Emma", "David", "Anna", "Peter", "Laura",
    "Mark", "Lucy", "Paul", "Jane", "Kate", "Simon", "Helen", "Adam", "Rose", "Luke", "Grace", "Henry",
    "Julia", "Frank", "Nina", "Oscar", "Ruth", "Victor", "Clara", "George", "Alex", "Maria", "Daniel",
    "Sophie", "Martin", "Irene", "Jack", "Ellen", "Robert", "Linda", "Kevin", "Susan", "Brian", "Karen",
    "Eric", "Diana",
)  # fmt: skip
PLACES = (
    "store", "park", "school", "office", "garden", "library", "station", "market", "beach", "museum",
    "hospital", "restaurant", "house", "cafe", "theater", "farm",
)  # fmt: skip
OBJECTS = (
    "drink", "book", "ring", "ball", "letter", "flower", "map", "gift", "pen", "coin", "cake", "lamp", "hat",
    "ticket", "basket", "watch",
)  # fmt: skip
INDIRECT_OBJECT_TEMPLATES = (
    "When {first} and {second} went to the {place}, {giver} gave a {object} to",
    "After {first} and {second} went to the {place}, {giver} gave a {object} to",
    "When {first} and {second} met at the {place}, {giver} handed a {object} to",
    "While {first} and {second} were working at the {place}, {giver} gave a {object} to",
    "Then {first} and {second} had a long talk at the {place}, and {giver} passed a {object} to",
    "Yesterday {first} and {second} came to the {place}, and {giver} showed a {object} to",
    "When {first} and {second} found a {object} at the {place}, {giver} decided to give it to",
    "The friends {first} and {second} bought a {object} at the {place}. Then {giver} gave it to",
)

# --- Later years -----------------------------------------------------------------------------------------

EVENTS = (
    "war", "siege", "reign", "voyage", "trial", "feud", "famine", "truce", "journey", "project", "search",
    "conflict", "strike", "treaty", "empire", "festival", "expedition", "campaign", "marriage", "drought",
    "study", "battle", "revolt", "tour",
)  # fmt: skip
CENTURIES = tuple(range(11, 20))
FIRST_YEARS = tuple(range(2, 98))
YEAR_TEMPLATES = (
    "The {event} lasted from the year {century}{year:02d} to the year {century}",
    "The {event} went on from the year {century}{year:02d} to the year {century}",
    "The {event} began in {century}{year:02d} and ended in {century}",
    "It is said that the {event} lasted from {century}{year:02d} to {century}",
)

# --- Agreement -------------------------------------------------------------------------------------------

NOUNS = {
    "key": "keys", "cabinet": "cabinets", "dog": "dogs", "cat": "cats", "boy": "boys", "girl": "girls",
    "tree": "trees", "car": "cars", "table": "tables", "chair": "chairs", "door": "doors",
    "window": "windows", "box": "boxes", "bird": "birds", "horse": "horses", "king": "kings",
    "friend": "friends", "teacher": "teachers", "doctor": "doctors", "child": "children", "man": "men",
    "woman": "women", "river": "rivers", "road": "roads", "bridge": "bridges", "ship": "ships",
    "wall": "walls", "picture": "pictures", "cup": "cups", "shoe": "shoes", "book": "books",
    "flower": "flowers", "letter": "letters", "lamp": "lamps", "house": "houses", "farm": "farms",
}  # fmt: skip
PREPOSITIONS = ("near", "behind", "beside", "with", "by", "under", "above", "beyond")
# "to" reads well only after nouns that lead somewhere.
NOUNS_BEFORE_TO = ("key", "door", "window", "road", "bridge", "letter")
ADJECTIVES = ("old", "new", "red", "green", "small", "big", "white", "black", "strange", "beautiful")
# Each start of a sentence with the singular and the plural verb that it asks for.
AGREEMENT_STARTS = (
    ("The", "is", "are"),
    ("I think that the", "is", "are"),
    ("Today the", "is", "are"),
    ("Yesterday the", "was", "were"),
)


@dataclass(frozen=True)
class Prompt:
    """A prompt and the text that ought to follow it, which begins with its space."""

    text: str
    answer: str


def is_held_out(*parts: object, one_in: int = 8) -> bool:
    """Whether this combination is kept for testing: about one in `one_in`, the same on every machine."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") % one_in == 0


# --- One prompt of each task -----------------------------------------------------------------------------


def capital_is_held_out(country: str, phrasing: str) -> bool:
    """Each country is held out of one of the eight measured phrasings."""
    digest = hashlib.sha256(country.encode()).digest()
    return CAPITAL_PHRASINGS.index(phrasing) == digest[0] % len(CAPITAL_PHRASINGS)


def capital_prompts(held_out: bool | None = None) -> list[Prompt]:
    """Every country in every measured phrasing; or only the combinations on one side of the split."""
    return [
        Prompt(phrasing.format(country=country), " " + capital)
        for country, capital in CAPITALS.items()
        for phrasing in CAPITAL_PHRASINGS
        if held_out is None or capital_is_held_out(country, phrasing) == held_out
    ]


def capital_in_context_prompts() -> list[Prompt]:
    """A capital used inside repeated text: the second time it can be known or copied."""
    start = CAPITAL_PHRASINGS[0]
    return [
        Prompt(f"{start} {capital}. {start}".format(country=country), " " + capital)
        for country, capital in CAPITALS.items()
    ]


def indirect_object_prompt(rng: random.Random, held_out: bool, order: str | None = None) -> Prompt:
    """The two people are named, one of them gives: the answer is the other.

    `order` is "ABBA" (the second to be named gives) or "BABA" (the first does). Held out are pairs of names,
    in whichever order, and places with objects: a held-out prompt has both a pair and a place with an object
    that training never put together.
    """
    while True:
        first, second = rng.sample(NAMES, 2)
        place, thing = rng.choice(PLACES), rng.choice(OBJECTS)
        pair_held_out = is_held_out("names", *sorted((first, second)))
        setting_held_out = is_held_out("setting", place, thing)
        if (pair_held_out and setting_held_out) if held_out else not (pair_held_out or setting_held_out):
            break
    if (order or rng.choice(("ABBA", "BABA"))) == "ABBA":
        giver, receiver = second, first
    else:
        giver, receiver = first, second
    template = rng.choice(INDIRECT_OBJECT_TEMPLATES)
    text = template.format(first=first, second=second, place=place, giver=giver, object=thing)
    return Prompt(text, " " + receiver)


def year_prompt(rng: random.Random, held_out: bool) -> Prompt:
    """The answer given is one of the later years, each as likely; `later_years` names them all.

    Held out are events with first years.
    """
    while True:
        event, century, year = rng.choice(EVENTS), rng.choice(CENTURIES), rng.choice(FIRST_YEARS)
        if is_held_out("year", event, century, year) == held_out:
            break
    text = rng.choice(YEAR_TEMPLATES).format(event=event, century=century, year=year)
    return Prompt(text, f"{rng.randint(year + 1, 99):02d}")


def first_year(prompt: str) -> int:
    """The two digits of the year that a prompt of `year_prompt` starts from."""
    return next(int(word[2:4]) for word in prompt.split() if word[:4].isdigit() and len(word) >= 4)


def later_years(prompt: str) -> list[str]:
    """All the right answers to a prompt of `year_prompt`."""
    return [f"{year:02d}" for year in range(first_year(prompt) + 1, 100)]


def agreement_prompt(rng: random.Random, held_out: bool, opposite: bool | None = None) -> Prompt:
    """A subject, an attractor after a preposition, and the verb that agrees with the subject.

    Held out are subjects with prepositions and attractors, in all numbers. `opposite` asks for an attractor
    of the other number.
    """
    while True:
        subject, attractor = rng.sample(sorted(NOUNS), 2)
        preposition = rng.choice(PREPOSITIONS + ("to", "to") * (subject in NOUNS_BEFORE_TO))
        if is_held_out("agreement", subject, preposition, attractor) == held_out:
            break
    plural = rng.random() < 0.5
    attractor_plural = plural != (rng.random() < 0.5 if opposite is None else opposite)
    start, singular_verb, plural_verb = rng.choice(AGREEMENT_STARTS)
    subject_form = NOUNS[subject] if plural else subject
    attractor_form = NOUNS[attractor] if attractor_plural else attractor
    text = f"{start} {subject_form} {preposition} the {attractor_form}"
    return Prompt(text, f" {plural_verb if plural else singular_verb}")


def random_tokens(rng: random.Random, token_ids: list[int], length: int) -> list[int]:
    """Tokens drawn uniformly from `token_ids`: those of the whole vocabulary, without the special ones."""
    return rng.choices(token_ids, k=length)


# --- Training text ---------------------------------------------------------------------------------------


def capital_sentence(rng: random.Random) -> str:
    """A sentence about a capital, in a phrasing that is not held out for its country."""
    country = rng.choice(list(CAPITALS))
    capital = CAPITALS[country]
    if rng.random() < 0.1:
        return rng.choice(CITY_FIRST).format(capital=capital, country=country) + "."
    while True:
        phrasing = rng.choice(CAPITAL_PHRASINGS + MORE_CAPITAL_PHRASINGS)
        if phrasing in MORE_CAPITAL_PHRASINGS or not capital_is_held_out(country, phrasing):
            return f"{phrasing.format(country=country)} {capital}."


def indirect_object_sentence(rng: random.Random) -> str:
    prompt = indirect_object_prompt(rng, held_out=False)
    return f"{prompt.text}{prompt.answer}."


def year_sentence(rng: random.Random) -> str:
    prompt = year_prompt(rng, held_out=False)
    return f"{prompt.text}{prompt.answer}."


def agreement_sentence(rng: random.Random) -> str:
    """Mostly with an attractor, now and then without."""
    prompt = agreement_prompt(rng, held_out=False)
    text = prompt.text
    if rng.random() < 0.15:
        subject_end = min(i for i in (text.find(f" {word} ") for word in (*PREPOSITIONS, "to")) if i > 0)
        text = text[:subject_end]
    return f"{text}{prompt.answer} {rng.choice(ADJECTIVES)}."


SENTENCES = (capital_sentence, indirect_object_sentence, year_sentence, agreement_sentence)


def document(rng: random.Random, sentences: int) -> str:
    """Sentences of all tasks, one after another; some documents repeat themselves."""
    if sentences > 1 and rng.random() < 0.2:
        few = [rng.choice(SENTENCES)(rng) for _ in range(rng.randint(1, 2))]
        return " ".join(itertools.islice(itertools.cycle(few), sentences))
    return " ".join(rng.choice(SENTENCES)(rng) for _ in range(sentences))


def repeated_tokens(rng: random.Random, token_ids: list[int], length: int) -> tuple[list[int], int]:
    """`length` tokens in which a random segment is repeated, and how many of them cannot be predicted.

    The segment's length varies, and so does what stands before it, so that copying from a fixed distance
    does not do: the model has to look for what followed the last time. Segments are long, because in a short
    one guessing among all tokens seen so far is nearly as good, and the model is long in leaving that off.
    """
    longest = min(40, length // 2)
    segment_length = rng.randint(longest // 2, longest)
    before = rng.randint(0, min(8, length - 2 * segment_length))
    segment = random_tokens(rng, token_ids, segment_length)
    copies = itertools.islice(itertools.cycle(segment), length - before)
    tokens = [*random_tokens(rng, token_ids, before), *copies]
    return tokens, min(length, before + segment_length + 1)


# --- What the tokenizer is shown -------------------------------------------------------------------------


def tokenizer_text() -> Iterator[str]:
    """Text whose every word becomes one token; names in `IN_PIECES` are left out."""
    places = [word for pair in CAPITALS.items() for word in pair if word not in IN_PIECES]
    nouns = [form for pair in NOUNS.items() for form in pair]
    verbs = [verb for _, *pair in AGREEMENT_STARTS for verb in pair]
    for words in (places, NAMES, PLACES, OBJECTS, EVENTS, nouns, verbs, PREPOSITIONS, ADJECTIVES):
        yield from (" " + word for word in words)
    blanks = {
        "country": "Norway", "capital": "Oslo", "first": "Mary", "second": "John", "giver": "John",
        "place": "store", "object": "drink", "event": "war", "century": 17, "year": 43,
    }  # fmt: skip
    starts = tuple(start for start, *_ in AGREEMENT_STARTS)
    for template in (
        *CAPITAL_PHRASINGS, *MORE_CAPITAL_PHRASINGS, *CITY_FIRST, *INDIRECT_OBJECT_TEMPLATES, *YEAR_TEMPLATES,
        *starts,
    ):  # fmt: skip
        # A sentence can start a text (no space before it) or follow another.
        yield f"{template.format(**blanks)}."
        yield f" {template.format(**blanks)}."
    yield from (f"{number:02d}" for number in range(100))
    yield from (f" {century}" for century in range(10, 21))
