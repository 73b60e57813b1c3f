"""Promises about a project's file: no key of its user's goes anywhere new, its own go where it says."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmon.catalog.aws import base_url_of
from kmon.catalog.credential import Credential, host_of, is_allowed_host
from kmon.catalog.keys import credential, wish_of
from kmon.catalog.resolve import resolve_target
from kmon.catalog.trust import UntrustedHostError
from kmon.config import trusted
from kmon.config.sources import Loaded, load_settings
from kmon.errors import UsageError
from kmon.output.targets import list_targets

AWAY = '[targets.together]\nmodel = "m"\nbase_url = "https://elsewhere.example/v1"\n'
HOUSE = '[targets.house]\nmodel = "m"\nbase_url = "https://{host}/v1"\nkey_env = ["{name}"]\n'
BEDROCK = '[targets."bedrock/kimi-k2.5"]\nbase_url = "https://{host}"\n{more}'
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


def held(loaded: Loaded, name: str) -> Credential:
    return credential(resolve_target(loaded.catalog, name), loaded.env, loaded.trust)


def refused(loaded: Loaded, name: str) -> str:
    with pytest.raises(UntrustedHostError) as untrusted:
        held(loaded, name)
    assert "\n" not in str(untrusted.value)
    return str(untrusted.value)


def test_a_key_of_the_users_goes_to_no_host_that_only_a_project_names(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(AWAY)
    loaded = load_settings({}, {"TOGETHER_API_KEY": "k"}, project, user)
    sentence = (
        f"{project / 'kmon.toml'} line 3: a project's file may not send TOGETHER_API_KEY to elsewhere.example; run "
        f"'kmon trust {project}' if you trust that host, or give the target a key_env of its own and set it in .env"
    )
    assert refused(loaded, "together") == sentence
    assert refused(loaded, "together/any-model") == sentence


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "DATABASE_URL", "ANTHROPIC_API_KEY", "MINE", "AWS_SECRET_ACCESS_KEY"])
def test_a_variable_without_a_target_of_kmons_own_is_the_users_as_well(name: str, project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(HOUSE.format(host="thief.example", name=name))
    loaded = load_settings({}, {name: "k"}, project, user)
    assert f"may not send {name} to thief.example" in refused(loaded, "house")


def test_a_key_is_not_paired_anew_with_a_host_of_kmons_own(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text('[targets.together]\nkey_env = ["GITHUB_TOKEN"]\n')
    loaded = load_settings({}, {"GITHUB_TOKEN": "k"}, project, user)
    assert "line 2: a project's file may not send GITHUB_TOKEN to api.together.ai" in refused(loaded, "together")


def test_a_key_of_the_users_own_file_stays_at_the_host_of_that_file(project: Path, user: Path) -> None:
    (user / "kmon.toml").write_text(HOUSE.format(host="house.example", name="HOUSE_KEY"))
    (project / "kmon.toml").write_text(HOUSE.format(host="thief.example", name="HOUSE_KEY"))
    loaded = load_settings({}, {"HOUSE_KEY": "k"}, project, user)
    assert "may not send HOUSE_KEY to thief.example" in refused(loaded, "house")
    (project / "kmon.toml").write_text(HOUSE.format(host="house.example", name="HOUSE_KEY"))
    assert held(load_settings({}, {"HOUSE_KEY": "k"}, project, user), "house").key == "k"


@pytest.mark.parametrize(
    ("toml", "name", "environ"),
    [
        ('[targets.groq]\nmodel = "m"\n', "groq", {"GROQ_API_KEY": "k"}),
        ('[targets.groq]\nbase_url = "https://api.groq.com/openai/v2"\n', "groq", {"GROQ_API_KEY": "k"}),
        ('[targets.groq]\nbase_url = "https://API.GROQ.com:443/v2"\n', "groq", {"GROQ_API_KEY": "k"}),
        ('[targets.groq]\nbase_url = "http://127.0.0.1:8080/v1"\n', "groq", {"GROQ_API_KEY": "k"}),
        (BEDROCK.format(host="bedrock-runtime.us-west-2.amazonaws.com", more=""), "bedrock/kimi-k2.5", AWS),
        ('[targets.open]\nmodel = "m"\nbase_url = "https://open.example"\n', "open", {}),
    ],
)
def test_a_project_may_send_keys_home_and_ask_without_any(
    toml: str, name: str, environ: Mapping[str, str], project: Path, user: Path
) -> None:
    (project / "kmon.toml").write_text(toml)
    assert set(held(load_settings({}, environ, project, user), name).secrets) <= set(environ.values())


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.groq.com.evil.test",
        "https://api-groq.com",
        "https://api.groq.com:8443",
        "https://evil.test/api.groq.com",
        "https://groq.com",
    ],
)
def test_a_host_that_looks_like_home_is_none(base_url: str, project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(f'[targets.groq]\nbase_url = "{base_url}"\n')
    refused(load_settings({}, {"GROQ_API_KEY": "k"}, project, user), "groq")


def test_a_key_that_the_project_brings_itself_goes_where_the_project_says(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(HOUSE.format(host="house.example", name="HOUSE_KEY"))
    (project / ".env").write_text("HOUSE_KEY=project\n")
    own = held(load_settings({}, {}, project, user), "house")
    assert (own.key, own.hosts) == ("project", ("house.example",))
    refused(
        load_settings({}, {"HOUSE_KEY": "users"}, project, user), "house"
    )  # the real environment wins, and is the user's


def test_a_key_that_kmon_knows_is_the_users_wherever_it_is_set(project: Path, user: Path) -> None:
    """Keys are put into the .env of the directory one works in, and that may be a cloned project's."""
    (project / "kmon.toml").write_text(AWAY)
    (project / ".env").write_text("TOGETHER_API_KEY=users\n")
    refused(load_settings({}, {}, project, user), "together")


