"""The main tasks by keys alone, with the focus to be seen at every stop on the way."""

from __future__ import annotations

import re
from collections.abc import Callable

from benchmarks.served import settled

CHOSEN = "dataset=sample&run=sample-seminar"
# The focused element, also inside of components, and how it and what is around it look.
FOCUS = """
window.focused = () => { let e = document.activeElement;
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
  return e || document.body; };
window.looks = (e) => { const seen = [];
  for (let n = 0; e && n < 5; n++, e = e.parentElement) { const s = getComputedStyle(e);
    seen.push(s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor); }
  return seen.join(' '); };
window.named = (e) => [e.getAttribute('aria-label') || '', e.innerText || '', e.className, e.tagName].join(' | ');
null;
"""


def tab_to(page, name: str, most: int = 60) -> None:
    """Press Tab until what has the focus is called `name` (a regular expression); each stop on the way is visible."""
    page.evaluate(FOCUS)
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        page.wait_for_timeout(30)
        here = page.evaluate("named(focused())")
        if not here.endswith("| BODY"):
            assert stands_out(page), f"the focus cannot be seen on {here!r}"
        if re.search(name, here):
            return
        passed.append(here[:60])
    raise AssertionError(f"{name!r} was not reached by {most} times Tab: {passed}")


def stands_out(page) -> bool:
    """Whether the focused element has a ring, or it or what is around it looks otherwise once the focus is gone."""
    return bool(
        page.evaluate(
            """() => { const e = focused(), s = getComputedStyle(e);
              if (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1) return true;
              const before = looks(e); e.blur();
              const without = looks(e); e.focus({ preventScroll: true });
              return before !== without; }"""
        )
    )


def test_a_person_is_chosen_and_retrieval_opened_by_keys(open_page: Callable):
    page = open_page(f"life?{CHOSEN}")
    tab_to(page, r"^Person ")
    page.keyboard.type("p0302")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("person=p0302"))
    settled(page)
    tab_to(page, r"\| (\w+\s+)?What does it say about an item\? \|")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/retrieval.*person=p0302"))
    page.get_by_text(re.compile(r"Of [\d,]+ events, [\d,]+ speak for ")).first.wait_for()


def test_an_item_of_the_map_is_selected_by_keys(open_page: Callable):
    page = open_page(f"alignment?{CHOSEN}")
    page.locator(".stage").first.wait_for()
    settled(page)
    tab_to(page, r"\| stage", most=90)
    page.keyboard.press("n")
    page.keyboard.press("s")
    page.wait_for_url(re.compile("selected="))
    page.get_by_text(re.compile(r"\d+ items? selected")).first.wait_for()


def test_a_story_is_presented_by_keys_and_the_focus_comes_back(open_page: Callable):
    page = open_page(f"stories?{CHOSEN}")
    tab_to(page, r"\| (\w+\s+)?Present \|")
    page.keyboard.press("Enter")
    slides = page.frame_locator("#seminar-presenter")
    slides.locator("section.now .main-svg").first.wait_for()
    page.wait_for_function("document.activeElement.id === 'seminar-presenter'")
    page.keyboard.press("End")
    assert slides.locator(".page:visible").inner_text() == "7 / 7"
    page.keyboard.press("Escape")
    page.locator("#seminar-presenter").wait_for(state="detached")
    page.wait_for_function("document.activeElement.innerText.includes('Present')")


def test_ctrl_k_finds_a_person_from_any_field(open_page: Callable):
    page = open_page(f"data?{CHOSEN}")
    page.get_by_role("button", name="Find").wait_for()  # the browser loads the script of buttons after the heading
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_label("Person").focus()
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("textbox").wait_for()
    page.wait_for_function("document.activeElement.tagName === 'INPUT'")
    page.keyboard.type("p0302")
    page.get_by_role("button", name="Person: p0302").wait_for()
    settled(page)
    tab_to(page, "Person: p0302")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/life.*person=p0302"))
