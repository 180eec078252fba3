"""Writes a captured blueprint as YAML that reads back as exactly the same values."""

from collections.abc import Mapping
from typing import Any

import yaml

from activities.capture.report import CaptureError

MAX_FILE_BYTES = 32 << 20

_HEADER = """\
# Captured from a tenant of the product {product}. How to use, check and change such a file is in docs/blueprints.md.
#
# In rows, @(…) stands for what differs between tenants: @(tenant) is the tenant's id, @(now) and @(today) are the
# time and day of its creation, @(user/admin) its administrator, @(client) its own client, and @(table/1) the row 1
# of a table. A plain @( is written @(@)(.

"""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # the same in C if it is there
    """Writes no anchors: equal values are written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True for every value."""
        del data
        return True


def blueprint_text(document: Mapping[str, Any]) -> str:
    """Return the file; raises `CaptureError` if it would be too large."""
    text = yaml.dump(
        dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=116, default_flow_style=False
    )
    if len(text) > MAX_FILE_BYTES:
        raise CaptureError(f"the blueprint is larger than {MAX_FILE_BYTES >> 20} MiB; leave tables out")
    return _HEADER.format(product=document["product"]) + text
