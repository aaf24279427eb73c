"""The configuration file: what is accepted, what it becomes, and what its author is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Config, TlsMode, load_config
from gateway.config.settings import Durability
from gateway.domain.decision import Effect
from gateway.domain.literals import Literals
from gateway.domain.resource import UpstreamTlsMode
from gateway.errors import ConfigurationError

DESIGN = """\
listeners: {postgres: "127.0.0.1:6432", mysql: "127.0.0.1:6033", mongodb: "127.0.0.1:27018"}
admin_api: "127.0.0.1:8080"
data_dir: ./data
tls: {certificate: gw.pem, key: gw.key}      # left out: a self-signed pair is made in data_dir
resources:
  - name: shop-prod
    protocol: postgres
    address: 127.0.0.1:5432
    database: shop
    credentials: {username: gateway, password: {env: SHOP_PASSWORD}}
    tls: {mode: verify-full, ca: ca.pem}
    environment: production
    labels: {team: shop}
principals:
  - {name: ana@example.com, kind: human, groups: [analysts], token: {env: ANA_TOKEN}}
  - {name: copilot, kind: agent, groups: [agents], acts_for: ana@example.com, token: {env: COPILOT_TOKEN}}
classifications:
  - {resource: shop-prod, label: pii.email, columns: [public.customers.email, public.staff.home_email]}
  - {resource: crm-prod, label: pii.contact, paths: [shop.customers.contact.email]}      # database.collection.path
policies:
  - name: readers-may-read
    effect: allow
    match: {groups: [analysts, agents], actions: [read]}
  - name: mask-pii
    effect: mask
    match: {labels: ["pii.*"], except_groups: [support]}
    mask: {function: redact}
  - name: no-destruction-in-production
    effect: deny
    match: {environments: [production], actions: [drop, truncate]}
    message: destructive statements are not allowed in production
  - name: no-write-without-where
    effect: deny
    match: {actions: [update, delete], when: "!statement.has_predicate"}
  - name: schema-change-needs-a-human
    effect: require_approval
    match: {environments: [production], actions: [ddl]}
    approval: {approvers: [dba], timeout: 10m}
