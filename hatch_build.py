"""Puts the built web page of the default layouts (templates/dist) into the wheel, and builds it where npm is there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TemplateApp(BuildHookInterface):
    """The wheel is complete without the page, but for `template_engine: chrome`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        if shutil.which("npm"):
            subprocess.run([root / "scripts" / "build-templates"], check=True)
        built = root / "templates" / "dist"
        if (built / "index.html").is_file():
            build_data["force_include"][str(built)] = "pyegress/template_app"
        else:
            print("npm is missing: the wheel is built without the page of the default layouts", file=sys.stderr)
