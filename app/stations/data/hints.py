"""What an import says, in the words of the page: its controls in place of the flags of the command line."""

from __future__ import annotations

import re

CONTROLS = {
    "--delimiter": "Delimiter",
    "--encoding": "Encoding",
    "--no-header": "The first line is a row already",
    "--column": "Columns by other names",
    "--time-unit": "Unit of numeric times",
    "--time-format": "Format of times",
}
"""Flag of `import` -> label of the control that says the same."""
PHRASES = (
    (re.compile(r"--most-[a-z-]+, for uploads "), ""),
    (re.compile(r"free space on the disk of the workspace, or point --workspace to a larger one"),
     "ask whoever runs this server to free space on its disk"),
    (re.compile(r"add items\.parquet with titles and pictures"), "upload items too, with titles and pictures"),
    (re.compile(r"choose another --name; `sample` writes the sample"), "choose another name"),
    (re.compile(r"write the bytes of the picture, or the path of its file below pictures/"),
     "write the bytes of the picture (Parquet)"),
    (re.compile(r"put pictures into the folder pictures/ beside the items file"),
     "write the bytes of the picture into the column image of a Parquet file: an upload has no folder of pictures"),
    (re.compile(r"bring items\.csv or items\.parquet beside the events, or leave the column out"),
     "upload a file of items too, or leave the column out"),
    (re.compile(r"import it with the command line, or let "), "upload a part of it, or let "),
    (re.compile(r"unpack it yourself and import what it holds"), "unpack it yourself and upload what it holds"),
    (re.compile(r"; docs/data-format\.md lists the types"), ""),
)  # fmt: skip


def for_page(text: str) -> str:
    """A hint or message of an import as a page says it: nothing in it asks for a command line."""
    for pattern, words in PHRASES:
        text = pattern.sub(words, text)
    for flag, label in CONTROLS.items():
        text = text.replace(flag, f"“{label}”")
    return text
