"""An order in which tables that reference each other can be emptied, cutting cycles as rarely as possible.

Knows nothing of SQL: tables are names, and an edge says that one must be emptied before another.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Edge:
    """`child` has to be emptied before `parent`; `cost` is that of doing without, None where it must hold.

    There is one edge at most between two tables in one direction.
    """

    child: str
    parent: str
    cost: int | None = None


class UncuttableCycleError(Exception):
    """Tables that reference each other in a circle in which no reference can be given up."""

    def __init__(self, tables: Collection[str]) -> None:
        self.tables = tuple(sorted(tables))
        super().__init__(", ".join(self.tables))


def children_first(nodes: Iterable[str], edges: Iterable[Edge]) -> tuple[list[str], list[Edge]]:
    """All nodes, children before parents, and the edges that this order gives up.

    Edges from a node to itself are ignored: emptying a table is one statement. The same graph always gives the
    same answer. Raises `UncuttableCycleError`.
    """
    kept = sorted((edge for edge in edges if edge.child != edge.parent), key=_names)
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
    """The edge after whose loss the least is left to cut; the cheaper one, then the first by name, among equals."""
    candidates = [(edge.cost, edge) for edge in cyclic if edge.cost is not None]
    if not candidates:
        raise UncuttableCycleError({edge.child for edge in cyclic})

    def left_over(candidate: tuple[int, Edge]) -> tuple[int, int, tuple[str, str]]:
        cost, edge = candidate
        return len(_edges_in_cycles([other for other in cyclic if other != edge])), cost, _names(edge)

    return min(candidates, key=left_over)[1]


def _names(edge: Edge) -> tuple[str, str]:
    return edge.child, edge.parent


def _edges_in_cycles(edges: list[Edge]) -> list[Edge]:
    """The edges whose two ends reach each other, in the order given."""
    parents: dict[str, list[str]] = {}
    for edge in edges:
        parents.setdefault(edge.child, []).append(edge.parent)
        parents.setdefault(edge.parent, [])
    component = {node: index for index, nodes in enumerate(_components(parents)) for node in nodes}
    return [edge for edge in edges if component[edge.child] == component[edge.parent]]


def _components(graph: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Strongly connected components, by Tarjan's algorithm without recursion (chains of keys can be long)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    waiting: set[str] = set()
    for root in graph:
        if root in index:
            continue
        path = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        waiting.add(root)
        while path:
            node, successors = path[-1]
            following = next(successors, None)
            if following is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    component = stack[stack.index(node) :]
                    del stack[-len(component) :]
                    waiting.difference_update(component)
                    yield component
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                waiting.add(following)
                path.append((following, iter(graph[following])))
            elif following in waiting:
                low[node] = min(low[node], index[following])
