"""Images made without a builder."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from tidegate.adapters.registry.layer import ImageConfig, Layer, write_archive


def fill(layer: Layer, source: Path) -> None:
    layer.write("etc/motd", b"hello\n")
    layer.copy("/bin/tool", source)
    layer.link("usr/bin/other", "tool")


def make(directory: Path) -> tuple[Path, Path, str]:
    directory.mkdir()
    source = directory / "tool"
    source.write_bytes(b"#!/bin/sh\n")
    with Layer(directory / "layer.tar") as layer:
        fill(layer, source)
    config = ImageConfig("example/tool:1", command=("tool",), labels={"a": "b"})
    image = write_archive(directory / "layer.tar", config, directory / "image.tar")
    return directory / "layer.tar", directory / "image.tar", image.config_digest


def test_same_input_makes_the_same_bytes(tmp_path: Path) -> None:
    first, second = make(tmp_path / "one"), make(tmp_path / "two")
    assert first[1].read_bytes() == second[1].read_bytes()
    assert first[2] == second[2]


def test_bin_and_lib_live_in_usr_with_links_at_the_top(tmp_path: Path) -> None:
    layer, _, _ = make(tmp_path / "one")
    with tarfile.open(layer) as tar:
        assert tar.getmember("usr/bin/tool").mode == 0o755
        assert tar.getmember("bin").linkname == "usr/bin"
        assert tar.getmember("tmp").mode == 0o1777
        names = tar.getnames()
    assert len(names) == len(set(names))
    for name in names:
        parent = name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(name), f"{name} comes before its directory"


def test_the_first_of_two_files_of_one_path_stays(tmp_path: Path) -> None:
    with Layer(tmp_path / "layer.tar") as layer:
        layer.write("usr/bin/sh", b"real shell")
        layer.link("bin/sh", "busybox")
    with tarfile.open(tmp_path / "layer.tar") as tar:
        assert tar.getmember("usr/bin/sh").isfile()


def test_archive_names_its_parts_by_their_digests(tmp_path: Path) -> None:
    layer, archive, digest = make(tmp_path / "one")
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            content = tar.extractfile(name)
            assert content is not None
            return content.read()

        (manifest,) = json.loads(read("manifest.json"))
        config = read(manifest["Config"])
        assert f"sha256:{hashlib.sha256(config).hexdigest()}" == digest
        assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"]
        assert read(manifest["Layers"][0]) == layer.read_bytes()
        assert manifest["RepoTags"] == ["example/tool:1"]


def test_merge_takes_what_is_wanted_and_keeps_hard_links(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("./bin/a", "./usr/share/doc/a"):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
        link = tarfile.TarInfo("./bin/b")
        link.type, link.linkname = tarfile.LNKTYPE, "./bin/a"
        tar.addfile(link)
        device = tarfile.TarInfo("./dev/sda")
        device.type = tarfile.BLKTYPE
        tar.addfile(device)
    packed.seek(0)
    with Layer(tmp_path / "layer.tar") as layer, tarfile.open(fileobj=packed) as source:
        layer.merge(source, lambda path: not path.startswith("usr/share/doc"))
    with tarfile.open(tmp_path / "layer.tar") as tar:
        assert tar.getmember("usr/bin/b").linkname == "usr/bin/a"
        assert not any("doc" in name or "sda" in name for name in tar.getnames())
