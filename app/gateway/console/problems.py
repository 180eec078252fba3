"""Problems of the console alone."""

from app.gateway.http.problems.problem import ProblemError


class SignInRequiredError(ProblemError):
    """The browser has no session, or it has ended."""

    status, code = 401, "sign-in-required"
    default_detail = "You are not signed in, or your session has ended; sign in"


class CrossSiteError(ProblemError):
    """A form was not sent by a page of the console."""

    status, code = 403, "cross-site-request"
    default_detail = "The form was not sent from this console; open the page here and send it again"

    def __init__(self) -> None:
        super().__init__(is_denial=True)


class SignInRejectedError(ProblemError):
    """A sign-in at the identity provider has failed."""

    status, code = 401, "sign-in-rejected"
    default_detail = "The sign-in has failed; try again"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, is_denial=True)
