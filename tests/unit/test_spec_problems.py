# ruff: noqa: E501 - messages are compared whole, and a row is easier to read than a folded one
"""Bad specs, and the whole message that each gives: where, what was found, what was expected, how to mend it."""

import textwrap

import pytest

from tidegate.model.errors import SpecError
from tidegate.spec import parse_spec

ONE_LINE = [
    ("agent: Web_1", "1: agent: found the text 'Web_1'; expected a name (lower-case letters, digits and dashes, 40 at most: log-shipper)"),
    ("agent: 5", "1: agent: found the number 5; expected a name (put it in quotes: \"5\")"),
    ("agnt: web", "1: agnt: is unknown (did you mean agent?)"),
    ("replicas: 3", "1: replicas: does not belong here (write it as workload.deploy.replicas)"),
    ("build: {version: 1.10}", "1: build.version: found the number 1.10; expected a version (put it in quotes: \"1.10\")"),
    ("build: {image: \"a:1\"}", "1: build.image: found the text 'a:1'; expected a repository without a tag (tags are made from version and commit: registry.example.org/team/agent)"),
    ("workload: []", "1: workload: found a list; expected a mapping (its keys: compose, service, image, command, entrypoint, environment, ...)"),
    ("workload: {image: Foo}", "1: workload.image: found the text 'Foo'; expected an image: name, name:tag or name@sha256:digest (names are lower case: registry.example.org/team/agent:1.4.0)"),
    ("workload: {image: a, enviroment: {}}", "1: workload.enviroment: is unknown (did you mean environment?)"),
    ("workload: {image: a, build: .}", "1: workload.build: is not supported (write build: at the top of tidegate.yaml, beside workload)"),
    ("workload: {image: a, init: yes}", "1: workload.init: found the text 'yes'; expected true or false (write true: YAML 1.2 reads yes as a text)"),
    ("workload: {image: a, ports: ['99999:1']}", "1: workload.ports[0]: found the text '99999:1'; expected a port: HOST:CONTAINER (ports are 1 to 65535, the lower end of a range first)"),
    ("workload: {image: a, ports: ['1-2:1']}", "1: workload.ports[0]: found the text '1-2:1'; expected a port: HOST:CONTAINER (give both ranges the same length)"),
    ("workload: {image: a, ports: ['80:80/sctp']}", "1: workload.ports[0]: found the text '80:80/sctp'; expected a port: HOST:CONTAINER (the protocol of a port is tcp or udp)"),
    ("workload: {image: a, ports: ['80:80', '80:81']}", "1: workload.ports: port 80 of the host is published twice (tcp) (give each container port its own port of the host)"),
    ("workload: {image: a, ports: ['80:81'], deploy: {replicas: 2}}", "1: workload.ports: 2 replicas cannot share port 80 of the host (take ports out and write a route: routes: [{listen: 80, target: 81}]; or replicas: 1)"),
    ("workload: {image: a, volumes: ['a:b']}", "1: workload.volumes[0]: found the text 'a:b'; expected a mount: SOURCE:TARGET or SOURCE:TARGET:ro (the target is an absolute path: data:/var/lib/data:ro)"),
    ("workload: {image: a, restart: never}", "1: workload.restart: found the text 'never'; expected no, always, unless-stopped or on-failure[:N]"),
    ("workload: {image: a, restart: false}", "1: workload.restart: found false; expected no, always, unless-stopped or on-failure[:N] (write \"no\" in quotes)"),
    ("workload: {image: a, mem_limit: lots}", "1: workload.mem_limit: found the text 'lots'; expected a byte size such as 512m (write 512m or 1g)"),
    ("workload: {image: a, stop_grace_period: 2d}", "1: workload.stop_grace_period: found the text '2d'; expected a duration such as 30s or 1m30s (write days as hours: 24h)"),
    ("workload: {image: a, command: \"a 'b\"}", "1: workload.command: found the text \"a 'b\"; expected a command: a text or a list (a quotation mark is never closed: write the command as a list)"),
    ("workload: {image: a, network_mode: host}\nroutes: [{listen: 1, target: 1}]", "1: workload.network_mode: in the host's network two instances cannot listen on the same port, so nothing can be shifted (take network_mode: host out; the gateway reaches instances at their own addresses)"),
    ("workload: {image: a, ulimits: {nofile: {soft: 9, hard: 3}}}", "1: workload.ulimits.nofile: found a mapping; expected soft no higher than hard (raise hard)"),
    ("workload: {service: web}", "1: workload.service: names a service of no file (add compose: compose.yaml beside it)"),
    ("workload: {compose: none.yaml}", "1: workload.compose: none.yaml does not exist (mend the path; it counts from this file)"),
    ("workload: {image: a, env_file: none.env}", "1: workload.env_file: none.env does not exist"),
    ("probes: {readiness: {}}", "1: probes.readiness: found none; expected exactly one of httpGet, tcp or exec (add one)"),
    ("probes: {readiness: {tcp: 80, exec: [a]}}", "1: probes.readiness: found tcp and exec; expected exactly one of httpGet, tcp or exec (keep one)"),
    ("probes: {readiness: {httpGet: {port: 0}}}", "1: probes.readiness.httpGet.port: found the number 0; expected a port from 1 to 65535"),
    ("probes: {liveness: {tcp: 80, successThreshold: 2}}", "1: probes.liveness: liveness needs success_threshold 1 (take success_threshold out; it is for readiness)"),
    ("probes: {readiness: {tcp: 80, period: 1s, periodSeconds: 1}}", "1: probes.readiness.periodSeconds: is another spelling of period, which is given too (keep one of the two)"),
    ("routes: [{listen: 514, target: 514, protocol: udp}]", "1: routes[0].protocol: found the text 'udp'; expected http, http2, grpc or tcp (the gateway cannot shift UDP: a datagram has no connection to drain and no answer to judge; publish it past the gateway with workload.ports: [\"514:514/udp\"])"),
    ("routes: [{listen: 80}]", "1: routes[0]: target is missing (add target: Port in the container)"),
    ("routes: [{listen: 1, target: 1, protocol: tcp, path: /a}]", "1: routes[0].path: a tcp route knows no requests (take it out, or write protocol: http for HTTP agents)"),
    ("routes: [{listen: 1, target: 1}, {listen: 1, target: 2}]", "1: routes[1]: two routes take port 1, host *, path / (give them different hosts, paths or listen ports)"),
    ("routes: [{listen: 1, target: 1}, {listen: 1, target: 2, protocol: tcp}]", "1: routes[1]: port 1 is taken by two routes and one is tcp (give the tcp route its own listen)"),
    ("routes: [{listen: 1, target: 1, path: x}]", "1: routes[0].path: found the text 'x'; expected a path that begins with / (write /health)"),
    ("environments: {Prod: {}}", "1: environments.Prod: is not a valid environment (lower-case letters, digits and dashes, 40 at most: production)"),
    ("environments: {}", "1: environments: found a mapping; expected at least one environment (add one, or take out the key)"),
    ("environments: {p: {platform: podman}}", "1: environments.p.platform: found the text 'podman'; expected docker or memory"),
    ("environments: {p: {secrets: {A: hunter2}}}", "1: environments.p.secrets.A: found a value (not shown); expected where the value comes from: {file: ...}, {environment: ...} or {command: ...} (its keys: file, environment, command)"),
    ("strategy: {canary: {steps: [{set_weight: 50}, {set_weight: 20}]}}", "1: strategy.canary.steps[1].set_weight: the weight 20 follows 50; weights rise from step to step (going back is what abort and rollback do: order the steps by weight)"),
    ("strategy: {canary: {steps: [{set_weight: 101}]}}", "1: strategy.canary.steps[0].set_weight: found the number 101; expected a whole number from 0 to 100"),
    ("strategy: {canary: {steps: []}}", "1: strategy.canary.steps: found a list; expected at least 1 item (add an item, or take out the key)"),
    ("strategy: {canary: {steps: [{pause: }]}}", "1: strategy.canary.steps[0].pause: found nothing; expected a duration, or {} to wait for a person (write pause: {} to wait for a person)"),
    ("strategy: {canary: {}, blu: {}}", "1: strategy.blu: is unknown (valid: canary, rolling, blue_green, in_place, waves)"),
    ("strategy: {canary: {}, rolling: {}}", "1: strategy: found canary and rolling; expected exactly one of canary, rolling, blue_green, in_place or waves (keep one)"),
    ("strategy: {rolling: {max_surge: 0}}", "1: strategy.rolling: max_surge and max_unavailable are both 0: nothing could move (write max_surge: 1, or max_unavailable: 1)"),
    ("strategy: {rolling: {min_ready: 15m}}", "1: strategy.rolling.min_ready: min_ready (900 s) is not shorter than progress_deadline (600 s) (no instance would count in time: make progress_deadline longer)"),
    ("strategy: {canary: {steps: [{analyse: 1m}, {analyse: {}}]}}", "1: strategy.canary.steps[0].analyse: nothing is measured before analyse: {} (put analyse: {} before it)"),
    ("strategy: {canary: {steps: [{analyse: }]}}", "1: strategy.canary.steps[0].analyse: found nothing; expected a duration, or {} to watch in the background from here on (write analyse: 5m or analyse: {})"),
    ("strategy: {rolling: {max_surge: a}}", "1: strategy.rolling.max_surge: found the text 'a'; expected a number of instances or a percentage (write 1 or \"25%\")"),
    ("strategy: {blue_green: {preview: {}}}", "1: strategy.blue_green.preview: says nothing (write listen: 9090, host: preview.example.org or a match)"),
    ("strategy: {blue_green: {automatic: maybe}}", "1: strategy.blue_green.automatic: found the text 'maybe'; expected true or false"),
    ("strategy: {canary: {sticky: {header: a, cookie: b}}}", "1: strategy.canary.sticky: found header and cookie; expected exactly one of header or cookie (keep one)"),
    ("strategy: {canary: {steps: [{set_route: {header: {name: x, regex: '(?=a)'}}}]}}", "1: strategy.canary.steps[0].set_route.header.regex: found the text '(?=a)'; expected a regular expression (RE2) (RE2 knows no look-around and no back references)"),
    ("strategy: {canary: {steps: [{set_route: {version: x-version, group: beta}}]}}", "1: strategy.canary.steps[0].set_route.version: stands alone (write two set_route steps)"),
    ("strategy: {canary: {steps: [{mirror: 200}]}}", "1: strategy.canary.steps[0].mirror: found the number 200; expected a whole number from 0 to 100"),
    ("analysis: {metrics: [{name: a}]}", "1: analysis.metrics[0]: neither success_condition nor failure_condition is given (add failure_condition: result > 0.02)"),
    ("analysis: {metrics: [{name: a, failure_condition: rsult > 1}]}", "1: analysis.metrics[0].failure_condition: found the text 'rsult > 1'; expected a condition such as result > 0.02 (condition `rsult > 1`: unknown name rsult)"),
    ("analysis: {metrics: [{name: a, query: eror_share, failure_condition: result > 1}]}", "1: analysis.metrics[0].query: the gateway cannot measure 'eror_share' (did you mean error_share?)"),
    ("analysis: {metrics: [{name: a, failure_condition: result > 1, on_fail: abrt}]}", "1: analysis.metrics[0].on_fail: found the text 'abrt'; expected abort, pause or notify (did you mean abort?)"),
    ("analysis: {metrics: [{name: a, engine: sequential, failure_condition: result > 1}]}", "1: analysis.metrics[0].failure_condition: does not belong to engine: sequential (write engine: thresholds, or take it out)"),
    ("analysis: {metrics: [{name: a, failure_condition: result > 1, worse: less}]}", "1: analysis.metrics[0].worse: does not belong to engine: thresholds (write engine: sequential, or take it out)"),
    ("analysis: {metrics: [{name: a, engine: sequential, query: request_rate}]}", "1: analysis.metrics[0].query: the gateway has no sequential evidence about 'request_rate' (write error_share or latency; the rate of requests is set by the weights)"),
    ("analysis: {metrics: [{name: a, engine: sequential, source: scrape, query: queue}]}", "1: analysis.metrics[0]: a is a mean, and most is missing (write most: its largest value)"),
    ("analysis: {metrics: [{name: a, engine: sequential, source: logs, query: ERROR, margin: 0.5}]}", "1: analysis.metrics[0].margin: 0.5 times stable's is less than stable's (write 1.25, or 1 for none)"),
    ("analysis: {metrics: [{name: a, engine: sequential, source: stats, query: cpu_share, per: x}]}", "1: analysis.metrics[0].per: does not belong to form: mean (take it out)"),
    ("analysis: {metrics: [{name: a, engine: sequential, source: f, query: x}], sources: {f: {kind: file, file: f.csv}}}", "1: analysis.metrics[0]: nobody can tell how 'x' is evidence (write form: count (a number that only grows), mean (with most) or histogram)"),
    ("analysis: {metrics: [{name: a, engine: sequential, source: stats, query: cpu_share, form: count}]}", "1: analysis.metrics[0].form: stats gives no count of 'cpu_share' (counts are restarts and oom_kills; everything else is a mean)"),
    ("analysis: {metrics: [{name: a, engine: sequential, source: p, query: 'x{{revision}}', form: histogram}], sources: {p: {kind: prometheus, url: 'http://p'}}}", "1: analysis.metrics[0].form: prometheus gives no histogram of 'x{{revision}}' (read the histogram from the agents' own /metrics: source: scrape)"),
    ("analysis: {metrics: [{name: a, engine: sequential, source: logs, query: x, form: mean, most: 1}]}", "1: analysis.metrics[0].form: logs gives no mean of 'x' (lines are counted: take form out)"),
    ("analysis: {judges: {flagger: {metrics: [{name: request-success-rate}]}}}", "1: analysis.judges.flagger.metrics[0]: threshold_range is missing (write thresholdRange: {min: 99} or {max: 500})"),
    ("analysis: {judges: {flagger: {metrics: [{name: succes-rate, thresholdRange: {min: 1}}]}}}", "1: analysis.judges.flagger.metrics[0]: the gateway cannot measure 'succes-rate' (did you mean success_rate?)"),
    ("analysis: {judges: {kayenta: {metrics: [{name: error_share}], pass: 60}}}", "1: analysis.judges.kayenta: 75 is above the 60 that passes (lower it)"),
    ("analysis: {judges: {kayenta: {metrics: [{name: error_share}], step: 10m}}}", "1: analysis.judges.kayenta.step: is longer than the interval: nothing to judge at a look (write a shorter one)"),
    ("analysis: {judges: {argo: {metrics: [{name: a, source: stats, query: cpu}]}}}", "1: analysis.judges.argo: a: stats cannot measure 'cpu' (write cpu_share, memory_share, memory_bytes, restarts or oom_kills)"),
    ("analysis: {judges: {argo: {metrics: [{name: error_share, successCondition: 'rslt > 1'}]}}}", "1: analysis.judges.argo.metrics[0].successCondition: found the text 'rslt > 1'; expected a condition (condition `rslt > 1`: unknown name rslt)"),
    ("source: {branch: 'a b'}", "1: source.branch: found the text 'a b'; expected a branch (write main)"),
    ("source: {branch: '${X:?say which}'}", "1: source.branch: the variable X is not set: say which (export X, or write it into .env)"),
    ("source: {branch: '${X'}", "1: source.branch: a ${ is never closed (close it with }, or write $$ for a dollar sign)"),
    ("source: {branch: $X}", "1: source.branch: found the text '$X'; expected a branch (X is not set, so it is empty; write main)"),
]  # fmt: skip

