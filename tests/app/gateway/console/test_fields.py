from activities.tenants.request import TenantRequest
from app.gateway.console.fields import content_of, flat
from app.gateway.console.forms import Form
from app.gateway.console.tenants.creation_form import FIELDS


def test_the_form_of_a_new_tenant_becomes_the_request_of_the_api() -> None:
    form = Form(
        {
            "tenantName": " Acme ",
            "adminUser.firstName": "Ada",
            "adminUser.lastName": "Byron",
            "adminUser.email": "ada@acme.example",
            "adminUser.password": " spaces count ",
            "licenseCount": "25",
            "addons": "ai, sso,",
            "billingAddress.city": "London",
            "skipWelcomeEmail": "on",
            "plan": "",
        }
    )

    request = TenantRequest.model_validate(content_of(form, FIELDS))

    assert request.tenant_name == "Acme"
    assert request.admin_user.password is not None
    assert request.admin_user.password.get_secret_value() == " spaces count "
    assert (request.license_count, request.addons, request.plan) == (25, ["ai", "sso"], None)
    assert request.billing_address is not None
    assert request.billing_address.city == "London"
    assert (request.skip_welcome_email, request.portal_user) == (True, False)


def test_a_number_that_is_none_reaches_the_validation_as_it_was_typed() -> None:
    assert content_of(Form({"licenseCount": "2²"}), FIELDS) == {"licenseCount": "2²"}


def test_fields_have_the_limits_of_the_api() -> None:
    assert FIELDS["licenseCount"].attributes["max"] == 1_000_000
    assert FIELDS["tenantName"].attributes["maxlength"] == 255
    assert (FIELDS["tenantName"].is_required, FIELDS["companyName"].is_required) == (True, False)
    assert FIELDS["billingSource"].default == "manual"


def test_a_document_becomes_the_values_of_a_form() -> None:
    document = {"addons": ["ai", "sso"], "portalUser": True, "plan": None, "billingAddress": {"city": "London"}}

    assert flat(document) == {"addons": "ai, sso", "portalUser": "on", "billingAddress.city": "London"}
