"""Every input of a quick profile ends in an answer or a named error; `make fuzz` draws for longer."""

from __future__ import annotations

import pytest

from tests.fuzz import properties


@pytest.fixture(scope="module", autouse=True)
def tidy():
    yield
    properties.clean_up()


@pytest.mark.parametrize("name", properties.PROPERTIES)
def test_an_input_ends_in_an_answer_or_a_named_error(name):
    seen: list[int] = []
    properties.run(name, properties.PROPERTIES[name].quick, seen, derandomize=True)
    assert len(seen) >= properties.PROPERTIES[name].quick // 2
