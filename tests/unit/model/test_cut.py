from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perdure.model.text.cut import MORE, cut


@given(st.text(), st.integers(1, 40))
def test_a_text_is_itself_or_says_that_it_was_cut(text: str, length: int) -> None:
    shown = cut(text, length)
    assert len(shown) <= length
    assert shown == text or (shown.endswith(MORE) and text.startswith(shown[:-1]))
    assert (shown == text) or len(text) > length
