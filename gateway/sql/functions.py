"""Which of PostgreSQL's builtin functions are pure: what they return is computed from their arguments and settings.

An allow-list, kept by hand: a function that is not here may return anything the server can reach. Names of functions
that only look at the schema (``format_type``, ``pg_get_expr``) are here, since they show no stored values.
"""

from __future__ import annotations

from enum import StrEnum

SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})


class Purity(StrEnum):
    """What is known of a function by its name."""

    PURE = "pure"
    """The result is computed from the arguments."""
    COUNT = "count"
    """The result tells how many rows there are, nothing of their values."""
    UNKNOWN = "unknown"


KEYWORD_FUNCTIONS = frozenset(
    """coalesce greatest least nullif row grouping extract trim position normalize current_date current_time
    current_timestamp localtime localtimestamp current_user session_user user current_role current_catalog
    current_schema xmlconcat xmlelement xmlforest xmlattributes merge_action""".split()
)
"""Names that are syntax where they are not quoted, so that no function of a user can take their place."""

_COUNTS = "count row_number rank dense_rank percent_rank cume_dist ntile grouping regr_count"

_TEXT = """
ascii bit_length btrim casefold char_length character_length chr concat concat_ws convert convert_from convert_to decode
encode format initcap length like notlike lower lpad ltrim md5 normalize octet_length overlay parse_ident position
quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches
regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse rpad rtrim split_part
starts_with string_to_array string_to_table strpos substr substring textcat to_ascii to_bin to_hex to_oct translate trim
unicode_assigned unistr upper left right sha224 sha256 sha384 sha512 crc32 crc32c get_bit get_byte set_bit set_byte
bit_count texteq textne bpchar text varchar name char
"""
_NUMBERS = """
abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd degrees div
erf erfc exp factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod pi power pow radians random random_normal
round scale sign sin sind sinh sqrt tan tand tanh trim_scale trunc width_bucket numeric float4 float8 int2 int4 int8
hashtext hashint4 hashint8 money bool
"""
_TIMES = """
age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days justify_hours
justify_interval make_date make_interval make_time make_timestamp make_timestamptz now statement_timestamp timeofday
timezone to_char to_date to_number to_timestamp transaction_timestamp date timestamp timestamptz time timetz interval
"""
_ARRAYS_AND_RANGES = """
array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_string array_upper
cardinality trim_array unnest generate_series generate_subscripts array_to_json isempty lower_inc lower_inf upper_inc
upper_inf range_merge multirange int4range int8range numrange tsrange tstzrange daterange int4multirange int8multirange
nummultirange tsmultirange tstzmultirange datemultirange row
"""
_JSON = """
json_agg json_agg_strict json_array_elements json_array_elements_text json_array_length json_build_array
json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object json_object_agg
json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict json_object_keys json_populate_record
json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_agg jsonb_agg_strict
jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg
jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_agg_unique_strict jsonb_object_keys jsonb_path_exists
jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record
jsonb_populate_recordset jsonb_populate_record_valid jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb json_scalar
"""
_AGGREGATES_AND_WINDOWS = """
any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr covar_pop covar_samp every max min mode
percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy regr_intercept regr_r2 regr_slope
regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance xmlagg first_value
last_value lag lead nth_value
"""
_OTHER_TYPES = """
abbrev broadcast family host hostmask inet_merge inet_same_family masklen netmask network set_masklen text
macaddr8_set7bit
area box center circle diagonal diameter height isclosed isopen isparallel isperp isvertical ishorizontal line lseg
npoints path pclose point polygon popen radius slope width bound_box
enum_first enum_last enum_range
array_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery to_tsvector
json_to_tsvector jsonb_to_tsvector ts_delete ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array
websearch_to_tsquery ts_debug ts_parse ts_token_type
gen_random_uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7
xml xmlattributes xmlcomment xmlconcat xmlelement xmlforest xmlroot xpath xpath_exists xml_is_well_formed
xml_is_well_formed_content
xml_is_well_formed_document
bytea cidr macaddr macaddr8 bit varbit xid pg_lsn is_normalized jsonb_delete jsonb_delete_path jsonb_exists
jsonb_exists_all jsonb_exists_any hashtextextended get_current_ts_config ts_lexize xmltext pg_input_is_valid
num_nonnulls num_nulls pg_typeof pg_basetype coalesce greatest least nullif merge_action hash_array
"""
_SESSION = """
current_catalog current_date current_database current_query current_role current_schema current_schemas current_time
current_timestamp current_user inet_client_addr inet_client_port inet_server_addr inet_server_port localtime
localtimestamp pg_backend_pid pg_blocking_pids pg_conf_load_time pg_current_logfile pg_is_in_recovery
pg_is_wal_replay_paused pg_jit_available pg_my_temp_schema pg_is_other_temp_schema pg_postmaster_start_time
pg_current_xact_id pg_current_xact_id_if_assigned pg_current_snapshot pg_current_wal_lsn pg_last_wal_replay_lsn
pg_last_wal_receive_lsn pg_last_xact_replay_timestamp pg_trigger_depth session_user system_user txid_current
txid_current_if_assigned txid_current_snapshot txid_snapshot_xmin txid_snapshot_xmax txid_status user version
pg_show_all_settings pg_safe_snapshot_blocking_pids pg_wal_lsn_diff pg_sleep pg_sleep_for pg_sleep_until
pg_encoding_to_char pg_char_to_encoding pg_client_encoding getdatabaseencoding pg_size_pretty
pg_size_bytes pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all
pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock
pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared setseed
"""
_SCHEMA = """
col_description format_type has_any_column_privilege has_column_privilege has_database_privilege
has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege has_parameter_privilege
has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege
has_type_privilege obj_description pg_collation_is_visible pg_collation_for pg_conversion_is_visible
pg_column_compression pg_column_is_updatable pg_relation_is_updatable pg_relation_is_publishable pg_column_size
pg_database_collation_actual_version pg_collation_actual_version pg_database_size pg_describe_object
pg_function_is_visible pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr pg_get_function_arg_default
pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result pg_get_function_sqlbody
pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_object_address pg_get_partition_constraintdef
pg_get_partkeydef pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_userbyid pg_get_viewdef
pg_get_publication_tables pg_has_role pg_identify_object pg_identify_object_as_address pg_index_column_has_property
pg_index_has_property pg_indexam_has_property pg_indexes_size pg_indexam_progress_phasename pg_opclass_is_visible
pg_operator_is_visible pg_opfamily_is_visible pg_options_to_table pg_partition_ancestors pg_partition_root
pg_partition_tree pg_relation_filenode pg_relation_filepath pg_relation_size pg_sequence_parameters
pg_statistics_obj_is_visible pg_table_is_visible pg_table_size pg_tablespace_databases pg_tablespace_location
pg_tablespace_size pg_total_relation_size pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible
pg_ts_template_is_visible pg_type_is_visible row_security_active shobj_description to_regclass to_regcollation
to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_regtypemod regclass
oid aclexplode acldefault makeaclitem aclcontains _pg_char_max_length _pg_char_octet_length
_pg_datetime_precision _pg_expandarray _pg_index_position _pg_interval_type _pg_numeric_precision
_pg_numeric_precision_radix _pg_numeric_scale _pg_truetypid _pg_truetypmod pg_available_extensions
pg_stat_get_last_vacuum_time
pg_stat_get_last_autovacuum_time pg_stat_get_last_analyze_time pg_stat_get_last_autoanalyze_time
pg_stat_get_live_tuples pg_stat_get_dead_tuples pg_stat_get_numscans pg_stat_get_tuples_returned
pg_stat_get_tuples_inserted pg_stat_get_tuples_updated pg_stat_get_tuples_deleted pg_timezone_abbrevs
pg_timezone_names
"""
_SEQUENCES = "nextval currval lastval setval pg_sequence_last_value"
"""Numbers from counters: writes to a sequence, but shows no column."""

