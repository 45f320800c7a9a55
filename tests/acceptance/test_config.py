"""Configuration as code, as people and CI use it: through `imrs config` and a real server."""

from __future__ import annotations

import io
import json
from random import Random
from typing import IO, TYPE_CHECKING

import pytest
from click.testing import CliRunner

from imrs_client import ImrsError
from imrs_client import v1 as pb
from imrs_server.cli import main
from imrs_server.domain.principal import Role
from imrs_server.storage import changes
from tests.support.config_files import DOCUMENT_003, EVERYTHING, slip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from tests.support.service import Service

BOT = """\
providers: {openai: }
models: {openai/a: {price_state: PRICE_FREE}}
agents:
  bot: {display_name: Bot, default_model_id: openai/a, models: {openai/a: }}
"""


@pytest.fixture
def run(service: Service, tmp_path: Path) -> Callable[..., Result]:
    """Run ``imrs config WORD`` as a platform admin of the tenant; ``text`` is the file."""

    def run(*words: str, text: str = "", typed: str | IO[bytes] | None = None, **variables: str) -> Result:
        path = tmp_path / "models.yaml"
        path.write_text(text)
        known = {
            "IMRS_ADDRESS": service.app.address,
            "IMRS_TOKEN": service.token(Role.PLATFORM_ADMIN),
            "IMRS_TENANT_ID": str(service.tenant_id),
        }
        given = [*words, str(path)] if text else [*words]
        return CliRunner().invoke(main, ["config", *given], env=known | variables, input=typed)

    return run


def test_document_003_is_applied_and_routes(service: Service, run: Callable[..., Result]) -> None:
    applied = run("apply", "--yes", text=DOCUMENT_003)
    assert applied.exit_code == 0, applied.output
    assert "+ providers/gradient" in applied.stdout
    assert "Plan: 17 to create, 0 to update, 0 to delete, 0 unchanged." in applied.stdout
    chosen = route(service, "code-review")
    assert (chosen.model_id, chosen.credentials_ok) == ("gradient/llama3.3-70b-instruct", False)
    assert (chosen.parameters.temperature, chosen.parameters.max_output_tokens) == (0.3, 4000)
    assert (chosen.input_price_usd, chosen.context_length) == ("0.6", 128000)
    assert chosen.api_base == "https://inference.do-ai.run/v1"
    # As the environment of a deployment says.
    assert run("apply", "--yes", text=DOCUMENT_003, DEPLOYMENT_ENV="development").exit_code == 0
    assert route(service, "code-review").model_id == "gradient/llama3-8b-instruct"


def route(service: Service, agent_id: str) -> pb.SelectedModel:
    asked = pb.RouteRequest(agent_id=agent_id)
    assert service.app.index.wait_for(newest(service), 20)
    return service.tenant.route.Route(asked).selected


def newest(service: Service) -> int:
    with service.app.database.transaction() as tx:
        return changes.current(tx).rev


def test_a_plan_ends_as_ci_wants_it(run: Callable[..., Result], service: Service) -> None:
    assert run("plan", text=BOT).exit_code == 2
    assert run("apply", "--yes", text=BOT).exit_code == 0
    nothing = run("plan", text=BOT)
    assert (nothing.exit_code, nothing.stdout) == (
        0,
        "Plan: 0 to create, 0 to update, 0 to delete, 4 unchanged.\n",
    )
    service.tenant.admin.UpdateAgent(
        pb.UpdateAgentRequest(agent=pb.Agent(agent_id="bot", display_name="By hand"))
    )
    drifted = run("plan", text=BOT)
    assert drifted.exit_code == 2
    assert drifted.stdout.splitlines() == [
        "~ agents/bot",
        '    display_name: "By hand" -> "Bot"   (edited since)',
        "1 of these were edited since the file was applied.",
        "Plan: 0 to create, 1 to update, 0 to delete, 3 unchanged.",
    ]
    found = json.loads(run("plan", "--json", text=BOT).stdout)
    assert [each["drifted_fields"] for each in found if each["action"] == "UPDATE"] == [["display_name"]]
    assert run("plan", text="agents: {x: []}").exit_code == 1
    assert run("plan", text=BOT, IMRS_TOKEN="").exit_code == 1
    assert run("plan", text=BOT, IMRS_TOKEN="nonsense").exit_code == 1
    assert run("plan", "--nonsense", text=BOT).exit_code == 1


