"""Spans as rows: nothing is lost or doubled, whatever a sender makes of parents and times."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.model import Span
from alert_bridge.web.waterfall import MAX_DEPTH, UNFOLDED_ROWS, stage_path, waterfall

SECOND = 10**9


def span(span_id: str, parent: str = "", start: int = 0, seconds: int = 1, **changes) -> Span:
    plain = Span("t", span_id, parent, f"span {span_id}", 1, start * SECOND, (start + seconds) * SECOND, 0)
    return replace(plain, **changes)


@st.composite
def any_spans(draw):
    ids = draw(st.lists(st.integers(0, 40), unique=True, max_size=25))
    known = st.sampled_from([str(each) for each in ids] or ["x"]) | st.just("") | st.just("lost")
    return [span(str(each), draw(known), draw(st.integers(-5, 5)), draw(st.integers(-2, 9))) for each in ids]


@given(any_spans())
def test_every_span_is_drawn_exactly_once_even_with_lost_parents_and_cycles(spans):
    rows = waterfall(spans).rows

    assert sorted(row.span_id for row in rows) == sorted(each.span_id for each in spans)


@given(any_spans())
def test_every_list_that_a_row_opens_is_closed_again(spans):
    depth = 0
    for row in waterfall(spans).rows:
        depth += 1 if row.has_children else -row.closes
        assert depth >= 0

    assert depth == 0


@given(any_spans())
def test_every_bar_lies_within_the_drawing(spans):
    for row in waterfall(spans).rows:
        x, width = (float(text.rstrip("%")) for text in (row.x, row.width))
        assert 0 <= x <= 100
        assert 0 < width <= 100.001 - x


def test_children_follow_their_parent_in_order_of_start():
    spans = [span("c", "a", 5), span("b", "a", 1), span("a", "", 0, 9), span("d", "b", 2)]

    rows = waterfall(spans).rows

    assert [(row.span_id, row.indent) for row in rows] == [("a", 0), ("b", 1), ("d", 2), ("c", 1)]


def test_in_a_large_trace_only_the_way_to_the_failing_span_is_open():
    spans = [span("root", "", 0, 99), span("good", "root"), span("bad", "root", 5), span("deep", "bad", 5, status=2)]
    spans += [span(f"g{number}", "good") for number in range(UNFOLDED_ROWS)]

    is_open = {row.span_id: row.is_open for row in waterfall(spans).rows}

    assert {key for key, value in is_open.items() if value} == {"root", "bad", "deep"}


def test_a_span_whose_parent_never_arrived_stands_at_the_top_and_says_so():
    (row,) = waterfall([span("a", "still-running")]).rows

    assert (row.indent, row.is_orphan) == (0, True)


def test_a_chain_of_thousands_neither_overflows_nor_is_drawn_off_the_page():
    spans = [span(str(number), str(number - 1) if number else "", number, 1) for number in range(5000)]

    tree = waterfall(spans, limit=400)

    assert len(tree.rows) == 400
    assert tree.left_out == 4600
    assert tree.rows[-1].closes <= MAX_DEPTH


def test_only_the_span_of_the_record_is_the_focus_and_the_other_reports_are_echoes():
    spans = [span("a", "", 0, 10), span("b", "a", 2)]

    rows = waterfall(spans, focus="b", echoes={"a", "b"}, moment=5 * SECOND).rows

    assert [(row.is_focus, row.is_echo, row.mark) for row in rows] == [(False, True, ""), (True, False, "50.000%")]


def test_attributes_that_the_row_shows_are_not_repeated_below_it():
    (row,) = waterfall([span("a", attributes={"cicd.pipeline.task.name": "train", "rows": 7})]).rows

    assert row.facts == (("rows", "7"),)


def test_the_way_to_a_span_names_all_from_the_root():
    spans = [span("a"), span("b", "a"), span("c", "b")]

    assert stage_path(spans, "c") == ("span a", "span b", "span c")
    assert stage_path(spans, "unknown") == ()


@given(any_spans(), st.integers(1, 12), st.data())
def test_a_drawing_with_too_little_room_is_whole_and_keeps_the_way_to_the_record(spans, limit, data):
    focus = data.draw(st.sampled_from([each.span_id for each in spans] or [""]))

    tree = waterfall(spans, focus=focus, limit=limit)

    assert len(tree.rows) == min(limit, len(spans))
    assert tree.left_out == len(spans) - len(tree.rows)
    depth = 0
    for row in tree.rows:
        depth += 1 if row.has_children else -row.closes
        assert depth >= 0
    assert depth == 0
    parents = {each.span_id: each.parent_id for each in spans}
    way = set()
    while focus in parents and focus not in way:
        way.add(focus)
        focus = parents[focus]
    assert len(way) > limit or way <= {row.span_id for row in tree.rows}


def test_what_failed_late_in_a_trace_too_large_to_draw_is_drawn_all_the_same():
    spans = [span("root", "", 0, 999), *(span(f"n{number}", "root", number) for number in range(700))]
    spans += [span("late", "root", 800), span("bad", "late", 801, status=2)]

    rows = waterfall(spans, limit=80).rows

    assert [row.span_id for row in rows[-2:]] == ["late", "bad"]
    assert rows[1].span_id == "n0"