WHOLE = [
    ("", "tidegate.yaml:1: the file is empty (tidegate init writes one to begin with)"),
    ("# nothing\n", "tidegate.yaml:1: the file is empty (tidegate init writes one to begin with)"),
    ("- a\n", "tidegate.yaml:1: found a list; expected a mapping (its keys: agent, source, build, workload, probes, routes, ...)"),
    ("just words", "tidegate.yaml:1: found the text 'just words'; expected a mapping (its keys: agent, source, build, workload, probes, routes, ...)"),
    ("agent: a\n\tb: c", "tidegate.yaml:2: a tab stands where YAML wants spaces (indent with spaces)"),
    ("agent: a\nagent: b\nworkload: {image: a}", "tidegate.yaml:2: agent: is given twice; the first is on line 1 (keep one of the two)"),
    ("agent: a\n---\nagent: b", "tidegate.yaml:2: a second document begins here (one agent a file: take out the line ---)"),
    ("agent: &a [*a]", "tidegate.yaml:1: the alias *a stands inside what it names (write the value out)"),
    ("agent: *b", "tidegate.yaml:1: the alias *b has no anchor (define &name above its use)"),
    ("agent: !!python/object a\nworkload: {image: a}", "tidegate.yaml:1: agent: the tag tag:yaml.org,2002:python/object means nothing here (take the tag out)"),
    ("[" * 500, "tidegate.yaml:1: nested deeper than 30 levels (a spec needs eight at most)"),
    ("a: b: c", "tidegate.yaml:1: mapping values are not allowed here (put the value in quotes when it holds \": \", or mend the indentation)"),
    ("a: \"b", "tidegate.yaml:1: found unexpected end of stream (mend the YAML here: look at quotes, brackets and indentation, on the line above too)"),
    ("\x00", "tidegate.yaml:1: is not YAML text: unacceptable character #x0000: special characters are not allowed (save it as UTF-8 text)"),
    ("x" * 300_000, "tidegate.yaml:1: the file is larger than 256 KiB (a spec is a page long; is this the file?)"),
    ("services: {}\nagent: a\nworkload: {image: a}", "tidegate.yaml:1: services: is not supported (this is a compose file's key: write workload: {compose: compose.yaml, service: NAME})"),
]  # fmt: skip