PURE: frozenset[str] = frozenset(
    " ".join(
        (
            _TEXT,
            _NUMBERS,
            _TIMES,
            _ARRAYS_AND_RANGES,
            _JSON,
            _AGGREGATES_AND_WINDOWS,
            _OTHER_TYPES,
            _SESSION,
            _SCHEMA,
            _SEQUENCES,
        )
    ).split()
)
COUNTS: frozenset[str] = frozenset(_COUNTS.split())

KEEPERS = frozenset(
    """setval setseed pg_advisory_lock pg_advisory_lock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock
    pg_try_advisory_xact_lock_shared""".split()
)
"""Functions that keep an argument where somebody else can read it: in a sequence, in the list of locks."""

TRUSTED_EXTENSIONS = frozenset(
    """btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto seg
    unaccent uuid-ossp vector""".split()
)
"""Extensions all of whose functions, operators and casts are pure. tablefunc and xml2 run SQL given as text."""


def builtin(name: str) -> Purity:
    """What is known of the builtin function ``name``."""
    if name in COUNTS:
        return Purity.COUNT
    return Purity.PURE if name in PURE else Purity.UNKNOWN


HARMLESS_RELATIONS = frozenset(
    """pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_available_extension_versions
    pg_available_extensions pg_cast pg_class pg_collation pg_constraint pg_conversion pg_database pg_db_role_setting
    pg_default_acl pg_depend pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper
    pg_foreign_server pg_foreign_table pg_group pg_index pg_indexes pg_inherits pg_init_privs pg_language
    pg_largeobject_metadata pg_locks pg_matviews pg_namespace pg_opclass pg_operator pg_opfamily pg_parameter_acl
    pg_partitioned_table pg_policies pg_policy pg_proc pg_publication pg_publication_namespace pg_publication_rel
    pg_publication_tables pg_range pg_rewrite pg_roles pg_rules pg_sequence pg_sequences pg_settings pg_shdepend
    pg_shdescription pg_statistic_ext pg_stat_all_indexes pg_stat_all_tables pg_stat_bgwriter pg_stat_database
    pg_stat_gssapi pg_stat_sys_indexes pg_stat_sys_tables pg_stat_user_functions pg_stat_user_indexes
    pg_stat_user_tables pg_statio_all_indexes pg_statio_all_sequences pg_statio_all_tables pg_statio_user_indexes
    pg_statio_user_sequences pg_statio_user_tables pg_subscription pg_subscription_rel pg_tables pg_tablespace
    pg_timezone_abbrevs pg_timezone_names pg_transform pg_trigger pg_ts_config pg_ts_config_map pg_ts_dict
    pg_ts_parser pg_ts_template pg_type pg_user pg_user_mapping pg_user_mappings pg_views""".split()
)
"""Relations of pg_catalog that show the schema and counters. The others show stored values (pg_stats), other people's
statements (pg_stat_activity), or secrets (pg_authid)."""

