"""Temporal's sandbox for tests, which start many workers."""

from typing import Any

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

_loaded: set[type] = set()


class QuickSandbox(SandboxedWorkflowRunner):
    """Runs each workflow in the sandbox, but tries only once for all workers whether it can be loaded there."""

    def prepare_workflow(self, defn: Any) -> None:
        """Load the workflow if no worker has loaded it yet."""
        if defn.cls not in _loaded:
            super().prepare_workflow(defn)
            _loaded.add(defn.cls)
