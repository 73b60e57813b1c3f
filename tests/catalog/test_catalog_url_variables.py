"""Promises about variables in base URLs: a value is a name and nothing more, and no stranger chooses who gets a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmon.catalog.environment import Environment
from kmon.catalog.keys import credential, key_problem, keyed_targets
from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_target
from kmon.catalog.toml_source import parse_toml
from kmon.catalog.trust import Trust, UntrustedHostError
from kmon.catalog.url_variables import google_host
from kmon.commands.proxy import proxy_plan
from kmon.config.sources import Loaded, load_settings
from kmon.doctor.examine import examine
from kmon.errors import UsageError
from kmon.output.targets import list_targets
from kmon.transport.authorities import authorities

KEY = {"AZURE_OPENAI_API_KEY": "k"}
AZURE = KEY | {"AZURE_RESOURCE_NAME": "my-res"}
GOOGLE = {"GOOGLE_OAUTH_ACCESS_TOKEN": "t", "GOOGLE_CLOUD_PROJECT": "my-project"}


def loaded_with(environ: dict[str, str], project: Path, user: Path) -> Loaded:
    return load_settings({}, environ, project, user)


def hosts(loaded: Loaded, name: str) -> tuple[str, ...]:
    return credential(resolve_target(loaded.catalog, name), loaded.env, loaded.trust).hosts


@pytest.mark.parametrize(
    "smuggled",
    [
        "evil.test/", "evil.test#", "evil.test?", "x@evil.test", "evil.test:443", "a.b", "..", "a/b", "%2e", "-a", "a-",
        "a b", "a\tb", "{region}", "\xe9", "\uff45vil", "a" * 64, "a\\b", "a_b", "[::1]", "a\nb", "\u212a", "\u017f",
    ],
)  # fmt: skip
def test_the_name_of_a_resource_cannot_smuggle_anything(smuggled: str, project: Path, user: Path) -> None:
    loaded = loaded_with(KEY | {"AZURE_RESOURCE_NAME": smuggled}, project, user)
    target = loaded.catalog.targets["azure"]
    assert target.base_url == "https://{azure_resource}.openai.azure.com/openai/v1"
    with pytest.raises(UsageError, match="is not the name of an Azure resource, such as my-resource") as refused:
        credential(target, loaded.env, loaded.trust)
    assert smuggled not in str(refused.value) or len(smuggled) < 3


@pytest.mark.parametrize("good", ["a", "my-res", "MyRes", "res-2", "a" * 63])
def test_the_name_of_a_resource_is_the_first_label_of_its_host(good: str, project: Path, user: Path) -> None:
    loaded = loaded_with(KEY | {"AZURE_RESOURCE_NAME": f" {good}\n"}, project, user)
    assert loaded.catalog.targets["azure"].base_url == f"https://{good.lower()}.openai.azure.com/openai/v1"
    assert hosts(loaded, "azure") == (f"{good.lower()}.openai.azure.com",)
    assert hosts(loaded, "azure/my-deployment") == hosts(loaded, "azure@control") == hosts(loaded, "azure")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOOGLE_CLOUD_PROJECT", "p/../../x"), ("GOOGLE_CLOUD_PROJECT", "a:b"), ("GOOGLE_CLOUD_PROJECT", "short"),
        ("GOOGLE_CLOUD_LOCATION", "evil.test/"), ("GOOGLE_CLOUD_LOCATION", "us-central1.evil"),
        ("GOOGLE_CLOUD_LOCATION", "x@evil"), ("GOOGLE_CLOUD_LOCATION", "us central1"),
    ],
)  # fmt: skip
def test_project_and_location_are_names_as_well(name: str, value: str, project: Path, user: Path) -> None:
    loaded = loaded_with(GOOGLE | {name: value}, project, user)
    for target in ("vertex", "vertex-anthropic"):
        with pytest.raises(UsageError, match=f"{name} in environment is not "):
            hosts(loaded, target)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("", "aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("EU", "aiplatform.eu.rep.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("northamerica-northeast1", "northamerica-northeast1-aiplatform.googleapis.com"),
    ],
)
def test_a_location_has_the_host_that_both_vendors_sdks_use(
    location: str, host: str, project: Path, user: Path
) -> None:
    loaded = loaded_with(GOOGLE | {"GOOGLE_VERTEX_LOCATION": location}, project, user)
    assert hosts(loaded, "vertex") == hosts(loaded, "vertex-anthropic") == (host,)
    assert google_host(location or "global") == host
    path = f"/v1/projects/my-project/locations/{location.lower() or 'global'}/publishers/google"
    assert loaded.catalog.targets["vertex"].base_url == f"https://{host}{path}"


def test_what_is_missing_is_told_by_its_name_and_nobody_is_sent_there(project: Path, user: Path) -> None:
    loaded = loaded_with(KEY, project, user)
    azure = loaded.catalog.targets["azure"]
    assert key_problem(azure, loaded.env) == (
        "AZURE_RESOURCE_NAME is not set (needed by target azure); put it in .env or run 'kmon --demo'"
    )
    assert keyed_targets(loaded.catalog.targets.values(), loaded.env) == ()
    shown = list_targets([azure], loaded.env, loaded.trust, as_json=False)
    assert "AZURE_OPENAI_API_KEY (environment); AZURE_RESOURCE_NAME is not set" in shown
    described = list_targets([azure], loaded.env, loaded.trust, as_json=True)
    assert '"url_env": ["AZURE_RESOURCE_NAME"], "ready": false' in described
    with pytest.raises(UsageError, match="AZURE_RESOURCE_NAME is not set"):
        proxy_plan("azure", loaded)
    whole = loaded_with(AZURE, project, user)
    assert [target.name for target in keyed_targets(whole.catalog.targets.values(), whole.env)] == ["azure"]
    assert proxy_plan("azure", whole).base_url == "https://my-res.openai.azure.com/openai/v1"


async def test_the_doctor_looks_up_no_host_without_a_name(project: Path, user: Path) -> None:
    loaded = loaded_with(KEY, project, user)
    with pytest.raises(UsageError, match="AZURE_RESOURCE_NAME is not set"):
        await examine(loaded.catalog.targets["azure"], loaded.env, loaded.trust, authorities(), 1.0, named=True)


# -- who chooses the host ----------------------------------------------------------------------------------------------


def test_the_env_of_a_project_does_not_choose_who_gets_a_key_of_the_environment(project: Path, user: Path) -> None:
    (project / ".env").write_text("AZURE_RESOURCE_NAME=evil\n")
    loaded = loaded_with(KEY, project, user)
    with pytest.raises(UsageError) as refused:
        hosts(loaded, "azure")
    assert str(refused.value) == (
        "AZURE_RESOURCE_NAME in .env would have AZURE_OPENAI_API_KEY in environment sent to evil.openai.azure.com, and "
        ".env may be a stranger's; set AZURE_RESOURCE_NAME in the environment as well"
    )
    with pytest.raises(UsageError, match=r"AZURE_RESOURCE_NAME in \.env says where the keys of programs would go"):
        proxy_plan("azure", loaded)
    assert hosts(loaded_with(AZURE, project, user), "azure") == ("my-res.openai.azure.com",)


def test_a_key_and_its_resource_may_stand_in_one_file(project: Path, user: Path) -> None:
    (project / ".env").write_text("AZURE_RESOURCE_NAME=my-res\nAZURE_API_KEY=k\n")
    assert hosts(loaded_with({}, project, user), "azure") == ("my-res.openai.azure.com",)
    elsewhere = user / "secrets"
    (project / ".env").rename(elsewhere)
    (project / ".env").symlink_to(elsewhere)
    assert hosts(loaded_with(KEY, project, user), "azure") == ("my-res.openai.azure.com",)  # the file is the user's


def test_a_location_of_the_project_leads_to_google_all_the_same(project: Path, user: Path) -> None:
    (project / ".env").write_text("GOOGLE_CLOUD_LOCATION=europe-west1\n")
    assert hosts(loaded_with(GOOGLE, project, user), "vertex") == ("europe-west1-aiplatform.googleapis.com",)


@pytest.mark.parametrize(
    "base_url",
    ["https://evil.openai.azure.com/openai/v1", "https://{azure_resource}.evil.test/v1", "https://evil.test/v1"],
)
def test_a_projects_file_sends_the_key_to_no_other_resource(base_url: str, project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(f'[targets.azure]\nbase_url = "{base_url}"\n')
    with pytest.raises(UntrustedHostError, match="may not send AZURE_OPENAI_API_KEY to "):
        hosts(loaded_with(AZURE, project, user), "azure")


def test_a_projects_file_may_change_the_rest_of_the_target(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text(
        '[targets.azure]\nbase_url = "https://{azure_resource}.openai.azure.com/openai/v2"\nmodel = "m"\n'
    )
    assert hosts(loaded_with(AZURE, project, user), "azure") == ("my-res.openai.azure.com",)


@pytest.mark.parametrize(
    "base_url", ["https://x.test/{GITHUB_TOKEN}", "https://{OPENAI_API_KEY}.x.test", "https://x.test/{}", "https://{a}"]
)
def test_no_other_variable_gets_into_a_url(base_url: str) -> None:
    source = parse_toml(Path("kmon.toml"), f'[targets.t]\nmodel = "m"\nbase_url = "{base_url}"\n')
    with pytest.raises(UsageError, match=r"which kmon does not fill in; use one of \{region\}, \{azure_resource\}"):
        load_catalog((source,), {"GITHUB_TOKEN": "s3cr3t", "OPENAI_API_KEY": "s3cr3t"})


def test_a_target_of_ones_own_may_use_the_variables(project: Path, user: Path) -> None:
    (user / "kmon.toml").write_text(
        '[targets.foundry]\nmodel = "m"\nauth = "api-key"\nkey_env = ["AZURE_OPENAI_API_KEY"]\n'
        'base_url = "https://{azure_resource}.services.ai.azure.com/openai/v1"\n'
    )
    loaded = loaded_with(AZURE, project, user)
    held = credential(loaded.catalog.targets["foundry"], loaded.env, Trust())
    url = "https://my-res.services.ai.azure.com/openai/v1/chat/completions"
    assert held.authorization("api-key", url, proxied=False) == {"api-key": "k"}


def test_variables_that_are_not_set_leave_the_catalog_whole() -> None:
    assert key_problem(load_catalog().targets["vertex"], Environment({"GOOGLE_OAUTH_ACCESS_TOKEN": "t"})) == (
        "GOOGLE_CLOUD_PROJECT or GOOGLE_VERTEX_PROJECT is not set (needed by target vertex); put it in .env or run "
        "'kmon --demo'"
    )
