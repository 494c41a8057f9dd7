import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.sdk_centre import Centre, until
from tidegate.sdk import Agent, Identity, TaskResult


def agent_of(centre: Centre, **more: Any) -> Agent:
    return Agent("mailer", "1.4.0", interval_s=0.2, identity=Identity("", "test", "m1", 3, "", centre.url, "t"), **more)


def test_heartbeats_rise_by_one_and_the_last_says_stopping() -> None:
    with Centre() as centre:
        with agent_of(centre) as agent:
            until(lambda: len(centre.asked) >= 3)
            agent.status("degraded", "relay slow")
            until(lambda: centre.bodies[-1]["status"] == "degraded")
        assert centre.bodies[-1]["status"] == "stopping"
    assert [body["sequence"] for body in centre.bodies] == list(range(1, len(centre.asked) + 1))
    assert {(body["agent"], body["version"]) for body in centre.bodies} == {("mailer", "1.4.0")}


def test_without_a_control_centre_it_is_silent_and_still_works(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent("mailer", identity=Identity("mailer"))
    ran = threading.Event()
    agent.every(0.05)(lambda: ran.set())
    before = threading.active_count()
    with caplog.at_level(logging.DEBUG), agent:
        port = agent.serve(0, "127.0.0.1")
        agent.metrics.counter("mails_total").add(2)
        assert ran.wait(5)
        assert b"mails_total 2" in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/ready").status == 200
        agent.ask_to_stop()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready")
    assert caplog.records == []
    until(lambda: threading.active_count() <= before)


def test_a_scheduled_task_and_one_that_was_asked_for_are_reported() -> None:
    with Centre() as centre:
        agent = agent_of(centre)

        @agent.every(0.05)
        def clean() -> str:
            return "3 removed"

        @agent.task
        def resend(address: str) -> str:
            return f"sent to {address}"

        centre.actions = [
            {"action": "dance"},
            {"action": "run_task", "id": "t1", "task": "resend", "arguments": {"address": "a@example.org"}},
            {"action": "run_task", "id": "t1", "task": "resend", "arguments": {"address": "a@example.org"}},
            {"action": "run_task", "id": "t2", "task": "unheard_of"},
            {"action": "configure", "id": "c1", "config": {"relay": "x"}},
        ]
        with agent:
            until(lambda: {"clean", "t1", "t2", "c1"} <= set(centre.completed()))
        done = centre.completed()
    assert done["clean"]["detail"] == "3 removed"
    assert (done["t1"]["ok"], done["t1"]["detail"]) == (True, "sent to a@example.org")
    assert not done["t2"]["ok"]
    assert "known: clean, resend" in done["t2"]["detail"]
    assert not done["c1"]["ok"]  # nobody here takes a configuration, and that is said


def test_a_new_configuration_reaches_the_agent_once() -> None:
    with Centre() as centre:
        agent, taken = agent_of(centre), []
        agent.on_configure(taken.append)
        with agent:
            for _ in range(2):
                centre.actions = [{"action": "configure", "id": "c1", "config": {"relay": "x"}}]
                until(lambda: not centre.actions)
            until(lambda: "c1" in centre.completed())
    assert taken == [{"relay": "x"}]


def test_drain_sets_stopping() -> None:
    with Centre() as centre, agent_of(centre) as agent:
        centre.actions = [{"action": "drain", "reason": "the host goes away"}]
        assert agent.stopping.wait(5)
        until(lambda: centre.bodies[-1].get("message") == "the host goes away")


def test_an_outage_is_two_lines_in_the_log_and_no_result_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    with Centre() as centre, caplog.at_level(logging.INFO, "tidegate.sdk"):
        centre.failures = [(500, {}), (500, {})]
        agent = agent_of(centre)
        agent._beats.results.add(TaskResult("early", True, "", 1.0, 2.0))
        with agent:
            until(lambda: len(centre.asked) >= 4)
    assert "early" in {item["task"] for body in centre.bodies[:2] for item in body["completed"]}
    assert "completed" not in centre.bodies[3]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "t" not in caplog.records[0].getMessage().split()  # the token


def test_report_state_is_answered_at_once_but_never_in_a_tight_loop() -> None:
    with Centre(interval_s=60.0) as centre:
        centre.actions = [{"action": "report_state"}]
        with agent_of(centre):
            until(lambda: len(centre.asked) >= 2)
            time.sleep(0.5)
            assert len(centre.asked) == 2


def test_sigterm_ends_a_ten_line_agent_in_time_with_exit_code_0() -> None:
    code = """
        from tidegate.sdk import Agent
        with Agent("mailer", "1.4.0") as agent:
            print("up", flush=True)
            while not agent.stopping.wait(30):
                pass
        print("down", flush=True)
    """
    with Centre() as centre:
        env = {**os.environ, "TIDEGATE_URL": centre.url, "PYTHONPATH": "src"}
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], env=env, stdout=subprocess.PIPE, text=True
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "up\n"
            until(lambda: centre.asked)
            child.send_signal(signal.SIGTERM)
            rest, _ = child.communicate(timeout=5)
        finally:
            child.kill()
    assert (rest, child.returncode) == ("down\n", 0)
    assert (centre.bodies[-1]["status"], centre.bodies[-1]["message"]) == ("stopping", "SIGTERM")
