"""The words of the planted data: categories, styles, colours, materials, brands, and how people write them in a search.

Data, generation. Every name comes with synonyms, the first of which stands in titles; the others stand in descriptions
and queries, so that an exact word match between query and title is the exception a text encoder has to do better than.
"""

from __future__ import annotations

# name: (synonyms of the thing, materials, uses)
CATEGORIES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "chairs": (("chair", "seat", "armchair"), ("oak", "beech", "rattan"), ("the dining room", "reading")),
    "lamps": (("lamp", "light", "lantern"), ("brass", "glass", "paper"), ("the bedside", "long evenings")),
    "rugs": (("rug", "carpet", "runner"), ("wool", "jute", "cotton"), ("the hallway", "cold floors")),
    "mugs": (("mug", "cup", "beaker"), ("stoneware", "porcelain", "enamel"), ("coffee", "the office")),
    "bags": (("bag", "tote", "backpack"), ("canvas", "leather", "nylon"), ("the commute", "weekends away")),
    "shoes": (("shoes", "trainers", "footwear"), ("suede", "leather", "mesh"), ("walking", "the city")),
    "coats": (("coat", "jacket", "parka"), ("wool", "down", "waxed cotton"), ("winter", "wet days")),
    "watches": (("watch", "wristwatch", "timepiece"), ("steel", "titanium", "resin"), ("every day", "travel")),
    "bicycles": (("bicycle", "bike", "cycle"), ("steel", "aluminium", "carbon"), ("the city", "long tours")),
    "tents": (("tent", "shelter", "canopy"), ("nylon", "polyester", "canvas"), ("camping", "festivals")),
    "guitars": (("guitar", "six-string", "acoustic"), ("spruce", "mahogany", "maple"), ("the stage", "beginners")),
    "planters": (("planter", "flowerpot", "pot"), ("terracotta", "concrete", "zinc"), ("the balcony", "herbs")),
}

# name: (adjectives, words about the look); each style has a pattern of its own in the pictures
STYLES: dict[str, tuple[tuple[str, ...], str]] = {
    "minimal": (("minimal", "plain", "simple"), "clean lines and nothing else"),
    "rustic": (("rustic", "country", "farmhouse"), "a checked weave and honest edges"),
    "retro": (("retro", "vintage", "seventies"), "broad stripes like in an old film"),
    "sporty": (("sporty", "athletic", "racing"), "fast diagonal bands"),
    "playful": (("playful", "dotted", "cheerful"), "dots wherever they fit"),
}

# name: (synonyms, RGB)
COLOURS: dict[str, tuple[tuple[str, ...], tuple[int, int, int]]] = {
    "red": (("red", "crimson", "scarlet"), (200, 40, 45)),
    "orange": (("orange", "amber", "apricot"), (235, 130, 35)),
    "yellow": (("yellow", "mustard", "lemon"), (230, 200, 50)),
    "green": (("green", "olive", "forest"), (70, 140, 60)),
    "teal": (("teal", "turquoise", "petrol"), (30, 140, 140)),
    "blue": (("blue", "navy", "cobalt"), (45, 80, 185)),
    "purple": (("purple", "violet", "plum"), (120, 60, 160)),
    "pink": (("pink", "rose", "blush"), (230, 130, 170)),
    "brown": (("brown", "chestnut", "cocoa"), (120, 80, 50)),
    "grey": (("grey", "charcoal", "slate"), (115, 118, 125)),
}

BRANDS = (
    "Alder", "Borek", "Calla", "Dunmore", "Elske", "Farrow", "Gant", "Hollin", "Ivarsen", "Jorun", "Kestrel", "Lomond",
    "Marlow", "Norr", "Ostra", "Pell", "Quill", "Rowan", "Selkie", "Tarn", "Ulva", "Varde", "Wren", "Yarrow",
)  # fmt: skip
BRANDS_PER_CATEGORY = 6
