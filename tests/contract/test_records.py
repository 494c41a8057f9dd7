"""What every keeper of agents' records keeps to: AgentRecords."""

# ruff: noqa: F811 (fixtures are imported by their names)

from dataclasses import replace

from tests.contract.test_store import location, postgres, state  # noqa: F401 (fixtures)
from tidegate.adapters.store.opening import State, open_state
from tidegate.control.opamp.desk import Desk
from tidegate.control.opamp.messages import opamp_pb2
from tidegate.control.opamp.uids import Line
from tidegate.control.records import Records
from tidegate.control.registry import Registry
from tidegate.control.tokens import Bearer, Tokens
from tidegate.controller.clock import WallClock
from tidegate.model.record import (
    AgentRecord,
    Change,
    ComponentHealth,
    ConfigFile,
    ConfigStatus,
    Protocol,
    RemoteConfig,
)
from tidegate.model.release import AgentKey

KEY, OTHER = AgentKey("mailer", "prod"), AgentKey("mailer", "test")
FULL = AgentRecord(
    KEY,
    "mailer-1",
    "ab" * 16,
    Protocol.OPAMP_WEBSOCKET,
    {"host.name": "north", "note": "full \u2192 half"},
    8193,
    ComponentHealth(False, "starting", "no route", 12.5),
    {"receivers/otlp": ComponentHealth(True)},
    (ConfigFile("a.yaml", "text/yaml", "cd" * 32, 4),),
    RemoteConfig("ef" * 32, ConfigStatus.FAILED, "no such key"),
    (Change(100.0, "reports version 1"),),
)


async def test_records_are_there_after_opening_again(state: State, location: str) -> None:
    assert await state.records.records(None) == []
    second, third = AgentRecord(KEY, "mailer-2"), AgentRecord(OTHER, "mailer-1")
    await state.records.save_records([second, FULL, third], {})
    again = replace(second, capabilities=1)
    await state.records.save_records([again], {})
    reopened = await open_state(location)
    assert await reopened.records.records(None) == [FULL, again, third]
    assert await reopened.records.records(OTHER) == [third]
    await reopened.close()


async def test_the_files_of_an_instance_take_the_place_of_its_former_ones(state: State) -> None:
    name, other = (KEY, "mailer-1"), (KEY, "mailer-2")
    await state.records.save_records([], {name: {"aa": b"1", "bb": b"\0\xff"}, other: {"aa": b"1"}})
    assert await state.records.content(*name, "bb") == b"\0\xff"
    await state.records.save_records([], {name: {"cc": b"3"}})
    assert [await state.records.content(*name, digest) for digest in ("aa", "bb", "cc")] == [None, None, b"3"]
    assert await state.records.content(*other, "aa") == b"1"
    await state.records.drop_records([other])
    assert await state.records.content(*other, "aa") is None


async def test_the_dropped_are_gone_and_nobody_else(state: State) -> None:
    await state.records.save_records([FULL, AgentRecord(OTHER, "mailer-1")], {})
    await state.records.drop_records([(KEY, "mailer-1"), (KEY, "never there")])
    assert [record.key for record in await state.records.records(None)] == [OTHER]


async def test_a_conversation_outlasts_the_control_centre(state: State) -> None:
    uid, tokens = bytes(range(16)), Tokens(b"k" * 32)
    for sequence, flags in ((0, 0), (6, opamp_pb2.ServerToAgentFlags_ReportFullState)):
        registry = Registry(state.pulses, WallClock(), Records(state.records))
        await registry.load()
        message = opamp_pb2.AgentToServer(instance_uid=uid, sequence_num=sequence, capabilities=8193)
        if sequence == 0:
            pair = message.agent_description.identifying_attributes.add(key="service.instance.id")
            pair.value.string_value = "mailer-1"
            message.effective_config.config_map.config_map["a"].body = b"a: 1"
        answer = Desk(registry, tokens).hear(Bearer(KEY), message.SerializeToString(), Line())
        assert opamp_pb2.ServerToAgent.FromString(answer).flags == flags
        await registry.save()
    pulse = registry.pulses_of(KEY)["mailer-1"]
    assert (pulse.gaps, pulse.runs, pulse.sequence) == (0, 1, 2)
    (record,) = await state.records.records(KEY)
    assert await state.records.content(KEY, "mailer-1", record.effective[0].digest) == b"a: 1"
