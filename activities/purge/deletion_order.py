"""The order in which tables that reference each other can be emptied, with as few cut references as possible.

Tables are only names here, and an edge says that one must be emptied before another.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Edge:
    """`child` must be emptied before `parent`; `cost` is the price of a cut, None if it can't be cut.

    There is at most one edge from one table to another.
    """

    child: str
    parent: str
    cost: int | None = None

    @property
    def ends(self) -> tuple[str, str]:
        """Child and parent."""
        return self.child, self.parent


class UncuttableCycleError(Exception):
    """Tables reference each other in a cycle in which no reference can be cut."""

    def __init__(self, tables: Collection[str]) -> None:
        self.tables = tuple(sorted(tables))
        super().__init__(", ".join(self.tables))


def children_first(nodes: Iterable[str], edges: Iterable[Edge]) -> tuple[list[str], list[Edge]]:
    """Return all nodes, children before parents, and the edges cut for it.

    Edges from a node to itself are ignored: emptying a table is one statement. The result is deterministic.
    Raises `UncuttableCycleError`.
    """
    kept = sorted((edge for edge in edges if edge.child != edge.parent), key=lambda edge: edge.ends)
    cut: list[Edge] = []
    while cyclic := _edges_in_cycles(kept):
        weakest = _weakest(cyclic)
        cut.append(weakest)
        kept.remove(weakest)
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(sorted(nodes), ()))
    for edge in kept:
        sorter.add(edge.parent, edge.child)
    return list(sorter.static_order()), cut


def _weakest(cyclic: list[Edge]) -> Edge:
    """Return the edge whose cut leaves the fewest edges in cycles; ties go to the cheaper one, then by name."""
    candidates = [(edge.cost, edge) for edge in cyclic if edge.cost is not None]
    if not candidates:
        raise UncuttableCycleError({edge.child for edge in cyclic})

    def rank(candidate: tuple[int, Edge]) -> tuple[int, int, tuple[str, str]]:
        cost, edge = candidate
        return len(_edges_in_cycles([other for other in cyclic if other != edge])), cost, edge.ends

    return min(candidates, key=rank)[1]


def _edges_in_cycles(edges: list[Edge]) -> list[Edge]:
    """Return the edges whose parent leads back to their child, in the given order."""
    parents: dict[str, set[str]] = defaultdict(set)
    for edge in edges:
        parents[edge.child].add(edge.parent)
    ancestors = {child: _ancestors(child, parents) for child in list(parents)}
    return [edge for edge in edges if edge.child in ancestors.get(edge.parent, ())]


def _ancestors(node: str, parents: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [node]
    while waiting:
        new = parents.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