audit: {durability: {write: before_forward, read: buffered}, literals: keep, sinks: [{type: file}]}
"""
ENVIRON = {"SHOP_PASSWORD": "p" * 24, "ANA_TOKEN": "a" * 32, "COPILOT_TOKEN": "c" * 32}
PROTOCOLS = frozenset({"postgres", "mysql", "mongodb"})
Load = Callable[[str], Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    for name in ("gw.pem", "gw.key", "ca.pem", "jwks.json"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)

    def load_text(text: str) -> Config:
        (tmp_path / "querygate.yaml").write_text(text)
        return load_config(tmp_path / "querygate.yaml", environ=ENVIRON, protocols=PROTOCOLS)

    return load_text


def complaints(load: Load, text: str) -> list[str]:
    """The errors without the folder in front: ``line: key: message``."""
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    lines = str(caught.value).splitlines()
    assert all("querygate.yaml:" in line for line in lines)
    return [line.split("querygate.yaml:", 1)[1] for line in lines]


def changed(old: str, new: str) -> str:
    assert old in DESIGN
    return DESIGN.replace(old, new)


# --- the documented file ---------------------------------------------------------------------------------------------


def test_the_documented_file_is_accepted(load: Load, tmp_path: Path) -> None:
    config = load(DESIGN)
    assert config.listeners["mongodb"] == ("127.0.0.1", 27018)
    assert config.admin_api == ("127.0.0.1", 8080)
    assert config.data_dir == tmp_path / "data"
    assert (config.tls.mode, config.tls.certificate) == (TlsMode.FILES, tmp_path / "gw.pem")
    shop = config.resources["shop-prod"]
    assert (shop.host, shop.port, shop.database, shop.environment) == ("127.0.0.1", 5432, "shop", "production")
    assert (shop.tls.mode, shop.tls.ca) == (UpstreamTlsMode.VERIFY_FULL, tmp_path / "ca.pem")
    assert config.credentials["shop-prod"].password == ENVIRON["SHOP_PASSWORD"]
    copilot = config.principals["copilot"]
    assert [principal.name for principal in copilot.chain()] == ["copilot", "ana@example.com"]
    assert {token.principal.name for token in config.tokens} == {"ana@example.com", "copilot"}
    assert len(config.classifications) == 3
    assert [policy.effect for policy in config.policies.policies][:2] == [Effect.ALLOW, Effect.MASK]
    assert config.audit.durability.write is Durability.BEFORE_FORWARD
    assert config.audit.literals_of("shop-prod", None) is Literals.KEEP
    assert [sink.type for sink in config.audit.sinks] == ["file"]
    assert config.plugins.enabled is None


LITERALS = """\
audit:
  literals: {default: keep, labels: {"pii.*": hash, pii.email: drop}}"""


def test_literals_by_label_the_strictest_wins(load: Load) -> None:
    config = load(
        changed("audit: {durability: {write: before_forward, read: buffered}, literals: keep,", LITERALS + "\n#")
    )

    def kept(*labels: str) -> Literals:
        return config.audit.literals_of("shop-prod", labels)

    assert [kept(), kept("team"), kept("pii.phone"), kept("PII.phone")] == ["keep", "keep", "hash", "hash"]
    assert [kept("pii.email"), kept("pii.phone", "pii.email", "team")] == ["drop", "drop"]
    assert config.audit.literals_of("shop-prod", None) is Literals.DROP
    assert config.audit.strictest_literals() is Literals.DROP


@pytest.mark.parametrize(
    ("own", "nothing", "phone", "email", "unknown"),
    [
        ("hash", "hash", "hash", "drop", "drop"),
        ("{labels: {pii.email: keep}}", "keep", "hash", "keep", "drop"),
        ("{default: drop}", "drop", "drop", "drop", "drop"),
        ("{labels: {other: drop}}", "keep", "hash", "drop", "drop"),
    ],
)
def test_a_resource_has_its_own_literals(
    load: Load, own: str, nothing: str, phone: str, email: str, unknown: str
) -> None:
    text = changed("audit: {durability: {write: before_forward, read: buffered}, literals: keep,", LITERALS + "\n#")
    config = load(
        text.replace("    labels: {team: shop}", f"    labels: {{team: shop}}\n    audit: {{literals: {own}}}")
    )
    asked: list[tuple[str, ...] | None] = [(), ("pii.phone",), ("pii.email",), None]
    found = [config.audit.literals_of("shop-prod", labels) for labels in asked]
    assert found == [nothing, phone, email, unknown]
    assert config.audit.literals_of("crm-prod", ("pii.email",)) is Literals.DROP
    assert config.audit.durability_of("shop-prod").write is Durability.BEFORE_FORWARD


def test_a_label_of_literals_that_nothing_carries_is_pointed_out(load: Load) -> None:
    text = changed("literals: keep", "literals: {labels: {pii.emial: drop}}")
    assert any(
        'audit.literals.labels.pii.emial: no classification has a label like "pii.emial"' in warning
        for warning in load(text).warnings
    )


def test_the_documented_file_has_two_doubtful_places(load: Load) -> None:
    classification, approval = load(DESIGN).warnings
    assert 'querygate.yaml:19: classifications[1].resource: there is no resource "crm-prod"' in classification
    assert "querygate.yaml:35: policies[4]: what it asks an approval for is refused: nobody can decide here" in approval


@pytest.mark.parametrize(
    "approvals",
    [
        'webhooks: [{url: "https://hooks.example", secret: {env: ANA_TOKEN}}]',
        "access: [{group: a, groups: [b], approvers: [c]}]",
    ],
)
def test_approvals_that_nobody_could_decide_are_refused(load: Load, approvals: str) -> None:
    key = approvals.partition(":")[0]
    alone = complaints(load, DESIGN + f"approvals: {{{approvals}}}\n")
    assert any(f"approvals.{key}: nobody can decide here; approvals need admin_api" in line for line in alone)
    control = "control: {url: 'https://control.example', credential: {env: ANA_TOKEN}}\n"
    linked = complaints(load, f"listeners: {{postgres: '127.0.0.1:6432'}}\n{control}approvals: {{{approvals}}}\n")
    assert any(
        f"approvals.{key}: the requests of a linked gateway wait at its control plane" in line for line in linked
    )
    assert load(DESIGN).can_decide is False
    assert load(f"listeners: {{postgres: '127.0.0.1:6432'}}\n{control}").can_decide is True


def test_protocols_are_those_of_installed_plugins(load: Load, tmp_path: Path) -> None:
    load(DESIGN)
    config = load_config(tmp_path / "querygate.yaml", environ=ENVIRON)
    assert not any("listeners.mysql" in warning for warning in config.warnings)
    config = load_config(tmp_path / "querygate.yaml", environ=ENVIRON, protocols=frozenset({"postgres"}))
    assert any("listeners.mysql" in warning for warning in config.warnings)
    assert not any("listeners.postgres" in warning for warning in config.warnings)


def test_an_empty_file_is_a_gateway_with_nothing_behind_it(load: Load) -> None:
    config = load("")
    assert not config.listeners
    assert config.tls.mode is TlsMode.SELF_SIGNED
    assert config.tls.certificate is not None
    assert config.tls.certificate.parent == config.data_dir
    assert config.limits.for_protocols().login_timeout == 30.0


def test_the_example_is_accepted_without_a_word() -> None:
    names = [
        "SHOP_PASSWORD",
        "SHOP_STAGING_PASSWORD",
        "WEBSHOP_PASSWORD",
        "ANA_TOKEN",
        "SAM_TOKEN",
        "DORA_TOKEN",
        "COPILOT_TOKEN",
    ]
    example = Path(__file__).parents[3] / "examples" / "querygate.yaml"
    config = load_config(example, environ={name: name * 3 for name in names}, protocols=PROTOCOLS)
    assert config.warnings == ()
    assert "read-only-agents" in config.policies.by_name


def test_nothing_shows_a_secret(load: Load) -> None:
    shown = repr(load(DESIGN))
    for secret in ENVIRON.values():
        assert secret not in shown


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("    address: 127", "    adress: 127", 'resources[0].adress: unknown key; did you mean "address"?'),
        ("admin_api:", "admin_ip:", 'admin_ip: unknown key; did you mean "admin_api"?'),
        ("kind: agent", "kind: robot", "principals[1].kind: Input should be 'human', 'service' or 'agent'"),
        ("127.0.0.1:5432", "127.0.0.1", 'resources[0].address: not an address; write "host:port"'),
        ("127.0.0.1:5432", "::1:5432", "resources[0].address: not an address"),
        ("timeout: 10m", "timeout: 10", "policies[4].approval.timeout: not a duration"),
        ("[drop, truncate]", "[dorp]", 'policies[2].match.actions[0]: unknown action "dorp"; did you mean "drop"?'),
        (
            "statement.has_predicate",
            "statement.has_predicat",
            "policies[3].match.when: unknown name 'statement.has_predicat'; did you mean \"statement.has_predicate\"?",
        ),
        ("{env: ANA_TOKEN}", "{env: AN_TOKEN}", "principals[0].token: environment variable AN_TOKEN is not set"),
        ("{env: ANA_TOKEN}", "{environ: X}", "principals[0].token: write {env: NAME}, {file: path}"),
        ("ca: ca.pem", "ca: no.pem", "resources[0].tls.ca: cannot read"),
        ("gw.key", "no.key", "tls.key: cannot read"),
        (", key: gw.key", "", 'tls: the key "key" is missing'),
        (
            "acts_for: ana@",
            "acts_for: anna@",
            'principals[1].acts_for: there is no principal "anna@example.com"; did you mean "ana@example.com"?',
        ),
        ("acts_for: ana@example.com", "acts_for: copilot", "principals[1].acts_for: principals act for each other"),
        ("kind: agent", "kind: human", "principals[1].acts_for: a human acts for nobody else"),
        (
            "{environments: [production], actions: [ddl]}",
            "{resources: [shop-prd]}",
            'policies[4].match.resources[0]: there is no resource "shop-prd"; did you mean "shop-prod"?',
        ),
        ("name: copilot", "name: ana@example.com", 'principals[1].name: "ana@example.com" is there twice'),
        (
            "name: mask-pii",
            "name: readers-may-read",
            'policies[1].name: another policy is called "readers-may-read" too',
        ),
        ("effect: mask", "effect: deny", None),
        (
            "public.staff.home_email",
            "home_email",
            'classifications[0].columns[1]: "home_email" is not of the form schema.table.column',
        ),
        ("127.0.0.1:6033", "127.0.0.1:6432", "listeners.mysql: the address is taken by listeners.postgres already"),
        ("admin_api:", "listeners: {}\nadmin_api:", "listeners: the key is there twice, first on line 1"),
        ("data_dir: ./data", "yes: ./data", "yes: YAML reads this key as something else; put it in quotes"),
        ("data_dir: ./data", "data_dir: !!python/name:os.system x", "data_dir: not a plain value"),
        ("data_dir: ./data", 'data_dir: "a" b', "not valid YAML"),
        ("literals: keep", "literals: some", "audit.literals.default: Input should be 'keep', 'hash' or 'drop'"),
        ("name: shop-prod", "name: shop/prod", "resources[0].name: a resource's name has letters"),
        ("name: copilot", 'name: "co#pilot"', "principals[1].name: a principal's name has no"),
    ],
)
def test_an_error_names_line_and_key(load: Load, old: str, new: str, complaint: str | None) -> None:
    line = DESIGN[: DESIGN.index(old)].count("\n") + 1
    found = complaints(load, changed(old, new))
    if complaint is None:
        # The section that no longer fits stands two lines further down.
        line, complaint = line + 2, 'policies[1].mask: only a policy with effect "mask" has a "mask" section'
    assert any(item.startswith(f"{line}: {complaint}") for item in found), found


def test_a_missing_key_is_named_where_it_should_be(load: Load) -> None:
    assert complaints(load, changed("    protocol: postgres\n", "")) == [
        '6: resources[0]: the key "protocol" is missing'
    ]


def test_all_errors_are_told_at_once(load: Load) -> None:
    text = DESIGN.replace("adress", "x").replace("    address: 127", "    adress: 127").replace("ANA_TOKEN", "A_TOKEN")
    text = text.replace("statement.has_predicate", "statement.nope").replace("actions: [read]", "actions: [reed]")
    text = text.replace("data_dir: ./data", "data_dir: ./data\ndata_dir: ./data")
    found = complaints(load, text)
    lines = [int(line.split(":")[0]) for line in found]
    assert lines == sorted(lines)
    for part in ("data_dir", "adress", "A_TOKEN", "statement.nope", '"reed"'):
        assert sum(part in line for line in found) >= 1, part


def test_a_refused_secret_is_not_repeated(load: Load) -> None:
    for wrong in ("{password: hunter2hunter2}", "[hunter2hunter2]", "{verifier: hunter2hunter2}"):
        found = complaints(load, changed("token: {env: ANA_TOKEN}", f"token: {wrong}"))
        assert "hunter2" not in "".join(found)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.yaml: cannot be read"):
        load_config(tmp_path / "missing.yaml", environ={})


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"a: \x00",
        b"[" * 100_000,
        b"- " * 50_000,
        b"a: &a [*a]",
        b"a: &x {b: 1}\nc: {<<: *x}",
        b"? [a]\n: 1",
        b"- 1",
        b"just text",
        b"12: 1",
        b"a: 2026-99-99",
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"b%d: &b%d [%s]\n" % (i, i, b",".join([b"*b%d" % (i - 1) if i else b"*a"] * 9)) for i in range(9)),
    ],
    ids=["utf16", "nul", "deep", "deep2", "loop", "merge", "complex", "list", "text", "number", "date", "bomb"],
)
def test_broken_files_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "querygate.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"querygate\.yaml:\d+: "):
        load_config(path, environ={})


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_from_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * 30 + "\n")
    config = load(changed("{env: ANA_TOKEN}", "{file: token}"))
    secrets = [token.secret.reveal() for token in config.tokens if token.secret is not None]
    assert "t" * 30 in secrets


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"a\0b"])
def test_a_secret_file_that_cannot_be_right(load: Load, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    (found,) = complaints(load, changed("{env: ANA_TOKEN}", "{file: token}"))
    assert found.startswith("15: principals[0].token: ")


def test_a_secret_in_the_file_itself_is_warned_about(load: Load) -> None:
    config = load(changed("{env: SHOP_PASSWORD}", "written-down"))
    assert config.credentials["shop-prod"].password == "written-down"
    assert any("resources[0].credentials.password: a secret stands in the file" in line for line in config.warnings)


def test_a_short_token_is_warned_about(load: Load) -> None:
    assert any("shorter than" in line for line in load(changed("{env: ANA_TOKEN}", '"short"')).warnings)


def test_a_verifier_instead_of_a_token(load: Load) -> None:
    text = "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$" + "A" * 43 + "=:" + "B" * 42 + "A="
    config = load(changed("token: {env: ANA_TOKEN}", f'token: {{verifier: "{text}"}}, expires: 2030-01-01T00:00:00Z'))
    (token,) = [token for token in config.tokens if token.scram is not None]
    assert token.secret is None
    assert token.scram is not None
    assert (token.scram.salt, token.scram.iterations) == (b"saltsalt", 4096)
    assert token.expires_at == 1893456000.0


# --- the rest of the sections ----------------------------------------------------------------------------------------


def test_plaintext_must_be_asked_for(load: Load) -> None:
    config = load(changed("tls: {certificate: gw.pem, key: gw.key}", "tls: {mode: disable}"))
    assert config.tls.mode is TlsMode.DISABLE
    assert config.tls.certificate is None
    open_to_all = changed("tls: {certificate: gw.pem, key: gw.key}", "tls: {mode: disable}").replace(
        "127.0.0.1:6432", "0.0.0.0:6432"
    )
    assert any("TLS is disabled" in line for line in load(open_to_all).warnings)


def test_a_key_that_others_can_read_is_warned_about(load: Load, tmp_path: Path) -> None:
    load(DESIGN)
    os.chmod(tmp_path / "gw.key", 0o644)
    config = load_config(tmp_path / "querygate.yaml", environ=ENVIRON, protocols=PROTOCOLS)
    assert any("tls.key" in line and "others" in line for line in config.warnings)


def test_a_resource_with_everything(load: Load) -> None:
    config = load(
        changed(
            "    environment: production\n",
            "    environment: production\n    listen: '[::1]:6500'\n"
            "    parameters: {application_name: gateway}\n    audit: {durability: {read: before_forward}}\n",
        )
    )
    assert config.resources["shop-prod"].listen == ("::1", 6500)
    assert config.parameters["shop-prod"]["application_name"] == "gateway"
    assert config.audit.durability_of("shop-prod").read is Durability.BEFORE_FORWARD
    assert config.audit.durability_of("other").read is Durability.BUFFERED


def test_bearer_tokens(load: Load, tmp_path: Path) -> None:
    text = changed("token: {env: ANA_TOKEN}", "bearer: true") + (
        "identity:\n  jwt:\n    - {issuer: https://id.example.com, audience: querygate, algorithms: [ES256], "
        "jwks: {file: jwks.json}, username_claim: email, groups_claim: groups}\n"
    )
    config = load(text)
    (issuer,) = config.jwt
    assert (issuer.jwks, issuer.username_claim, issuer.groups_claim) == (tmp_path / "jwks.json", "email", "groups")
    assert config.bearers == {"ana@example.com"}
    symmetric = complaints(load, text.replace("ES256", "HS256"))
    assert any("identity.jwt[0].algorithms[0]" in line for line in symmetric)
    assert any("no issuer" in line for line in load(changed("token: {env: ANA_TOKEN}", "bearer: true")).warnings)


def test_sinks_have_options_of_their_own(load: Load) -> None:
    config = load(
        changed(
            "sinks: [{type: file}]",
            "max_bytes: 10GiB, min_free: 1GiB, sinks: [{type: webhook, url: 'https://log.example.com', "
            "token: {env: ANA_TOKEN}, headers: {x: {env: SHOP_PASSWORD}}, batch: 100}]",
        )
    )
    (sink,) = config.audit.sinks
    assert sink.options["batch"] == 100
    assert ENVIRON["ANA_TOKEN"] not in repr(sink)
    assert sink.options["token"].reveal() == ENVIRON["ANA_TOKEN"]  # type: ignore[attr-defined]
    assert (config.audit.max_bytes, config.audit.min_free) == (10 * 2**30, 2**30)


def test_limits_with_units(load: Load) -> None:
    limits = load(
        DESIGN + "limits: {max_message: 64MiB, login_timeout: 500ms, idle_timeout: 1h, max_sessions: 5}\n"
    ).limits
    assert (limits.max_message, limits.login_timeout, limits.idle_timeout, limits.max_sessions) == (
        64 * 2**20, 0.5, 3600.0, 5,
    )  # fmt: skip
    last = DESIGN.count("\n") + 1
    assert complaints(load, DESIGN + "limits: {max_sessions: 0}\n")[0].startswith(f"{last}: limits.max_sessions: ")
    assert load(DESIGN + "limits: {idle_timeout: 0}\n").limits.idle_timeout is None


def test_words_that_occur_nowhere_else_are_pointed_out(load: Load) -> None:
    misspelt = changed("{environments: [production], actions: [drop, truncate]}", "{environments: [prodution]}")
    assert any('"prodution"; did you mean "production"?' in line for line in load(misspelt).warnings)
    assert any('label like "pio.*"' in line for line in load(changed('"pii.*"', '"pio.*"')).warnings)
    assert any("protocol" in line for line in load(changed("protocol: postgres", "protocol: postgre")).warnings)


def test_ready_policies_are_taken_in_by_name(load: Load) -> None:
    assert "mask-pii" in load("policy_library: [mask-pii]\n").policies.by_name
    (found,) = complaints(load, "policy_library: [mask-pi]\n")
    assert found.startswith('1: policy_library[0]: there is no ready policy "mask-pi"; did you mean "mask-pii"?')
    (twice,) = complaints(load, DESIGN + "policy_library: [mask-pii]\n")
    assert 'another policy is called "mask-pii" too' in twice


def test_a_token_for_some_resources(load: Load) -> None:
    config = load(changed("token: {env: ANA_TOKEN}", "token: {env: ANA_TOKEN}, resources: [shop-prod]"))
    assert frozenset({"shop-prod"}) in {token.resources for token in config.tokens}
    (found,) = complaints(load, changed("token: {env: ANA_TOKEN}", "token: {env: ANA_TOKEN}, resources: [shop]"))
    assert found.startswith('15: principals[0].resources[0]: there is no resource "shop"')
