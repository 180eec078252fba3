"""Alga's triggers, as the description of its schema lists them. Their functions do here what it says of them."""

from tests.support.alga import catalog

# By name, what a row must fulfil before it is written; on a change of rows, what happens to them.
_BODIES = {
    "set_tenant_from_current_setting": "NEW.tenant := current_setting('app.current_tenant')::uuid; RETURN NEW;",
    "forbid_stock_movement_mutation": "RAISE EXCEPTION 'stock movements are never changed';",
    "on_update_timestamp": "NEW.updated_at := now(); RETURN NEW;",
    "trigger_set_timestamp": "NEW.updated_at := now(); RETURN NEW;",
    "validate_interaction_type": """
        IF NOT EXISTS (SELECT FROM interaction_types t WHERE t.tenant = NEW.tenant AND t.type_id = NEW.type_id)
            AND NOT EXISTS (SELECT FROM system_interaction_types t WHERE t.type_id = NEW.type_id)
        THEN RAISE EXCEPTION 'an interaction needs a type'; END IF;
        RETURN NEW;
    """,
    "check_contact_primary_email_uniqueness": """
        IF EXISTS (SELECT FROM contact_additional_email_addresses a
                   WHERE a.tenant = NEW.tenant AND lower(a.email_address) = lower(NEW.email))
        THEN RAISE EXCEPTION 'a contact has this address'; END IF;
        RETURN NEW;
    """,
    "check_contact_additional_email_uniqueness": """
        IF EXISTS (SELECT FROM contacts c WHERE c.tenant = NEW.tenant AND lower(c.email) = lower(NEW.email_address))
        THEN RAISE EXCEPTION 'a contact has this address'; END IF;
        RETURN NEW;
    """,
    "enforce_client_billing_profiles_has_default": """
        DECLARE changed client_billing_profiles := coalesce(NEW, OLD);
        BEGIN
            IF EXISTS (SELECT FROM client_billing_profiles p
                       WHERE p.tenant = changed.tenant AND p.client_id = changed.client_id)
                AND NOT EXISTS (SELECT FROM client_billing_profiles p
                                WHERE p.tenant = changed.tenant AND p.client_id = changed.client_id AND p.is_default)
            THEN RAISE EXCEPTION 'a client needs a default profile'; END IF;
            RETURN NULL;
        END;
    """,
}


def triggers(shape: str) -> list[str]:
    """Return the statements that create them on a database of that shape."""
    functions = [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
        for name, body in _BODIES.items()
    ]
    tables = catalog(shape)["tables"].values()
    return functions + [trigger["definition"] for table in tables for trigger in table.get("triggers", ())]
