import json
import tempfile
import unittest
from pathlib import Path

from logship.settings import BadSettings, load

SINK = {"LOGSHIP_SINK": "http://sink:9000/in"}


class SettingsTest(unittest.TestCase):
    def test_the_environment_goes_over_the_mounted_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps({"sink": "http://a", "batch_lines": 7, "files": ["/a/*.log", "/b.log"]}))
            settings = load({"LOGSHIP_CONFIG": str(path), "LOGSHIP_SINK": "http://b", "LOGSHIP_FSYNC": "yes"})
        self.assertEqual((settings.sink, settings.batch_lines, settings.fsync), ("http://b", 7, True))
        self.assertEqual(settings.files, "/a/*.log,/b.log")

    def test_mistakes_are_told_with_their_place(self) -> None:
        for environ, expected in [
            ({}, "LOGSHIP_SINK: expected http"),
            ({"LOGSHIP_SINK": "sink:9000"}, "LOGSHIP_SINK: expected http"),
            ({**SINK, "LOGSHIP_PORT": "http"}, "LOGSHIP_PORT: expected a whole number"),
            ({**SINK, "LOGSHIP_PORT": "70000"}, "LOGSHIP_PORT: expected 0 to 65535"),
            ({**SINK, "LOGSHIP_STOP_S": "nan"}, "LOGSHIP_STOP_S: expected a number"),
            ({**SINK, "LOGSHIP_FSYNC": "maybe"}, "LOGSHIP_FSYNC: expected true or false"),
            ({**SINK, "LOGSHIP_CONFIG": "/nowhere.json"}, "cannot read /nowhere.json"),
        ]:
            with self.subTest(environ), self.assertRaisesRegex(BadSettings, expected):
                load(environ)

    def test_an_unknown_key_of_the_file_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text('{"snik": "http://a"}')
            with self.assertRaisesRegex(BadSettings, "snik: no such key; known are sink"):
                load({"LOGSHIP_CONFIG": str(path)})
