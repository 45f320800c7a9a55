"""What commands print: exact for programs, harmless and fitting for people."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import islice
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from imrs_client import Unavailable
from imrs_client import v1 as pb
from imrs_server.cli.output import fields, forms, streams, tables, text
from imrs_server.cli.output.forms import Form, Kind, View
from imrs_server.cli.output.tables import Column

VIEW = View(shown={"model": "model_id", "tier": "cost_tier", "context": "context_length"}, empty="none yet")


def models(number: int) -> list[pb.Model]:
    return [
        pb.Model(model_id=f"p/{each}", context_length=each * 1000, priority=each) for each in range(number)
    ]


class Catalogue:
    """A List method over so many models, which notes the pages that were asked for."""

    def __init__(self, number: int) -> None:
        self.models = models(number)
        self.asked: list[int] = []
        self.order_by = ""

    def __call__(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        begin = int(request.page_token or 0)
        end = begin + request.page_size
        self.asked.append(request.page_size)
        self.order_by = request.order_by
        return pb.ListModelsResponse(
            models=self.models[begin:end],
            next_page_token=str(end) if end < len(self.models) else "",
            total_size=len(self.models),
        )


def listed(number: int, *words: str) -> Any:
    """What a listing command prints of so many models."""
    catalogue = Catalogue(number)

    @click.command()
    @forms.listing
    def command(*, form: Form) -> None:
        form.list(catalogue, pb.ListModelsRequest(), VIEW)

    result = CliRunner().invoke(command, words)
    return result, catalogue.asked


def test_a_table_shows_a_page_and_says_how_many_there_are() -> None:
    result, asked = listed(120)
    assert len(result.stdout.splitlines()) == 51
    assert "50 of 120" in result.stderr
    assert asked == [50]
    assert listed(3)[0].stderr == ""
    assert listed(0)[0].stderr == "none yet\n"


@pytest.mark.parametrize(("words", "rows"), [((), 2500), (("--limit", "1200"), 1200), (("--limit", "3"), 3)])
def test_exports_go_on_over_all_pages_or_up_to_the_limit(words: tuple[str, ...], rows: int) -> None:
    result, asked = listed(2500, "--csv", *words)
    assert len(list(csv.DictReader(StringIO(result.stdout)))) == rows
    assert sum(asked) <= rows + 1000
    lines = listed(2500, "--jsonl", *words)[0].stdout.splitlines()
    assert [json.loads(line)["model_id"] for line in lines] == [f"p/{each}" for each in range(rows)]
    assert len(json.loads(listed(2500, "--json", *words)[0].stdout)) == rows


def test_what_was_read_is_written_before_the_next_page_is_asked_for() -> None:
    catalogue = Catalogue(5000)
    pages = streams.pages(catalogue, pb.ListModelsRequest(), None)
    assert [fields.value(page.items[0], "model_id") for page in islice(pages, 2)] == ["p/0", "p/1000"]
    assert len(catalogue.asked) == 2


def test_the_order_is_the_servers() -> None:
    catalogue = Catalogue(1)
    Form(order_by="priority desc").list(catalogue, pb.ListModelsRequest(), VIEW)
    assert catalogue.order_by == "priority desc"


def test_an_export_that_breaks_off_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = Catalogue(5000)

    def breaking(request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        if request.page_token == "2000":
            raise Unavailable
        return catalogue(request)

    with pytest.raises(Unavailable):
        Form(kind=Kind.JSON).list(breaking, pb.ListModelsRequest(), VIEW)
    written = capsys.readouterr()
    assert "stopped after 2,000 of 5,000" in written.err
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(written.out)


def test_tenants_are_told_apart_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(shown={"agent": "agent_id", "state": "state"}, empty="")
    for tenants, heading in ((("one", "two"), "agent  tenant  state"), (("one", "one"), "agent  state")):
        agents = [pb.Agent(agent_id="a", tenant_id=each) for each in tenants]
        response = pb.ListAgentsResponse(agents=agents, total_size=2)
        Form().list(lambda _, answer=response: answer, pb.ListAgentsRequest(), view)  # type: ignore[misc]
        assert capsys.readouterr().out.splitlines()[0] == heading


def test_an_empty_export_still_names_its_columns() -> None:
    assert listed(0, "--csv")[0].stdout.startswith("model_id,provider_id,")
    assert listed(0, "--json")[0].stdout == "[]\n"
    assert listed(0, "--jsonl")[0].stdout == ""


def test_columns_are_chosen_by_their_names_in_the_api() -> None:
    columns = "model_id,parameters.temperature,priority"
    assert listed(1, "--csv", "--columns", columns)[0].stdout == f"{columns}\np/0,,0\n"
    assert json.loads(listed(1, "--jsonl", "--columns", columns)[0].stdout) == {
        "model_id": "p/0",
        "parameters.temperature": None,
        "priority": 0,
    }
    assert listed(1, "--columns", columns)[0].stdout.split() == [*columns.split(","), "p/0", "-", "0"]
    refused, _ = listed(1, "--columns", "colour")
    assert refused.exit_code == 2
    assert "no colour; there are model_id" in refused.stderr


def test_two_forms_contradict_each_other() -> None:
    refused, asked = listed(1, "--csv", "--json")
    assert (refused.exit_code, asked) == (2, [])
    assert "--json and --csv contradict each other" in refused.stderr


def test_a_form_without_flags_is_for_people() -> None:
    assert Form().kind is Kind.TABLE


def test_keys_are_never_columns() -> None:
    assert "api_key_vault_path" in fields.paths(pb.Provider.DESCRIPTOR)
    assert "api_key" not in fields.paths(pb.Provider.DESCRIPTOR)


def test_messages_that_hold_themselves_end_somewhere() -> None:
    assert "routing.shadow" in fields.paths(pb.Agent.DESCRIPTOR)
    assert "routing.shadow.scoring" not in fields.paths(pb.Agent.DESCRIPTOR)


def test_values_for_programs_lose_nothing() -> None:
    decision = pb.Decision(task=pb.TaskDetection(task_type="code"), propensity=0.1234567)
    decision.create_time.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))
    decision.selected.parameters.stop.values.extend(["a,b", "c"])
    assert fields.exact(decision, "task.task_type") == "code"
    assert fields.exact(decision, "propensity") == "0.1234567"
    assert fields.exact(decision, "create_time") == "2026-01-02T03:04:05.678901Z"
    assert fields.exact(decision, "selected.parameters.stop") == '["a,b","c"]'
    assert fields.exact(decision, "reason") == ""
    assert fields.exact(pb.Decision(), "selected.model_id") == ""


def test_lists_and_maps_are_json() -> None:
    model = pb.Model(capabilities=["a,b"], provenance={"priority": "ADMIN"})
    model.metadata.update({"deep": {"list": [1, None]}})
    assert fields.exact(model, "capabilities") == '["a,b"]'
    assert fields.exact(model, "provenance") == '{"priority":"ADMIN"}'
    assert fields.exact(model, "metadata") == '{"deep":{"list":[1.0,null]}}'
    change = pb.ModelChange(diffs=[pb.FieldDiff(field="priority")])
    assert fields.exact(change, "diffs") == '[{"field":"priority"}]'


def test_values_for_people_are_short() -> None:
    model = pb.Model(capabilities=["a", "b", "c", "d", "e"], available=False, context_length=128_000)
    assert text.told(model, "capabilities") == "a, b, c, d and 1 more"
    assert text.told(model, "capabilities", whole=True) == "a, b, c, d, e"
    assert text.told(model, "available") == "no"
    assert text.told(model, "context_length") == "128,000"
    assert text.told(model, "max_output_tokens") == "-"
    provider = pb.Provider()
    provider.sync_interval.FromTimedelta(timedelta(hours=6))
    assert text.told(provider, "sync_interval") == "6h"
    decision = pb.Decision(fallbacks=[pb.SelectedModel(model_id="p/a"), pb.SelectedModel(model_id="p/b")])
    assert text.told(decision, "fallbacks") == "p/a, p/b"
    assert [text.duration(each) for each in (0, 1.5, 90, 5400, 86_400)] == ["0s", "1.5s", "90s", "90m", "1d"]


def test_what_others_wrote_cannot_command_the_terminal() -> None:
    feedback = pb.Feedback(comment="fine\x1b[2Jgone\n\u202eevil", user_id="नमस्‍ते")
    assert text.told(feedback, "comment") == r"fine\x1b[2Jgone\n\u202eevil"
    assert text.told(feedback, "user_id") == "नमस्‍ते"


@given(st.text())
def test_no_text_has_control_characters_left(anything: str) -> None:
    told = text.harmless(anything)
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 or "\ud800" <= each <= "\udfff" for each in told)


def test_a_comment_is_no_formula_in_a_spreadsheet(capsys: pytest.CaptureFixture[str]) -> None:
    writer = streams.Csv(("comment", "user_id"))
    writer.write([pb.Feedback(comment="=cmd()", user_id="@x"), pb.Feedback(comment="good")])
    assert capsys.readouterr().out == "comment,user_id\n'=cmd(),@x\ngood,\n"


def test_a_name_that_a_provider_gave_is_no_formula_either(capsys: pytest.CaptureFixture[str]) -> None:
    writer = streams.Csv(("model_id", "display_name"))
    writer.write([pb.Model(model_id="p/m", display_name='=HYPERLINK("http://x")')])
    assert capsys.readouterr().out == 'model_id,display_name\np/m,"\'=HYPERLINK(""http://x"")"\n'


def test_on_a_terminal_a_row_is_one_line_and_ids_are_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    columns = [Column(title="model"), Column(title="price", numbers=True), Column(title="says")]
    tables.echo(columns, [["provider/a-long-model", "1,000", "much more than has room here"]])
    heading, row = capsys.readouterr().out.splitlines()
    assert row == "provider/a-long-model  1,000  much more…"
    assert heading.startswith("model")
