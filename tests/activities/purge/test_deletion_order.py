from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.purge.deletion_order import Edge, UncuttableCycleError, children_first

NAMES = "abcdefg"
EDGES = st.lists(
    st.builds(Edge, st.sampled_from(NAMES), st.sampled_from(NAMES), st.none() | st.integers(1, 3)),
    unique_by=lambda edge: (edge.child, edge.parent),
    max_size=20,
)


def has_cycle(edges: list[Edge]) -> bool:
    """Return whether removing nodes without children repeatedly leaves any."""
    left = [edge for edge in edges if edge.child != edge.parent]
    while left:
        parents = {edge.parent for edge in left}
        kept = [edge for edge in left if edge.child in parents]
        if len(kept) == len(left):
            return True
        left = kept
    return False


@given(EDGES)
def test_every_edge_that_is_not_cut_is_respected(edges: list[Edge]) -> None:
    if has_cycle([edge for edge in edges if edge.cost is None]):
        with pytest.raises(UncuttableCycleError):
            children_first(NAMES, edges)
        return

    order, cut = children_first(NAMES, edges)

    assert sorted(order) == sorted(NAMES)
    assert all(edge.cost is not None for edge in cut)
    for edge in edges:
        assert edge in cut or edge.child == edge.parent or order.index(edge.child) < order.index(edge.parent)


@given(EDGES)
def test_without_cycles_nothing_is_cut(edges: list[Edge]) -> None:
    forward = [edge for edge in edges if edge.child < edge.parent]

    assert children_first(NAMES, forward)[1] == []


@given(EDGES.filter(lambda edges: not has_cycle([edge for edge in edges if edge.cost is None])), st.randoms())
def test_the_order_does_not_depend_on_the_order_of_edges(edges: list[Edge], random: Random) -> None:
    shuffled = random.sample(edges, len(edges))

    assert children_first(NAMES, edges) == children_first(reversed(NAMES), shuffled)


def test_one_cut_is_enough_if_two_cycles_share_an_edge() -> None:
    edges = [Edge("a", "b", 1), Edge("b", "c", 1), Edge("c", "a", 1), Edge("c", "d", 1), Edge("d", "a", 1)]

    assert len(children_first("abcd", edges)[1]) == 1


def test_among_equals_the_cheapest_edge_is_cut() -> None:
    assert children_first("ab", [Edge("a", "b", 2), Edge("b", "a", 1)])[1] == [Edge("b", "a", 1)]


def test_a_cycle_that_can_not_be_cut_is_named() -> None:
    edges = [Edge("a", "b"), Edge("b", "a"), Edge("c", "d", 1), Edge("d", "c", 1), Edge("d", "a")]

    with pytest.raises(UncuttableCycleError) as caught:
        children_first("abcd", edges)

    assert caught.value.tables == ("a", "b")


def test_a_long_chain_of_tables_is_ordered() -> None:
    names = [f"{number:05}" for number in range(1500)]
    edges = [Edge(child, parent) for child, parent in pairwise(names)]

    assert children_first(names, edges)[0] == names
