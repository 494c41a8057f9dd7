"""hooks: shapes and what they become."""

from typing import Any

from tidegate.model.spec import Hook, Hooks, OnFail
from tidegate.spec.context import Context
from tidegate.spec.kinds import WORDS, choice, duration, flag, text
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import INVALID, Key, ListOf, Object, Record, own

_DEFAULT = Hook("default")


def _hook(record: Record, context: Context) -> object:
    if "name" not in record:
        return INVALID
    if "url" in record and "image" in record:
        context.error(record.at("image"), "a web hook runs no image", "take image or url out")
    return Hook(
        name=record["name"],
        command=tuple(record.get("command") or ()),
        image=record.get("image", ""),
        url=record.get("url", ""),
        timeout_s=record.get("timeout", _DEFAULT.timeout_s),
        repeatable=record.get("repeatable", _DEFAULT.repeatable),
        on_fail=OnFail(record.get("on_fail", _DEFAULT.on_fail)),
    )


HOOK = Object(
    "hook",
    "A container task (command) or a web hook (url). It runs at most once for a release, unless it is repeatable.",
    own(
        Key("name", text("a name", r"[a-z0-9][a-z0-9\-]{0,40}", example="migrate"), "Its name.", required=True),
        Key("command", WORDS, "What the container runs, instead of the image's entrypoint and command."),
        Key("image", text("an image"), "What it runs in.", "the release's image"),
        Key(
            "url",
            text("an address", r"https?://[^\s]+", example="https://ci.example/hook"),
            "Gets a POST of JSON; 2xx is a success.",
        ),
        Key("timeout", duration(0.001), "After this it is stopped, and has failed.", duration_text(_DEFAULT.timeout_s)),
        Key(
            "repeatable",
            flag(),
            "It may run again when nobody knows how it ended; otherwise a person is asked.",
            "false",
        ),
        Key("on_fail", choice(*(item.value for item in OnFail)), "What a failure does to the rollout.", "abort"),
    ),
    one_of=("command", "url"),
    build=_hook,
)


def _hooks(record: Record, context: Context) -> Hooks:
    pre: tuple[Hook, ...] = record.get("pre", ())
    post: tuple[Hook, ...] = record.get("post", ())
    names = [hook.name for hook in (*pre, *post)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        context.error(record.node.where, f"two hooks are called {name}", "give each hook its own name")
    return Hooks(pre, post)


_LIST: Any = ListOf(HOOK, expected="a list of hooks")
HOOKS = Object(
    "hooks",
    "Work around a rollout, with the workload's environment, secrets, mounts and networks.",
    own(
        Key("pre", _LIST, "Once the image is there, before anything changes: migrations.", "none"),
        Key("post", _LIST, "Once the candidate has baked, before it is promoted.", "none"),
    ),
    build=_hooks,
)