def test_apply_asks_first(run: Callable[..., Result]) -> None:
    refused = run("apply", text=BOT, typed="n\n")
    assert refused.exit_code == 1
    assert run("plan", text=BOT).exit_code == 2
    agreed = run("apply", text=BOT, typed="y\n")
    assert agreed.exit_code == 0
    assert "Applied; revision" in agreed.stdout
    again = run("apply", text=BOT)
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "Nothing to do.")


class Hesitating(io.BytesIO):
    """Types yes, and meanwhile something happens."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(b"y\n")
        self._meanwhile = meanwhile

    def read1(self, size: int | None = -1, /) -> bytes:
        found = super().read1(size)
        if found:
            self._meanwhile()
        return found


def test_apply_tells_what_it_did_where_that_is_not_what_it_planned(
    run: Callable[..., Result], service: Service
) -> None:
    run("apply", "--yes", text=BOT)
    edited = pb.UpdateAgentRequest(agent=pb.Agent(agent_id="bot", display_name="By hand"))
    typed = Hesitating(lambda: service.tenant.admin.UpdateAgent(edited))
    done = run("apply", text=BOT.replace("Bot", "Robot"), typed=typed)
    assert done.exit_code == 0, done.output
    planned, meanwhile, told = done.stdout.partition("Somebody changed something meanwhile; this was done:\n")
    assert meanwhile
    assert 'display_name: "Bot" -> "Robot"' in planned
    assert 'display_name: "By hand" -> "Robot"' in told


def test_mistakes_are_told_with_their_place(run: Callable[..., Result], tmp_path: Path) -> None:
    here = run("apply", "--yes", text="agents:\n  x: {model: 3}")
    assert f"{tmp_path}/models.yaml:2:14: agents.x.model: must be text" in here.stderr
    there = run("apply", "--yes", text="agents:\n  x: {models: {p/m: }}")
    assert there.exit_code == 1
    assert "Model p/m does not exist. (line 2, agents.x.models.p/m)" in there.stderr


def test_a_diff_is_a_patch(run: Callable[..., Result], tmp_path: Path) -> None:
    run("apply", "--yes", text=BOT)
    assert (run("diff", text=BOT).exit_code, run("diff", text=BOT).stdout) == (0, "")
    changed = run("diff", text=BOT.replace("display_name: Bot", "display_name: Robot, tags: [x]"))
    assert changed.exit_code == 2
    assert changed.stdout.splitlines() == [
        "--- installation",
        f"+++ {tmp_path}/models.yaml",
        "@@ agents/bot @@",
        '-display_name: "Bot"',
        '+display_name: "Robot"',
        "-tags: []",
        '+tags: ["x"]',
    ]


def test_an_export_is_a_file_for_which_there_is_nothing_to_do(run: Callable[..., Result]) -> None:
    run("apply", "--yes", text=EVERYTHING)
    exported = run("export")
    assert exported.exit_code == 0
    assert run("plan", "--prune", text=exported.stdout).exit_code == 0


def test_undo_takes_back_one_apply_after_the_other(run: Callable[..., Result], service: Service) -> None:
    before = run("export").stdout
    run("apply", "--yes", text=BOT)
    between = run("export").stdout
    run("apply", "--yes", text=EVERYTHING)
    undone = run("undo", "--yes")
    assert undone.exit_code == 0, undone.output
    assert run("export").stdout == between
    assert run("plan", text=BOT).exit_code == 0
    assert run("undo", typed="y\n").exit_code == 0
    assert run("export").stdout == before
    nothing = run("undo", "--yes")
    assert nothing.exit_code == 1
    assert "has no apply that could be undone" in nothing.stderr


def test_undo_leaves_what_others_changed_since(run: Callable[..., Result], service: Service) -> None:
    run("apply", "--yes", text=BOT)
    run("apply", "--yes", text=BOT.replace("Bot", "Robot").replace("models: {openai/a: }", "use_case: x"))
    service.tenant.admin.UpdateAgent(
        pb.UpdateAgentRequest(agent=pb.Agent(agent_id="bot", display_name="By hand"))
    )
    undone = run("undo", "--yes").stdout
    assert "= agents/bot   (display_name: changed or deleted since, it or what it needs; stays)" in undone
    agent = service.tenant.admin.GetAgent(pb.GetAgentRequest(agent_id="bot"))
    assert (agent.display_name, agent.use_case) == ("By hand", "")
    assert run("plan", text=BOT).exit_code == 2


def test_undo_tells_what_others_changed_while_it_asked(run: Callable[..., Result], service: Service) -> None:
    run("apply", "--yes", text=BOT)
    run("apply", "--yes", text=BOT.replace("Bot", "Robot"))
    edited = pb.UpdateAgentRequest(agent=pb.Agent(agent_id="bot", display_name="By hand"))
    undone = run("undo", typed=Hesitating(lambda: service.tenant.admin.UpdateAgent(edited)))
    assert undone.exit_code == 0, undone.output
    planned, _, told = undone.stdout.partition("Somebody changed something meanwhile; this was done:\n")
    assert 'display_name: "Robot" -> "Bot"' in planned
    assert "= agents/bot   (display_name: changed or deleted since, it or what it needs; stays)" in told


def test_undo_tells_of_what_is_gone_already(run: Callable[..., Result], service: Service) -> None:
    """Also of a rule of which nothing more was said than that it is there."""
    run("apply", "--yes", text=BOT)
    run("apply", "--yes", text=BOT + "rules: {bot: [{}]}\n")
    admin = service.tenant.admin
    [rule] = admin.ListAgentRules(pb.ListAgentRulesRequest(agent_id="bot")).agent_rules
    admin.DeleteAgentRule(pb.DeleteAgentRuleRequest(agent_id="bot", rule_id=rule.rule_id))
    undone = run("undo", "--yes")
    assert undone.exit_code == 0, undone.output
    [line] = [each for each in undone.stdout.splitlines() if each.startswith("= agents/bot/rules/")]
    assert line.endswith("   (changed or deleted since, it or what it needs; stays)")


def test_a_tenant_admin_undoes_nothing_of_the_platform(run: Callable[..., Result], service: Service) -> None:
    run("apply", "--yes", text=BOT)
    refused = run("undo", "--yes", IMRS_TOKEN=service.token(Role.TENANT_ADMIN))
    assert refused.exit_code == 1
    assert run("plan", text=BOT).exit_code == 0


def test_two_hundred_slips_are_refused_whole_or_applied_whole(service: Service) -> None:
    """Whatever comes of a broken file, it is an answer of the contract, and never half a change."""
    chance = Random(7)
    admin = service.platform.admin
    tenant_id = str(service.tenant_id)

    def export() -> str:
        return admin.ExportConfig(pb.ExportConfigRequest(tenant_id=tenant_id)).yaml

    admin.ApplyConfig(pb.ApplyConfigRequest(tenant_id=tenant_id, yaml=EVERYTHING))
    held = export()
    outcomes: dict[str, int] = {}
    for _ in range(200):
        broken = slip(EVERYTHING, chance)
        request = pb.ApplyConfigRequest(tenant_id=tenant_id, yaml=broken)
        try:
            request.yaml = broken
            admin.ApplyConfig(request)
        except UnicodeError:
            continue
        except ImrsError as error:
            outcomes[error.reason] = outcomes.get(error.reason, 0) + 1
            assert export() == held
        else:
            outcomes["OK"] = outcomes.get("OK", 0) + 1
            held = export()
    known = {"OK", "INVALID_REQUEST", "MODEL_NOT_FOUND", "PROVIDER_NOT_FOUND", "AGENT_NOT_FOUND"}
    assert set(outcomes) <= known | {"ADDRESS_FORBIDDEN"}
    assert min(outcomes["OK"], outcomes["INVALID_REQUEST"]) > 10