def test_an_env_that_is_a_link_out_of_the_project_is_not_the_projects(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(HOUSE.format(host="thief.example", name="SECRET_OF_ANOTHER_FILE"))
    (user / "secrets").write_text("SECRET_OF_ANOTHER_FILE=users\n")
    (project / ".env").symlink_to(user / "secrets")
    refused(load_settings({}, {}, project, user), "house")
    (project / ".env").unlink()
    (project / "env.local").write_text("SECRET_OF_ANOTHER_FILE=projects\n")
    (project / ".env").symlink_to("env.local")
    assert held(load_settings({}, {}, project, user), "house").key == "projects"


def test_the_list_of_targets_says_what_is_not_allowed(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(HOUSE.format(host="house.example", name="HOUSE_KEY"))
    loaded = load_settings({}, {"HOUSE_KEY": "k"}, project, user)
    for as_json, said in ((False, f"not allowed to a project: 'kmon trust {project}'"), (True, '"allowed": false')):
        house = loaded.catalog.targets["house"]
        assert said in list_targets([house], loaded.env, loaded.trust, as_json=as_json)


def test_nothing_of_the_users_signs_for_an_endpoint_that_a_project_names(project: Path, user: Path) -> None:
    """Neither the AWS variables, nor a profile, nor what the AWS client finds by itself when no variable is named."""
    name = "bedrock/kimi-k2.5"
    for more, environ in (
        ("", AWS), ("", {"AWS_PROFILE": "work"}), ("key_env = []\n", {}), ("key_env = []\n", AWS),
        ('key_env = ["GITHUB_TOKEN"]\n', {"GITHUB_TOKEN": "k"}),
        ('key_env = ["AWS_PROFILE"]\n', {"AWS_PROFILE": "work"}),
    ):  # fmt: skip
        (project / "kmon.toml").write_text(BEDROCK.format(host="evil.test", more=more))
        home = {"HOME": str(user)}
        (user / ".aws").mkdir(exist_ok=True)
        (user / ".aws" / "config").write_text("[profile work]\nregion = eu-west-1\n")
        loaded = load_settings({}, environ | home, project, user)
        assert "to evil.test" in refused(loaded, name)
    (project / ".env").write_text("AWS_ACCESS_KEY_ID=a\n")
    refused(load_settings({}, {"AWS_SECRET_ACCESS_KEY": "users", "HOME": str(user)}, project, user), name)


def test_a_project_that_brings_its_own_aws_keys_may_not_use_the_chain(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(BEDROCK.format(host="house.example", more='key_env = ["HOUSE_TOKEN"]\n'))
    (project / ".env").write_text("HOUSE_TOKEN=a\n")
    own = held(load_settings({}, {}, project, user), "bedrock/kimi-k2.5")
    assert (own.by_env, own.chain, own.hosts) == ({"AWS_BEARER_TOKEN_BEDROCK": "a"}, False, ("house.example",))


def test_a_service_of_the_projects_on_this_machine_gets_no_profile(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(BEDROCK.format(host="127.0.0.1:9", more="").replace("https", "http"))
    own = held(load_settings({}, {"AWS_PROFILE": "work"}, project, user), "bedrock/kimi-k2.5")
    assert (own.by_env, own.chain) == ({}, False)


def test_the_users_own_endpoints_may_use_the_chain(project: Path, user: Path) -> None:
    (user / "kmon.toml").write_text(BEDROCK.format(host="vpce.example", more="key_env = []\n"))
    own = held(load_settings({}, {}, project, user), "bedrock/kimi-k2.5")
    assert (own.secrets, own.chain, own.hosts) == ((), True, ("vpce.example",))


def test_a_gateway_that_a_project_names_is_shown_no_device_key(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text('[targets.gateway]\nbase_url = "wss://evil.test"\n')
    assert "may not send kmon's device key to evil.test" in refused(load_settings({}, {}, project, user), "gateway")
    token = {"OPENCLAW_GATEWAY_TOKEN": "t"}
    assert "OPENCLAW_GATEWAY_TOKEN and kmon's device key" in refused(load_settings({}, token, project, user), "gateway")


def test_what_the_user_allowed_is_allowed_to_this_project_and_host_alone(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(HOUSE.format(host="house.example", name="HOUSE_KEY"))
    trusted.allow(user, trusted.name_of(project), ["house.example"])
    assert held(load_settings({}, {"HOUSE_KEY": "k"}, project, user), "house").key == "k"
    other = project.with_name("other")
    other.mkdir()
    (other / "kmon.toml").write_text((project / "kmon.toml").read_text())
    refused(load_settings({}, {"HOUSE_KEY": "k"}, other, user), "house")
    (project / "kmon.toml").write_text(HOUSE.format(host="house.example:8443", name="HOUSE_KEY"))
    refused(load_settings({}, {"HOUSE_KEY": "k"}, project, user), "house")
    assert trusted.revoke(user, trusted.name_of(project)) == ("house.example",)
    (project / "kmon.toml").write_text(HOUSE.format(host="house.example", name="HOUSE_KEY"))
    refused(load_settings({}, {"HOUSE_KEY": "k"}, project, user), "house")


def test_what_was_allowed_is_kept_for_the_user_alone_and_a_broken_file_is_said(user: Path) -> None:
    trusted.allow(user, "/a", ["one.example"])
    trusted.allow(user, "/a", ["two.example"])
    trusted.allow(user, "/b", ["one.example"])
    assert trusted.allowed(user) == {"/a": ["one.example", "two.example"], "/b": ["one.example"]}
    assert (user / trusted.FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert {path.name for path in user.iterdir()} == {trusted.FILE_NAME, f".{trusted.FILE_NAME}.lock"}
    for broken in ("{", "[]", '{"/a": "one.example"}', "\xff"):
        (user / trusted.FILE_NAME).write_bytes(broken.encode("latin-1"))
        with pytest.raises(UsageError, match="is not what 'kmon trust' writes"):
            trusted.allowed(user)


@pytest.mark.parametrize(
    "region", ["evil.test/", "us-east-1.evil.test#", "x@evil.test", "us-east-1\n", "US-EAST-1", "a"]
)
def test_a_region_is_a_regions_name_wherever_it_comes_from(region: str, project: Path, user: Path) -> None:
    (project / ".env").write_text(f'AWS_REGION="{region}"\n')
    loaded = load_settings({}, AWS, project, user)
    if region.strip() == "us-east-1":
        assert held(loaded, "bedrock/kimi-k2.5").by_env["AWS_REGION"] == "us-east-1"
        return
    with pytest.raises(UsageError, match=r"AWS_REGION in \.env is no name of an AWS region"):
        held(loaded, "bedrock/kimi-k2.5")
    with pytest.raises(UsageError, match="is no name of an AWS region"):
        base_url_of(loaded.catalog.targets["bedrock/kimi-k2.5"], {"AWS_DEFAULT_REGION": region})
    (user / ".aws").mkdir()
    (user / ".aws" / "config").write_text(f"[default]\nregion = {region.strip()}\n")
    (project / ".env").unlink()
    with pytest.raises(UsageError, match="the region of the AWS profile is no name of an AWS region"):
        held(load_settings({}, AWS | {"HOME": str(user)}, project, user), "bedrock/kimi-k2.5")


def test_a_projects_env_names_neither_the_home_nor_the_files_of_the_user(project: Path, user: Path) -> None:
    (project / "aws").write_text("[default]\nregion = eu-west-9\n")
    (project / ".aws").mkdir()
    (project / ".aws" / "config").write_text("[default]\nregion = eu-west-9\n")
    (project / ".env").write_text(f"AWS_CONFIG_FILE={project / 'aws'}\nHOME={project}\n")
    loaded = load_settings({}, AWS | {"HOME": str(user)}, project, user)
    assert "AWS_REGION" not in held(loaded, "bedrock/kimi-k2.5").by_env


@pytest.mark.parametrize("host", ["bedrock-runtime.s3.amazonaws.com", "bedrock-runtime.evil.amazonaws.com"])
def test_a_name_that_is_no_regions_makes_no_host_of_aws(host: str, project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(
        f'[targets.b]\nmodel = "m"\nbase_url = "https://{host}"\nkey_env = ["AWS_BEARER_TOKEN_BEDROCK"]\n'
    )
    refused(load_settings({}, {"AWS_BEARER_TOKEN_BEDROCK": "k"}, project, user), "b")


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "X-Forwarded-Host", "Proxy-X"]
)
def test_no_header_of_a_file_says_where_a_request_goes_or_ends(name: str, project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(f'[targets.together]\nheaders = {{ {name} = "evil.test" }}\n')
    with pytest.raises(UsageError, match="says where a request goes or ends, which base_url decides"):
        load_settings({}, {"TOGETHER_API_KEY": "k"}, project, user)


def test_what_passes_a_proxy_goes_to_no_host_that_only_the_project_pairs_with_the_target(
    project: Path, user: Path
) -> None:
    """The project's own word on which key the target takes does not count: a program brings what it has."""
    (project / "kmon.toml").write_text(
        '[targets.openai]\nbase_url = "https://api.together.ai/v1"\nkey_env = ["TOGETHER_API_KEY"]\n'
        '[targets.groq]\nbase_url = "https://api.groq.com/openai/v2"\n'
    )
    loaded = load_settings({}, {}, project, user)
    wish = loaded.trust.passing(resolve_target(loaded.catalog, "openai/any"))
    assert wish is not None and wish.host == "api.together.ai"
    assert loaded.trust.passing(resolve_target(loaded.catalog, "groq")) is None
    assert loaded.trust.passing(resolve_target(loaded.catalog, "together")) is None


def test_what_a_project_wants_is_told_in_full(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(
        '[targets.a]\nmodel = "m"\nbase_url = "https://a.test"\ndialect = "converse"\nauth = "aws"\n'
        '[targets.gateway]\nbase_url = "wss://g.test"\n'
    )
    loaded = load_settings({}, {}, project, user)
    wishes = {name: wish_of(loaded.catalog.targets[name], loaded.trust) for name in ("a", "gateway", "groq")}
    assert wishes["groq"] is None
    assert wishes["a"] is not None and "the AWS credentials of this machine" in wishes["a"].sentence
    assert wishes["gateway"] is not None and "kmon's device key" in wishes["gateway"].sentence
    assert "OPENCLAW_GATEWAY_TOKEN" in wishes["gateway"].sentence


def test_odd_links_and_a_user_without_a_home_are_no_crash(project: Path, user: Path) -> None:
    (project / ".env").symlink_to(".env")
    load_settings({}, {}, project, user)
    (project / ".env").unlink()
    (project / ".env").symlink_to("other")
    (project / "other").symlink_to(".env")
    load_settings({}, {}, project, user)


def test_two_that_allow_at_once_lose_nothing(user: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: trusted.allow(user, "/a", [f"h{n}.example"]), range(24)))
    assert len(trusted.allowed(user)["/a"]) == 24


# -- where a credential is attached ------------------------------------------------------------------------------------


def test_a_credential_is_attached_to_the_hosts_it_was_made_for_alone() -> None:
    key = Credential({"K": "k"}, ("api.example",))
    assert key.authorization("bearer", "https://api.example/v1", proxied=False) == {"Authorization": "Bearer k"}
    assert key.authorization("x-api-key", "https://API.example:443/v1", proxied=True) == {"x-api-key": "k"}
    for url in ("https://evil.example/v1", "https://api.example:444/v1", "https://api.example.evil.test"):
        with pytest.raises(UsageError, match="nothing was sent"):
            key.authorization("bearer", url, proxied=False)
    assert Credential().authorization("bearer", "https://evil.example", proxied=False) == {}


def test_a_key_in_the_clear_goes_to_this_machine_alone_and_past_every_proxy() -> None:
    key = Credential({"K": "k"}, ("127.0.0.1:8000", "api.example"))
    assert key.authorization("bearer", "http://127.0.0.1:8000/v1", proxied=False)
    for url, proxied in (
        ("http://127.0.0.1:8000/v1", True),
        ("http://api.example", False),
        ("ws://api.example", False),
    ):
        with pytest.raises(UsageError, match="for all to read"):
            key.check(url, proxied=proxied)


def test_hosts_are_compared_without_case_default_port_or_region() -> None:
    assert host_of("wss://[::1]:443/x") == "[::1]"
    assert host_of("http://Api.Example:8080") == "api.example:8080"
    assert is_allowed_host("bedrock-runtime.eu-west-1.amazonaws.com", ["bedrock-runtime.{region}.amazonaws.com"])
    assert not is_allowed_host("bedrock-runtime.evil.test/.amazonaws.com", ["bedrock-runtime.{region}.amazonaws.com"])
    assert not is_allowed_host("bedrock-runtimeXeu-west-1.amazonaws.com", ["bedrock-runtime.{region}.amazonaws.com"])
