"""A bill of materials in CycloneDX 1.6, by the CycloneDX project's own library.

Source: https://cyclonedx.org/docs/1.6/json/
"""

from tidegate.model.image_facts import ImageFacts


def cyclonedx(agent: str, facts: ImageFacts) -> bytes:
    """The packages of an image as JSON; empty where the library is not installed (extra `scan`)."""
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
        from packageurl import PackageURL
    except ImportError:
        return b""
    container = Component(name=agent, version=facts.digest, type=ComponentType.CONTAINER, bom_ref=facts.digest)
    bom = Bom()
    bom.metadata.component = container
    for one in facts.packages:
        url = PackageURL(type=one.kind, name=one.name, version=one.version)
        bom.components.add(
            Component(name=one.name, version=one.version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url))
        )
    bom.register_dependency(container, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode()