LEAKY_SYSTEM_COLUMNS = frozenset(
    {
        ("pg_attribute", "attmissingval"),
        ("pg_subscription", "subconninfo"),
        ("pg_user_mapping", "umoptions"),
        ("pg_user_mappings", "umoptions"),
    }
)
"""Columns of harmless relations that hold stored values, or passwords."""

FUNCTION_COLUMNS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("json_array_elements", "json_array_elements_text"), ("value",)),
    **dict.fromkeys(("jsonb_array_elements", "jsonb_array_elements_text"), ("value",)),
    **dict.fromkeys(("json_each", "json_each_text", "jsonb_each", "jsonb_each_text"), ("key", "value")),
    "aclexplode": ("grantor", "grantee", "privilege_type", "is_grantable"),
    "pg_get_keywords": ("word", "catcode", "barelabel", "catdesc", "baredesc"),
    "pg_options_to_table": ("option_name", "option_value"),
    "_pg_expandarray": ("x", "n"),
    "pg_partition_tree": ("relid", "parentrelid", "isleaf", "level"),
    "pg_partition_ancestors": ("relid",),
    "pg_sequence_parameters": (
        *("start_value", "minimum_value", "maximum_value", "increment", "cycle_option", "cache_size", "data_type"),
    ),
    "pg_available_extensions": ("name", "default_version", "comment"),
    "pg_show_all_settings": (
        *("name", "setting", "unit", "category", "short_desc", "extra_desc", "context", "vartype", "source"),
        *("min_val", "max_val", "enumvals", "boot_val", "reset_val", "sourcefile", "sourceline", "pending_restart"),
    ),
    "pg_timezone_names": ("name", "abbrev", "utc_offset", "is_dst"),
    "ts_parse": ("tokid", "token"),
    "ts_token_type": ("tokid", "alias", "description"),
}
"""The result columns of functions in FROM that have names of their own."""

COMPOSITE_FIELDS = frozenset({"x", "n"})
"""Fields of ``_pg_expandarray``'s result, which JDBC drivers take apart; other results are listed in FROM."""

SCALAR_SET_FUNCTIONS = frozenset(
    """generate_series generate_subscripts regexp_matches regexp_split_to_table string_to_table json_object_keys
    jsonb_object_keys jsonb_path_query unnest""".split()
)
"""Functions in FROM whose one column is called like the alias (unnest can have others)."""

SET_RETURNING = (
    SCALAR_SET_FUNCTIONS
    | frozenset(FUNCTION_COLUMNS)
    | frozenset(
        """json_populate_recordset jsonb_populate_recordset json_to_recordset jsonb_to_recordset jsonb_path_query_tz
        ts_debug each skeys svals regexp_split_to_table""".split()
    )
)
"""Functions that make as many rows as their arguments say."""

SCALAR_ARRAYS = frozenset(
    """int2vector oidvector _bool _bytea _char _name _int2 _int4 _int8 _text _oid _varchar _bpchar _float4 _float8
    _numeric _date _time _timetz _timestamp _timestamptz _interval _uuid _json _jsonb _inet _cidr _xml _aclitem
    _regclass _regtype _regproc""".split()
)
"""Array types whose elements are no rows."""
