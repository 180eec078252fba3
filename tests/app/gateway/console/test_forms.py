from app.gateway.console.forms import Form
from app.gateway.http.problems.problem import Fault
from app.gateway.http.problems.request_problems import InvalidRequestError


def test_a_rejected_form_keeps_its_values_and_shows_each_error_at_its_field() -> None:
    problem = InvalidRequestError(
        "two are wrong",
        errors=[
            Fault(field="billingPlan", detail="billingPlan is not one of: Standard"),
            Fault(field="appleIap", detail="appleIap: needs billingSource apple_iap"),
        ],
    )

    form = Form({"billingPlan": "Gold"}).rejected(problem, fields=("billingPlan",))

    assert form["billingPlan"] == "Gold"
    assert form.faults == {"billingPlan": "is not one of: Standard"}
    assert form.message == "appleIap needs billingSource apple_iap"
