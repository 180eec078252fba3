from app.gateway.console.forms import Form
from app.gateway.console.operations.change_routes import changes_of


def test_only_what_a_person_has_changed_is_sent_and_an_emptied_field_is_removed() -> None:
    form = Form(
        {
            "tenantName": "Acme",
            "before.tenantName": "Acme",
            "licenseCount": "12",
            "before.licenseCount": "3",
            "plan": "",
            "before.plan": "pro",
            "billingAddress.city": "London",
            "before.billingAddress.city": "",
        }
    )

    assert changes_of(form) == {"licenseCount": 12, "plan": None, "billingAddress": {"city": "London"}}
