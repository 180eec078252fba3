"""Problems with webhooks."""

from uuid import UUID

from app.gateway.http.problems.problem import ProblemError

MAX_WEBHOOKS = 20
# Each adds a signature to every request.
MAX_SECRETS = 5


class UnboundCallerRequiredError(ProblemError):
    """The caller is bound to a tenant, and webhooks receive the events of all tenants."""

    status, code = 403, "unbound-caller-required"
    default_detail = "Webhooks receive the events of all tenants; use a key that is not bound to a tenant"

    def __init__(self) -> None:
        super().__init__(is_denial=True)


class WebhookNotFoundError(ProblemError):
    """There is no webhook with this id."""

    status, code = 404, "webhook-not-found"
    default_detail = "No such webhook"


class DeliveryNotFoundError(ProblemError):
    """The webhook has no delivery of this event, or no longer."""

    status, code = 404, "delivery-not-found"
    default_detail = "The webhook has no delivery of this event; ended deliveries are removed after a while"


class WebhookExistsError(ProblemError):
    """Another webhook has this URL, so that the receiver would get each event twice."""

    status, code = 409, "webhook-exists"
    example_arguments = (UUID("1b4e28ba-2fa1-41d2-883f-0016d3cca427"),)

    def __init__(self, webhook_id: UUID) -> None:
        super().__init__(f"Webhook {webhook_id} has this URL; change that one, or rotate its secret if it is lost")


class TooManyWebhooksError(ProblemError):
    """There are as many webhooks as there may be."""

    status, code = 409, "too-many-webhooks"
    default_detail = f"There are {MAX_WEBHOOKS} webhooks, which is the limit; delete one that is not needed"


class TooManySecretsError(ProblemError):
    """The webhook was rotated so often that too many secrets would be valid at once."""

    status, code = 409, "too-many-secrets"
    default_detail = (
        f"The webhook has {MAX_SECRETS} valid secrets, which is the limit; wait until one of them expires, "
        "or rotate with overlapHours 0, which ends all old ones at once"
    )


class WebhookSecretUnreadableError(ProblemError):
    """The secrets of the webhook can't be read, so that they can't be kept for a new URL."""

    status, code = 409, "webhook-secret-unreadable"
    default_detail = "The secrets of the webhook can't be read; rotate its secret with overlapHours 0, and try again"
