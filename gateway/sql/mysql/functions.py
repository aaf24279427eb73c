"""Which builtin functions are pure: what they return is computed from their arguments and the session's settings.

An allow-list, kept by hand from both manuals: a function that is not here may return anything the server can reach.
"""

from __future__ import annotations

from typing import Final

from gateway.sql.functions import Purity

_COUNTS: Final = "count row_number rank dense_rank percent_rank cume_dist ntile grouping found_rows row_count"

_TEXT: Final = """
ascii bin bit_length char character_length char_length chr concat concat_ws elt export_set field find_in_set format
from_base64 hex insert instr lcase left length lengthb like locate lower lpad ltrim make_set match mid natural_sort_key
not_regexp oct octet_length ord position quote regexp_instr regexp_like regexp_replace regexp_substr repeat replace
reverse right rpad rtrim sformat soundex space strcmp substr substring substring_index to_base64 to_char trim ucase
unhex upper weight_string charset coercibility collation cast convert binary
"""
_NUMBERS: Final = """
abs acos asin atan atan2 bit_count ceil ceiling conv cos cot crc32 crc32c degrees exp floor ln log log10 log2 mod pi
pow power radians rand round sign sin sqrt tan truncate format_bytes format_pico_time greatest least interval
"""
_TIMES: Final = """
add_months adddate addtime convert_tz curdate current_date current_time current_timestamp curtime date date_add
date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear extract from_days from_unixtime get_format hour
last_day localtime localtimestamp makedate maketime microsecond minute month monthname months_between now period_add
period_diff quarter sec_to_time second str_to_date subdate subtime sysdate time time_format time_to_sec timediff
timestamp timestampadd timestampdiff to_days to_seconds unix_timestamp utc_date utc_time utc_timestamp week weekday
weekofyear year yearweek
"""
_CONTROL: Final = "coalesce if ifnull isnull nullif nvl nvl2 decode decode_oracle values value default any_value row"
_JSON: Final = """
json_array json_array_append json_array_insert json_array_intersect json_arrayagg json_compact json_contains
json_contains_path json_depth json_detailed json_equals json_exists json_extract json_insert json_key_value json_keys
json_length json_loose json_merge json_merge_patch json_merge_preserve json_normalize json_object
json_object_filter_keys json_object_to_array json_objectagg json_overlaps json_pretty json_query json_quote json_remove
json_replace json_schema_valid json_schema_validation_report json_search json_set json_storage_free json_storage_size
json_type json_unquote json_valid json_value
"""
_AGGREGATES_AND_WINDOWS: Final = """
avg bit_and bit_or bit_xor first_value group_concat lag last_value lead max median min nth_value percentile_cont
percentile_disc std stddev stddev_pop stddev_samp sum var_pop var_samp variance
"""
_CRYPTO: Final = """
aes_decrypt aes_encrypt compress des_decrypt des_encrypt encode encrypt kdf md5 old_password password random_bytes sha
sha1 sha2 statement_digest statement_digest_text uncompress uncompressed_length validate_password_strength
"""
_OTHER_TYPES: Final = """
bin_to_uuid inet6_aton inet6_ntoa inet_aton inet_ntoa is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid sys_guid
uuid uuid_short uuid_to_bin uuid_v4 uuid_v7 extractvalue updatexml column_add column_check column_create column_delete
column_exists column_get column_json column_list name_const vec_distance vec_distance_cosine vec_distance_euclidean
vec_fromtext vec_totext vector_dim string_to_vector vector_to_string
"""
_SPATIAL: Final = " ".join(
    f"st_{name}"
    for name in """area asbinary asgeojson astext aswkb aswkt boundary buffer buffer_strategy centroid collect
    contains convexhull crosses difference dimension disjoint distance distance_sphere endpoint envelope equals
    exteriorring frechetdistance geohash geomcollfromtext geomcollfromwkb geometryn geometrytype geomfromgeojson
    geomfromtext geomfromwkb hausdorffdistance interiorringn intersection intersects isclosed isempty isring issimple
    isvalid latfromgeohash latitude length linefromtext linefromwkb lineinterpolatepoint longfromgeohash longitude
    makeenvelope mlinefromtext mpointfromtext mpolyfromtext numgeometries numinteriorrings numpoints overlaps
    pointfromgeohash pointfromtext pointfromwkb pointn pointonsurface polyfromtext polyfromwkb relate simplify srid
    startpoint swapxy symdifference touches transform union validate within x y""".split()
)
_MORE_SPATIAL: Final = """
astext aswkt asbinary aswkb geomfromtext geomfromwkb geometrycollection geometrytype linestring mbrcontains mbrequal
mbrequals mbrdisjoint mbrintersects mbroverlaps mbrtouches mbrwithin mbrcoveredby mbrcovers multilinestring multipoint
multipolygon point polygon area centroid envelope glength isclosed isempty numpoints pointn srid startpoint endpoint x y
"""
_SESSION: Final = """
benchmark connection_id current_role current_user database get_lock icu_version is_free_lock is_used_lock
last_insert_id ps_current_thread_id ps_thread_id release_all_locks release_lock roles_graphml schema session_user sleep
system_user user version wsrep_last_seen_gtid wsrep_last_written_gtid master_gtid_wait source_pos_wait
wait_for_executed_gtid_set gtid_subset gtid_subtract
"""
_SEQUENCES: Final = "nextval lastval setval"

PURE: Final = frozenset(
    " ".join(
        (
            *(_TEXT, _NUMBERS, _TIMES, _CONTROL, _JSON, _AGGREGATES_AND_WINDOWS, _CRYPTO, _OTHER_TYPES, _SPATIAL),
            *(_MORE_SPATIAL, _SESSION, _SEQUENCES),
        )
    ).split()
)
COUNTS: Final = frozenset(_COUNTS.split())

KEEPERS: Final = frozenset({"get_lock", "last_insert_id", "setval", "is_used_lock", "is_free_lock"})
"""Functions that keep an argument where it can be read afterwards: as a lock's name, as the last insert's id."""


def builtin(name: str) -> Purity:
    """What is known of the builtin function ``name``."""
    if name in COUNTS:
        return Purity.COUNT
    return Purity.PURE if name in PURE else Purity.UNKNOWN
