"""Everyday questions, in which nothing has to be computed: Instruct's own answers to these stand behind a short thought in training.

`CHECKED` are other questions, with words of which one must stand in a right answer; they are measured and never trained on.
"""

import hashlib
import re
from dataclasses import dataclass

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "Austria": "Vienna", "Greece": "Athens", "Poland": "Warsaw", "Hungary": "Budapest", "Norway": "Oslo",
    "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen", "Ireland": "Dublin",
    "Belgium": "Brussels", "Russia": "Moscow", "Turkey": "Ankara", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "Thailand": "Bangkok", "Vietnam": "Hanoi",
    "Canada": "Ottawa", "Mexico": "Mexico City", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago",
    "Argentina": "Buenos Aires", "Brazil": "Brasília", "Australia": "Canberra", "Iceland": "Reykjavik",
    "South Korea": "Seoul", "Iran": "Tehran", "Iraq": "Baghdad", "Ukraine": "Kyiv", "Romania": "Bucharest",
    "Bulgaria": "Sofia", "the Netherlands": "Amsterdam",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "big": "small|little|tiny", "fast": "slow", "happy": "sad|unhappy", "light": "dark|heavy",
    "up": "down", "old": "young|new", "rich": "poor", "strong": "weak", "early": "late", "full": "empty",
    "hard": "soft|easy", "high": "low", "long": "short", "loud": "quiet|soft", "open": "closed|shut|close",
    "clean": "dirty", "dry": "wet", "love": "hate|hatred", "win": "lose", "buy": "sell", "begin": "end|finish",
    "day": "night", "true": "false", "inside": "outside", "thick": "thin", "wide": "narrow", "push": "pull",
    "friend": "enemy|foe", "left": "right",
}  # fmt: skip
COLORS = {
    "the sky on a clear day": "blue", "grass": "green", "snow": "white", "coal": "black",
    "a ripe banana": "yellow", "a ripe tomato": "red", "an orange": "orange", "blood": "red",
    "a lemon": "yellow", "milk": "white", "a strawberry": "red", "chocolate": "brown", "a carrot": "orange",
    "an emerald": "green", "a ruby": "red", "the sun in a child's drawing": "yellow", "a polar bear": "white",
    "a crow": "black", "an elephant": "gray|grey", "a flamingo": "pink",
}  # fmt: skip
ANIMALS = {
    "dog": "bark|woof", "cat": "meow|purr", "cow": "moo", "duck": "quack", "sheep": "baa|bleat", "lion": "roar",
    "pig": "oink|grunt", "horse": "neigh|whinny", "bee": "buzz", "owl": "hoot", "snake": "hiss",
    "frog": "croak|ribbit", "wolf": "howl", "rooster": "cock|crow", "mouse": "squeak",
}  # fmt: skip
LANGUAGES = {
    "Brazil": "Portuguese", "Mexico": "Spanish", "Austria": "German", "Egypt": "Arabic", "Japan": "Japanese",
    "Russia": "Russian", "Italy": "Italian", "Australia": "English", "France": "French", "Argentina": "Spanish",
    "China": "Mandarin|Chinese", "Greece": "Greek", "Poland": "Polish", "Sweden": "Swedish",
    "Portugal": "Portuguese",
}  # fmt: skip
TOPICS = (
    "the sea", "dogs", "winter", "a good friend", "music", "trains", "the moon", "books", "gardens", "coffee",
    "football", "rain", "mountains", "bread", "sleep", "bees", "bicycles", "holidays", "libraries", "birds",
)  # fmt: skip
USES = (
    "hammer", "knife", "broom", "pencil", "umbrella", "ladder", "spoon", "needle", "camera", "clock", "pillow",
    "towel", "bucket", "map", "candle",
)  # fmt: skip
THINGS = (
    "volcano", "rainbow", "bridge", "compass", "desert", "island", "telescope", "whale", "penguin", "orchestra",
    "library", "glacier", "lighthouse", "microscope", "novel", "poem", "recipe", "river", "satellite", "thermometer",
    "tornado", "violin", "waterfall", "windmill", "zebra", "battery", "calendar", "castle", "dictionary", "engine",
    "festival", "forest", "magnet", "market", "museum", "passport", "planet", "pyramid", "robot", "school",
    "spider", "statue", "theater", "tunnel", "university", "village", "website", "wheel", "airport", "alphabet",
)  # fmt: skip
GROUPS_OF = (
    "fruits", "vegetables", "planets", "colors", "musical instruments", "sports", "countries in Europe", "farm animals",
    "kinds of weather", "things in a kitchen", "jobs", "rivers", "languages", "board games", "flowers", "trees",
    "drinks", "holidays", "birds", "fish",
)  # fmt: skip
ACTIVITIES = (
    "cooking rice", "learning a language", "sleeping better", "saving money", "writing a letter",
    "growing tomatoes", "reading more", "packing a suitcase", "making new friends", "cleaning a window",
    "running", "public speaking", "drawing", "taking care of a cat", "being on time",
)  # fmt: skip


@dataclass(frozen=True)
class Everyday:
    """A question, what it is about, and (where it is checked) words of which one must stand in a right answer."""

    question: str
    about: str
    accepted: tuple[str, ...] = ()

    @property
    def held_out(self) -> bool:
        """Seven in eight of the questions that can be checked, by hash."""
        return bool(self.accepted) and hashlib.sha256(self.question.encode()).digest()[0] % 8 < 7


def with_answer(question: str, about: str, accepted: str) -> Everyday:
    """With the accepted words, parted by "|"."""
    return Everyday(question, about, tuple(accepted.split("|")))


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def everyday() -> list[Everyday]:
    """All of them, in a fixed order."""
    return [
        *(with_answer(f"What is the capital of {a}?", "a capital", b) for a, b in CAPITALS.items()),
        *(with_answer(f'What is the opposite of "{a}"?', "the meaning of a word", b) for a, b in OPPOSITES.items()),
        *(with_answer(f"What color is {a}?", "a color", b) for a, b in COLORS.items()),
        *(with_answer(f"What sound does a {a} make?", "an animal", b) for a, b in ANIMALS.items()),
        *(with_answer(f"Which language do most people in {a} speak?", "a language", b) for a, b in LANGUAGES.items()),
        *(Everyday(f"Write one sentence about {topic}.", "a sentence to write") for topic in TOPICS),
        *(Everyday(f"What can you tell me about {topic}?", topic) for topic in TOPICS),
        *(Everyday(f"What is a {thing} used for?", "a thing of the house") for thing in USES),
        *(Everyday(f"What is {_a(thing)}?", "the meaning of a word") for thing in THINGS),
        *(Everyday(f"Name three {group}.", f"{group}, three of them") for group in GROUPS_OF),
        *(Everyday(f"Give me a short tip for {what}.", "a tip") for what in ACTIVITIES),
    ]


CHECKED = tuple(question for question in everyday() if question.held_out)
TRAINED = tuple(question for question in everyday() if not question.held_out)


def mentions_accepted(text: str, accepted: tuple[str, ...]) -> bool:
    """Whether one of the accepted words stands in an answer."""
    return any(re.search(rf"\b{re.escape(word)}", text, re.IGNORECASE) for word in accepted)
