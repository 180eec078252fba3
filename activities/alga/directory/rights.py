"""The columns of Alga's tables that the gateway reads, except for those that a footprint counts."""

_TABLES = {
    "tenants": "tenant client_name email product_code plan billing_source licensed_user_count suspended_at"
    " created_at",
    "clients": "tenant client_id client_name",
    "tenant_companies": "tenant client_id is_default",
    "users": "tenant user_id email first_name last_name user_type is_inactive last_login_at created_at",
    "roles": "tenant role_id role_name",
    "user_roles": "tenant user_id role_id",
    "email_providers": "tenant is_active inbound_paused_at inbound_pause_reason",
    "tenant_addons": "tenant addon_key activated_at expires_at",
    "stripe_subscriptions": "tenant stripe_subscription_external_id status quantity current_period_end",
    "apple_iap_subscriptions": "tenant original_transaction_id status expires_at",
}
DIRECTORY_TABLES = tuple(_TABLES)
DIRECTORY_COLUMNS = frozenset(f"{table}.{name}" for table, names in _TABLES.items() for name in names.split())
"""As `table.column`. Not every version of Alga has all of them."""
