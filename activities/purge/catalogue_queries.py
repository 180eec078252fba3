"""Queries on PostgreSQL's own structure.

Arrays are unnested and lists come as JSON text, so that asyncpg needs no introspection query for their types.
"""

from sqlalchemy import text

TABLES = text("""
    SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name, c.oid::regclass::text AS label,
           n.nspname = ANY (current_schemas(false)) AND n.nspname <> :own AS in_reach,
           coalesce(json_agg(json_build_object('name', a.attname, 'type', t.typname, 'nullable', NOT a.attnotnull,
               'key', coalesce(a.attnum = ANY (p.conkey), false)) ORDER BY a.attnum)
               FILTER (WHERE a.attnum IS NOT NULL), '[]')::text AS columns
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p'
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attname IN ('tenant', 'tenant_id') OR a.atttypid = 'uuid'::regtype OR a.attnum = ANY (p.conkey))
    LEFT JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    GROUP BY c.oid, n.nspname, c.relname
    ORDER BY label
""")

# A key of a partition counts as its partitioned table's. It is indexed if an index begins with its columns, in any
# order, or with those besides the tenant. An index of the rows in which a column is not null serves as well.
FOREIGN_KEYS = text("""
    SELECT k.conname::text AS name, k.child::bigint AS child, k.parent::bigint AS parent,
           k.confdeltype::text AS on_delete, k.condeferrable AS deferrable, k.confmatchtype = 'f' AS match_full,
           EXISTS (
               SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indkey[0] = ANY (k.conkey)
               AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ '^\\(\\w+ IS NOT NULL\\)$')
               AND ARRAY(
                   SELECT attnum FROM pg_attribute
                   WHERE attrelid = k.conrelid AND attnum = ANY (k.conkey) AND attname NOT IN ('tenant', 'tenant_id')
               ) <@ (i.indkey::int2[])[0:cardinality(k.conkey) - 1]
           ) AS indexed,
           json_agg(json_build_object('child', a.attname, 'parent', b.attname,
               'nullable', NOT a.attnotnull AND a.attgenerated = '' AND a.attidentity = '',
               'checked', EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = k.conrelid AND c.contype = 'c'
                                  AND a.attnum = ANY (c.conkey))) ORDER BY position)::text AS pairs
    FROM (
        SELECT con.*, coalesce(pg_partition_root(con.conrelid), con.conrelid) AS child,
               coalesce(pg_partition_root(con.confrelid), con.confrelid) AS parent
        FROM pg_constraint con WHERE con.contype = 'f' AND con.conparentid = 0
    ) k
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair(child_column, parent_column, position)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.child_column
    JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.parent_column
    GROUP BY k.oid, k.conname, k.child, k.parent, k.confdeltype, k.condeferrable, k.confmatchtype, k.conrelid,
             k.conkey
    ORDER BY child, name
""")

# A table's triggers are its own and the row triggers of its partitions and of the tables that inherit from it.
# PostgreSQL's internal constraint triggers are left out.
TRIGGERS = text("""
    WITH RECURSIVE ancestry (relation, ancestor) AS (
        SELECT tgrelid, tgrelid FROM pg_trigger WHERE NOT tgisinternal
        UNION
        SELECT ancestry.relation, i.inhparent FROM ancestry JOIN pg_inherits i ON i.inhrelid = ancestry.ancestor
    )
    SELECT ancestry.ancestor::bigint AS oid, quote_ident(t.tgname) AS name, quote_ident(p.proname) AS function,
           json_agg(json_build_object('table', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
               'owner', quote_ident(pg_get_userbyid(c.relowner)), 'mode', t.tgenabled::text)
               ORDER BY ancestry.ancestor <> t.tgrelid, n.nspname, c.relname)::text AS places,
           bool_or((t.tgtype & 3) = 3) AS may_suppress_rows, bool_or((t.tgtype & 8) <> 0) AS on_delete,
           bool_or((t.tgtype & 16) <> 0) AS on_update, bool_or((t.tgtype & 4) <> 0) AS on_insert,
           bool_or(t.tgdeferrable) AS is_deferrable
    FROM pg_trigger t
    JOIN ancestry ON ancestry.relation = t.tgrelid
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & 28) <> 0
      AND ((t.tgtype & 1) = 1 OR ancestry.ancestor = t.tgrelid)
    GROUP BY ancestry.ancestor, t.tgname, p.proname
    ORDER BY t.tgname
""")
