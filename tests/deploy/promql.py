"""The series of a PromQL expression, and the labels that it selects and groups by."""

import promql_parser
from promql_parser import AggregateExpr, Expr, VectorSelector

Asked = list[tuple[str, set[str]]]


def asked(expression: str) -> Asked:
    """Return name and labels of each selector, with the labels that it is grouped by.

    Raises:
        ValueError: the expression isn't PromQL.
    """
    found: Asked = []
    grouped: list[set[str]] = []

    def enter(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            grouped.append(set(node.modifier.labels) if node.modifier is not None else set())
        if isinstance(node, VectorSelector):
            assert node.name is not None, expression
            labels = {matcher.name for matcher in node.matchers.matchers}
            found.append((node.name, labels.union(*grouped)))

    def leave(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            grouped.pop()

    promql_parser.walk(promql_parser.parse(expression), pre_visit=enter, post_visit=leave)
    return found
