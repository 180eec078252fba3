"""Decides which tenants of a run get which scenario."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tests.chaos.plan import TenantPlan
from tests.chaos.scenarios.plan import SCENARIOS, Scenario, Step

SHARE = 0.4
# What an act meets is most often decided by the events around it.
AIMED = 0.5
EARLIEST, LATEST = -0.4, 0.2


def with_scenarios(random: Random, tenants: Sequence[TenantPlan], count: int) -> list[TenantPlan]:
    """Return the tenants, `SHARE` of `count` of them with a scenario; the creation of these is not cancelled.

    The tenants that begin first get the scenarios in turn, so that there is time for all acts.
    """
    fitting = [tenant for tenant in tenants if tenant.is_repeatable and not tenant.shares_email]
    chosen = sorted((tenant for tenant in fitting if tenant.termination is None), key=lambda tenant: tenant.at)
    chosen = chosen[: round(SHARE * count)]
    random.shuffle(chosen)
    planned = {
        tenant.number: replace(
            tenant,
            cancels=(),
            when_parked="resume",
            scenario=_timed(random, SCENARIOS[turn % len(SCENARIOS)], is_full=random.random() < 0.5),
        )
        for turn, tenant in enumerate(chosen)
    }
    return [planned.get(tenant.number, tenant) for tenant in tenants]


def _timed(random: Random, scenario: Scenario, *, is_full: bool) -> Scenario:
    return replace(scenario, steps=tuple(_time(random, step) for step in scenario.steps), is_full=is_full)


def _time(random: Random, step: Step) -> Step:
    is_aimed = random.random() < AIMED
    return replace(
        step,
        delay=round(random.uniform(0.0, step.max_delay), 2),
        aim=round(random.uniform(EARLIEST, LATEST), 2) if is_aimed else None,
    )
