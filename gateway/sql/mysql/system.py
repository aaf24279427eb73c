"""What the system schemas show.

An allow-list: a relation that is not here may show stored values (histograms, InnoDB's pages and full-text indexes),
other people's statements (the process list, the statement history) or secrets (accounts).
"""

from __future__ import annotations

from typing import Final

SYSTEM_SCHEMAS: Final = frozenset({"information_schema", "mysql", "performance_schema", "sys"})

_INFORMATION_SCHEMA: Final = """
administrable_role_authorizations all_plugins applicable_roles character_sets check_constraints client_statistics
collation_character_set_applicability collations column_privileges columns columns_extensions enabled_roles engines
events files geometry_columns global_status global_variables index_statistics innodb_cmp innodb_cmp_per_index
innodb_cmp_per_index_reset innodb_cmp_reset innodb_cmpmem innodb_cmpmem_reset innodb_columns innodb_datafiles
innodb_fields innodb_foreign innodb_foreign_cols innodb_indexes innodb_metrics innodb_session_temp_tablespaces
innodb_sys_columns innodb_sys_fields innodb_sys_foreign innodb_sys_foreign_cols innodb_sys_indexes innodb_sys_tables
innodb_sys_tablespaces innodb_sys_tablestats innodb_sys_virtual innodb_tables innodb_tablespaces
innodb_tablespaces_brief innodb_tablespaces_encryption innodb_tablestats innodb_trx innodb_virtual key_caches
key_column_usage keywords optimizer_costs parameters partitions periods plugins processlist profiling
referential_constraints resource_groups role_column_grants role_routine_grants role_table_grants routines
schema_privileges schemata schemata_extensions sequences session_status session_variables spatial_ref_sys sql_functions
st_geometry_columns st_spatial_reference_systems st_units_of_measure statistics system_variables table_constraints
table_constraints_extensions table_privileges table_statistics tables tables_extensions tablespaces
tablespaces_extensions thread_pool_groups thread_pool_queues thread_pool_stats thread_pool_waits triggers
user_attributes user_privileges user_statistics view_routine_usage view_table_usage views
"""
_MYSQL: Final = """
event func gtid_slave_pos help_category help_keyword help_relation help_topic index_stats innodb_index_stats
innodb_table_stats plugin proc procs_priv roles_mapping table_stats tables_priv time_zone time_zone_leap_second
time_zone_name time_zone_transition time_zone_transition_type columns_priv component
"""
_PERFORMANCE_SCHEMA: Final = """
accounts global_status global_variables hosts metadata_locks persisted_variables session_account_connect_attrs
session_connect_attrs session_status session_variables setup_actors setup_consumers setup_instruments setup_objects
setup_timers setup_threads status_by_account status_by_host status_by_thread status_by_user table_handles
table_io_waits_summary_by_index_usage table_io_waits_summary_by_table table_lock_waits_summary_by_table threads users
variables_info file_summary_by_event_name file_summary_by_instance memory_summary_global_by_event_name
events_waits_summary_global_by_event_name performance_timers replication_connection_status replication_group_members
keyring_keys log_status
"""
_SYS: Final = """
version schema_auto_increment_columns schema_index_statistics schema_object_overview schema_redundant_indexes
schema_table_statistics schema_unused_indexes sys_config
"""

HARMLESS: Final = frozenset(
    (schema, name)
    for schema, names in (
        ("information_schema", _INFORMATION_SCHEMA),
        ("mysql", _MYSQL),
        ("performance_schema", _PERFORMANCE_SCHEMA),
        ("sys", _SYS),
    )
    for name in names.split()
)
"""Relations that show the schema and counters."""

LEAKY_COLUMNS: Final = frozenset(
    {
        *(("processlist", name) for name in ("info", "info_binary", "state")),
        *(("threads", name) for name in ("processlist_info", "processlist_state")),
        ("innodb_trx", "trx_query"),
        ("innodb_trx", "trx_operation_state"),
        ("user_attributes", "attribute"),
    }
)
"""Columns of harmless relations that show statements of others."""
