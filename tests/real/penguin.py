"""Judges a real Penguin server from PyPI, whose model is the scripted one. Everything stays on loopback.

    python -m tests.real.penguin             install (once), start, judge, stop; the report is kept
    python -m tests.real.penguin --runs 10   the same ten times, and how often each verdict was given
    python -m tests.real.penguin --serve     start, print the URLs, run until killed

Exit status: 0 when a report was made, also where requirements fail (the report says so; `--strict-exit`
passes pytest's status on); else pytest's own (2 to 6), or 3 where the server could not be had. Arguments
after `--` go to pytest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.real.runner import MODEL, ROOT, NotForThisMachine, Server, SetupError, main, output_of

PYTHONS = ("python3.12", "python3.11", "python3.10", sys.executable)  # Penguin runs on 3.10 to 3.12


class Penguin(Server):
    """penguin-ai 0.9.3 in an environment of its own."""

    name = "penguin-ai"
    version = "0.9.3"
    short = "penguin"
    protocol = "penguin/2"
    health = "/api/v1/health"
    profile = ROOT / "conformance" / "profiles" / "penguin-0.9.toml"

    def install(self) -> None:
        """Make an environment that holds this version, unless it is there."""
        if self.installed() == self.version:
            return
        python = next((found for name in PYTHONS if (found := usable_python(name))), None)
        if python is None:
            raise NotForThisMachine("Penguin needs Python 3.10, 3.11 or 3.12, and none was found")
        print(f"installing {self.name} {self.version} into {self.home} (about 150 packages)", flush=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.parent.mkdir(exist_ok=True)
        package = f"{self.name}=={self.version}"
        steps = (
            [python, "-m", "venv", str(self.home)],
            [str(self.home / "bin" / "pip"), "install", "--quiet", "--no-input", package],
        )
        for step in steps:
            if subprocess.run(step, check=False).returncode != 0:
                raise SetupError(f"this failed: {' '.join(step)}")

    def installed(self) -> str | None:
        """The version in its environment, or None."""
        code = f"import importlib.metadata as m; print(m.version({self.name!r}))"
        return output_of([str(self.home / "bin" / "python"), "-c", code])

    def describe(self) -> str:
        """Its version, and that of the Python that runs it."""
        python = output_of([str(self.home / "bin" / "python"), "--version"])
        return f"{self.name} {self.installed()} ({python})"

    def command(self, url: str) -> list[str]:
        """Its web server; where to listen is said in the environment."""
        return [str(self.home / "bin" / "penguin-web")]

    def environment(self, scratch: Path, workspace: Path, url: str, model_url: str) -> dict[str, str]:
        """Its configuration is a file that the environment names.

        Its tokenizer would ask the network for tables before every prompt, and hold up the whole server (5 s each)
        until the name is given up where there is none: hence the proxies that refuse at once (`isolated`).
        """
        base = f"{model_url}/v1"
        settings = {
            "model": MODEL,
            "provider": "openrouter",
            "client_preference": "openrouter",
            "streaming_enabled": True,
            "context_window": 128000,
            "max_output_tokens": 4000,
            "api_base": base,
        }
        configuration = {
            "model": {"default": MODEL, **settings},
            "api": {"base_url": base},
            "model_configs": {MODEL: settings},
        }
        config = scratch / "config.yml"
        config.write_text(json.dumps(configuration), encoding="utf-8")  # JSON is YAML
        host, _, port = url.removeprefix("http://").partition(":")
        return {
            "PATH": f"{self.home / 'bin'}{os.pathsep}{os.defpath}",
            "HOST": host,
            "PORT": port,
            "PENGUIN_AUTH_ENABLED": "false",
            "PENGUIN_NO_SETUP": "1",
            "PENGUIN_CONFIG_PATH": str(config),
            "PENGUIN_WORKSPACE": str(workspace),
            "PENGUIN_CWD": str(workspace),
            "PENGUIN_PROJECT_ROOT": str(workspace),
            "PENGUIN_API_BASE": base,
            "PENGUIN_DEFAULT_MODEL": MODEL,
            "PENGUIN_DEFAULT_PROVIDER": "openrouter",
            "PENGUIN_CLIENT_PREFERENCE": "openrouter",
            "OPENROUTER_API_KEY": "sk-or-v1-fake",
            "OPENROUTER_BASE_URL": base,
        }


def usable_python(name: str) -> str | None:
    """The interpreter's path if it runs, can make environments, and has a version that Penguin takes."""
    code = (
        "import sys, venv, ensurepip; print(sys.executable if (3, 10) <= sys.version_info < (3, 13) else '')"
    )
    path = shutil.which(name)
    return output_of([path, "-c", code]) or None if path else None


if __name__ == "__main__":
    sys.exit(main(Penguin(), __doc__ or ""))