def message(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "tidegate.yaml", {})
    return caught.value.message


@pytest.mark.parametrize(("line", "expected"), ONE_LINE, ids=[line[:50] for line, _ in ONE_LINE])
def test_one_wrong_key_gives_one_whole_message(line: str, expected: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rest = [] if line.startswith("agent") or "agnt" in line else ["agent: web"]
    if "workload" not in line and "build" not in line:
        rest.append("workload: {image: a}")
    if line.startswith("agnt"):
        assert message("\n".join([line, *rest])).splitlines()[-1] == f"tidegate.yaml:{expected}"
        return
    got = message("\n".join([line, *rest]))
    if "env_file" in line:
        expected = f"{expected} (create {tmp_path}/none.env, or write required: false)"
    assert got == f"tidegate.yaml:{expected}"


@pytest.mark.parametrize(("text", "expected"), WHOLE, ids=[text[:20] for text, _ in WHOLE])
def test_rubbish_gives_a_plain_message(text: str, expected: str) -> None:
    assert message(text) == expected


def test_every_problem_is_listed_in_the_order_of_the_file() -> None:
    text = textwrap.dedent("""\
        agent: Web
        workload:
          image: a
          deploy:
            replicas: many
        routes:
          - listen: 70000
            target: 80
        """)
    assert message(text).splitlines() == [
        "tidegate.yaml:1: agent: found the text 'Web'; expected a name "
        "(lower-case letters, digits and dashes, 40 at most: log-shipper)",
        "tidegate.yaml:5: workload.deploy.replicas: found the text 'many'; expected a whole number from 0 to 1000",
        "tidegate.yaml:7: routes[0].listen: found the number 70000; expected a port from 1 to 65535",
    ]


def test_what_is_missing() -> None:
    assert message("source: {branch: x}").splitlines() == [
        "tidegate.yaml:1: agent is missing (add agent: Name of what is delivered)",
        "tidegate.yaml:1: there is nothing to run (add workload.image, or build: to make an image)",
    ]


def test_aliases_that_multiply_end_at_once() -> None:
    bomb = ["x-a: &a [1,1,1,1,1,1,1,1,1]"]
    bomb += [f"x-{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]" for i in range(8)]
    assert "aliases make more than 20000 values of it (write the values out)" in message("\n".join(bomb))


def test_merge_keys_that_multiply_end_at_once() -> None:
    bomb = ["x-a: &a {k: 1}"]
    for i in range(8):
        sources = ",".join(["*" + chr(97 + i)] * 9)
        bomb.append(f"x-{chr(98 + i)}: &{chr(98 + i)} {{<<: [{sources}]}}")
    assert "write the values out" in message("\n".join(bomb))


def test_values_of_variables_never_reach_a_message() -> None:
    text = "agent: a\nworkload: {image: '${SECRET}', restart: '${SECRET}', environment: ['${SECRET}', {A: 1}]}"
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "tidegate.yaml", {"SECRET": "Hunter 2"})
    assert "Hunter" not in caught.value.message
    assert "workload.restart: found the text '${SECRET}'" in caught.value.message


def test_values_of_environment_never_reach_a_message() -> None:
    assert "hunter2" not in message("agent: a\nworkload: {image: a, environment: hunter2}")
    assert "hunter2" not in message("agent: a\nworkload: {image: a, environment: [[hunter2]]}")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xfea\x00", "is not UTF-8 text (save the file as UTF-8)"),
        (b"agent: a\nx: \xe9\n", ":2: is not UTF-8 text (save the file as UTF-8)"),
        (bytes(range(256)), "is not UTF-8 text"),
    ],
)
def test_files_that_are_no_text(data: bytes, expected: str, tmp_path) -> None:
    from tidegate.spec import load_spec

    (tmp_path / "tidegate.yaml").write_bytes(data)
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path, {})
    assert expected in caught.value.message


def test_a_file_that_is_not_there(tmp_path) -> None:
    from tidegate.spec import load_spec

    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "no.yaml", {})
    assert caught.value.message.endswith("no.yaml does not exist (tidegate init writes a tidegate.yaml to begin with)")
