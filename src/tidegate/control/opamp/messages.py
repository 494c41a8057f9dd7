"""OpAMP's protobuf messages as opentelemetry-opamp-client ships them, without the client itself.

Importing them the usual way loads the client and its HTTP library as well (22 MB). The two generated files need nothing
but protobuf's runtime (7 MB), so their folder is made a package of its own here.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry._opamp.proto import opamp_pb2 as opamp_pb2

_HOME = f"{__name__}_generated"


def _load(name: str) -> Any:
    if _HOME not in sys.modules:
        found = find_spec("opentelemetry")
        places = found.submodule_search_locations if found is not None else None
        spec = ModuleSpec(_HOME, None, is_package=True)
        spec.submodule_search_locations = [str(Path(place, "_opamp", "proto")) for place in places or ()]
        sys.modules[_HOME] = module_from_spec(spec)
    return import_module(f"{_HOME}.{name}")


if not TYPE_CHECKING:
    opamp_pb2 = _load("opamp_pb2")
