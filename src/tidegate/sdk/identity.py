"""Who this instance is and where its control centre listens: read once from the environment that Tidegate gives."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote


@dataclass(frozen=True)
class Identity:
    """The facts that name one instance. `url` is empty where no control centre was given: then nothing is sent."""

    agent: str
    environment: str = ""
    instance: str = ""
    revision: int = 0
    version: str = ""
    url: str = ""
    token: str = field(default="", repr=False)  # a secret: never in a repr, a log line or an error
    enrolment: str = field(default="", repr=False)  # the same; good for a while only
    credential_file: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Identity":
        """Read TIDEGATE_* and, for what is missing there, OTEL_RESOURCE_ATTRIBUTES. Never raises.

        An agent must not die of a mistyped variable that only its reporting needs: a revision that is no number
        is 0, and the control centre answers with what it does not like.
        """
        env = os.environ if environ is None else environ
        resource = resource_attributes(env.get("OTEL_RESOURCE_ATTRIBUTES", ""))
        revision = env.get("TIDEGATE_REVISION", "")
        return cls(
            agent=env.get("TIDEGATE_AGENT") or resource.get("service.name", ""),
            environment=env.get("TIDEGATE_ENVIRONMENT") or resource.get("deployment.environment.name", ""),
            instance=env.get("TIDEGATE_INSTANCE") or resource.get("service.instance.id") or env.get("HOSTNAME", ""),
            revision=int(revision) if revision.isascii() and revision.isdigit() else 0,
            version=resource.get("service.version", ""),
            url=env.get("TIDEGATE_URL", "").rstrip("/"),
            token=env.get("TIDEGATE_AGENT_TOKEN", ""),
            enrolment=env.get("TIDEGATE_ENROLMENT_TOKEN", ""),
            credential_file=env.get("TIDEGATE_CREDENTIAL_FILE", ""),
            attributes={"host.name": env.get("TIDEGATE_HOST") or socket.gethostname()} | resource,
        )

    def named(self, agent: str = "", version: str = "") -> "Identity":
        """What the code says of itself fills what the environment left open; for the version, the code knows best."""
        return replace(self, agent=self.agent or agent, version=version or self.version)


def resource_attributes(text: str) -> dict[str, str]:
    """Parse `key=value,key=value`, values percent-encoded (OpenTelemetry resource SDK); malformed ones are left out."""
    pairs = (item.split("=", 1) for item in text.split(",") if "=" in item)
    return {key.strip(): unquote(value.strip()) for key, value in pairs}
