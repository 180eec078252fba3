"""Bodies of requests that change licences and add-ons."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from activities.tenants.request import LicenseCount, Moment, RequestModel
from workflows.tenants.request import Plan

MAX_EVENT_ID_LENGTH = 255


def _future(value: datetime) -> datetime:
    if value <= datetime.now(UTC):
        raise PydanticCustomError("past", "must be in the future; to revoke the add-on now, send DELETE")
    return value


# As long as Alga's column for it.
EventId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_EVENT_ID_LENGTH, pattern=r"^[!-~]+$")]
EVENT_ID_HELP = (
    "The sender's id of this change, 1 to 255 visible ASCII characters. A change with the same id is not made again; "
    "without one, each request is a change of its own."
)
OptionalEventId = Annotated[EventId | None, Field(description=EVENT_ID_HELP, examples=["evt_1PqYxLx2"])]


class LicenceBody(RequestModel):
    """What of a licence is changed; a field that is left out stays as it is."""

    # At least one is given, and not as null.
    model_config = ConfigDict(
        json_schema_extra={
            "not": {"properties": {name: {"type": "null"} for name in ("licenseCount", "plan")}},
            "examples": [{"licenseCount": 25}],
        }
    )

    license_count: LicenseCount | None = Field(default=None, description="How many users may sign in.", examples=[25])
    plan: Plan | None = Field(default=None, description="What the users may do.", examples=["pro"])
    event_id: OptionalEventId = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.license_count is None and self.plan is None:
            raise PydanticCustomError("nothing_to_change", "needs licenseCount, plan, or both")
        return self


class AddonBody(RequestModel):
    """How long an add-on is granted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"expiresAt": "2030-01-31T12:00:00Z"}]})

    expires_at: Annotated[Moment, AfterValidator(_future)] | None = Field(
        default=None, description="When it ends; never, if left out.", examples=["2030-01-31T12:00:00Z"]
    )
    event_id: OptionalEventId = None
